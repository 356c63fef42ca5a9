//! The machine stops at every operation of the disk in turn (M1).

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flumen_storage::vfs::Vfs;
use flumen_storage::vfs::simulated::{SimulatedDisk, Unsynced};
use openraft::storage::{IOFlushed, RaftStateMachine};

use super::super::disk::Disk;
use super::super::state_machine::{Published, StateMachine};
use super::super::types::{
    Entry, Member, Membership, Payload, Proposal, SnapshotMeta, StoredMembership, Vote, log_id,
};
use super::super::*;
use super::setting;

fn open(disk: &SimulatedDisk) -> io::Result<Arc<Disk>> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.mount());
    vfs.create_dir_all(Path::new("/data"))?;
    vfs.sync_dir(Path::new("/"))?;
    Ok(Arc::new(Disk::open(vfs, Path::new("/data"), Seams::real())?))
}

/// What is lost of the unsynced, differently from crash to crash.
fn unsynced(at: u64) -> Unsynced {
    match at % 3 {
        0 => Unsynced::Dropped,
        1 => Unsynced::Kept,
        _ => Unsynced::Random { seed: at },
    }
}

fn members() -> Membership {
    let member = Member { addr: "n1:1".to_owned(), directory: None };
    Membership::new(vec![[1].into()], BTreeMap::from([(1, member)])).unwrap()
}

#[tokio::test]
async fn a_vote_that_was_given_outlasts_a_crash() {
    /// Votes in four terms, and says which were told of.
    async fn vote(disk: &SimulatedDisk, told: &mut Option<Vote>) -> io::Result<()> {
        let disk = open(disk)?;
        for term in 1..5 {
            let vote = Vote::new(term, 2);
            disk.save_vote(&vote).await?;
            *told = Some(vote);
        }
        disk.withhold_vote(true).await
    }
    let whole = SimulatedDisk::new();
    vote(&whole, &mut None).await.unwrap();
    for at in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.stop_at(at);
        let mut told = None;
        let _reached_the_end = vote(&disk, &mut told).await;
        disk.crash(unsynced(at));
        let found = open(&disk).unwrap().vote();
        let term = |vote: Option<Vote>| vote.map(|vote| vote.leader_id.term);
        assert!(term(found) >= term(told), "{found:?} of {told:?}, crash at {at}");
    }
}

#[tokio::test]
async fn what_the_vote_and_the_directory_say_stays_together() {
    let disk = SimulatedDisk::new();
    let opened = open(&disk).unwrap();
    let directory = opened.directory();
    opened.withhold_vote(true).await.unwrap();
    opened.save_vote(&Vote::new(3, 1)).await.unwrap();
    drop(opened);
    disk.crash(Unsynced::Dropped);
    let again = open(&disk).unwrap();
    assert!(again.is_vote_withheld());
    assert_eq!(again.directory(), directory);
    assert_ne!(open(&SimulatedDisk::new()).unwrap().directory(), directory);
}

#[tokio::test]
async fn founding_is_done_or_not() {
    let whole = SimulatedDisk::new();
    open(&whole).unwrap().found(members()).await.unwrap();
    for at in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.stop_at(at);
        let founded = match open(&disk) {
            Ok(disk) => disk.found(members()).await.is_ok(),
            Err(_stopped) => false,
        };
        disk.crash(unsynced(at));
        let again = open(&disk).unwrap();
        assert!(again.is_pristine(1), "crash at {at}");
        assert!(!founded || !again.is_empty(), "what was founded is gone, crash at {at}");
    }
}

/// A snapshot of a leader that is far ahead.
fn snapshot() -> (SnapshotMeta, Bytes) {
    let meta = SnapshotMeta {
        last_log_id: Some(log_id((3, 90))),
        last_membership: StoredMembership::new(Some(log_id((3, 80))), members()),
    };
    let mut image = crate::controller::MetadataImage::default();
    for record in setting("from the leader", "1") {
        image.replay(&record).unwrap();
    }
    let bytes = snapshot::encode(&meta, &image).unwrap();
    (meta, bytes)
}

