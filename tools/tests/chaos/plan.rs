//! What goes wrong, in which order, and for how long: all of it follows from the seed.

use std::time::Duration;

use flumen_client::connection::Rng;
use flumen_sim::rng::SeededRng;

/// What can go wrong. `victim` is the broker that it happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The process is killed and comes back when the fault ends.
    Kill,
    /// The process is stopped in order and comes back when the fault ends.
    Stop,
    /// The process does not run for a while.
    Freeze,
    /// Nothing reaches the victim or leaves it.
    Isolate,
    /// The victim and the other brokers do not hear each other; clients reach all.
    Partition,
    /// The victim hears no other broker, but they hear it.
    Deafen,
    /// No other broker hears the victim, but it hears them.
    Mute,
    /// The victim and one other broker do not hear each other.
    CutPair,
    /// All that the victim says and hears is late.
    Slow,
    /// The victim's connections break in the middle of what they carry.
    Reset,
    /// The victim's connections are forgotten on the way: they look open and carry nothing.
    Forget,
    /// All brokers are stopped in order and started again, one after the other.
    Roll,
    /// All brokers are killed at once.
    KillAll,
    /// The machine of the victim loses power: what was not synced is gone.
    CutPower,
    /// All machines lose power, one right after the other.
    CutAllPower,
    /// The disk of the victim takes no writes. The last of all: a process that waits for such a disk
    /// cannot be killed.
    HangDisk,
}

/// All of them.
const FAULTS: &[Fault] = &[
    Fault::Kill,
    Fault::Stop,
    Fault::Freeze,
    Fault::Isolate,
    Fault::Partition,
    Fault::Deafen,
    Fault::Mute,
    Fault::CutPair,
    Fault::Slow,
    Fault::Reset,
    Fault::Forget,
    Fault::Roll,
    Fault::KillAll,
    Fault::CutPower,
    Fault::CutAllPower,
    Fault::HangDisk,
];

impl Fault {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Stop => "stop in order",
            Self::Freeze => "freeze",
            Self::Isolate => "isolate",
            Self::Partition => "cut from brokers",
            Self::Deafen => "hears no broker",
            Self::Mute => "heard by no broker",
            Self::CutPair => "cut from one broker",
            Self::Slow => "slow links",
            Self::Reset => "reset connections",
            Self::Forget => "half-open connections",
            Self::Roll => "rolling restart",
            Self::KillAll => "kill -9 of all",
            Self::CutPower => "power cut",
            Self::CutAllPower => "power cut of all",
            Self::HangDisk => "hung disk",
        }
    }

    /// Whether it has one victim, so that others can happen at the same time.
    pub(crate) fn has_victim(self) -> bool {
        !matches!(self, Self::Roll | Self::KillAll | Self::CutAllPower)
    }

    /// Whether it takes brokers with file systems of their own.
    fn takes_disks(self) -> bool {
        matches!(self, Self::CutPower | Self::CutAllPower | Self::HangDisk)
    }

    /// Whether it is about what brokers say to each other.
    fn is_between_brokers(self) -> bool {
        matches!(self, Self::Partition | Self::Deafen | Self::Mute | Self::CutPair)
    }
}

/// Whom a fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    /// Who leads the metadata quorum.
    Controller,
    /// Who leads partitions and not the quorum, if there is one.
    Leader,
    /// The broker with this place among all.
    Any(usize),
}

/// Faults that begin and end together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) faults: Vec<(Fault, Victim)>,
    /// How long they last.
    pub(crate) lasts: Duration,
}

impl Step {
    /// Its faults and whom they happen to.
    pub(crate) fn faults_named(&self) -> String {
        if self.faults.is_empty() {
            return "nothing".to_owned();
        }
        let named = self.faults.iter().map(|(fault, victim)| match victim {
            Victim::Controller => format!("{}, controller", fault.name()),
            Victim::Leader => format!("{}, other leader", fault.name()),
            Victim::Any(place) if fault.has_victim() => format!("{}, {place}", fault.name()),
            Victim::Any(_) => fault.name().to_owned(),
        });
        named.collect::<Vec<_>>().join(" + ")
    }
}

