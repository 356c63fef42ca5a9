//! What a broker finds on its disk when it starts, and has no more to do with, goes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::delete_topics::DeleteTopicsRequest;

use support::pair::{Pair, create_on, move_to, until};
use support::{Client, Node, batch};

fn delete(client: &mut Client, name: &str) {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: 20_000,
        ..Default::default()
    };
    let deleted = client.call(4, &request).responses.remove(0);
    assert_eq!(ErrorCode::from_code(deleted.error_code), ErrorCode::None);
}

/// The directories of partitions, those that are being deleted included.
fn partitions(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let dirs = entries.filter(|entry| entry.path().join("partition.metadata").exists());
    let mut names: Vec<_> = dirs.map(|dir| dir.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_deleted_or_moved_while_a_broker_was_down_goes_when_it_starts() {
    let pair = Pair::new();
    let (first, second) = (pair.start(1, &[]), pair.start(2, &[]));
    let mut client = first.client();
    for topic in ["deleted", "kept", "moved", "replaced"] {
        create_on(&mut client, topic, &[1, 2]);
        until(|| client.produce(topic, 0, batch(&["a"])).0 == ErrorCode::None);
    }
    let copies = |broker: &Node, topic: &str| {
        let replica = broker.broker().context().partitions.find_replica(topic, 0);
        replica.is_ok_and(|replica| replica.high_watermark() == 1)
    };
    for topic in ["deleted", "kept", "moved", "replaced"] {
        until(|| copies(&second, topic));
    }
    second.stop();
    let dir = pair.dir(2);
    assert_eq!(partitions(dir), ["deleted-0", "kept-0", "moved-0", "replaced-0"]);
    // Somebody's, of which nothing says that it is not needed.
    fs::create_dir(dir.join("unknown-0")).unwrap();
    fs::write(dir.join("unknown-0/00000000000000000000.log"), b"").unwrap();

    delete(&mut client, "deleted");
    delete(&mut client, "replaced");
    create_on(&mut client, "replaced", &[1]);
    move_to(&mut client, "moved", &[1]);
    let second = pair.start(2, &[]);
    until(|| partitions(dir) == ["kept-0"]);
    until(|| copies(&second, "kept"));
    assert!(dir.join("unknown-0/00000000000000000000.log").exists());

    // It is forgotten for good: what comes back is copied from its beginning.
    move_to(&mut client, "moved", &[1, 2]);
    until(|| copies(&second, "moved"));
    second.stop();
    first.stop();
}
