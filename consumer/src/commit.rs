//! Asking a group's coordinator: for committed offsets, and to commit some.
//!
//! Works with and without membership; a member's id and generation fence its commits.

use std::collections::BTreeMap;

use flumen_client::commits::{
    CommittedOffset, OFFSETS_BY_NAME_MAX, OffsetToCommit, commit_topics, committed_from,
};
use flumen_client::connection::{Call, Connection};
use flumen_client::{Error as ClientError, TopicPartition};
use flumen_protocol::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use flumen_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use flumen_protocol::{ApiKey, ErrorCode};

use crate::error::Error;
use crate::shared::{Mode, Shared};

impl Shared {
    /// The group's id, or the error that there is none.
    pub(crate) fn group_id(&self) -> Result<&str, Error> {
        self.config.group_id.as_deref().ok_or(Error::NoGroup)
    }

    /// The broker that coordinates the group, found if it is not known.
    pub(crate) async fn coordinator(&self, group: &str) -> Result<i32, ClientError> {
        let known = self.group.lock().coordinator;
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.client.find_coordinator(group).await?;
        self.group.lock().coordinator = Some(found);
        Ok(found)
    }

    /// Forgets the coordinator, which may have moved.
    pub(crate) fn forget_coordinator(&self) {
        self.group.lock().coordinator = None;
    }

    /// The connection for questions that are answered at once; joining has one of its own.
    async fn coordinator_connection(&self, group: &str) -> Result<Connection, ClientError> {
        let coordinator = self.coordinator(group).await?;
        self.client.connection_to(coordinator)
    }

    /// The committed offsets of partitions; those without one are left out.
    pub(crate) async fn fetch_committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let group = self.group_id()?;
        let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            by_topic.entry(topic).or_default().push(*partition);
        }
        let call = Call::default().version_max(OFFSETS_BY_NAME_MAX);
        let mut retry = self.client.retry();
        loop {
            let attempt = async {
                let connection = self.coordinator_connection(group).await?;
                let question = |version| fetch_request(group, &by_topic, version);
                let response = connection.send_with(call, question).await?;
                ClientError::check(ApiKey::OffsetFetch, first_error(&response), None)?;
                Ok(response)
            };
            match attempt.await {
                Ok(response) => return Ok(committed_from(response)),
                Err(error) => {
                    self.forget_coordinator();
                    retry.after(error).await?;
                }
            }
        }
    }

    /// Commits offsets; a partition that is refused for good fails them all.
    pub(crate) async fn commit_now(
        &self,
        offsets: &BTreeMap<TopicPartition, OffsetToCommit>,
    ) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let group = self.group_id()?;
        let topics = commit_topics(offsets);
        let call = Call::default().version_max(OFFSETS_BY_NAME_MAX);
        let mut retry = self.client.retry();
        // Of the generation in which it began, however often it is tried: in the next one the partitions
        // may be another's, who has committed more.
        let (member_id, generation, has_left) = {
            let state = self.group.lock();
            let has_left = state.mode == Mode::Subscribed && state.generation < 0;
            (state.member_id.clone(), state.generation, has_left)
        };
        if let Some(partition) = offsets.keys().next().filter(|_| has_left) {
            // A group without members would take it for a program that assigns itself what it reads, though
            // somebody else may have had the partitions since, and committed more.
            let (partition, code) = (partition.clone(), ErrorCode::UnknownMemberId);
            return Err(Error::Commit { partition, code });
        }
        loop {
            let attempt = async {
                let connection = self.coordinator_connection(group).await?;
                let instance_id = self.config.group_instance_id.clone();
                let instance_id = instance_id.filter(|_| !member_id.is_empty());
                let request = OffsetCommitRequest {
                    group_id: group.to_owned(),
                    generation_id_or_member_epoch: generation,
                    member_id: member_id.clone(),
                    topics: topics.clone(),
                    ..OffsetCommitRequest::default()
                };
                let build = |version| OffsetCommitRequest {
                    group_instance_id: instance_id.filter(|_| version >= 7),
                    ..request
                };
                Ok(connection.send_with(call, build).await?)
            };
            let error = match attempt.await {
                Ok(response) => match first_refused(&response) {
                    None => {
                        self.offsets.lock().committed(offsets);
                        return Ok(());
                    }
                    // The group is rebalancing: our partitions may be another's next.
                    Some((partition, code)) if !code.is_retriable() || is_fenced(code) => {
                        if is_no_member(code) {
                            self.group.lock().refused = Some((member_id, generation));
                            self.group_wake.notify_one();
                        }
                        return Err(Error::Commit { partition, code });
                    }
                    Some((_, code)) => {
                        ClientError::Broker { api: ApiKey::OffsetCommit, code, message: None }
                    }
                },
                Err(error) => error,
            };
            self.forget_coordinator();
            retry.after(error).await?;
        }
    }
}