/// An endless order of steps.
///
/// In each round every fault happens by itself, once to the controller and once to another leader. At
/// its end nothing happens for a while, and then several at the same time.
#[derive(Debug)]
pub(crate) struct Plan {
    rng: SeededRng,
    round: Vec<Step>,
    brokers: usize,
    /// Those that so few brokers can have.
    faults: Vec<Fault>,
}

impl Plan {
    /// The plan that follows from a seed, for so many brokers, with file systems of their own or not.
    pub(crate) fn new(seed: u64, brokers: usize, has_disks: bool) -> Self {
        let possible = |fault: &Fault| {
            (brokers > 1 || !fault.is_between_brokers()) && (has_disks || !fault.takes_disks())
        };
        let faults = FAULTS.iter().copied().filter(possible).collect();
        Self { rng: SeededRng::new(seed), round: Vec::new(), brokers, faults }
    }

    fn draw_round(&self) -> Vec<Step> {
        let alone = self.faults.iter().flat_map(|fault| match fault.has_victim() {
            true if self.brokers > 1 => {
                vec![(*fault, Victim::Controller), (*fault, Victim::Leader)]
            }
            true | false => vec![(*fault, Victim::Any(0))],
        });
        let mut steps: Vec<_> =
            alone.map(|fault| Step { faults: vec![fault], lasts: self.duration() }).collect();
        for end in (1..steps.len()).rev() {
            steps.swap(end, self.below(end + 1));
        }
        // The first of the list is taken last.
        steps.splice(0..0, [self.many(), self.quiet()]);
        steps
    }

    /// Nothing goes wrong, for comparison.
    fn quiet(&self) -> Step {
        Step { faults: Vec::new(), lasts: self.duration() }
    }

    /// Several faults at once, perhaps to one broker.
    fn many(&self) -> Step {
        let single: Vec<_> = self.faults.iter().filter(|fault| fault.has_victim()).collect();
        let fault = |_| {
            let fault = *single[self.below(single.len())];
            (fault, Victim::Any(self.below(self.brokers)))
        };
        let mut faults: Vec<_> = (0..2 + self.below(2)).map(fault).collect();
        faults.sort_unstable();
        faults.dedup();
        Step { faults, lasts: self.duration() }
    }

    /// Shorter than the sessions of brokers, about as long, or longer.
    fn duration(&self) -> Duration {
        Duration::from_millis([300, 1_000, 2_500, 4_000][self.below(4)])
    }

    fn below(&self, bound: usize) -> usize {
        let number = self.rng.next_u64() % (bound as u64);
        usize::try_from(number).expect("less than a usize")
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round = self.draw_round();
        }
        self.round.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_order_and_another_seed_another() {
        let steps = |seed| Plan::new(seed, 3, true).take(100).collect::<Vec<_>>();
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
    }

    #[test]
    fn a_round_has_every_fault_by_itself_and_then_several_at_once() {
        let pairs = FAULTS.iter().filter(|fault| fault.has_victim()).count();
        let round = FAULTS.len() + pairs + 2;
        let steps: Vec<_> = Plan::new(5, 3, true).take(round).collect();
        for fault in FAULTS {
            let alone =
                steps.iter().filter(|step| step.faults.len() == 1 && step.faults[0].0 == *fault);
            let expected = if fault.has_victim() { 2 } else { 1 };
            assert!(alone.count() >= expected, "{fault:?}");
        }
        assert!(steps[round - 2].faults.is_empty());
        assert!(!steps[round - 1].faults.is_empty());
    }

    #[test]
    fn what_is_not_possible_is_not_planned() {
        let faults = |plan: Plan| plan.take(100).flat_map(|step| step.faults).map(|fault| fault.0);
        assert!(!faults(Plan::new(1, 1, true)).any(Fault::is_between_brokers));
        assert!(!faults(Plan::new(1, 3, false)).any(Fault::takes_disks));
    }
}
