//! DescribeProducers (key 61), v0. The producers that a partition remembers (KIP-664).
//! Differs from Kafka: a request that names partitions again and again is not answered as often.

use flumen_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicRequest, TopicResponse,
};

use super::error::WireError;
use super::repetitions::Repetitions;
use super::{Call, Context};
use crate::partition::LookupError;

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    // A few bytes that name a partition are answered with all its producers.
    let mut repetitions = Repetitions::default();
    let topics = request.topics.into_iter().map(|TopicRequest { name, partition_indexes }| {
        let indexes = partition_indexes.into_iter();
        let asked = indexes.filter(|index| repetitions.admit((name.clone(), *index)));
        let partitions = asked.map(|index| describe(ctx, &name, index)).collect();
        TopicResponse { name, partitions }
    });
    DescribeProducersResponse { topics: topics.collect(), ..Default::default() }
}

fn describe(ctx: &Context, topic: &str, partition_index: i32) -> PartitionResponse {
    // Whoever follows remembers them as well.
    let partition = match ctx.partitions.find_replica(topic, partition_index) {
        Ok(partition) => partition,
        Err(error) => {
            return PartitionResponse {
                partition_index,
                error_code: error.code().code(),
                // As in Kafka, of a partition that is missing the code says enough.
                error_message: (error == LookupError::UnknownTopic).then(|| error.to_string()),
                ..Default::default()
            };
        }
    };
    let active_producers = partition.with_log(|log| {
        log.active_producers()
            .map(|producer| ProducerState {
                producer_id: producer.producer_id,
                producer_epoch: i32::from(producer.epoch),
                last_sequence: producer.last_sequence(),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                current_txn_start_offset: producer.transaction_start.unwrap_or(-1),
            })
            .collect()
    });
    PartitionResponse { partition_index, active_producers, ..Default::default() }
}
