//! Consumer groups: listing, describing and deleting them, and their committed offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use flumen_protocol::messages::delete_groups::DeleteGroupsRequest;
use flumen_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribedGroup, DescribedGroupMember,
};
use flumen_protocol::messages::list_groups::ListGroupsRequest;
use flumen_protocol::messages::offset_commit::OffsetCommitRequest;
use flumen_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use flumen_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::{Admin, incomplete};
use crate::cluster::TopicPartition;
use crate::commits::{
    CommittedOffset, OFFSETS_BY_NAME_MAX, OffsetToCommit, commit_topics, committed_from,
};
use crate::error::Error;

/// A group as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group: String,
    /// What its members do: "consumer", or empty for a group that only holds offsets.
    pub protocol_type: String,
    /// Its state in Kafka's words, such as "Stable" and "Empty"; empty if not told.
    pub state: String,
    /// "Classic" or "Consumer"; empty if not told.
    pub group_type: String,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupDescription {
    /// Its id.
    pub group: String,
    /// Its state in Kafka's words: "Dead" for a group that does not exist.
    pub state: String,
    /// What its members do: "consumer".
    pub protocol_type: String,
    /// The assignor in use, such as "range".
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMember {
    /// The id its coordinator gave it.
    pub member_id: String,
    /// The id it gave itself, if it is a static member.
    pub instance_id: Option<String>,
    /// The `client.id` of its program.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// The topics it subscribed to, if its metadata can be read.
    pub topics: Vec<String>,
    /// The partitions it was assigned, if its assignment can be read.
    pub partitions: Vec<TopicPartition>,
}

impl Admin {
    /// All groups of all brokers.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        let mut listings = BTreeMap::new();
        let brokers: Vec<i32> = self.client.cluster().brokers().map(|broker| broker.id).collect();
        for broker in brokers {
            let mut retry = self.client.retry();
            let groups = loop {
                let response =
                    self.client.ask_broker(broker, &ListGroupsRequest::default()).await?;
                match Error::check(ApiKey::ListGroups, response.error_code, None) {
                    Ok(()) => break response.groups,
                    // A coordinator that loads its part of the groups answers a little later.
                    Err(error) => retry.after(error).await?,
                }
            };
            for group in groups {
                let listing = GroupListing {
                    group: group.group_id,
                    protocol_type: group.protocol_type,
                    state: group.group_state,
                    group_type: group.group_type,
                };
                listings.insert(listing.group.clone(), listing);
            }
        }
        Ok(listings.into_values().collect())
    }

    /// A group and its members.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` if there is no such group and the broker says so; older ones describe
    /// it as "Dead".
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, Error> {
        let build = |_version| DescribeGroupsRequest {
            groups: vec![group.to_owned()],
            ..DescribeGroupsRequest::default()
        };
        let code = |response: &<DescribeGroupsRequest as flumen_protocol::Request>::Response| {
            response.groups.first().map_or(0, |group| group.error_code)
        };
        let response = self.ask_coordinator(group, build, None, code).await?;
        let described = response.groups.into_iter().next();
        let described = described.ok_or_else(|| incomplete(ApiKey::DescribeGroups, group))?;
        let coordinator = self.client.find_coordinator(group).await?;
        Ok(description_from(described, coordinator))
    }

    /// Deletes a group and its offsets.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` while it has members, `GROUP_ID_NOT_FOUND` if there is none.
    pub async fn delete_group(&self, group: &str) -> Result<(), Error> {
        let build = |_version| DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        let code = |response: &<DeleteGroupsRequest as flumen_protocol::Request>::Response| {
            response.results.first().map_or(0, |result| result.error_code)
        };
        self.ask_coordinator(group, build, None, code).await.map(drop)
    }

    /// All offsets a group committed.
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Error> {
        let build = |version| match version {
            0..=7 => OffsetFetchRequest {
                group_id: group.to_owned(),
                topics: None,
                ..OffsetFetchRequest::default()
            },
            _ => OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: group.to_owned(),
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                }],
                ..OffsetFetchRequest::default()
            },
        };
        let code = |response: &OffsetFetchResponse| {
            response.groups.first().map_or(response.error_code, |group| group.error_code)
        };
        let response = self.ask_coordinator(group, build, Some(OFFSETS_BY_NAME_MAX), code).await?;
        Ok(committed_from(response))
    }

    /// Commits offsets for a group that has no members, as a reset does.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID` while the group has members.
    pub async fn alter_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, OffsetToCommit>,
    ) -> Result<(), Error> {
        let topics = commit_topics(offsets);
        let build = |_version| OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: topics.clone(),
            ..OffsetCommitRequest::default()
        };
        let code = |response: &<OffsetCommitRequest as flumen_protocol::Request>::Response| {
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .find(|partition| partition.error_code != 0)
                .map_or(0, |failed| failed.error_code)
        };
        self.ask_coordinator(group, build, Some(OFFSETS_BY_NAME_MAX), code).await.map(drop)
    }

    /// Deletes the offsets a group committed for these partitions.
    ///
    /// # Errors
    /// `GROUP_SUBSCRIBED_TO_TOPIC` if members of the group read one of the topics.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<(), Error> {
        let mut by_topic: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            let partition = OffsetDeleteRequestPartition { partition_index: *partition };
            by_topic.entry(topic).or_default().push(partition);
        }
        let build = |_version| OffsetDeleteRequest {
            group_id: group.to_owned(),
            topics: by_topic
                .iter()
                .map(|(name, partitions)| OffsetDeleteRequestTopic {
                    name: (*name).to_owned(),
                    partitions: partitions.clone(),
                })
                .collect(),
        };
        let code = |response: &<OffsetDeleteRequest as flumen_protocol::Request>::Response| {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            let codes = partitions.map(|partition| partition.error_code);
            std::iter::once(response.error_code)
                .chain(codes)
                .find(|code| ErrorCode::from_code(*code) != ErrorCode::None)
                .unwrap_or(0)
        };
        self.ask_coordinator(group, build, None, code).await.map(drop)
    }
}

fn description_from(described: DescribedGroup, coordinator: i32) -> GroupDescription {
    GroupDescription {
        group: described.group_id,
        state: described.group_state,
        protocol_type: described.protocol_type,
        assignor: described.protocol_data,
        coordinator,
        members: described.members.into_iter().map(member_from).collect(),
    }
}

fn member_from(member: DescribedGroupMember) -> GroupMember {
    let subscription = ConsumerProtocolSubscription::from_member_metadata(member.member_metadata);
    let assignment = ConsumerProtocolAssignment::from_member_assignment(member.member_assignment);
    let assigned = assignment.map(|assignment| assignment.assigned_partitions);
    let partitions = assigned.unwrap_or_default().into_iter().flat_map(|topic| {
        let name: Arc<str> = topic.topic.into();
        let partitions = topic.partitions.into_iter();
        partitions.map(move |partition| TopicPartition::new(Arc::clone(&name), partition))
    });
    GroupMember {
        member_id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        topics: subscription.map(|subscription| subscription.topics).unwrap_or_default(),
        partitions: partitions.collect(),
    }
}
