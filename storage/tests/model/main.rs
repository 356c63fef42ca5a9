//! The partition log against a model: a list of batches.
//!
//! Random operations run on a simulated disk and on the model, and after each the log has to say
//! what the model says, byte for byte. Crashes are tried at every single disk operation of a workload,
//! with what was not synced kept, dropped, and mixed; what is found then has to be what the model
//! held before or after the operation that was cut short, and nothing flushed may be gone.
//!
//! A failure names its seed, and a seed gives the same run every time.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod random;
mod reference;
mod workload;

use std::cell::Cell;

use flumen_storage::vfs::SimulatedDisk;
use flumen_storage::vfs::simulated::{Unsynced, explore_crashes};

use crate::random::Random;
use crate::workload::{Machine, Outcome};

#[test]
fn random_operations_match_the_model() {
    for seed in 0..120 {
        let disk = SimulatedDisk::new();
        Machine::prepare(&disk);
        let mut machine = Machine::boot(&disk, seed);
        for step in 0..150 {
            let operation = machine.choose();
            let context = format!("seed {seed} step {step}: {operation:?}");
            let outcome = machine.run(&operation);
            assert!(matches!(outcome, Outcome::Done), "{context}: {outcome:?}");
            machine.check().unwrap_or_else(|difference| panic!("{context}: {difference}"));
        }
    }
}

#[test]
fn every_crash_point_leaves_the_old_state_or_the_new() {
    for seed in 0..4 {
        let tried = explore_crashes(
            2,
            Machine::prepare,
            |disk| {
                let mut machine = Machine::boot_unchecked(disk, seed);
                machine.run_until_failure(45);
                machine.into_survivor()
            },
            |disk, survivor, crash| {
                let context = format!("seed {seed}, {crash:?}, {:?}", survivor.pending());
                let mut machine = survivor
                    .reboot(disk)
                    .unwrap_or_else(|difference| panic!("{context}: {difference}"));
                // Life goes on: what is appended now is as good as anything before, and what is
                // flushed survives a power cut, whatever the first crash has left undone.
                machine.run_until_failure(5);
                machine.check().unwrap_or_else(|difference| panic!("{context}: {difference}"));
                let machine = machine.crash_and_reboot(Unsynced::Dropped);
                let machine =
                    machine.unwrap_or_else(|difference| panic!("{context}: {difference}"));
                machine.check().unwrap_or_else(|difference| panic!("{context}: {difference}"));
            },
        );
        assert!(tried > 400, "seed {seed}: only {tried} crashes tried");
    }
}

#[test]
fn recovery_can_itself_be_cut_short_anywhere() {
    let crashes = Cell::new(0);
    for seed in 0..30 {
        let disk = SimulatedDisk::new();
        Machine::prepare(&disk);
        let mut random = Random::new(seed);
        let mut machine = Machine::boot_unchecked(&disk.mount(), seed);
        disk.stop_at(disk.operations() + 40 + random.below(300));
        machine.run_until_failure(200);
        let survivor = machine.into_survivor();
        let pending = format!("{:?}", survivor.pending());
        disk.crash(Unsynced::Random { seed });
        for attempt in 0.. {
            // Each attempt to open gets one operation further.
            disk.stop_at(attempt);
            let opened = survivor.try_open(&disk.mount());
            if opened.is_ok() {
                break;
            }
            disk.crash(Unsynced::Random { seed: seed * 1000 + attempt });
            crashes.set(crashes.get() + 1);
        }
        disk.crash(Unsynced::Kept);
        let machine = survivor.reboot(&disk.mount());
        let machine =
            machine.unwrap_or_else(|difference| panic!("seed {seed}, {pending}: {difference}"));
        machine.check().unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
    }
    assert!(crashes.get() > 100, "only {} crashes tried", crashes.get());
}

#[test]
fn restarts_do_not_make_the_log_grow() {
    let disk = SimulatedDisk::new();
    Machine::prepare(&disk);
    let mut machine = Machine::boot(&disk, 7);
    machine.run_until_failure(80);
    let mut machine = machine.crash_and_reboot(Unsynced::Kept).unwrap();
    let size = machine.disk_usage();
    for _ in 0..20 {
        machine = machine.crash_and_reboot(Unsynced::Kept).unwrap();
        assert_eq!(machine.disk_usage(), size);
    }
}