fn is_fenced(code: ErrorCode) -> bool {
    is_no_member(code)
        || matches!(code, ErrorCode::RebalanceInProgress | ErrorCode::FencedInstanceId)
}

/// Whether a code says that the group goes on without the one who asked.
fn is_no_member(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::IllegalGeneration | ErrorCode::UnknownMemberId)
}

fn first_refused(response: &OffsetCommitResponse) -> Option<(TopicPartition, ErrorCode)> {
    response.topics.iter().find_map(|topic| {
        let refused = topic.partitions.iter().find(|partition| partition.error_code != 0)?;
        let partition = TopicPartition::new(topic.name.as_str(), refused.partition_index);
        Some((partition, ErrorCode::from_code(refused.error_code)))
    })
}

fn fetch_request(
    group: &str,
    by_topic: &BTreeMap<&str, Vec<i32>>,
    version: i16,
) -> OffsetFetchRequest {
    // Offsets of a transaction that is not decided yet are worth waiting for, where that exists.
    let require_stable = version >= 7;
    let topics = by_topic.iter().map(|(name, partitions)| ((*name).to_owned(), partitions.clone()));
    if version < 8 {
        let topics = topics
            .map(|(name, partition_indexes)| OffsetFetchRequestTopic { name, partition_indexes });
        return OffsetFetchRequest {
            group_id: group.to_owned(),
            topics: Some(topics.collect()),
            require_stable,
            ..OffsetFetchRequest::default()
        };
    }
    let topics = topics.map(|(name, partition_indexes)| OffsetFetchRequestTopics {
        name,
        partition_indexes,
        ..OffsetFetchRequestTopics::default()
    });
    let group = OffsetFetchRequestGroup {
        group_id: group.to_owned(),
        topics: Some(topics.collect()),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() }
}

/// The first error of an answer. One partition's error must not pass for an absent offset: reading
/// would start over.
fn first_error(response: &OffsetFetchResponse) -> i16 {
    let old = response.topics.iter().flat_map(|topic| &topic.partitions);
    let old = old.map(|partition| partition.error_code);
    let groups = response.groups.iter();
    let of_groups = groups.clone().map(|group| group.error_code);
    let new = groups.flat_map(|group| &group.topics).flat_map(|topic| &topic.partitions);
    let new = new.map(|partition| partition.error_code);
    let all = std::iter::once(response.error_code).chain(of_groups).chain(old).chain(new);
    all.into_iter().find(|code| *code != 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use flumen_protocol::messages::offset_fetch::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };

    use super::*;

    #[test]
    fn an_error_of_one_partition_is_an_error() {
        let partition = OffsetFetchResponsePartitions { error_code: 88, ..Default::default() };
        let topic = OffsetFetchResponseTopics { partitions: vec![partition], ..Default::default() };
        let group = OffsetFetchResponseGroup { topics: vec![topic], ..Default::default() };
        let response = OffsetFetchResponse { groups: vec![group], ..Default::default() };
        assert_eq!(first_error(&response), 88);
        assert_eq!(first_error(&OffsetFetchResponse::default()), 0);
    }

    #[test]
    fn a_request_is_shaped_for_its_version() {
        let by_topic = BTreeMap::from([("t", vec![0, 1])]);
        let old = fetch_request("g", &by_topic, 6);
        assert_eq!((old.group_id.as_str(), old.require_stable), ("g", false));
        let new = fetch_request("g", &by_topic, 9);
        assert_eq!((new.groups.len(), new.topics, new.require_stable), (1, Some(Vec::new()), true));
    }
}
