//! Where the replicas of partitions are, which of them lead, and moving both.

use std::collections::BTreeMap;

use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponsePartition, TopicRequest,
};
use flumen_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use flumen_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::{Admin, incomplete, timeout_ms};
use crate::cluster::TopicPartition;
use crate::error::Error;

/// How many partitions are asked for at once.
const PAGE_SIZE: i32 = 2_000;

/// Where the replicas of a partition stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReplicas {
    /// The broker that leads, if any does.
    pub leader: Option<i32>,
    /// The brokers that hold a copy, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that have everything that is committed, and that commits wait for.
    pub in_sync: Vec<i32>,
    /// Those that have everything that is committed though nobody waits for them (KIP-966).
    pub eligible: Vec<i32>,
    /// While nobody leads: who led last.
    pub last_known_leader: Option<i32>,
    /// Those that are out of service.
    pub offline: Vec<i32>,
}

/// A move of a partition's replicas that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// All that hold a copy meanwhile.
    pub replicas: Vec<i32>,
    /// Those of them that are new.
    pub adding: Vec<i32>,
    /// Those of them that are to go.
    pub removing: Vec<i32>,
}

/// Who may become leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// The first replica, when it is in sync.
    Preferred,
    /// Any replica in service, when nobody leads: records may be lost.
    Unclean,
}

/// What became of each partition.
pub type PartitionOutcomes = BTreeMap<TopicPartition, Result<(), Error>>;

impl Admin {
    /// Where the replicas of the partitions of `topics` stand; of every topic, if none is named.
    pub async fn describe_replicas(
        &self,
        topics: &[&str],
    ) -> Result<BTreeMap<TopicPartition, PartitionReplicas>, Error> {
        let named = |name: &&str| TopicRequest { name: (*name).to_owned() };
        let mut request = DescribeTopicPartitionsRequest {
            topics: topics.iter().map(named).collect(),
            response_partition_limit: PAGE_SIZE,
            cursor: None,
        };
        let mut found = BTreeMap::new();
        loop {
            let page = self.client.ask_any(&request).await?;
            for topic in page.topics {
                let name = topic.name.unwrap_or_default();
                if topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
                    return Err(Error::UnknownTopic { topic: name });
                }
                Error::check(ApiKey::DescribeTopicPartitions, topic.error_code, None)?;
                found.extend(topic.partitions.into_iter().map(|partition| {
                    let place = TopicPartition::new(name.as_str(), partition.partition_index);
                    (place, PartitionReplicas::from(partition))
                }));
            }
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Moves partitions to these brokers, the preferred leader first; `None` stops a move that is
    /// under way. The answer comes when the move begins; it ends by itself.
    pub async fn alter_reassignments(
        &self,
        moves: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
    ) -> Result<PartitionOutcomes, Error> {
        let topics = by_topic(moves).into_iter().map(|(name, partitions)| ReassignableTopic {
            name,
            partitions: partitions
                .into_iter()
                .map(|(partition_index, replicas)| ReassignablePartition {
                    partition_index,
                    replicas: replicas.clone(),
                })
                .collect(),
        });
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: timeout_ms(&self.client),
            allow_replication_factor_change: true,
            topics: topics.collect(),
        };
        let response = self.ask_controller(&request, |response| Some(response.error_code)).await?;
        let api = ApiKey::AlterPartitionReassignments;
        Error::check(api, response.error_code, response.error_message)?;
        let mut outcomes = BTreeMap::new();
        for topic in response.responses {
            for partition in topic.partitions {
                let place = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                let outcome = Error::check(api, partition.error_code, partition.error_message);
                outcomes.insert(place, outcome);
            }
        }
        Ok(complete(api, moves.keys(), outcomes))
    }

