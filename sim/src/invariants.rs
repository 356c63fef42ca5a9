//! What must hold in every run, one file each, as a function of the history.
//!
//! Of a cluster more can be said: at every moment ([`live`]), once it has healed ([`healed`]), and of what
//! clients found then ([`finished`]).

mod acknowledged_survive;
mod commits_survive;
pub mod finished;
pub mod healed;
pub mod live;
mod no_duplicates;
mod observed_is_final;
mod offsets_are_dense;
mod order_is_kept;

use crate::history::History;

/// A property and the check of it; the check names the first violation.
pub type Invariant = (&'static str, fn(&History) -> Result<(), String>);

/// All of them.
pub const ALL: &[Invariant] = &[
    ("acknowledged records survive", acknowledged_survive::check),
    ("committed offsets survive", commits_survive::check),
    ("no record is there twice", no_duplicates::check),
    ("what was read never changes", observed_is_final::check),
    ("offsets are dense", offsets_are_dense::check),
    ("order is kept", order_is_kept::check),
];

/// Checks all invariants and lists what is violated.
#[must_use]
pub fn violations(history: &History) -> Vec<String> {
    ALL.iter()
        .filter_map(|(name, check)| check(history).err().map(|what| format!("{name}: {what}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Written;

    fn sound() -> History {
        let mut history = History {
            logs: [(0, vec![(0, 10), (1, 11), (2, 12)])].into(),
            commits_acknowledged: vec![1, 2],
            commit_tried_max: 3,
            committed: Some(2),
            ..History::default()
        };
        for (offset, value) in [(0, 10), (1, 11)] {
            history.written.insert((0, value), Written::Acknowledged(Some(offset)));
            history.observe(0, offset, value);
        }
        history.written.insert((0, 12), Written::Unknown);
        history.written.insert((0, 13), Written::Refused);
        history
    }

    #[test]
    fn a_sound_history_violates_nothing() {
        assert_eq!(violations(&sound()), Vec::<String>::new());
    }

    /// The invariant that must find it, and the damage.
    type Damage = (&'static str, fn(&mut History));

    /// Each invariant finds the damage it is there for.
    #[test]
    fn each_damage_is_found_by_its_invariant() {
        let damages: &[Damage] = &[
            ("acknowledged records survive", |history| {
                history.logs.insert(0, vec![(0, 10)]);
            }),
            ("acknowledged records survive", |history| {
                history.written.insert((0, 11), Written::Acknowledged(Some(2)));
            }),
            ("acknowledged records survive", |history| {
                history.logs.insert(0, vec![(0, 10), (1, 11), (2, 13)]);
            }),
            ("committed offsets survive", |history| history.committed = Some(1)),
            ("committed offsets survive", |history| history.committed = None),
            ("committed offsets survive", |history| history.committed = Some(4)),
            ("no record is there twice", |history| {
                history.logs.insert(0, vec![(0, 10), (1, 11), (2, 11)]);
            }),
            ("what was read never changes", |history| history.observe(0, 1, 12)),
            ("what was read never changes", |history| history.observe(0, 7, 19)),
            ("offsets are dense", |history| {
                history.logs.insert(0, vec![(0, 10), (1, 11), (3, 12)]);
            }),
            ("order is kept", |history| {
                history.logs.insert(0, vec![(0, 11), (1, 10), (2, 12)]);
            }),
        ];
        for (name, damage) in damages {
            let mut history = sound();
            damage(&mut history);
            let found = violations(&history);
            assert!(found.iter().any(|violation| violation.starts_with(name)), "{name}: {found:?}");
        }
    }
}
