//! The metadata quorum: a log of decisions that a majority of the voters has on disk.
//!
//! This is the facade over openraft; nothing outside this folder names it. A cluster of one is a
//! quorum of one, with the same elections, the same log and the same files. `founding` begins a
//! cluster, `membership` says who belongs to it, `failover` replaces a leader that is gone; `service`
//! answers the other members and `peers` asks them, in the words of `wire`.

mod consistency;
mod disk;
mod durable_file;
mod failover;
mod founding;
mod log_store;
mod membership;
mod peers;
mod runtime;
mod service;
mod snapshot;
mod state_machine;
mod synced_end;
mod transport;
mod types;
mod wire;
mod withheld;

#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Seams, TaskHandle};
use flumen_storage::vfs::Vfs;
use futures_util::FutureExt;
use openraft::async_runtime::WatchReceiver;
use openraft::impls::ProgressResponder;
use openraft::{Config, Instant, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use parking_lot::Mutex;

use super::records::MetadataRecord;
use crate::config::ReplicationConfig;
use disk::Disk;
use founding::Founders;
use log_store::LogStore;
use peers::Peers;
use state_machine::StateMachine;
use transport::Alone;
use types::{Applied, CommittedLeaderId, Member, Outcome, Proposal, TypeConfig};

pub use membership::ChangeVotersError;
pub use service::{NotAMessage, QuorumService};
pub(super) use state_machine::Published;
pub use transport::{QuorumAddress, QuorumLane, QuorumTransport, TransportError};
pub(super) use types::Directory;

/// What the library may say in the log unless more is asked for, as directives of `EnvFilter`: that its
/// disk fails. That others are unreachable or busy it repeats at every attempt, and this broker says it
/// once.
pub const QUORUM_LOG_FILTER: &str = "openraft=error,openraft::raft=off,openraft::replication=off,\
    openraft::replication::stream_state=error";

/// Far longer than a quorum of one needs to elect itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A leader that no majority has answered for so many election timeouts has lost it: most likely another leads.
const SILENT_TIMEOUTS_MAX: u32 = 2;

/// Log entries that stay after a snapshot, so that a follower just behind needs no snapshot.
const ENTRIES_KEPT: u64 = 1000;

/// Why the metadata quorum does not start.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// Its directory cannot be read or written, or holds something else.
    #[error("the metadata log cannot be used: {0}")]
    Disk(#[source] io::Error),
    /// Raft refuses.
    #[error("the metadata quorum does not start: {reason}")]
    Raft {
        /// What it says.
        reason: String,
    },
    /// A quorum of several brokers needs the peer listener.
    #[error("controller.quorum.voters names {count} brokers, and there is no peer.listener")]
    SeveralVoters {
        /// How many.
        count: usize,
    },
    /// The log is that of a quorum that this broker cannot reach.
    #[error(
        "the metadata log was written by a quorum of several brokers (here are known: {known}); set \
         peer.listener and controller.quorum.voters as they were"
    )]
    NotAlone {
        /// The members, by node id.
        known: String,
    },
    /// The voters do not agree on who they are.
    #[error("controller.quorum.voters is not the same here and at broker {node_id}")]
    OtherVoters {
        /// The other broker.
        node_id: i32,
    },
}

/// The decision does not hold, as far as is known: this broker is not, or no longer, the leader, or it
/// does not fit what was decided before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this broker does not lead the metadata quorum")]
pub struct NotLeader;

/// Where the quorum stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumStatus {
    /// The leader, if one is known. A leader that is cut off from most voters is none.
    pub leader: Option<i32>,
    /// Grows with every election.
    pub term: i32,
    /// The offset after the last committed entry.
    pub high_watermark: i64,
    /// The voters.
    pub voters: Vec<MemberStatus>,
    /// Who only follows: brokers that have no vote, and voters whose vote is withheld, with the directory
    /// that they have. Among the voters these are shown with the one that they have lost.
    pub observers: Vec<MemberStatus>,
}

/// Where a member of the quorum stands, as far as the broker that is asked knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its node id.
    pub node_id: i32,
    /// The offset after the last entry it is known to have.
    pub end: Option<i64>,
    /// How long ago it answered the leader; known to the leader only.
    pub heard: Option<Duration>,
    /// The id of its directory.
    pub directory: Option<[u8; 16]>,
    /// Its peer listener, `host:port`.
    pub addr: String,
}

