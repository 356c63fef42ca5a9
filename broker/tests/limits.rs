//! What one client can cost the broker and the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{ErrorKind, Write};
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::fetch::FetchRequest;
use support::{Client, Node, batch, config, fetch_request};

#[test]
fn a_stranger_may_not_send_large_frames() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut stranger = node.client();
    stranger.stream.write_all(&(1_u32 << 20).to_be_bytes()).unwrap();
    assert!(stranger.is_closed());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    client.fetch("t", 0, 0);
    let large = batch(&["v".repeat(500_000)]);
    assert_eq!(client.produce("t", 0, large), (ErrorCode::None, 0));
    node.stop();
}

#[test]
fn connections_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config(dir.path(), &[("max.connections", "3")]);
    let node = Node::start_on(settings, Seams::real());
    node.create_topic("t", 1, &[]);
    let mut clients: Vec<Client> = (0..3).map(|_| node.client()).collect();
    for client in &mut clients {
        assert_eq!(client.fetch("t", 0, 0).0, ErrorCode::None);
    }
    assert!(node.client().is_closed());
    clients.pop();
    // The broker notices in its own time that a place is free.
    let admitted = (0..100).any(|_| {
        let mut client = node.client();
        client.send(12, &fetch_request("t", 0, 0));
        let is_served = client.receive_frame().is_ok();
        if !is_served {
            std::thread::sleep(Duration::from_millis(10));
        }
        is_served
    });
    assert!(admitted);
    node.stop();
}

#[test]
fn who_does_not_read_is_not_read_from_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut good = node.client();
    good.fetch("t", 0, 0);
    let value = "v".repeat(900_000);
    assert_eq!(good.produce("t", 0, batch(&[&value])), (ErrorCode::None, 0));

    let mut slow = node.client();
    slow.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut frame = Vec::new();
    {
        let mut writer = flumen_protocol::FrameWriter::new();
        let header = flumen_protocol::header::RequestHeader {
            api_key: 1,
            api_version: 12,
            correlation_id: 1,
            client_id: None,
        };
        header.encode(&mut writer).unwrap();
        let request: FetchRequest = fetch_request("t", 0, 0);
        flumen_protocol::Message::encode(&request, &mut writer, 12).unwrap();
        frame.extend_from_slice(&writer.finish().unwrap().read().unwrap());
    }
    // Far more requests than the broker may queue: it stops reading, and the sockets fill up.
    let burst = frame.repeat(2000);
    let refusal = (0..200).find_map(|_| slow.stream.write_all(&burst).err());
    let refusal = refusal.expect("the broker stops reading").kind();
    assert!(matches!(refusal, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{refusal}");

    for offset in 1..20 {
        assert_eq!(good.produce("t", 0, batch(&["small"])), (ErrorCode::None, offset));
        assert_eq!(good.fetch("t", 0, offset).0, ErrorCode::None);
    }
    drop(slow);
    node.stop();
}
