//! A member of a consumer group by the classic protocol: join, sync, heartbeat. Pure.
//!
//! The machine says what to do next ([`Step`]), and is told what came of it (`on_…`). It knows no
//! connection and no clock. The protocol is the eager one: before joining again a member gives up
//! all its partitions, so that no partition ever has two owners.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::TopicPartition;
use flumen_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition as WireTopic,
};
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use flumen_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use flumen_protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use flumen_protocol::{ErrorCode, Message};

use crate::assignor::{Assignments, Assignor, Member};

/// What members of consumer groups call their protocol.
const PROTOCOL_TYPE: &str = "consumer";

/// The version of the members' own metadata that is written; all readers know it.
const SUBSCRIPTION_VERSION: i16 = 1;
const ASSIGNMENT_VERSION: i16 = 0;

/// What does not change while a member lives.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) assignors: Vec<Assignor>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Nothing: no topics are subscribed to, or the program does not ask for records.
    Rest,
    /// Send the request, and tell the answer to `on_joined`.
    Join(JoinGroupRequest),
    /// Find out how many partitions these topics have, for `on_partition_counts`.
    Count(Vec<String>),
    /// Send the request, and tell the answer to `on_synced`.
    Sync(SyncGroupRequest),
    /// Take up these partitions, then call `on_taken_up`.
    TakeUp(Vec<TopicPartition>),
    /// Wait until then for the next heartbeat.
    Wait(Duration),
    /// Send the request, and tell the answer to `on_heartbeat`.
    Heartbeat(HeartbeatRequest),
    /// Give up all partitions, then call `on_given_up`.
    GiveUp {
        /// Whether others may own them already.
        is_lost: bool,
    },
    /// The group does not take this member.
    Fail(ErrorCode),
}

/// What an answer means for the connection to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on at once.
    Go,
    /// Try again after a pause.
    Pause,
    /// The coordinator is another broker, or not ready: find it again after a pause.
    FindCoordinator,
}

/// A member, in the group or on its way into it.
#[derive(Debug)]
pub(crate) struct Membership {
    identity: Identity,
    topics: Vec<String>,
    /// Given by the coordinator; empty before that.
    member_id: String,
    /// -1 outside the group.
    generation: i32,
    protocol: Option<String>,
    phase: Phase,
    /// Why it joins again, for the coordinator's log.
    reason: &'static str,
    /// How many partitions the topics had when this member, as the leader, spread them.
    counted: Option<BTreeMap<String, i32>>,
}

#[derive(Debug)]
enum Phase {
    Resting,
    Joining,
    Counting { members: Vec<Member>, assignor: Assignor },
    Syncing { assignments: Assignments },
    TakingUp { partitions: Vec<TopicPartition> },
    Stable { next_heartbeat: Duration },
    GivingUp { is_lost: bool },
    Failed { code: ErrorCode },
}

