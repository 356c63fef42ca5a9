//! A client that writes to a partition of its own, deletes its beginning again and again, and asks where it starts.
//!
//! One replica in sync is enough for the topic: else one that is only eligible, and out of service, may lead later
//! and not have heard of a deletion, as in Kafka.

use flumen_client::TopicPartition;
use flumen_client::admin::NewTopic;
use flumen_consumer::{Consumer, ConsumerConfig, Isolation, OffsetReset, OffsetSpec};
use flumen_producer::{Producer, ProducerConfig, Record};

use super::{Program, TRIMMED};
use crate::history::Value;
use crate::operations::Trim;

/// Pause between two operations.
const PAUSE_MS_MAX: u64 = 200;

pub(super) async fn run(mut program: Program) -> turmoil::Result {
    let admin = program.client.admin();
    let topic = NewTopic::new(TRIMMED, 1).config("min.insync.replicas", "1");
    // A retry may find it created.
    while admin.create_topic(&topic).await.is_err() && admin.describe_topic(TRIMMED).await.is_err()
    {
        program.pause(PAUSE_MS_MAX).await;
    }
    let producer = Producer::new(&program.client, ProducerConfig::default())?;
    let mut end = 0;
    for value in 0_u64.. {
        if program.is_draining() {
            break;
        }
        match program.rng.below(6) {
            0 => {
                let before = i64::try_from(program.rng.below(end + 1))?;
                note(&program, Trim::Asked(before));
                let outcomes = admin.delete_records([(partition(), before)].into()).await;
                if outcomes.into_values().all(|outcome| outcome.is_ok()) {
                    note(&program, Trim::Deleted(before));
                }
            }
            1 => drop(look_at_start(&program).await),
            _ => {
                let record = Record::new(TRIMMED, value.to_be_bytes().to_vec()).partition(0);
                let written = match producer.enqueue(record).await {
                    Ok(delivery) => delivery.await.ok().and_then(|delivered| delivered.offset),
                    Err(_) => None,
                };
                if let Some(offset) = written {
                    note(&program, Trim::Written { offset, value });
                    end = u64::try_from(offset + 1)?;
                }
            }
        }
        program.pause(PAUSE_MS_MAX).await;
    }
    Ok(())
}

/// Reads what is left.
pub(super) async fn look(program: &Program) -> turmoil::Result {
    let admin = program.client.admin();
    let start = loop {
        if let Some(start) = look_at_start(program).await {
            break start;
        }
    };
    let places = [(partition(), OffsetSpec::Latest)].into();
    let listed = admin.list_offsets(places, Isolation::ReadUncommitted).await;
    let end = listed.into_values().next().transpose()?.and_then(|listed| listed.offset);
    let config =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut consumer = Consumer::new(&program.client, config)?;
    consumer.assign([partition()])?;
    let mut next = start;
    while end.is_some_and(|end| next < end) {
        for record in consumer.poll_batch(super::reading::POLL).await.unwrap_or_default() {
            let value = record.value.as_ref().and_then(|value| value.first_chunk());
            let value = Value::from_be_bytes(*value.expect("every value is a number"));
            note(program, Trim::Found { offset: record.offset, value });
            next = record.offset + 1;
        }
    }
    Ok(())
}

async fn look_at_start(program: &Program) -> Option<i64> {
    let places = [(partition(), OffsetSpec::Earliest)].into();
    let listed = program.client.admin().list_offsets(places, Isolation::ReadUncommitted).await;
    let start = listed.into_values().next()?.ok()?.offset?;
    note(program, Trim::Starts(start));
    Some(start)
}

fn partition() -> TopicPartition {
    TopicPartition::new(TRIMMED, 0)
}

fn note(program: &Program, trim: Trim) {
    program.shared.borrow_mut().trims.push(trim);
}
