//! What the faults of a run cost, as a table.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::plan::Step;

/// What a step cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// The longest time in which some writer was not told that something is written.
    pub(crate) gap: Duration,
    /// The same of the writers of another client, if there is one.
    pub(crate) other_gap: Option<Duration>,
    /// How long after the end of the fault everything was as before.
    pub(crate) recovery: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gap, recovery) = (self.gap.as_millis(), self.recovery.as_millis());
        write!(f, "gap {gap:>6} ms, ")?;
        if let Some(other) = self.other_gap {
            write!(f, "of the other client {:>6} ms, ", other.as_millis())?;
        }
        write!(f, "whole again after {recovery:>6} ms")
    }
}

/// The outcomes by kind of step.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<String, Vec<Outcome>>,
}

impl Table {
    /// Adds what a step cost.
    pub(crate) fn add(&mut self, step: &Step, outcome: Outcome) {
        let name = if step.faults.len() > 1 { "several".to_owned() } else { step.faults_named() };
        self.rows.entry(name).or_default().push(outcome);
    }

    /// All rows, in milliseconds.
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "{:<44} {:>3} {:>9} {:>9} {:>9} {:>11} {:>11}",
            "fault", "n", "gap p50", "gap p99", "gap max", "whole p50", "whole max"
        );
        let has_other = self.rows.values().flatten().any(|outcome| outcome.other_gap.is_some());
        if has_other {
            text += &format!(" {:>9} {:>9} {:>9}", "other p50", "other p99", "other max");
        }
        text.push('\n');
        for (name, outcomes) in &self.rows {
            let gaps = Shares::of(outcomes.iter().map(|outcome| outcome.gap));
            let recoveries = Shares::of(outcomes.iter().map(|outcome| outcome.recovery));
            let row = write!(
                text,
                "{name:<44} {:>3} {:>9} {:>9} {:>9} {:>11} {:>11}",
                outcomes.len(),
                gaps.at(50),
                gaps.at(99),
                gaps.at(100),
                recoveries.at(50),
                recoveries.at(100)
            );
            row.expect("text takes all");
            if has_other {
                let others = Shares::of(outcomes.iter().filter_map(|outcome| outcome.other_gap));
                let [median, most, longest] = [50, 99, 100].map(|percent| others.at(percent));
                text += &format!(" {median:>9} {most:>9} {longest:>9}");
            }
            text.push('\n');
        }
        text
    }
}

/// Durations in ascending order.
struct Shares(Vec<u128>);

impl Shares {
    fn of(durations: impl Iterator<Item = Duration>) -> Self {
        let mut ms: Vec<_> = durations.map(|duration| duration.as_millis()).collect();
        ms.sort_unstable();
        Self(ms)
    }

    /// The smallest that so many percent do not exceed.
    fn at(&self, percent: usize) -> u128 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_nearest_rank() {
        let shares = Shares::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!([50, 99, 100].map(|percent| shares.at(percent)), [100, 198, 200]);
        let one = Shares::of([Duration::from_millis(7)].into_iter());
        assert_eq!([50, 99, 100].map(|percent| one.at(percent)), [7, 7, 7]);
    }
}