impl Membership {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            topics: Vec::new(),
            member_id: String::new(),
            generation: -1,
            protocol: None,
            phase: Phase::Resting,
            reason: "first join",
            counted: None,
        }
    }

    /// What to do next.
    pub(crate) fn next(&self, now: Duration) -> Step {
        match &self.phase {
            Phase::Resting => Step::Rest,
            Phase::Joining => Step::Join(self.join_request()),
            Phase::Counting { members, .. } => {
                let mut topics: Vec<String> =
                    members.iter().flat_map(|member| member.topics.clone()).collect();
                topics.sort();
                topics.dedup();
                Step::Count(topics)
            }
            Phase::Syncing { assignments } => Step::Sync(self.sync_request(assignments)),
            Phase::TakingUp { partitions } => Step::TakeUp(partitions.clone()),
            Phase::Stable { next_heartbeat } if *next_heartbeat <= now => {
                Step::Heartbeat(self.heartbeat_request())
            }
            Phase::Stable { next_heartbeat } => Step::Wait(*next_heartbeat),
            Phase::GivingUp { is_lost } => Step::GiveUp { is_lost: *is_lost },
            Phase::Failed { code } => Step::Fail(*code),
        }
    }

    /// Member id and generation, as commits carry them.
    pub(crate) fn credentials(&self) -> (String, i32) {
        (self.member_id.clone(), self.generation)
    }

    /// Says whether the coordinator knows the member.
    pub(crate) fn is_known(&self) -> bool {
        !self.member_id.is_empty()
    }

    /// Says whether the member has its partitions and keeps them.
    pub(crate) fn is_stable(&self) -> bool {
        matches!(self.phase, Phase::Stable { .. })
    }

    /// The topics whose partitions this member counted as the leader of the group.
    pub(crate) fn counted(&self) -> Option<&BTreeMap<String, i32>> {
        self.counted.as_ref().filter(|_| self.is_stable())
    }

    /// Subscribes to other topics; none means leaving the group.
    pub(crate) fn subscribe(&mut self, topics: Vec<String>) {
        let is_idle = matches!(self.phase, Phase::Resting | Phase::Failed { .. });
        if topics == self.topics && !is_idle {
            return;
        }
        self.topics = topics;
        if let Phase::Failed { .. } = self.phase {
            self.reset();
            self.phase = Phase::Resting;
        }
        self.rejoin("subscription changed");
    }

    /// Gives up the partitions, if it has any, and joins again if it is subscribed to anything.
    pub(crate) fn rejoin(&mut self, reason: &'static str) {
        self.reason = reason;
        match self.phase {
            Phase::Stable { .. } | Phase::TakingUp { .. } => {
                self.phase = Phase::GivingUp { is_lost: false };
            }
            Phase::Resting | Phase::Joining | Phase::Counting { .. } | Phase::Syncing { .. } => {
                self.phase = self.without_partitions();
            }
            Phase::GivingUp { .. } | Phase::Failed { .. } => {}
        }
    }

    fn without_partitions(&self) -> Phase {
        if self.topics.is_empty() { Phase::Resting } else { Phase::Joining }
    }

    /// Stops being a member until the next subscription or rejoin; gives the member to take leave
    /// for, if any.
    ///
    /// A static member goes silently: it keeps its partitions until its session times out, so that
    /// it may come back in time.
    pub(crate) fn leave(&mut self) -> Option<String> {
        self.phase = Phase::Resting;
        self.generation = -1;
        let member_id = std::mem::take(&mut self.member_id);
        let is_told = !member_id.is_empty() && self.identity.instance_id.is_none();
        is_told.then_some(member_id)
    }

    pub(crate) fn on_joined(&mut self, response: JoinGroupResponse) -> Verdict {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                self.member_id = response.member_id;
                self.generation = response.generation_id;
                self.protocol = response.protocol_name;
                self.counted = None;
                let is_leader = response.leader == self.member_id && !response.skip_assignment;
                let assignor = self.protocol.as_deref().and_then(Assignor::from_name);
                self.phase = match (is_leader, assignor) {
                    (false, _) => Phase::Syncing { assignments: Assignments::new() },
                    (true, Some(assignor)) => {
                        let members = response.members.into_iter().map(|member| Member {
                            topics: subscribed_topics(member.metadata),
                            member_id: member.member_id,
                            instance_id: member.group_instance_id,
                        });
                        Phase::Counting { members: members.collect(), assignor }
                    }
                    (true, None) => Phase::Failed { code: ErrorCode::InconsistentGroupProtocol },
                };
                Verdict::Go
            }
            ErrorCode::MemberIdRequired => {
                self.member_id = response.member_id;
                Verdict::Go
            }
            ErrorCode::UnknownMemberId => {
                self.reset();
                Verdict::Go
            }
            code => self.on_error(code),
        }
    }

    /// Spreads the partitions, being the leader; topics that do not exist count none.
    pub(crate) fn on_partition_counts(&mut self, counts: BTreeMap<String, i32>) {
        if let Phase::Counting { members, assignor } = &self.phase {
            let assignments = assignor.assign(members, &counts);
            self.counted = Some(counts);
            self.phase = Phase::Syncing { assignments };
        }
    }

    pub(crate) fn on_synced(&mut self, response: SyncGroupResponse) -> Verdict {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                self.phase = Phase::TakingUp { partitions: assigned(response.assignment) };
                Verdict::Go
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                self.reset();
                self.phase = Phase::Joining;
                Verdict::Go
            }
            ErrorCode::RebalanceInProgress => {
                self.phase = Phase::Joining;
                Verdict::Go
            }
            code => {
                let verdict = self.on_error(code);
                if !matches!(self.phase, Phase::Failed { .. }) {
                    self.phase = Phase::Joining;
                }
                verdict
            }
        }
    }

    pub(crate) fn on_taken_up(&mut self, now: Duration) {
        if let Phase::TakingUp { .. } = self.phase {
            self.phase = Phase::Stable { next_heartbeat: now + self.identity.heartbeat_interval };
        }
    }

    pub(crate) fn on_given_up(&mut self) {
        if let Phase::GivingUp { .. } = self.phase {
            self.phase = self.without_partitions();
        }
    }

    pub(crate) fn on_heartbeat(&mut self, now: Duration, code: ErrorCode) -> Verdict {
        if let Phase::Stable { next_heartbeat } = &mut self.phase {
            *next_heartbeat = now + self.identity.heartbeat_interval;
        }
        match code {
            ErrorCode::None => Verdict::Go,
            ErrorCode::RebalanceInProgress => {
                self.rejoin("the group rebalances");
                Verdict::Go
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                self.reset();
                self.phase = Phase::GivingUp { is_lost: true };
                Verdict::Go
            }
            code => {
                let verdict = self.on_error(code);
                if let Phase::Stable { next_heartbeat } = &mut self.phase {
                    // The session goes on: try again as soon as the coordinator is found.
                    *next_heartbeat = now;
                }
                verdict
            }
        }
    }

    /// A commit of this member and generation was refused, as the group goes on without them.
    ///
    /// The program was told that its partitions may be another's, so they are given up, even if the
    /// next coordinator takes the heartbeats: the refusal may come from one that was cut off.
    pub(crate) fn on_commit_refused(&mut self, member_id: &str, generation: i32) {
        let is_current = self.member_id == member_id && self.generation == generation;
        if is_current && self.is_stable() {
            self.reset();
            self.phase = Phase::GivingUp { is_lost: true };
        }
    }

    /// Judges the errors that all answers may carry.
    fn on_error(&mut self, code: ErrorCode) -> Verdict {
        match code {
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                Verdict::FindCoordinator
            }
            ErrorCode::RebalanceInProgress => Verdict::Go,
            code if code.is_retriable() => Verdict::Pause,
            code => {
                self.phase = Phase::Failed { code };
                Verdict::Go
            }
        }
    }

    fn reset(&mut self) {
        self.member_id.clear();
        self.generation = -1;
    }

    fn join_request(&self) -> JoinGroupRequest {
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.clone(),
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = subscription
            .to_versioned_bytes(SUBSCRIPTION_VERSION)
            .expect("names of topics are far below the limits of the format");
        let protocols = self.identity.assignors.iter().map(|assignor| JoinGroupRequestProtocol {
            name: assignor.name().to_owned(),
            metadata: metadata.clone(),
        });
        JoinGroupRequest {
            group_id: self.identity.group.clone(),
            session_timeout_ms: ms(self.identity.session_timeout),
            rebalance_timeout_ms: ms(self.identity.rebalance_timeout),
            member_id: self.member_id.clone(),
            group_instance_id: self.identity.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: protocols.collect(),
            reason: Some(self.reason.to_owned()),
        }
    }

    fn sync_request(&self, assignments: &Assignments) -> SyncGroupRequest {
        let assignments = assignments.iter().map(|(member_id, partitions)| {
            let member_id = member_id.clone();
            SyncGroupRequestAssignment { member_id, assignment: assignment_bytes(partitions) }
        });
        SyncGroupRequest {
            group_id: self.identity.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.identity.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: self.protocol.clone(),
            assignments: assignments.collect(),
        }
    }

    /// The request that keeps the session alive.
    pub(crate) fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.identity.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.identity.instance_id.clone(),
        }
    }
}

