//! Crashes a workload at every operation it makes.

use super::{SimulatedDisk, Unsynced};

/// A crash that was tried, for messages and for what a check may expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Operations of the workload that were carried out.
    pub operations: u64,
    /// Whether those were all.
    pub is_complete: bool,
    /// What became of the unsynced part.
    pub unsynced: Unsynced,
}

/// Runs `workload` again and again, each time stopping the disk one operation later, crashes it
/// with what was not synced kept, dropped, and mixed `seeds` times, and lets `check` look.
///
/// `setup` prepares a disk and always runs to its end, and all it did is durable. The workload
/// gets a handle that dies with the crash; it must come back when operations fail, and says what
/// it got to know, such as the records that were acknowledged. Returns how many crashes were tried.
pub fn explore_crashes<T>(
    seeds: u64,
    setup: impl Fn(&SimulatedDisk),
    workload: impl Fn(&SimulatedDisk) -> T,
    check: impl Fn(&SimulatedDisk, T, Crash),
) -> u64 {
    let mut tried = 0;
    for operations in 0.. {
        let fates = [Unsynced::Kept, Unsynced::Dropped].into_iter();
        let mixed = (0..seeds).map(|number| Unsynced::Random { seed: operations * seeds + number });
        let mut is_complete = true;
        for unsynced in fates.chain(mixed) {
            let disk = SimulatedDisk::new();
            setup(&disk);
            // Leaves nothing of the setup unsynced, and counts from 0 again.
            disk.crash(Unsynced::Kept);
            disk.stop_at(operations);
            let learned = workload(&disk.mount());
            is_complete = disk.operations() < operations;
            disk.crash(unsynced);
            check(&disk, learned, Crash { operations, is_complete, unsynced });
            tried += 1;
        }
        if is_complete {
            break;
        }
    }
    tried
}
