//! A few seeds of the cluster scenario on every test run; many more by `cargo run -p flumen-sim`.

use flumen_sim::scenario::cluster;

#[test]
fn a_cluster_of_one_comes_through() {
    for seed in [2, 4] {
        let outcome = cluster::run(seed, 1).unwrap();
        assert_eq!(outcome.problems, Vec::<String>::new(), "seed {seed}");
        assert!(outcome.operations.acknowledged() > 100, "seed {seed} wrote too little");
        assert!(!outcome.operations.progress.is_empty(), "seed {seed}: the group did nothing");
        assert!(outcome.log.len() > 1, "seed {seed}: nothing happened to the brokers");
    }
}

#[test]
fn a_cluster_of_three_comes_through() {
    // The last two found a group that began again at 0, and a commit of the generation before.
    for seed in [1, 2, 39, 118] {
        let outcome = cluster::run(seed, 3).unwrap();
        assert_eq!(outcome.problems, Vec::<String>::new(), "seed {seed}");
        assert!(outcome.operations.acknowledged() > 100, "seed {seed} wrote too little");
    }
}

/// Faults that only their seeds have shown so far: a batch that was sent again when brokers did not
/// remember it any more, a replica that counted for what it had before it was taken away and given
/// back, a start that waited for the metadata of a quorum whose disk had failed, a group whose old
/// coordinator refused commits that were not made again, and a fetch that an old leader answered after
/// the next one had.
#[test]
fn what_once_went_wrong_does_not_again() {
    for (seed, brokers) in [(218, 3), (233, 3), (317, 3), (558, 5), (966, 5)] {
        let outcome = cluster::run(seed, brokers).unwrap();
        assert_eq!(outcome.problems, Vec::<String>::new(), "seed {seed}");
    }
}

/// The disk fails while a segment is rolled, which no group commit hears of: the broker has to stop
/// nevertheless, or its replica never catches up.
#[test]
fn a_follower_whose_disk_fails_in_an_append_starts_anew() {
    let outcome = cluster::run(10, 3).unwrap();
    assert_eq!(outcome.problems, Vec::<String>::new());
}

/// A record that was appended before the disk failed is read after the restart, and the producer had
/// given up meanwhile: it must not say that the record is certainly not there.
#[test]
fn a_record_on_a_disk_that_failed_is_not_called_unwritten() {
    let outcome = cluster::run(23, 1).unwrap();
    assert_eq!(outcome.problems, Vec::<String>::new());
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for brokers in [1, 3] {
        let trace = || cluster::run(6, brokers).unwrap().trace();
        assert_eq!(trace(), trace());
    }
}
