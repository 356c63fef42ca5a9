//! Asking the leaders of many partitions at once, and again where leaders moved.

use std::collections::BTreeMap;

use flumen_protocol::Request;
use futures_util::future::join_all;

use super::{Admin, incomplete};
use crate::cluster::{Cluster, TopicPartition, Topics};
use crate::connection::Call;
use crate::error::Error;

/// What to ask about some partitions of one broker, by topic name.
pub(super) type ByTopic<V> = BTreeMap<String, Vec<(i32, V)>>;

/// What an answer says, by topic name and partition.
pub(super) type Answers<T> = Vec<((String, i32), Result<T, Error>)>;

impl Admin {
    /// Asks the leader of each partition; those who were asked in vain are asked again.
    pub(super) async fn ask_leaders<R, V, T>(
        &self,
        mut wanted: BTreeMap<TopicPartition, V>,
        build: impl Fn(ByTopic<V>) -> R + Send + Sync,
        read: impl Fn(R::Response) -> Answers<T> + Send + Sync,
    ) -> BTreeMap<TopicPartition, Result<T, Error>>
    where
        R: Request + Send + Sync,
        V: Clone + Send + Sync,
        T: Send,
    {
        let mut results = BTreeMap::new();
        let mut retry = self.client.retry();
        loop {
            let mut failures: BTreeMap<TopicPartition, Error> = BTreeMap::new();
            let cluster = self.known(wanted.keys()).await;
            let requests = by_leader(&cluster, &wanted, &mut failures);
            let answers = requests.into_iter().map(|(leader, topics)| {
                let asked: Vec<TopicPartition> = topics
                    .iter()
                    .flat_map(|(topic, partitions)| {
                        let topic = topic.as_str();
                        partitions.iter().map(move |(index, _)| TopicPartition::new(topic, *index))
                    })
                    .collect();
                let request = build(topics);
                async move {
                    let response = async {
                        let connection = self.client.connection_to(leader)?;
                        Ok(connection.send(&request, Call::default()).await?)
                    };
                    (asked, response.await)
                }
            });
            for (asked, response) in join_all(answers).await {
                let mut answers: BTreeMap<_, _> = match response {
                    Ok(response) => read(response).into_iter().collect(),
                    Err(error) => {
                        let error: Error = error;
                        let failed = asked.into_iter().map(|partition| (partition, error.clone()));
                        failures.extend(failed);
                        continue;
                    }
                };
                for partition in asked {
                    let key = (partition.topic.to_string(), partition.partition);
                    let result = answers
                        .remove(&key)
                        .unwrap_or_else(|| Err(incomplete(R::API_KEY, &partition.to_string())));
                    match result {
                        Err(error) => drop(failures.insert(partition, error)),
                        Ok(value) => drop(results.insert(partition, Ok(value))),
                    }
                }
            }
            wanted.retain(|partition, _| failures.get(partition).is_some_and(Error::is_retriable));
            let Some(last) = wanted.keys().next().and_then(|first| failures.get(first)) else {
                results.extend(failures.into_iter().map(|(partition, e)| (partition, Err(e))));
                return results;
            };
            if let Err(over) = retry.after(last.clone()).await {
                failures.extend(wanted.into_keys().map(|partition| (partition, over.clone())));
                results.extend(failures.into_iter().map(|(partition, e)| (partition, Err(e))));
                return results;
            }
            for (partition, error) in failures {
                if !wanted.contains_key(&partition) {
                    results.insert(partition, Err(error));
                }
            }
            let names = wanted.keys().map(|partition| partition.topic.to_string()).collect();
            // Its failure shows in the next try.
            drop(self.client.refresh(Topics::Named(names)).await);
        }
    }

    /// The cluster with the topics of these partitions asked for.
    async fn known(
        &self,
        partitions: impl Iterator<Item = &TopicPartition>,
    ) -> std::sync::Arc<Cluster> {
        let cluster = self.client.cluster();
        let mut missing: Vec<String> = partitions
            .filter(|partition| cluster.topic(&partition.topic).is_none())
            .map(|partition| partition.topic.to_string())
            .collect();
        missing.dedup();
        if missing.is_empty() {
            return cluster;
        }
        self.client.refresh(Topics::Named(missing)).await.unwrap_or(cluster)
    }
}

/// Sorts partitions by the brokers that lead them; those without a leader are failures for now.
fn by_leader<V: Clone>(
    cluster: &Cluster,
    wanted: &BTreeMap<TopicPartition, V>,
    failures: &mut BTreeMap<TopicPartition, Error>,
) -> BTreeMap<i32, ByTopic<V>> {
    let mut requests: BTreeMap<i32, ByTopic<V>> = BTreeMap::new();
    for (wanted, value) in wanted {
        let TopicPartition { topic, partition } = wanted;
        let Some(known) = cluster.topic(topic) else {
            failures.insert(wanted.clone(), Error::UnknownTopic { topic: topic.to_string() });
            continue;
        };
        match cluster.leader(topic, *partition) {
            Some(hint) => requests
                .entry(hint.leader)
                .or_default()
                .entry(topic.to_string())
                .or_default()
                .push((*partition, value.clone())),
            None if cluster.partition(topic, *partition).is_some() => {
                let (topic, partition) = (topic.to_string(), *partition);
                failures.insert(wanted.clone(), Error::NoLeader { topic, partition });
            }
            None => {
                let partition_count = known.partitions.len();
                let (topic, partition) = (topic.to_string(), *partition);
                let error = Error::UnknownPartition { topic, partition, partition_count };
                failures.insert(wanted.clone(), error);
            }
        }
    }
    requests
}
