//! Records that are deleted are gone on every replica in service when the client hears of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

use support::pair::{Pair, create_on, until};
use support::{Client, Node, batch};

fn delete(client: &mut Client, offset: i64, timeout_ms: i32) -> (ErrorCode, i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: "t".to_owned(), partitions }];
    let response = client.call(2, &DeleteRecordsRequest { topics, timeout_ms });
    let deleted = &response.topics[0].partitions[0];
    (ErrorCode::from_code(deleted.error_code), deleted.low_watermark)
}

#[test]
fn a_deletion_is_answered_when_the_followers_have_followed_or_the_time_is_over() {
    let pair = Pair::new();
    // The second broker is to stay in service while it is frozen.
    let [first, second] =
        [1, 2].map(|id| pair.start(id, &[("broker.session.timeout.ms", "60000")]));
    let mut client = first.client();
    create_on(&mut client, "t", &[1, 2]);
    for _ in 0..10 {
        until(|| client.produce("t", 0, batch(&["a"])).0 == ErrorCode::None);
    }
    let start_of = |node: &Node| {
        node.broker().context().partitions.find_replica("t", 0).unwrap().log_start_offset()
    };
    assert_eq!(delete(&mut client, 4, 30_000), (ErrorCode::None, 4));
    assert_eq!(start_of(&second), 4, "when the answer comes, not some time later");

    let guards = second.freeze();
    assert_eq!(delete(&mut client, 6, 100), (ErrorCode::RequestTimedOut, 4));
    assert_eq!((start_of(&first), start_of(&second)), (6, 4));
    assert_eq!(delete(&mut client, 3, 0), (ErrorCode::None, 4), "that was so already");
    assert_eq!(delete(&mut client, 6, 0), (ErrorCode::RequestTimedOut, 4));
    drop(guards);
    assert_eq!(delete(&mut client, 6, 30_000), (ErrorCode::None, 6));
    // -1 is the high watermark.
    let (error, low_watermark) = delete(&mut client, -1, 30_000);
    assert_eq!(error, ErrorCode::None);
    assert!(low_watermark >= 10 && start_of(&second) == low_watermark, "{low_watermark}");
    second.stop();
    first.stop();
}
