//! Leaders that are elected on request.

use anyhow::Result;
use flumen_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, TopicPartitions,
};
use flumen_protocol::messages::metadata::MetadataResponse;

use super::Clusters;
use super::moves::{is_empty, list, moves};
use super::scene::{SPREAD, TIMEOUT_MS, mask_metadata, metadata_of};

pub(super) const PREFERRED: i8 = 0;
pub(super) const UNCLEAN: i8 = 1;

pub(super) fn prefer(clusters: &mut Clusters) -> Result<()> {
    // The same replicas in another order: their leader goes on, and is not the preferred one any more.
    clusters.ask(1, &moves(SPREAD, &[(0, Some(&[2, 1, 3]))]), |_| ())?;
    clusters.settle(0, &list(None), is_empty, |_| ())?;
    clusters.ask(2, &elect(PREFERRED, Some((SPREAD, &[0, 1, 9]))), |_| ())?;
    let is_preferred = |response: &MetadataResponse| {
        let mut partitions = response.topics[0].partitions.iter();
        partitions.all(|partition| partition.leader_id == partition.replica_nodes[0])
    };
    for broker in 1..=3 {
        let request = metadata_of(&[SPREAD]);
        clusters.broker(broker).settle(13, &request, is_preferred, mask_metadata)?;
    }
    for election in [PREFERRED, UNCLEAN, 7] {
        clusters.ask(2, &elect(election, Some((SPREAD, &[0]))), |_| ())?;
        clusters.ask(2, &elect(election, Some(("missing", &[0]))), |_| ())?;
        clusters.ask(2, &elect(election, None), sort_elected)?;
        clusters.ask(1, &elect(election, Some((SPREAD, &[0, 0]))), |_| ())?;
    }
    Ok(())
}

/// All topics come in the order of Kafka's hash table, which no client can rely on.
pub(super) fn sort_elected(response: &mut ElectLeadersResponse) {
    response.replica_election_results.sort_by(|a, b| a.topic.cmp(&b.topic));
}

pub(super) fn elect(election_type: i8, of: Option<(&str, &[i32])>) -> ElectLeadersRequest {
    let topic = |(topic, partitions): (&str, &[i32])| TopicPartitions {
        topic: topic.to_owned(),
        partitions: partitions.to_vec(),
    };
    ElectLeadersRequest {
        election_type,
        topic_partitions: of.map(|of| vec![topic(of)]),
        timeout_ms: TIMEOUT_MS,
    }
}
