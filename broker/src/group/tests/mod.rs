//! The rules of groups, told as scripts: who does what when, and who is told what.
//!
//! A [`Script`] stands in for the runtime: it appends to a log in memory, replays, and commits at
//! once unless told to hold commits back. Time moves only when a script says so.

mod failover;
mod joining;
mod offsets;
mod random;
mod rebalancing;
mod static_members;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::Message;
use flumen_protocol::messages::consumer_protocol::ConsumerProtocolSubscription;

use super::effects::{GroupCommitted, GroupEffects};
use super::*;
use crate::config::{BrokerConfig, GroupConfig};
use crate::coordinator::{CoordinatorRecord, Effects, Now, Shard, Ticket};

const GROUP: &str = "g";
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
const INITIAL_DELAY_MS: i64 = 3_000;
const TOPIC: &str = "t";

fn default_config() -> GroupConfig {
    BrokerConfig::default().group
}

/// The subscription of a consumer to these topics.
fn subscription(topics: &[&str]) -> Bytes {
    let topics = topics.iter().map(|&topic| topic.to_owned()).collect();
    let subscription = ConsumerProtocolSubscription { topics, ..Default::default() };
    subscription.to_versioned_bytes(0).unwrap()
}

/// A consumer of [`TOPIC`] that supports these protocols.
fn join_request(member_id: &str, protocols: &[&str]) -> JoinRequest {
    let metadata = subscription(&[TOPIC]);
    let protocol = |name: &&str| Protocol { name: (*name).to_owned(), metadata: metadata.clone() };
    JoinRequest {
        group_id: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: protocols.iter().map(protocol).collect(),
        reason: None,
        requires_known_member_id: true,
        supports_skipping_assignment: true,
        fresh_id: String::new(),
    }
}

fn sync_request(member_id: &str, generation: i32) -> SyncRequest {
    SyncRequest {
        group_id: GROUP.to_owned(),
        generation,
        member_id: member_id.to_owned(),
        instance_id: None,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: None,
        assignments: BTreeMap::new(),
    }
}

fn leaver(member_id: &str) -> Leaver {
    Leaver { member_id: member_id.to_owned(), instance_id: None, reason: None }
}

/// What one turn left to be done after its records are committed.
type AfterCommit = (Vec<(Ticket, GroupReply)>, Vec<GroupCommitted>);

struct Script {
    config: Arc<GroupConfig>,
    shard: GroupShard,
    now: Now,
    log: Vec<CoordinatorRecord>,
    replies: BTreeMap<Ticket, GroupReply>,
    next_ticket: u64,
    /// Keep what waits for a commit waiting, until `commit_all`.
    holds_commits: bool,
    uncommitted: Vec<AfterCommit>,
}

