//! The metadata quorum: a log of decisions that a majority of the voters has on disk.
//!
//! This is the facade over openraft; nothing outside this folder names it. A cluster of one is a
//! quorum of one, with the same elections, the same log and the same files.

mod consistency;
mod disk;
mod durable_file;
mod log_store;
mod peers;
mod runtime;
mod snapshot;
mod state_machine;
mod types;

#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_storage::vfs::Vfs;
use openraft::async_runtime::WatchReceiver;
use openraft::impls::ProgressResponder;
use openraft::{BasicNode, Config, Raft, ReadPolicy, ServerState, SnapshotPolicy};

use super::records::MetadataRecord;
use crate::config::ReplicationConfig;
use disk::Disk;
use log_store::LogStore;
use peers::NoPeers;
use state_machine::StateMachine;
use types::{Outcome, Proposal, TypeConfig};

pub(super) use state_machine::Published;

/// Far longer than a quorum of one needs to elect itself.
const START_TIMEOUT: Duration = Duration::from_secs(30);

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
    #[error(
        "controller.quorum.voters names {count} brokers; only a cluster of one is served for now"
    )]
    SeveralVoters {
        /// How many.
        count: usize,
    },
}

/// The decision was not recorded, as far as is known: this broker is not, or no longer, the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this broker does not lead the metadata quorum")]
pub struct NotLeader;

/// Where the quorum stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumStatus {
    /// The leader, if one is known.
    pub leader: Option<i32>,
    /// Grows with every election.
    pub term: i32,
    /// The offset after the last committed entry.
    pub high_watermark: i64,
    /// The voters, each with the offset after the last entry it is known to have.
    pub voters: Vec<(i32, Option<i64>)>,
    /// The brokers that only follow, likewise.
    pub observers: Vec<(i32, Option<i64>)>,
}

/// This broker's part of the metadata quorum.
pub(super) struct Quorum {
    raft: Raft<TypeConfig, StateMachine>,
    published: Arc<Published>,
    disk: Arc<Disk>,
    node_id: u64,
    seams: Seams,
}

/// An entry on its way into the log.
pub(super) struct Pending(Outcome);

impl Pending {
    /// Waits until the entry is committed and in the published image.
    pub(super) async fn applied(self) -> Result<(), NotLeader> {
        match self.0.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotLeader),
        }
    }
}

impl Quorum {
    /// Opens the log in `dir` and takes part in the quorum; a cluster of one leads it on return.
    pub(super) async fn start(
        node_id: i32,
        config: &ReplicationConfig,
        dir: &Path,
        vfs: Arc<dyn Vfs>,
        seams: Seams,
    ) -> Result<Self, QuorumError> {
        if config.voters.iter().any(|voter| voter.node_id != node_id) {
            return Err(QuorumError::SeveralVoters { count: config.voters.len() });
        }
        let disk = Disk::open(vfs, dir, seams.clone()).map_err(QuorumError::Disk)?;
        let disk = Arc::new(disk);
        let published = Arc::new(Published::new());
        let machine = StateMachine::new(Arc::clone(&published), Arc::clone(&disk));
        let store = LogStore::new(Arc::clone(&disk));
        let raft_config = Arc::new(raft_config(config).validate().map_err(refused)?);
        let node_id = u64::try_from(node_id).map_err(refused)?;
        let start = async {
            let raft = Raft::new(node_id, raft_config, NoPeers, store, machine).await;
            let raft = raft.map_err(refused)?;
            let is_initialized = raft.is_initialized().await.map_err(refused)?;
            if is_initialized {
                // Alone, there is nobody whose lease could still run.
                raft.trigger().elect(true).await.map_err(refused)?;
            } else {
                let members = BTreeMap::from([(node_id, BasicNode::default())]);
                raft.initialize(members).await.map_err(refused)?;
            }
            let wait = raft.wait(Some(START_TIMEOUT));
            wait.state(ServerState::Leader, "start").await.map_err(refused)?;
            Ok::<_, QuorumError>(raft)
        };
        let raft = runtime::within(seams.clone(), start).await?;
        let quorum = Self { raft, published, disk, node_id, seams };
        quorum.catch_up().await.map_err(refused)?;
        Ok(quorum)
    }

    pub(super) fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The term in which this broker leads, if it does.
    pub(super) fn leading_term(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.state == ServerState::Leader).then_some(metrics.current_term)
    }

    /// Waits until everything that leaders before this one appended is in the published image.
    pub(super) async fn catch_up(&self) -> Result<(), NotLeader> {
        let read = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        let read = runtime::within(self.seams.clone(), read).await;
        read.map(|_| ()).map_err(|_refused| NotLeader)
    }

    /// Appends records as one entry, after all that was appended before.
    pub(super) async fn append(&self, records: Vec<MetadataRecord>) -> Result<Pending, NotLeader> {
        let (responder, receiver) = ProgressResponder::complete_only();
        let write = self.raft.client_write_ff(Proposal(records), Some(responder));
        runtime::within(self.seams.clone(), write).await.map_err(|_stopped| NotLeader)?;
        Ok(Pending(receiver))
    }

    /// Bytes of the log, what a snapshot could let go included.
    pub(super) fn log_size(&self) -> u64 {
        self.disk.size()
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
        let members = |ids: Vec<u64>| ids.into_iter().map(|id| (node(id), reached(id))).collect();
        let membership = metrics.membership_config.membership();
        QuorumStatus {
            leader: metrics.current_leader.map(node),
            term: i32::try_from(metrics.current_term).unwrap_or(i32::MAX),
            high_watermark: metrics.last_applied.map_or(0, |applied| end(applied.index)),
            voters: members(membership.voter_ids().collect()),
            observers: members(membership.learner_ids().collect()),
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
        let stopped = runtime::within(self.seams.clone(), self.raft.shutdown()).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the metadata quorum did not stop in order");
        }
    }
}

fn raft_config(config: &ReplicationConfig) -> Config {
    let timeout = config.election_timeout_ms;
    Config {
        cluster_name: "flumen".to_owned(),
        election_timeout_min: timeout,
        election_timeout_max: timeout * 2,
        heartbeat_interval: timeout / 5,
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        purge_batch_size: ENTRIES_KEPT,
        snapshot_policy: SnapshotPolicy::Never,
        enable_pre_vote: Some(true),
        // A start takes office by an election only, however it ended the last time.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

fn node(id: u64) -> i32 {
    i32::try_from(id).expect("node ids come from settings of 31 bits")
}

fn refused(error: impl std::fmt::Display) -> QuorumError {
    QuorumError::Raft { reason: error.to_string() }
}
