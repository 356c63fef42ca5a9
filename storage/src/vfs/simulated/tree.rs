//! Names and files of a simulated disk: as processes see them, and as a crash would leave them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::content::Content;
use super::{DirEntry, Unsynced};

/// Number of a file or directory, whatever its names.
pub(super) type InodeId = u64;

const ROOT: InodeId = 0;

/// Names that are removed while the tree has fewer inodes than this are not worth a search.
const COLLECTED_MIN: usize = 64;

#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
    next_id: InodeId,
    unsynced: NameChanges,
    /// How many inodes make it worthwhile to look for those without a name.
    collect_at: usize,
}

#[derive(Debug)]
struct Inode {
    node: Node,
    /// Open files keep their content although their name is gone.
    handles: usize,
}

#[derive(Debug)]
enum Node {
    File(Content),
    Dir { current: Names, durable: Names },
}

type Names = BTreeMap<String, InodeId>;

/// A change of names; `inode` is what it moves.
#[derive(Debug, Clone)]
struct NameChange {
    removed: Option<(InodeId, String)>,
    added: Option<(InodeId, String)>,
    inode: InodeId,
}

/// Changes to names that no sync has made durable. There may be many: nobody can sync a directory
/// that was removed. So a sync looks at the changes of its own directory only.
#[derive(Debug, Default)]
struct NameChanges {
    /// By when they were made.
    all: BTreeMap<u64, NameChange>,
    /// Those that touch a directory; some may be durable already, by a sync of the other one.
    by_dir: BTreeMap<InodeId, Vec<u64>>,
    next: u64,
}

impl NameChanges {
    fn push(&mut self, change: NameChange) {
        for (dir, _) in [&change.removed, &change.added].into_iter().flatten() {
            self.by_dir.entry(*dir).or_default().push(self.next);
        }
        self.all.insert(self.next, change);
        self.next += 1;
    }

    /// Takes those that touch a directory, oldest first.
    fn take(&mut self, dir: InodeId) -> Vec<NameChange> {
        let numbers = self.by_dir.remove(&dir).unwrap_or_default();
        numbers.iter().filter_map(|number| self.all.remove(number)).collect()
    }

    /// Takes all of them, oldest first.
    fn take_all(&mut self) -> Vec<NameChange> {
        self.by_dir.clear();
        std::mem::take(&mut self.all).into_values().collect()
    }
}

/// Randomness that a seed decides.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the SplitMix64 sequence.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn flip(&mut self) -> bool {
        self.next() >> 63 == 1
    }
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            inodes: BTreeMap::new(),
            next_id: ROOT,
            unsynced: NameChanges::default(),
            collect_at: COLLECTED_MIN,
        };
        tree.add(Node::Dir { current: Names::new(), durable: Names::new() });
        tree
    }
}

impl Tree {
    fn add(&mut self, node: Node) -> InodeId {
        let id = self.next_id;
        self.next_id += 1;
        self.inodes.insert(id, Inode { node, handles: 0 });
        id
    }

    pub(super) fn find(&self, path: &Path) -> Option<InodeId> {
        names_of(path).try_fold(ROOT, |dir, name| self.names(dir)?.get(&name).copied())
    }