impl Script {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut GroupConfig)) -> Self {
        let mut config = default_config();
        change(&mut config);
        let config = Arc::new(config);
        let mut script = Self {
            shard: GroupShard::new(Arc::clone(&config)),
            config,
            now: Now { monotonic_ms: 0, wall_ms: 1_700_000_000_000 },
            log: Vec::new(),
            replies: BTreeMap::new(),
            next_ticket: 0,
            holds_commits: false,
            uncommitted: Vec::new(),
        };
        script.run(|shard, now, effects| shard.on_loaded(now, effects));
        script
    }

    fn run<R>(&mut self, event: impl FnOnce(&mut GroupShard, Now, &mut GroupEffects) -> R) -> R {
        let mut effects = Effects::default();
        let result = event(&mut self.shard, self.now, &mut effects);
        for record in effects.records {
            let offset = i64::try_from(self.log.len()).unwrap();
            self.shard.replay(offset, &record).unwrap();
            self.log.push(record);
        }
        self.replies.extend(effects.replies);
        self.uncommitted.push((effects.committed_replies, effects.on_committed));
        if !self.holds_commits {
            self.commit_all();
        }
        result
    }

    fn commit_all(&mut self) {
        self.holds_commits = false;
        for (replies, events) in std::mem::take(&mut self.uncommitted) {
            self.replies.extend(replies);
            for event in events {
                self.run(|shard, now, effects| shard.on_committed(now, event, effects));
            }
        }
    }

    /// Lets time pass, with every timer at its moment.
    fn advance(&mut self, ms: i64) {
        let end_ms = self.now.monotonic_ms + ms;
        while let Some(at_ms) = self.shard.next_deadline_ms().filter(|&at_ms| at_ms <= end_ms) {
            self.move_clock(at_ms.max(self.now.monotonic_ms));
            self.run(|shard, now, effects| shard.on_tick(now, effects));
        }
        self.move_clock(end_ms);
    }

    fn move_clock(&mut self, monotonic_ms: i64) {
        self.now.wall_ms += monotonic_ms - self.now.monotonic_ms;
        self.now.monotonic_ms = monotonic_ms;
    }

    /// A new broker reads the log: sessions start over, durable state is what the log says.
    fn reload(&mut self) {
        self.shard = GroupShard::new(Arc::clone(&self.config));
        self.replies.clear();
        self.uncommitted.clear();
        self.holds_commits = false;
        for (offset, record) in (0..).zip(&self.log) {
            self.shard.replay(offset, record).unwrap();
        }
        self.run(|shard, now, effects| shard.on_loaded(now, effects));
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn join(&mut self, mut request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        request.fresh_id = format!("id{}", ticket.0);
        self.run(|shard, now, effects| shard.join(now, ticket, request, effects));
        ticket
    }

    fn sync(&mut self, request: SyncRequest) -> Ticket {
        let ticket = self.ticket();
        self.run(|shard, now, effects| shard.sync(now, ticket, request, effects));
        ticket
    }

    fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        self.run(|shard, now, effects| {
            shard.heartbeat(now, GROUP, member_id, None, generation, effects)
        })
    }

    fn leave(&mut self, leavers: &[Leaver]) -> Vec<Result<(), GroupError>> {
        self.run(|shard, now, effects| shard.leave(now, GROUP, leavers, effects)).unwrap()
    }

    fn is_waiting(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    fn join_result(&mut self, ticket: Ticket) -> Result<Joined, JoinRefusal> {
        match self.replies.remove(&ticket) {
            Some(GroupReply::Join(result)) => result,
            other => panic!("{ticket:?} has no join result but {other:?}"),
        }
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        self.join_result(ticket).unwrap()
    }

    fn join_error(&mut self, ticket: Ticket) -> GroupError {
        self.join_result(ticket).unwrap_err().error
    }

    fn sync_result(&mut self, ticket: Ticket) -> Result<Bytes, GroupError> {
        match self.replies.remove(&ticket) {
            Some(GroupReply::Sync(result)) => result.map(|synced| synced.assignment),
            other => panic!("{ticket:?} has no sync result but {other:?}"),
        }
    }

    /// Both steps of a first join; gives the id and the ticket that waits for the generation.
    fn enter(&mut self, protocols: &[&str]) -> (String, Ticket) {
        let first = self.join(join_request("", protocols));
        let refusal = self.join_result(first).unwrap_err();
        assert_eq!(refusal.error, GroupError::MemberIdRequired);
        let ticket = self.join(join_request(&refusal.member_id, protocols));
        (refusal.member_id, ticket)
    }

    /// The leader assigns `<member id>@<generation>` to everybody, and all fetch it.
    fn sync_all(&mut self, members: &[String], generation: i32) {
        let leader = self.leader();
        let followers: Vec<_> = members.iter().filter(|&id| *id != leader).collect();
        let mut tickets: Vec<_> =
            followers.iter().map(|id| self.sync(sync_request(id, generation))).collect();
        let mut request = sync_request(&leader, generation);
        request.assignments =
            members.iter().map(|id| (id.clone(), assignment(id, generation))).collect();
        tickets.push(self.sync(request));
        for (id, ticket) in followers.into_iter().chain([&leader]).zip(tickets) {
            assert_eq!(self.sync_result(ticket).unwrap(), assignment(id, generation));
        }
    }

    fn leader(&self) -> String {
        self.shard.groups[GROUP].leader.clone().unwrap()
    }

    /// A stable group of this many dynamic members, in generation 1.
    fn stable_group(&mut self, count: usize) -> Vec<String> {
        let (members, tickets): (Vec<_>, Vec<_>) =
            (0..count).map(|_| self.enter(&["range"])).unzip();
        while self.state() != GroupState::CompletingRebalance {
            self.advance(INITIAL_DELAY_MS);
        }
        for ticket in tickets {
            assert_eq!(self.joined(ticket).generation, 1);
        }
        self.sync_all(&members, 1);
        assert_eq!(self.state(), GroupState::Stable);
        members
    }

    fn state(&self) -> GroupState {
        self.shard.groups[GROUP].state
    }

    fn generation(&self) -> i32 {
        self.shard.groups[GROUP].generation
    }

    /// Keeps these members' sessions alive for a while.
    fn advance_with_heartbeats(&mut self, ms: i64, members: &[&String]) {
        let step_ms = i64::from(SESSION_MS) / 2;
        for _ in 0..ms / step_ms {
            self.advance(step_ms);
            for id in members {
                // Only the session counts here; a rebalance may well be under way.
                self.heartbeat(id, self.generation()).ok();
            }
        }
    }
}

fn assignment(member_id: &str, generation: i32) -> Bytes {
    Bytes::from(format!("{member_id}@{generation}"))
}
