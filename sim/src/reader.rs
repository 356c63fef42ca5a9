//! Reads a partition from its start to the high watermark, with nothing between it and the protocol.

use flumen_client::{Client, Error};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use flumen_protocol::records::Batches;

use crate::history::Value;

const FETCH_BYTES_MAX: i32 = 64 * 1024;

/// All records of a partition; the value is the number that a record's first eight bytes say.
///
/// # Errors
/// The broker could not be asked, retries included.
pub async fn read_all(
    client: &Client,
    topic: &str,
    partition: i32,
) -> Result<Vec<(i64, Value)>, Error> {
    let mut records = Vec::new();
    let mut retry = client.retry();
    loop {
        let next = records.last().map_or(0, |(offset, _)| offset + 1);
        match read_from(client, topic, partition, next).await {
            Ok(Some(more)) => records.extend(more),
            Ok(None) => return Ok(records),
            Err(error) => retry.after(error).await?,
        }
    }
}

/// The next records; `None` at the high watermark.
async fn read_from(
    client: &Client,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Vec<(i64, Value)>>, Error> {
    let topic = client.topic(name).await?;
    let leader = topic.partitions.iter().find(|known| known.index == partition);
    let leader = leader.and_then(|known| known.leader).unwrap_or_default();
    let request = FetchRequest {
        max_wait_ms: 0,
        max_bytes: FETCH_BYTES_MAX,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: name.to_owned(),
            topic_id: topic.id,
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: FETCH_BYTES_MAX,
                ..FetchPartition::default()
            }],
        }],
        ..FetchRequest::default()
    };
    let response = client.ask_broker(leader, &request).await?;
    let found = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(found) = found else { return Ok(None) };
    Error::check(flumen_protocol::ApiKey::Fetch, found.error_code, None)?;
    let bytes = match found.records {
        Some(records) if !records.is_empty() => records.into_bytes().unwrap_or_default(),
        _ => return Ok(None),
    };
    let mut records = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch.expect("the broker sends sound batches");
        batch.verify_crc().expect("the broker sends what it was given");
        for record in batch.records(1 << 20).expect("nothing is compressed") {
            let record = record.expect("the broker checks records");
            let value = record.value.expect("every record has a value");
            let number = value.first_chunk().expect("every value begins with its number");
            records.push((record.offset, Value::from_be_bytes(*number)));
        }
    }
    records.retain(|(at, _)| *at >= offset);
    Ok(Some(records))
}