/// How other members are reached, and how they reach this one.
pub struct QuorumPeers {
    /// Asks them.
    pub transport: Arc<dyn QuorumTransport>,
    /// What others are told of this broker's peer listener, `host:port`.
    pub addr: String,
}

impl fmt::Debug for QuorumPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuorumPeers").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// This broker's part of the metadata quorum.
pub(super) struct Quorum {
    raft: Raft<TypeConfig, StateMachine>,
    service: Arc<QuorumService>,
    node_id: u64,
    seams: Seams,
    election_timeout: Duration,
    tasks: Mutex<Vec<TaskHandle>>,
}

/// The files are open and questions are answered, but nothing is decided here yet.
pub(super) struct OpenQuorum {
    service: Arc<QuorumService>,
    config: Config,
    election_timeout: Duration,
    seams: Seams,
    is_alone: bool,
    founders: Founders,
}

/// An entry on its way into the log.
///
/// Without an outcome it is in the published image already.
#[derive(Debug)]
pub(super) struct Pending(Option<Outcome>);

impl Pending {
    /// Waits until the entry is committed and in the published image.
    pub(super) async fn applied(self) -> Result<(), NotLeader> {
        let Some(outcome) = self.0 else { return Ok(()) };
        match outcome.await {
            Ok(Ok(written)) if written.data == Applied::Whole => Ok(()),
            Ok(_) | Err(_) => Err(NotLeader),
        }
    }
}

impl OpenQuorum {
    /// Opens the log in `dir`. Without `peers` this broker is a cluster of its own.
    pub(super) fn open(
        node_id: i32,
        config: &ReplicationConfig,
        dir: &Path,
        vfs: Arc<dyn Vfs>,
        seams: Seams,
        peers: Option<QuorumPeers>,
    ) -> Result<Self, QuorumError> {
        let is_alone = peers.is_none();
        if is_alone && config.voters.iter().any(|voter| voter.node_id != node_id) {
            return Err(QuorumError::SeveralVoters { count: config.voters.len() });
        }
        let disk = Disk::open(vfs, dir, seams.clone()).map_err(QuorumError::Disk)?;
        let node_id = u64::try_from(node_id).map_err(refused)?;
        let (transport, addr) = match peers {
            Some(peers) => (peers.transport, peers.addr),
            None => (Arc::new(Alone) as Arc<dyn QuorumTransport>, String::new()),
        };
        let peers = Peers { node_id, transport, gone: Arc::default() };
        let mut voters = Vec::new();
        for voter in &config.voters {
            let id = u64::try_from(voter.node_id).map_err(refused)?;
            voters.push((id, voter.endpoint.to_string()));
        }
        voters.sort();
        let (disk, published) = (Arc::new(disk), Arc::new(Published::new()));
        let service = QuorumService::new(peers, addr, seams.clone(), disk, published, voters);
        let election_timeout = Duration::from_millis(config.election_timeout_ms);
        let founders = if config.founds_with_majority { Founders::Majority } else { Founders::All };
        let config = raft_config(config).validate().map_err(refused)?;
        let service = Arc::new(service);
        Ok(Self { service, config, election_timeout, seams, is_alone, founders })
    }

    /// What answers the other members, from now on.
    pub(super) fn service(&self) -> &Arc<QuorumService> {
        &self.service
    }

    /// Takes part in the quorum. A cluster of one leads it on return; another may have no leader yet.
    pub(super) async fn start(self) -> Result<Quorum, QuorumError> {
        let seams = self.seams.clone();
        runtime::within(seams, self.start_within()).await
    }

