//! What must come to hold once everything is healed, one file each, as a function of a view.
//!
//! The run goes on until all of it does, and fails if that takes too long.

mod logs_are_placed;
mod moves_end;
mod replicas_agree;
mod replicas_are_in_sync;
mod voters_have_their_logs;

use crate::view::View;

/// A property and what is still wrong with it; nothing if it holds.
pub type Healed = (&'static str, fn(&View) -> Option<String>);

/// All of them.
pub const ALL: &[Healed] = &[
    ("replicas are in sync", replicas_are_in_sync::ailment),
    ("moves end", moves_end::ailment),
    ("logs are placed", logs_are_placed::ailment),
    ("replicas agree", replicas_agree::ailment),
    ("voters have their logs", voters_have_their_logs::ailment),
];

/// What is still not well.
#[must_use]
pub fn ailments(view: &View, brokers: usize) -> Vec<String> {
    let running = view.brokers.len();
    let mut ailments = Vec::new();
    if running < brokers {
        ailments.push(format!("{running} of {brokers} brokers run"));
    }
    let found =
        ALL.iter().filter_map(|(name, ailment)| Some(format!("{name}: {}", ailment(view)?)));
    ailments.extend(found);
    ailments
}

#[cfg(test)]
mod tests;