    /// The moves that are under way: of these partitions, or all.
    pub async fn list_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, Error> {
        let topics = partitions.map(|partitions| {
            let wanted = partitions.iter().map(|partition| (partition.clone(), ())).collect();
            let topics = by_topic(&wanted).into_iter();
            topics
                .map(|(name, partitions)| ListPartitionReassignmentsTopics {
                    name,
                    partition_indexes: partitions.into_iter().map(|(index, ())| index).collect(),
                })
                .collect()
        });
        let timeout_ms = timeout_ms(&self.client);
        let request = ListPartitionReassignmentsRequest { timeout_ms, topics };
        let response = self.client.ask_any(&request).await?;
        let api = ApiKey::ListPartitionReassignments;
        Error::check(api, response.error_code, response.error_message)?;
        let mut moves = BTreeMap::new();
        for topic in response.topics {
            for moved in topic.partitions {
                let place = TopicPartition::new(topic.name.as_str(), moved.partition_index);
                let reassignment = Reassignment {
                    replicas: moved.replicas,
                    adding: moved.adding_replicas,
                    removing: moved.removing_replicas,
                };
                moves.insert(place, reassignment);
            }
        }
        Ok(moves)
    }

    /// Elects leaders of these partitions, or of all; those that need none are left out then.
    pub async fn elect_leaders(
        &self,
        election: Election,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PartitionOutcomes, Error> {
        let topic_partitions = partitions.map(|partitions| {
            let wanted = partitions.iter().map(|partition| (partition.clone(), ())).collect();
            let topics = by_topic(&wanted).into_iter();
            topics
                .map(|(topic, partitions)| TopicPartitions {
                    topic,
                    partitions: partitions.into_iter().map(|(index, ())| index).collect(),
                })
                .collect()
        });
        let request = ElectLeadersRequest {
            election_type: match election {
                Election::Preferred => 0,
                Election::Unclean => 1,
            },
            topic_partitions,
            timeout_ms: timeout_ms(&self.client),
        };
        let response = self.ask_controller(&request, |response| Some(response.error_code)).await?;
        let api = ApiKey::ElectLeaders;
        Error::check(api, response.error_code, None)?;
        let mut outcomes = BTreeMap::new();
        for topic in response.replica_election_results {
            for partition in topic.partition_result {
                let place = TopicPartition::new(topic.topic.as_str(), partition.partition_id);
                let outcome = Error::check(api, partition.error_code, partition.error_message);
                outcomes.insert(place, outcome);
            }
        }
        Ok(match partitions {
            Some(partitions) => complete(api, partitions.iter(), outcomes),
            None => outcomes,
        })
    }
}

impl From<DescribeTopicPartitionsResponsePartition> for PartitionReplicas {
    fn from(partition: DescribeTopicPartitionsResponsePartition) -> Self {
        let last_known = partition.last_known_elr.unwrap_or_default();
        Self {
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
            eligible: partition.eligible_leader_replicas.unwrap_or_default(),
            last_known_leader: last_known.first().copied(),
            offline: partition.offline_replicas,
        }
    }
}

/// Sorts what is asked about partitions by topic, as the wire has it.
fn by_topic<V>(wanted: &BTreeMap<TopicPartition, V>) -> BTreeMap<String, Vec<(i32, &V)>> {
    let mut topics: BTreeMap<String, Vec<(i32, &V)>> = BTreeMap::new();
    for (TopicPartition { topic, partition }, value) in wanted {
        topics.entry(topic.to_string()).or_default().push((*partition, value));
    }
    topics
}

/// Every partition that was asked about has an outcome.
fn complete<'a>(
    api: ApiKey,
    asked: impl Iterator<Item = &'a TopicPartition>,
    mut outcomes: PartitionOutcomes,
) -> PartitionOutcomes {
    for partition in asked {
        outcomes
            .entry(partition.clone())
            .or_insert_with(|| Err(incomplete(api, &partition.to_string())));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_the_answer_leaves_out_has_failed() {
        let [first, second] = [0, 1].map(|index| TopicPartition::new("t", index));
        let answered = BTreeMap::from([(first.clone(), Ok(()))]);
        let asked = [first.clone(), second.clone()];
        let outcomes = complete(ApiKey::ElectLeaders, asked.iter(), answered);
        assert!(outcomes[&first].is_ok());
        assert!(
            matches!(&outcomes[&second], Err(Error::Incomplete { about, .. }) if about == "t-1")
        );
    }
}