    async fn start_within(self) -> Result<Quorum, QuorumError> {
        let Self { service, config, election_timeout, seams, is_alone, founders } = self;
        let (node_id, disk) = (service.node_id(), Arc::clone(service.disk()));
        let has_others = service.voters().iter().any(|(id, _)| *id != node_id);
        if service.is_named_voter() && has_others && disk.is_empty() && !disk.is_vote_withheld() {
            founding::found_or_follow(&service, founders).await?;
        }
        let heartbeat = Duration::from_millis(config.heartbeat_interval);
        let machine = StateMachine::new(Arc::clone(service.published()), Arc::clone(&disk));
        let store = LogStore::new(Arc::clone(&disk));
        let raft = Raft::new(node_id, Arc::new(config), service.peers(), store, machine);
        let raft = raft.await.map_err(refused)?;
        raft.runtime_config().elect(!disk.is_vote_withheld());
        service.set_raft(raft.clone());

        let is_initialized = raft.is_initialized().await.map_err(refused)?;
        if !is_initialized && !has_others {
            let me = Member { addr: service.addr().to_owned(), directory: Some(disk.directory()) };
            raft.initialize(BTreeMap::from([(node_id, me)])).await.map_err(refused)?;
        } else if is_initialized && !disk.is_vote_withheld() {
            // Where another leads, its lease has been heard of by the others, and they refuse.
            raft.trigger().elect(true).await.map_err(refused)?;
        }
        let quorum = Quorum {
            raft,
            node_id,
            seams,
            election_timeout,
            tasks: Mutex::default(),
            service: Arc::clone(&service),
        };
        if quorum.is_only_voter().await? {
            let wait = quorum.raft.wait(Some(START_TIMEOUT));
            wait.state(ServerState::Leader, "start").await.map_err(refused)?;
            let term = quorum.leading_term().ok_or(NotLeader).map_err(refused)?;
            quorum.barrier(term).await.map_err(refused)?;
        } else if is_alone {
            let known = quorum.members().await?;
            quorum.shutdown().await;
            return Err(QuorumError::NotAlone { known });
        }
        if !is_alone {
            if service.disk().is_vote_withheld() {
                membership::be_judged(&service).await;
            }
            quorum.spawn(membership::attend(Arc::clone(&service)));
            quorum.spawn(failover::watch_leader(service, heartbeat));
        }
        Ok(quorum)
    }
}

impl Quorum {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = runtime::within(self.seams.clone(), task);
        let task = self.seams.spawn.spawn("metadata quorum", Box::pin(task));
        let mut tasks = self.tasks.lock();
        // Each broken connection to the leader starts one, and hardly any has much to do.
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// Asks Raft itself: its metrics follow a moment later.
    async fn is_only_voter(&self) -> Result<bool, QuorumError> {
        let node_id = self.node_id;
        let asked = self.raft.with_raft_state(move |state| {
            let mut voters = state.membership_state.effective().voter_ids();
            voters.next() == Some(node_id) && voters.next().is_none()
        });
        asked.await.map_err(refused)
    }

    /// The ids of all members, to be read by an operator.
    async fn members(&self) -> Result<String, QuorumError> {
        let asked = self.raft.with_raft_state(|state| {
            let members = state.membership_state.effective().nodes();
            let ids: Vec<String> = members.map(|(id, _)| id.to_string()).collect();
            ids.join(", ")
        });
        asked.await.map_err(refused)
    }

    /// A connection to another broker broke. If it was the leader and its process is gone, another is
    /// elected at once.
    pub(super) fn on_peer_lost(&self, node_id: i32) {
        if self.leader() == Some(node_id) {
            self.spawn(failover::replace_leader(Arc::clone(&self.service)));
        }
    }

    /// Makes a broker that follows a voter; on the leader.
    pub(super) async fn add_voter(
        &self,
        node_id: i32,
        addr: Option<String>,
        directory: Option<Directory>,
    ) -> Result<(), ChangeVotersError> {
        let change = membership::add_voter(&self.raft, node_id, addr, directory);
        runtime::within(self.seams.clone(), change).await
    }

    /// Makes a voter a broker that only follows; on the leader.
    pub(super) async fn remove_voter(
        &self,
        node_id: i32,
        directory: Option<Directory>,
    ) -> Result<(), ChangeVotersError> {
        let change = membership::remove_voter(&self.raft, node_id, directory);
        runtime::within(self.seams.clone(), change).await?;
        if u64::try_from(node_id) == Ok(self.node_id) {
            // Raft lets it lead on without a vote for as long as nobody else stands.
            self.hand_over().await;
        }
        Ok(())
    }