fn entries(term: u64, indexes: Range<u64>) -> impl Iterator<Item = Entry> {
    indexes.map(move |index| {
        let payload = Payload::Normal(Proposal(setting(&format!("own {index}"), "1")));
        Entry { log_id: log_id((term, index)), payload }
    })
}

/// Has ten entries, and then others from the fifth on, as a leader has that is elected without them.
async fn replace(disk: &SimulatedDisk) -> io::Result<()> {
    let disk = open(disk)?;
    disk.found(members()).await?;
    disk.save_vote(&Vote::new_committed(1, 1)).await?;
    disk.append(entries(1, 1..10), IOFlushed::noop())?;
    disk.save_vote(&Vote::new_committed(3, 2)).await?;
    disk.truncate_after(Some(log_id((1, 4)))).await?;
    disk.append(entries(3, 5..8), IOFlushed::noop())?;
    disk.save_vote(&Vote::new(4, 2)).await
}

/// What is cut off was on disk, and is no damage.
#[tokio::test]
async fn entries_are_replaced_or_not() {
    let whole = SimulatedDisk::new();
    replace(&whole).await.unwrap();
    assert_eq!(open(&whole).unwrap().read(0, 100).unwrap().len(), 8, "nothing else is cut off");
    for at in 0..whole.operations() {
        for unsynced in [Unsynced::Kept, Unsynced::Dropped, Unsynced::Random { seed: at }] {
            let disk = SimulatedDisk::new();
            disk.stop_at(at);
            let _reached_the_end = replace(&disk).await;
            disk.crash(unsynced);
            let again = open(&disk).unwrap_or_else(|error| panic!("{error}, crash at {at}"));
            let found = again.read(0, 100).unwrap();
            let terms: Vec<u64> = found.iter().map(|entry| entry.log_id.leader_id.term).collect();
            let (before, after) = ([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 3, 3, 3]);
            let is_one = before.starts_with(&terms) || after.starts_with(&terms);
            assert!(is_one, "{terms:?}, crash at {at}");
            assert_eq!(again.last(), found.last().map(|entry| entry.log_id), "crash at {at}");
        }
    }
}

/// Has ten entries, and then installs a snapshot as Raft does: vote, snapshot, cut.
async fn install(disk: &SimulatedDisk, is_told: &mut bool) -> io::Result<()> {
    let disk = open(disk)?;
    disk.found(members()).await?;
    disk.save_vote(&Vote::new_committed(1, 1)).await?;
    disk.append(entries(1, 1..10), IOFlushed::noop())?;
    disk.save_vote(&Vote::new_committed(3, 2)).await?;
    let (meta, bytes) = snapshot();
    let mut machine = StateMachine::new(Arc::new(Published::new()), Arc::clone(&disk));
    machine.install_snapshot(&meta, bytes).await?;
    disk.purge(log_id((3, 90))).await?;
    *is_told = true;
    Ok(())
}

#[tokio::test]
async fn a_snapshot_is_installed_or_not() {
    let whole = SimulatedDisk::new();
    install(&whole, &mut false).await.unwrap();
    for at in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.stop_at(at);
        let mut is_told = false;
        let _reached_the_end = install(&disk, &mut is_told).await;
        disk.crash(unsynced(at));
        // Opening checks that what is there fits together.
        let again = open(&disk).unwrap_or_else(|error| panic!("{error}, crash at {at}"));
        let mut machine = StateMachine::new(Arc::new(Published::new()), Arc::clone(&again));
        let found = machine.get_current_snapshot().await.unwrap();
        let reached = found.and_then(|found| found.meta.last_log_id);
        assert!(!is_told || reached == Some(log_id((3, 90))), "crash at {at}");
        if again.purged().is_some() {
            assert!(reached >= again.purged(), "cut without a snapshot, crash at {at}");
        }
    }
}
