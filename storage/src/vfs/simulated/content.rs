//! The bytes of one file: as its readers see them, and as they lie on the disk.

use super::Unsynced;
use super::tree::Dice;

/// What a device writes as a whole or not at all.
const SECTOR_SIZE: usize = 512;

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// What leads from `durable` to `current`, unless a failed sync has lost some of it.
    unsynced: Vec<Change>,
    /// Whether it is to be read from the device, which has damaged it.
    is_cold: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Truncate { size: usize },
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => overwrite(content, *position, bytes),
            Self::Truncate { size } => content.resize(*size, 0),
        }
    }
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.current.len() as u64
    }

    pub(super) fn from(&self, position: usize) -> &[u8] {
        self.current.get(position..).unwrap_or_default()
    }

    pub(super) fn write(&mut self, position: usize, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.change(Change::Write { position, bytes });
        }
    }

    pub(super) fn truncate(&mut self, size: usize) {
        if size != self.current.len() {
            self.change(Change::Truncate { size });
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// What a failed sync leaves: pages that count as written and are not.
    pub(super) fn lose_unsynced(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn is_resident(&self) -> bool {
        !self.is_cold
    }

    pub(super) fn flip(&mut self, position: usize, mask: u8) {
        self.is_cold = true;
        for content in [&mut self.current, &mut self.durable] {
            if let Some(byte) = content.get_mut(position) {
                *byte ^= mask;
            }
        }
    }

    /// Goes through a crash.
    pub(super) fn settle(&mut self, unsynced: Unsynced, dice: &mut Dice) {
        match unsynced {
            // The machine went on: even what a failed sync lost is still in its memory.
            Unsynced::Kept => self.durable.clone_from(&self.current),
            Unsynced::Dropped => self.current.clone_from(&self.durable),
            Unsynced::Random { .. } => {
                self.settle_randomly(dice);
                self.current.clone_from(&self.durable);
            }
        }
        self.unsynced.clear();
    }

    fn settle_randomly(&mut self, dice: &mut Dice) {
        let changes = std::mem::take(&mut self.unsynced);
        let fate = dice.below(5);
        // The first changes reached the disk, in the order they were made.
        let prefix = if fate == 1 { dice.below(changes.len() as u64 + 1) } else { 0 };
        for (number, change) in (0..).zip(&changes) {
            match fate {
                0 => {}
                1 if number < prefix => change.apply(&mut self.durable),
                1 => break,
                2 => self.keep_some_sectors(change, dice),
                3 if dice.flip() => {}
                _ => change.apply(&mut self.durable),
            }
        }
    }

    fn keep_some_sectors(&mut self, change: &Change, dice: &mut Dice) {
        let Change::Write { position, bytes } = change else {
            if dice.flip() {
                change.apply(&mut self.durable);
            }
            return;
        };
        let mut position = *position;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let size = (SECTOR_SIZE - position % SECTOR_SIZE).min(rest.len());
            let (sector, later) = rest.split_at(size);
            if dice.flip() {
                overwrite(&mut self.durable, position, sector);
            }
            position += size;
            rest = later;
        }
    }
}

fn overwrite(content: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    let end = position + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[position..end].copy_from_slice(bytes);
}