    fn existing(&self, path: &Path) -> io::Result<InodeId> {
        self.find(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<InodeId> {
        let inode = self.existing(path)?;
        match self.inodes[&inode].node {
            Node::File(_) => Ok(inode),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn dir(&self, path: &Path) -> io::Result<InodeId> {
        let inode = self.existing(path)?;
        match self.inodes[&inode].node {
            Node::Dir { .. } => Ok(inode),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn names(&self, dir: InodeId) -> Option<&Names> {
        match &self.inodes[&dir].node {
            Node::Dir { current, .. } => Some(current),
            Node::File(_) => None,
        }
    }

    /// The content of a file that was found by [`Tree::file`] and is still open or named.
    pub(super) fn content(&mut self, file: InodeId) -> &mut Content {
        match self.inodes.get_mut(&file).map(|inode| &mut inode.node) {
            Some(Node::File(content)) => content,
            Some(Node::Dir { .. }) | None => unreachable!("the inode is a live file"),
        }
    }

    pub(super) fn open(&mut self, file: InodeId) {
        self.inodes.get_mut(&file).expect("the file was just found").handles += 1;
    }

    pub(super) fn close(&mut self, file: InodeId) {
        self.inodes.get_mut(&file).expect("open files are not collected").handles -= 1;
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let contents = self.inodes.values().filter_map(|inode| match &inode.node {
            Node::Dir { current, .. } => Some(current.values()),
            Node::File(_) => None,
        });
        contents
            .flatten()
            .map(|child| match &self.inodes[child].node {
                Node::File(content) => content.size(),
                Node::Dir { .. } => 0,
            })
            .sum()
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<InodeId> {
        let place = self.place(path)?;
        let inode = self.add(Node::File(Content::default()));
        self.change(NameChange { removed: None, added: Some(place), inode });
        Ok(inode)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names_of(path) {
            let names = self.names(dir).ok_or(io::ErrorKind::NotADirectory)?;
            dir = match names.get(&name) {
                Some(&existing) => existing,
                None => {
                    let empty = Node::Dir { current: Names::new(), durable: Names::new() };
                    let inode = self.add(empty);
                    self.change(NameChange { removed: None, added: Some((dir, name)), inode });
                    inode
                }
            };
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(path)?;
        let entry = |(name, inode): (&String, &InodeId)| {
            let (is_dir, size) = match &self.inodes[inode].node {
                Node::File(content) => (false, content.size()),
                Node::Dir { .. } => (true, 0),
            };
            DirEntry { name: name.clone(), is_dir, size }
        };
        Ok(self.names(dir).into_iter().flatten().map(entry).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.existing(from)?;
        let (removed, added) = (Some(self.place(from)?), Some(self.place(to)?));
        let is_dir = matches!(self.inodes[&inode].node, Node::Dir { .. });
        if is_dir && self.find(to).is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(NameChange { removed, added, inode });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.file(path)?;
        let removed = Some(self.place(path)?);
        self.change(NameChange { removed, added: None, inode });
        self.collect();
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.dir(path)?;
        let place = self.place(path)?;
        self.empty(inode);
        self.change(NameChange { removed: Some(place), added: None, inode });
        self.collect();
        Ok(())
    }

    fn empty(&mut self, dir: InodeId) {
        let children = self.names(dir).cloned().unwrap_or_default();
        for (name, inode) in children {
            self.empty_if_dir(inode);
            self.change(NameChange { removed: Some((dir, name)), added: None, inode });
        }
    }

    fn empty_if_dir(&mut self, inode: InodeId) {
        if self.names(inode).is_some() {
            self.empty(inode);
        }
    }

    /// The directory a path lies in, and its name there.
    fn place(&self, path: &Path) -> io::Result<(InodeId, String)> {
        let mut names: Vec<String> = names_of(path).collect();
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = names
            .iter()
            .try_fold(ROOT, |dir, name| self.names(dir)?.get(name).copied())
            .filter(|dir| self.names(*dir).is_some())
            .ok_or(io::ErrorKind::NotFound)?;
        Ok((dir, name))
    }

    fn change(&mut self, change: NameChange) {
        self.apply(&change, |dir| match dir {
            Node::Dir { current, .. } => Some(current),
            Node::File(_) => None,
        });
        self.unsynced.push(change);
    }

    fn apply_durably(&mut self, change: &NameChange) {
        self.apply(change, |dir| match dir {
            Node::Dir { durable, .. } => Some(durable),
            Node::File(_) => None,
        });
    }

    fn apply(&mut self, change: &NameChange, names: fn(&mut Node) -> Option<&mut Names>) {
        if let Some((dir, name)) = &change.removed {
            let names = self.inodes.get_mut(dir).and_then(|dir| names(&mut dir.node));
            // Another file may have taken the name, if the change comes out of order.
            if let Some(names) = names.filter(|names| names.get(name) == Some(&change.inode)) {
                names.remove(name);
            }
        }
        if let Some((dir, name)) = &change.added
            && let Some(names) = self.inodes.get_mut(dir).and_then(|dir| names(&mut dir.node))
        {
            names.insert(name.clone(), change.inode);
        }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        // A rename between two directories is one step of the journal: either sync commits it.
        for change in self.unsynced.take(dir) {
            self.apply_durably(&change);
        }
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        for change in self.unsynced.take_all() {
            self.apply_durably(&change);
        }
        self.contents().for_each(Content::sync);
    }

    pub(super) fn lose_unsynced_content(&mut self) {
        self.contents().for_each(Content::lose_unsynced);
    }

    fn contents(&mut self) -> impl Iterator<Item = &mut Content> {
        self.inodes.values_mut().filter_map(|inode| match &mut inode.node {
            Node::File(content) => Some(content),
            Node::Dir { .. } => None,
        })
    }

    /// Goes through a crash: afterwards everything is durable, and nothing open.
    pub(super) fn settle(&mut self, unsynced: Unsynced) {
        let changes = self.unsynced.take_all();
        let mut dice = Dice::new(0);
        match unsynced {
            Unsynced::Dropped => {}
            Unsynced::Kept => changes.iter().for_each(|change| self.apply_durably(change)),
            Unsynced::Random { seed } => {
                dice = Dice::new(seed);
                self.settle_names(&changes, &mut dice);
            }
        }
        for inode in self.inodes.values_mut() {
            inode.handles = 0;
            match &mut inode.node {
                Node::File(content) => content.settle(unsynced, &mut dice),
                Node::Dir { current, durable } => current.clone_from(durable),
            }
        }
        self.collect_at = 0;
        self.collect();
    }

    /// Keeps the first changes, as a journal does, or any of them, as the standard allows.
    fn settle_names(&mut self, changes: &[NameChange], dice: &mut Dice) {
        let prefix = dice.flip().then(|| dice.below(changes.len() as u64 + 1));
        for (number, change) in (0..).zip(changes) {
            let is_kept = prefix.map_or_else(|| dice.flip(), |prefix| number < prefix);
            if is_kept {
                self.apply_durably(change);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// Forgets files that have no name, now or after any crash, and that nobody has open.
    fn collect(&mut self) {
        if self.inodes.len() < self.collect_at {
            return;
        }
        let mut reached: BTreeSet<InodeId> =
            self.unsynced.all.values().map(|change| change.inode).collect();
        reached.insert(ROOT);
        let open = self.inodes.iter().filter(|(_, inode)| inode.handles > 0);
        reached.extend(open.map(|(id, _)| *id));
        let mut to_visit: Vec<InodeId> = reached.iter().copied().collect();
        while let Some(id) = to_visit.pop() {
            if let Some(Node::Dir { current, durable }) =
                self.inodes.get(&id).map(|inode| &inode.node)
            {
                let children = current.values().chain(durable.values());
                to_visit.extend(children.filter(|child| reached.insert(**child)));
            }
        }
        self.inodes.retain(|id, _| reached.contains(id));
        self.collect_at = (self.inodes.len() * 2).max(COLLECTED_MIN);
    }
}

/// The names on the way from the root; where a path is relative, from there as well.
fn names_of(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    })
}
