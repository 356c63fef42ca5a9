//! Topics: creating, listing, describing and deleting them, adding partitions, deleting records.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use flumen_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use flumen_protocol::{ApiKey, Uuid};

use super::{Admin, Outcomes, incomplete, timeout_ms};
use crate::cluster::{Topic, TopicPartition, Topics};
use crate::error::Error;

/// A topic to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// The number of partitions; `None` leaves it to the broker (`num.partitions`).
    pub partitions: Option<i32>,
    /// The number of copies; `None` leaves it to the broker (`default.replication.factor`).
    pub replication_factor: Option<i16>,
    /// Brokers per partition, preferred leader first; empty leaves it to the controller.
    pub assignments: Vec<Vec<i32>>,
    /// Settings that differ from the broker's defaults, by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic of that many partitions, everything else being left to the broker.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self { name: name.into(), partitions: Some(partitions), ..Self::default() }
    }

    /// Sets a setting of the topic.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    /// Sets the number of copies.
    #[must_use]
    pub fn replication_factor(mut self, factor: i16) -> Self {
        self.replication_factor = Some(factor);
        self
    }

    fn to_wire(&self) -> CreatableTopic {
        let is_assigned = !self.assignments.is_empty();
        let assignments = (0..).zip(&self.assignments);
        let assignments = assignments.map(|(partition_index, brokers)| {
            CreatableReplicaAssignment { partition_index, broker_ids: brokers.clone() }
        });
        let configs = self.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
        });
        CreatableTopic {
            name: self.name.clone(),
            num_partitions: self.partitions.filter(|_| !is_assigned).unwrap_or(-1),
            replication_factor: self.replication_factor.filter(|_| !is_assigned).unwrap_or(-1),
            assignments: assignments.collect(),
            configs: configs.collect(),
        }
    }
}

/// A topic that was created, as far as the broker tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero from brokers that know none.
    pub id: Uuid,
    /// The number of partitions, if told.
    pub partitions: Option<i32>,
    /// The number of copies, if told.
    pub replication_factor: Option<i16>,
}

