//! Histories written by hand: a sound one, and one for every anomaly that shows it.

use super::*;
use crate::history::Written::{self, Acknowledged, Refused, Unknown};
use crate::operations::{Poll, Send};

fn send(operation: u64, partition: i32, value: Value, written: Written) -> Send {
    Send { producer: 1, operation, partition, value, written }
}

fn poll(consumer: u32, placing: u64, records: &[(i32, i64, Value)]) -> Poll {
    let records = records.iter().map(|(partition, offset, value)| Polled {
        partition: *partition,
        offset: *offset,
        value: *value,
    });
    Poll { consumer, placing, records: records.collect() }
}

/// Two operations of one producer to two partitions, and two consumers that read all of it.
fn sound() -> Operations {
    Operations {
        sends: vec![
            send(1, 0, 10, Acknowledged(Some(0))),
            send(1, 1, 11, Acknowledged(Some(0))),
            send(1, 0, 12, Unknown),
            send(1, 0, 13, Refused),
            send(2, 0, 14, Acknowledged(Some(2))),
            send(2, 1, 15, Acknowledged(None)),
            send(2, 1, 16, Acknowledged(Some(2))),
        ],
        polls: vec![
            poll(1, 1, &[(0, 0, 10), (1, 0, 11), (0, 1, 12)]),
            poll(1, 1, &[(0, 2, 14), (1, 1, 15)]),
            poll(2, 1, &[(0, 0, 10), (0, 1, 12)]),
            poll(1, 1, &[(1, 2, 16)]),
        ],
        ..Operations::default()
    }
}

#[test]
fn nothing_is_found_in_a_sound_history() {
    assert_eq!(found(&sound()), Vec::<String>::new());
}

/// After a change of partitions a consumer begins where its group says: earlier, or further on.
#[test]
fn positions_may_jump_when_partitions_change() {
    let mut operations = sound();
    operations.polls.push(poll(1, 2, &[(0, 0, 10)]));
    operations.polls.push(poll(2, 2, &[(0, 2, 14)]));
    assert_eq!(found(&operations), Vec::<String>::new());
}

#[test]
fn each_anomaly_is_found_by_its_name() {
    type Damage = (&'static str, fn(&mut Operations));
    let damages: &[Damage] = &[
        ("inconsistent-offsets", |all| all.polls.push(poll(3, 1, &[(0, 0, 19)]))),
        ("inconsistent-offsets", |all| all.sends[0].written = Acknowledged(Some(1))),
        ("duplicate", |all| all.polls.push(poll(3, 1, &[(0, 3, 10)]))),
        ("duplicate", |all| all.polls.push(poll(3, 1, &[(1, 3, 10)]))),
        ("lost-write", |all| all.polls[0].records.retain(|polled| polled.value != 11)),
        ("lost-write", |all| all.sends.push(send(3, 1, 20, Acknowledged(Some(1))))),
        ("unseen", |all| all.sends.push(send(3, 1, 20, Acknowledged(Some(3))))),
        ("unseen", |all| all.sends.push(send(3, 1, 20, Acknowledged(None)))),
        ("unseen", |all| all.sends.push(send(3, 7, 20, Acknowledged(Some(0))))),
        ("G1a", |all| all.polls.push(poll(3, 1, &[(0, 3, 13)]))),
        ("poll-skip", |all| all.polls.push(poll(2, 1, &[(0, 3, 21)]))),
        ("nonmonotonic-poll", |all| all.polls.push(poll(2, 1, &[(0, 1, 12)]))),
        ("nonmonotonic-poll", |all| all.polls.push(poll(2, 1, &[(0, 0, 10)]))),
        ("int-poll-skip", |all| all.polls.push(poll(3, 1, &[(0, 0, 10), (0, 2, 14)]))),
        ("int-nonmonotonic-poll", |all| all.polls.push(poll(3, 1, &[(0, 1, 12), (0, 0, 10)]))),
        ("int-nonmonotonic-poll", |all| all.polls.push(poll(3, 1, &[(0, 1, 12), (0, 1, 12)]))),
        ("nonmonotonic-send", |all| all.sends.push(send(3, 0, 12, Acknowledged(Some(1))))),
        ("int-nonmonotonic-send", |all| all.sends.push(send(2, 1, 15, Acknowledged(Some(1))))),
    ];
    for (name, damage) in damages {
        let mut operations = sound();
        damage(&mut operations);
        let found = found(&operations);
        assert!(found.iter().any(|anomaly| anomaly.starts_with(name)), "{name}: {found:?}");
    }
    for (name, _) in ALL {
        assert!(damages.iter().any(|(damaged, _)| damaged == name), "{name} is not shown");
    }
}
