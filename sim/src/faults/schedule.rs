//! Draws a schedule of faults.

use std::time::Duration;

use flumen_client::connection::Rng;
use flumen_storage::vfs::simulated::Unsynced;

use super::{Fault, Stop};
use crate::rng::SeededRng;

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// When it begins.
    pub begin: Duration,
    /// When it is healed.
    pub end: Duration,
    /// What it is.
    pub fault: Fault,
}

/// Time without faults at the start, in which the cluster is founded.
const CALM: Duration = Duration::from_secs(3);

/// The longest a wall clock jumps.
const CLOCK_JUMP_MS_MAX: u64 = 3_600_000;

/// In one of so many periods a member of a group is frozen beside.
const FREEZES_EVERY: u64 = 10;

/// How long a member of a group is frozen: sessions last up to six seconds.
const FREEZE_MS: (u64, u64) = (3_000, 10_000);

/// Draws what goes wrong in a cluster of `brokers` with so many `members` of a group until `until`, by when
/// everything is healed.
#[must_use]
pub fn schedule(rng: &SeededRng, brokers: usize, members: usize, until: Duration) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut begin = CALM;
    while begin + Duration::from_secs(1) < until {
        let length = millis(500 + rng.below(5_500)).min(until - begin);
        let faults = [0, 1, 1, 2][index(rng, 4)];
        for _ in 0..faults {
            let delay = length.mul_f64(portion(rng) / 3.0);
            let end = begin + length - length.mul_f64(portion(rng) / 3.0);
            planned.push(Planned { begin: begin + delay, end, fault: draw(rng, brokers) });
        }
        if rng.below(FREEZES_EVERY) == 0 {
            let end = begin + millis(FREEZE_MS.0 + rng.below(FREEZE_MS.1 - FREEZE_MS.0));
            let fault = Fault::FreezeMember(index(rng, members));
            planned.push(Planned { begin, end: end.min(until), fault });
        }
        begin += length + millis(rng.below(500));
    }
    planned.sort_by_key(|planned| planned.begin);
    planned
}

fn draw(rng: &SeededRng, brokers: usize) -> Fault {
    let broker = index(rng, brokers);
    let other = (broker + 1 + index(rng, (brokers - 1).max(1))) % brokers;
    let minority = some(rng, brokers, 1 + index(rng, (brokers / 2).max(1)));
    match rng.below(30) {
        0..=2 => Fault::Stop(vec![broker], Stop::Kill),
        3..=4 => Fault::Stop(vec![broker], stop(rng)),
        5 => Fault::Stop(some(rng, brokers, 1 + index(rng, brokers)), stop(rng)),
        6 => Fault::Stop((0..brokers).collect(), stop(rng)),
        7 => Fault::RestartLoop(broker, stop(rng)),
        8..=9 => Fault::Pause(vec![broker]),
        10 => Fault::Pause(some(rng, brokers, 1 + index(rng, brokers))),
        11..=13 => Fault::Split {
            side: minority,
            has_clients: rng.below(2) == 0,
            is_lossy: rng.below(2) == 0,
        },
        14 if brokers > 3 => Fault::Ring,
        14 => Fault::Pair(broker, other),
        15 => Fault::OneWay { from: broker, to: (rng.below(2) == 0).then_some(other) },
        16 => Fault::Pair(broker, other),
        17 => Fault::ClientsFrom(broker),
        18 => Fault::Delay(broker, millis(20 + rng.below(1_000))),
        19 => Fault::CutConnections(broker),
        20 => Fault::SlowDisk(broker, millis(20 + rng.below(1_000))),
        21 => Fault::HungDisk(broker),
        22 => Fault::FailSync(broker),
        23..=24 => Fault::Leave(broker),
        25..=26 => Fault::ReplaceDisk(broker),
        27..=28 => Fault::Damage { broker, is_stopped: rng.below(2) == 0 },
        _ => {
            let by_ms = i64::try_from(rng.below(2 * CLOCK_JUMP_MS_MAX)).expect("two hours");
            Fault::JumpClock(broker, by_ms - i64::try_from(CLOCK_JUMP_MS_MAX).expect("an hour"))
        }
    }
}

fn stop(rng: &SeededRng) -> Stop {
    match rng.below(5) {
        0 => Stop::Kill,
        1 => Stop::PowerCut(Unsynced::Kept),
        2..=3 => Stop::PowerCut(Unsynced::Dropped),
        _ => Stop::PowerCut(Unsynced::Random { seed: rng.next_u64() }),
    }
}

/// Draws `count` of the brokers.
fn some(rng: &SeededRng, brokers: usize, count: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..brokers).collect();
    let mut drawn: Vec<usize> = (0..count).map(|_| left.remove(index(rng, left.len()))).collect();
    drawn.sort_unstable();
    drawn
}

fn index(rng: &SeededRng, bound: usize) -> usize {
    let bound = u64::try_from(bound).expect("a usize is no larger");
    usize::try_from(rng.below(bound)).expect("below a usize")
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A number between 0 and 1.
fn portion(rng: &SeededRng) -> f64 {
    f64::from(u32::try_from(rng.below(1_000)).expect("below a thousand")) / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_schedule_and_other_seeds_all_kinds_of_faults() {
        let until = Duration::from_secs(30);
        let drawn = |seed| schedule(&SeededRng::new(seed), 5, 3, until);
        assert_eq!(drawn(5), drawn(5));
        let mut kinds = BTreeSet::new();
        for planned in (0..200).flat_map(drawn) {
            assert!(CALM <= planned.begin && planned.begin < planned.end && planned.end <= until);
            let text = format!("{:?}", planned.fault);
            kinds.insert(text.split([' ', '(']).next().unwrap_or_default().to_owned());
        }
        assert_eq!(kinds.len(), 18, "{kinds:?}");
        assert!((0..200).any(|seed| drawn(seed).is_empty() || drawn(seed).len() > 8));
    }
}