impl Admin {
    /// Creates topics, or only checks whether they could be created.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Outcomes<CreatedTopic>, Error> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(NewTopic::to_wire).collect(),
            timeout_ms: timeout_ms(&self.client),
            validate_only,
        };
        let first_code =
            |response: &<CreateTopicsRequest as flumen_protocol::Request>::Response| {
                response.topics.first().map(|topic| topic.error_code)
            };
        let response = self.ask_controller(&request, first_code).await?;
        let outcomes = response.topics.into_iter().map(|topic| {
            let created = CreatedTopic {
                id: topic.topic_id,
                partitions: Some(topic.num_partitions).filter(|count| *count > 0),
                replication_factor: Some(topic.replication_factor).filter(|count| *count > 0),
            };
            let checked = Error::check(ApiKey::CreateTopics, topic.error_code, topic.error_message);
            (topic.name, checked.map(|()| created))
        });
        Ok(outcomes.collect())
    }

    /// Creates one topic.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<CreatedTopic, Error> {
        let outcomes = self.create_topics(std::slice::from_ref(topic), false).await?;
        only(ApiKey::CreateTopics, &topic.name, outcomes)
    }

    /// Deletes topics by name.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Outcomes<()>, Error> {
        let mut retry = self.client.retry();
        let response = loop {
            // The list of names moved with version 6, so the request depends on the version.
            let attempt = async {
                let connection = match self.client.cluster().controller_id() {
                    Some(id) => self.client.connection_to(id)?,
                    None => self.client.connection_to_any(0)?,
                };
                let timeout_ms = timeout_ms(&self.client);
                let build = |version| delete_topics_request(names, timeout_ms, version);
                Ok(connection.send_with(crate::connection::Call::default(), build).await?)
            };
            match attempt.await {
                Ok(response) => break response,
                Err(error) => retry.after(error).await?,
            }
            drop(self.client.refresh(Topics::Named(Vec::new())).await);
        };
        let outcomes = response.responses.into_iter().map(|topic| {
            let checked = Error::check(ApiKey::DeleteTopics, topic.error_code, topic.error_message);
            (topic.name.unwrap_or_default(), checked)
        });
        Ok(outcomes.collect())
    }

    /// Deletes one topic.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        only(ApiKey::DeleteTopics, name, self.delete_topics(&[name]).await?)
    }

    /// All topics with their partitions, internal ones included.
    pub async fn list_topics(&self) -> Result<Vec<Arc<Topic>>, Error> {
        let mut retry = self.client.retry();
        loop {
            match self.client.refresh(Topics::All).await {
                Ok(cluster) => return Ok(cluster.topics().map(Arc::clone).collect()),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// A topic as it is now, whatever was known of it.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`] if it does not exist.
    pub async fn describe_topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        let mut retry = self.client.retry();
        loop {
            match self.client.refresh(Topics::Named(vec![name.to_owned()])).await {
                Ok(cluster) => {
                    let topic = cluster.topic(name).map(Arc::clone);
                    return topic.ok_or_else(|| Error::UnknownTopic { topic: name.to_owned() });
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Raises the number of partitions of a topic to `count`.
    pub async fn add_partitions(&self, name: &str, count: i32) -> Result<(), Error> {
        let topic = CreatePartitionsTopic { name: name.to_owned(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: timeout_ms(&self.client),
            validate_only: false,
        };
        let response = self
            .ask_controller(&request, |response| {
                response.results.first().map(|result| result.error_code)
            })
            .await?;
        let outcomes = response.results.into_iter().map(|result| {
            let api = ApiKey::CreatePartitions;
            (result.name, Error::check(api, result.error_code, result.error_message))
        });
        only(ApiKey::CreatePartitions, name, outcomes.collect())
    }

    /// Deletes the records in front of an offset, -1 standing for the high watermark.
    ///
    /// Gives the new log start offset of each partition.
    pub async fn delete_records(
        &self,
        before: BTreeMap<TopicPartition, i64>,
    ) -> BTreeMap<TopicPartition, Result<i64, Error>> {
        let timeout_ms = timeout_ms(&self.client);
        self.ask_leaders(
            before,
            |topics| DeleteRecordsRequest {
                topics: topics
                    .into_iter()
                    .map(|(name, partitions)| DeleteRecordsTopic {
                        name,
                        partitions: partitions
                            .into_iter()
                            .map(|(partition_index, offset)| DeleteRecordsPartition {
                                partition_index,
                                offset,
                            })
                            .collect(),
                    })
                    .collect(),
                timeout_ms,
            },
            |response| {
                let mut results = Vec::new();
                for topic in response.topics {
                    for partition in topic.partitions {
                        let key = (topic.name.clone(), partition.partition_index);
                        let api = ApiKey::DeleteRecords;
                        let checked = Error::check(api, partition.error_code, None);
                        results.push((key, checked.map(|()| partition.low_watermark)));
                    }
                }
                results
            },
        )
        .await
    }
}

fn delete_topics_request(names: &[&str], timeout_ms: i32, version: i16) -> DeleteTopicsRequest {
    let names = names.iter().map(|name| (*name).to_owned());
    if version < 6 {
        return DeleteTopicsRequest {
            topic_names: names.collect(),
            timeout_ms,
            ..DeleteTopicsRequest::default()
        };
    }
    let topics = names.map(|name| DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO });
    DeleteTopicsRequest { topics: topics.collect(), timeout_ms, ..DeleteTopicsRequest::default() }
}

/// The outcome of an operation on one thing.
fn only<T>(api: ApiKey, name: &str, outcomes: Outcomes<T>) -> Result<T, Error> {
    let found = outcomes.into_iter().find(|(about, _)| about == name);
    found.map_or_else(|| Err(incomplete(api, name)), |(_, outcome)| outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_made_assignments_leave_no_counts() {
        let topic = NewTopic {
            name: "t".into(),
            partitions: Some(3),
            replication_factor: Some(2),
            assignments: vec![vec![1, 2], vec![2, 3]],
            ..NewTopic::default()
        };
        let wire = topic.to_wire();
        assert_eq!((wire.num_partitions, wire.replication_factor), (-1, -1));
        assert_eq!(wire.assignments[1].partition_index, 1);
    }

    #[test]
    fn names_to_delete_go_where_the_version_has_them() {
        assert_eq!(delete_topics_request(&["a"], 1, 5).topic_names, ["a"]);
        assert!(delete_topics_request(&["a"], 1, 5).topics.is_empty());
        assert_eq!(delete_topics_request(&["a"], 1, 6).topics[0].name.as_deref(), Some("a"));
    }
}