/// The request that takes a member out of its group.
pub(crate) fn leave_request(
    group: &str,
    member_id: &str,
    reason: &str,
    version: i16,
) -> LeaveGroupRequest {
    let (group_id, member_id) = (group.to_owned(), member_id.to_owned());
    if version < 3 {
        return LeaveGroupRequest { group_id, member_id, members: Vec::new() };
    }
    let reason = Some(reason.to_owned());
    let members = vec![MemberIdentity { member_id, group_instance_id: None, reason }];
    LeaveGroupRequest { group_id, members, ..LeaveGroupRequest::default() }
}

fn ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The topics in a member's metadata; a member that cannot be understood gets nothing.
fn subscribed_topics(metadata: Bytes) -> Vec<String> {
    let subscription = ConsumerProtocolSubscription::from_member_metadata(metadata);
    subscription.map(|subscription| subscription.topics).unwrap_or_default()
}

fn assigned(assignment: Bytes) -> Vec<TopicPartition> {
    // A leader that knows no partitions for a member may send nothing at all.
    let assignment = ConsumerProtocolAssignment::from_member_assignment(assignment);
    let topics = assignment.map(|assignment| assignment.assigned_partitions).unwrap_or_default();
    let mut partitions = Vec::new();
    for topic in topics {
        let name: Arc<str> = topic.topic.into();
        let of_topic = topic.partitions.into_iter();
        partitions.extend(of_topic.map(|index| TopicPartition::new(Arc::clone(&name), index)));
    }
    partitions
}

fn assignment_bytes(partitions: &[TopicPartition]) -> Bytes {
    let mut topics: Vec<WireTopic> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        if topics.last().is_none_or(|last| last.topic != **topic) {
            topics.push(WireTopic { topic: topic.to_string(), partitions: Vec::new() });
        }
        topics.last_mut().expect("one was just pushed").partitions.push(*partition);
    }
    let assignment = ConsumerProtocolAssignment { assigned_partitions: topics, user_data: None };
    assignment
        .to_versioned_bytes(ASSIGNMENT_VERSION)
        .expect("names of topics are far below the limits of the format")
}

#[cfg(test)]
mod tests;