    /// Lets go of a broker that does not vote; on the leader.
    pub(super) async fn forget(&self, node_id: i32) -> Result<(), ChangeVotersError> {
        let change = membership::forget(&self.raft, node_id);
        runtime::within(self.seams.clone(), change).await
    }

    /// The id of the directory that the log is in.
    pub(super) fn directory(&self) -> Directory {
        self.service.disk().directory()
    }

    /// Where a member of the quorum is.
    pub(super) fn address(&self, node_id: i32) -> Option<QuorumAddress> {
        let id = u64::try_from(node_id).ok()?;
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let member = metrics.membership_config.membership().get_node(&id)?;
        Some(QuorumAddress { node_id, addr: member.addr.clone() })
    }

    /// Hands the leadership to the voter that has most of the log, and waits until it leads.
    pub(super) async fn hand_over(&self) {
        let successor = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
            let replication = metrics.replication.iter().flatten();
            let others = replication.filter(|(id, _)| **id != self.node_id && voters.contains(id));
            others.max_by_key(|(_, reached)| **reached).map(|(id, _)| *id)
        };
        let Some(successor) = successor else { return };
        if self.raft.trigger().transfer_leader(successor).await.is_err() {
            return;
        }
        let wait = self.raft.wait(Some(self.election_timeout));
        let other = wait.metrics(
            |metrics| metrics.current_leader.is_some_and(|leader| leader != self.node_id),
            "hand over",
        );
        if other.await.is_err() {
            tracing::warn!(successor, "the leadership of the metadata quorum was not taken over");
        }
    }

    pub(super) fn published(&self) -> &Arc<Published> {
        self.service.published()
    }

    /// The term in which this broker leads, if it does.
    pub(super) fn leading_term(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.state == ServerState::Leader).then_some(metrics.current_term)
    }

    /// Waits until everything that this leader or one before has appended is in the published image.
    /// An empty entry behind it all is waited for: what is committed says nothing of what this leader
    /// has on its way, and which may be committed later.
    pub(super) async fn barrier(&self, term: u64) -> Result<(), NotLeader> {
        self.append(term, Vec::new()).await?.applied().await
    }

    /// Appends records as one entry, after all that was appended before, if this broker leads in `term`.
    ///
    /// A leader that has not heard of a majority for a while refuses, in the same term in which it may
    /// go on later. What is decided next must not rest on what was refused, so that is known on return.
    pub(super) async fn append(
        &self,
        term: u64,
        records: Vec<MetadataRecord>,
    ) -> Result<Pending, NotLeader> {
        let (responder, mut outcome) = ProgressResponder::complete_only();
        let write = self.raft.write(Proposal(records)).with_leader(CommittedLeaderId::from(term));
        let write = write.responder(responder).into_future();
        runtime::within(self.seams.clone(), write).await.map_err(|_stopped| NotLeader)?;
        // Raft takes one message after the other: when it has answered this one, it has taken the
        // records or refused them.
        let taken = self.raft.with_raft_state(|_state| ());
        runtime::within(self.seams.clone(), taken).await.map_err(|_stopped| NotLeader)?;
        match (&mut outcome).now_or_never() {
            None => Ok(Pending(Some(outcome))),
            Some(Ok(Ok(written))) if written.data == Applied::Whole => Ok(Pending(None)),
            Some(_) => Err(NotLeader),
        }
    }

    /// Bytes of the log, what a snapshot could let go included.
    pub(super) fn log_size(&self) -> u64 {
        self.service.disk().size()
    }

    /// Begins a snapshot; the front of the log goes once it is durable.
    pub(super) async fn begin_snapshot(&self) {
        if let Err(error) = self.raft.trigger().snapshot().await {
            tracing::warn!(%error, "no metadata snapshot can be taken");
        }
    }

    pub(super) fn leader(&self) -> Option<i32> {
        self.raft.metrics().borrow_watched().current_leader.map(node)
    }

    /// The other broker that led last, and when it was heard of last.
    pub(super) fn silent_since(&self) -> Option<(i32, Duration)> {
        self.service.silent_since()
    }

    /// Waits until another broker than `known` leads; for good if the quorum stops.
    pub(super) async fn another_leader(&self, known: Option<i32>) {
        let mut metrics = self.raft.metrics();
        loop {
            let leader = metrics.borrow_watched().current_leader.map(node);
            if leader.is_some() && leader != known {
                return;
            }
            if metrics.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Whether this broker leads and, as far as it knows, can decide: one that is cut off from most
    /// voters leads in its own eyes only.
    pub(super) fn leads_majority(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.state == ServerState::Leader && !self.is_cut_off(&metrics)
    }

    fn is_cut_off(&self, metrics: &RaftMetrics<TypeConfig>) -> bool {
        let has_others = metrics.membership_config.membership().voter_ids().count() > 1;
        let answered = metrics.last_quorum_acked.as_ref();
        let silence = answered.map_or(Duration::ZERO, |answered| answered.elapsed());
        has_others && silence > self.election_timeout * SILENT_TIMEOUTS_MAX
    }

    pub(super) fn status(&self) -> QuorumStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let end = |index: u64| i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1);
        let reached = |id: u64| {
            let index = if id == self.node_id {
                metrics.last_log_index
            } else {
                let replication = metrics.replication.as_ref()?;
                replication.get(&id)?.as_ref().map(|log_id| log_id.index)
            };
            index.map(end)
        };
        let heard = |id: u64| {
            let heartbeat = metrics.heartbeat.as_ref()?;
            if id == self.node_id {
                return Some(Duration::ZERO);
            }
            heartbeat.get(&id)?.as_ref().map(|at| at.elapsed())
        };
        let membership = metrics.membership_config.membership();
        let member = |id: u64| {
            let member = membership.get_node(&id).cloned().unwrap_or_default();
            MemberStatus {
                node_id: node(id),
                end: reached(id),
                heard: heard(id),
                directory: member.directory.map(|directory| directory.0),
                addr: member.addr,
            }
        };
        let (mut voters, mut followers) = (Vec::new(), Vec::new());
        for id in membership.voter_ids() {
            let voter = member(id);
            let has = self.service.withheld_votes().directory(id).map(|has| has.0);
            if has.is_none() || has == voter.directory {
                voters.push(voter);
            } else {
                voters.push(MemberStatus { end: None, heard: None, ..voter.clone() });
                followers.push(MemberStatus { directory: has, ..voter });
            }
        }
        QuorumStatus {
            leader: metrics.current_leader.filter(|_| !self.is_cut_off(&metrics)).map(node),
            term: i32::try_from(metrics.current_term).unwrap_or(i32::MAX),
            high_watermark: metrics.last_applied.map_or(0, |applied| end(applied.index)),
            voters,
            observers: membership.learner_ids().map(member).chain(followers).collect(),
        }
    }

    /// Waits until the quorum can go on no more, and says why.
    pub(super) async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "the metadata quorum stopped".to_owned();
            }
        }
    }

    /// Stops taking part. What is durable stays, what is not was not promised.
    pub(super) async fn shutdown(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        let stopped = runtime::within(self.seams.clone(), self.raft.shutdown()).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the metadata quorum did not stop in order");
        }
    }
}

impl Drop for Quorum {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

fn raft_config(config: &ReplicationConfig) -> Config {
    let timeout = config.election_timeout_ms;
    Config {
        cluster_name: "flumen".to_owned(),
        // A voter waits for the lease, which is the longest timeout, and then for its own: together
        // that is between 1.1 and 1.4 times what the setting says.
        election_timeout_min: timeout * 2 / 5,
        election_timeout_max: timeout * 7 / 10,
        heartbeat_interval: timeout / 5,
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        purge_batch_size: ENTRIES_KEPT,
        snapshot_policy: SnapshotPolicy::Never,
        enable_pre_vote: Some(true),
        // A voter whose disk was replaced must not stop the leader that remembers more of it.
        allow_log_reversion: Some(true),
        // A start takes office by an election only, however it ended the last time.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

fn node(id: u64) -> i32 {
    i32::try_from(id).expect("node ids come from settings of 31 bits")
}

fn refused(error: impl fmt::Display) -> QuorumError {
    QuorumError::Raft { reason: error.to_string() }
}
