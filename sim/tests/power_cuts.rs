//! A few seeds of the power-cut scenario on every test run; many more by `cargo run -p flumen-sim`.

use flumen_sim::{invariants, scenario};

#[test]
fn nothing_acknowledged_is_lost() {
    for seed in 1..=3 {
        let history = scenario::power_cuts::run(seed).unwrap();
        assert_eq!(invariants::violations(&history), Vec::<String>::new(), "seed {seed}");
        assert!(history.power_cuts > 0, "seed {seed} cut nothing");
        assert!(history.acknowledged() > 0, "seed {seed} wrote nothing");
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let digest = || scenario::power_cuts::run(7).unwrap().digest();
    assert_eq!(digest(), digest());
}

/// The counter-test: without syncs the same cuts lose records, and the checkers say so.
#[test]
fn what_is_not_synced_is_missed() {
    let is_lost = |seed| {
        let history = scenario::power_cuts::run_with(seed, "page-cache");
        history.is_ok_and(|history| !invariants::violations(&history).is_empty())
    };
    assert!((1..=10).any(is_lost), "no seed lost anything");
}
