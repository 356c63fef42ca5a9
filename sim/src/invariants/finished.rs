//! What must hold after a cluster has healed, one file each, beside what
//! [`anomalies`](crate::anomalies) looks for.

mod commits_never_go_back;
mod deletions_hold;
mod ends_never_go_back;
pub(crate) mod moves_arrive;
mod one_member_each;
pub(crate) mod settings_survive;
pub(crate) mod topics_survive;

use crate::operations::Operations;

/// A property and the check of it; the check names the first violation.
pub type Finished = (&'static str, fn(&Operations) -> Result<(), String>);

/// All of them.
pub const ALL: &[Finished] = &[
    ("commits never go back", commits_never_go_back::check),
    ("deletions hold", deletions_hold::check),
    ("ends never go back", ends_never_go_back::check),
    ("moves arrive", moves_arrive::check),
    ("one member each", one_member_each::check),
    ("settings survive", settings_survive::check),
    ("topics survive", topics_survive::check),
];

/// Checks all of them and lists what is violated.
#[must_use]
pub fn violations(operations: &Operations) -> Vec<String> {
    let check = |(name, check): &Finished| Some(format!("{name}: {}", check(operations).err()?));
    ALL.iter().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use flumen_protocol::Uuid;

    use super::*;
    use crate::operations::Progress::{Began, Committed, Found};
    use crate::operations::{Assigned, Moves, SettingLife, ToldEnd, TopicLife, Trim};

    fn sound() -> Operations {
        let id = Some(Uuid::ONE);
        let created = TopicLife { is_created: true, id, found: id, ..TopicLife::default() };
        let deleted = TopicLife {
            is_created: true,
            was_deletion_tried: true,
            is_deleted: true,
            id,
            found: None,
        };
        Operations {
            progress: vec![
                Began { member: 1, generation: 1, partition: 0, offset: 0 },
                Committed { member: 1, generation: 1, partition: 0, offset: 5 },
                Began { member: 2, generation: 2, partition: 0, offset: 5 },
                Committed { member: 2, generation: 2, partition: 0, offset: 7 },
                Began { member: 1, generation: 1, partition: 0, offset: 3 },
                Found { partition: 0, offset: 7 },
            ],
            assigned: vec![
                Assigned { member: 1, generation: 1, partitions: vec![0] },
                Assigned { member: 2, generation: 2, partitions: vec![0] },
                Assigned { member: 1, generation: 2, partitions: vec![1] },
            ],
            ends: vec![
                ToldEnd { partition: 0, offset: 5 },
                ToldEnd { partition: 1, offset: 2 },
                ToldEnd { partition: 0, offset: 5 },
            ],
            trims: vec![
                Trim::Written { offset: 0, value: 1 },
                Trim::Written { offset: 1, value: 2 },
                Trim::Starts(0),
                Trim::Asked(1),
                Trim::Deleted(1),
                Trim::Starts(1),
                Trim::Found { offset: 1, value: 2 },
            ],
            settings: [(
                "a".to_owned(),
                SettingLife {
                    asked: ["1", "2", "3"].map(str::to_owned).to_vec(),
                    acknowledged: [0, 1].into(),
                    found: Some("3".to_owned()),
                },
            )]
            .into(),
            moves: [
                (0, Moves { asked: vec![vec![1, 2]], is_acknowledged: false, found: vec![3] }),
                (
                    1,
                    Moves {
                        asked: vec![vec![1, 2], vec![2, 3]],
                        is_acknowledged: true,
                        found: vec![2, 3],
                    },
                ),
            ]
            .into(),
            topics: [
                ("created".to_owned(), created),
                ("deleted".to_owned(), deleted),
                ("tried".to_owned(), TopicLife::default()),
            ]
            .into(),
            ..Operations::default()
        }
    }

    fn topic<'a>(all: &'a mut Operations, name: &str) -> &'a mut TopicLife {
        all.topics.get_mut(name).unwrap()
    }

    #[test]
    fn a_sound_run_violates_nothing() {
        assert_eq!(violations(&sound()), Vec::<String>::new());
    }

    #[test]
    fn each_damage_is_found() {
        type Damage = (&'static str, fn(&mut Operations));
        let damages: &[Damage] = &[
            ("commits never go back", |all| {
                all.progress[2] = Began { member: 2, generation: 2, partition: 0, offset: 4 };
            }),
            ("commits never go back", |all| {
                all.progress.push(Found { partition: 0, offset: 5 });
            }),
            ("ends never go back", |all| all.ends[2].offset = 4),
            ("deletions hold", |all| all.trims[5] = Trim::Starts(0)),
            ("deletions hold", |all| all.trims[2] = Trim::Starts(1)),
            ("deletions hold", |all| all.trims[6] = Trim::Found { offset: 1, value: 7 }),
            ("deletions hold", |all| all.trims[6] = Trim::Found { offset: 2, value: 2 }),
            ("settings survive", |all| {
                all.settings.get_mut("a").unwrap().found = Some("1".to_owned());
            }),
            ("settings survive", |all| all.settings.get_mut("a").unwrap().found = None),
            ("moves arrive", |all| {
                all.moves.get_mut(&1).unwrap().found = vec![2];
            }),
            ("one member each", |all| all.assigned[2].partitions.push(0)),
            ("topics survive", |all| topic(all, "created").found = None),
            ("topics survive", |all| topic(all, "created").found = Some(Uuid::ZERO)),
            ("topics survive", |all| topic(all, "deleted").found = Some(Uuid::ONE)),
        ];
        for (name, damage) in damages {
            let mut operations = sound();
            damage(&mut operations);
            let found = violations(&operations);
            assert!(found.iter().any(|violation| violation.starts_with(name)), "{name}: {found:?}");
        }
    }
}
