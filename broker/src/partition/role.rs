//! Whether this broker leads a partition or follows its leader, and what changes with that.
//!
//! The log stays open over every change. Whoever waits for a leader is sent away when it stops
//! leading, and what it has appended is not acknowledged any more, even if this broker leads again
//! later: each leader epoch is a *term* of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flumen_planted::{Bug, is_planted};
use flumen_storage::{LogConfig, PartitionLog};

use super::follower::{Follower, Following, LogEnds};
use super::leader::{Leader, Leadership, OwnEnds};
use super::{CLOSED, FOLLOWING, LEADING, Partition, STORAGE_FAILED};
use crate::config::Durability;

/// What this broker is for a partition.
#[derive(Debug)]
pub(super) enum Role {
    Leader(Leader),
    Follower(Follower),
}

/// What a broker knows of the cluster's wishes for a partition that it has.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Lead(Leadership),
    Follow(Following),
}

impl Role {
    /// Of a partition that was just opened: nobody is followed before the metadata says whom.
    pub(super) fn none(high_watermark: i64) -> Self {
        let durability = Durability::Fsync;
        let nobody = Following { leader: None, leader_epoch: -1, durability };
        Self::Follower(Follower::new(nobody, high_watermark))
    }

    pub(super) fn high_watermark(&self) -> i64 {
        match self {
            Self::Leader(leader) => leader.high_watermark(),
            Self::Follower(follower) => follower.high_watermark(),
        }
    }

    pub(super) fn leader_epoch(&self) -> i32 {
        match self {
            Self::Leader(leader) => leader.leader_epoch(),
            Self::Follower(follower) => follower.leader_epoch(),
        }
    }

    pub(super) fn durability(&self) -> Durability {
        match self {
            Self::Leader(leader) => leader.durability(),
            Self::Follower(follower) => follower.durability(),
        }
    }

    pub(super) fn leader(&self) -> Option<&Leader> {
        match self {
            Self::Leader(leader) => Some(leader),
            Self::Follower(_) => None,
        }
    }

    pub(super) fn leader_mut(&mut self) -> Option<&mut Leader> {
        match self {
            Self::Leader(leader) => Some(leader),
            Self::Follower(_) => None,
        }
    }

    pub(super) fn follower_mut(&mut self) -> Option<&mut Follower> {
        match self {
            Self::Leader(_) => None,
            Self::Follower(follower) => Some(follower),
        }
    }
}

pub(super) fn log_ends(log: &PartitionLog) -> LogEnds {
    LogEnds {
        log_start_offset: log.log_start_offset(),
        log_end_offset: log.log_end_offset(),
        flushed_end_offset: log.flushed_end_offset(),
        last_epoch: log.latest_epoch(),
    }
}

impl Partition {
    /// Takes over changed metadata and settings.
    pub(crate) fn take_part(self: &Arc<Self>, part: Part, config: Arc<LogConfig>) {
        let mut log = self.log.lock();
        log.set_config(config);
        let mut role = self.role.lock();
        let has_changed = match (part, &mut *role) {
            (Part::Lead(leadership), Role::Leader(leader))
                if leader.leader_epoch() == leadership.leader_epoch =>
            {
                leader.on_changed(leadership);
                false
            }
            (Part::Follow(following), Role::Follower(follower))
                if follower.leader_epoch() == following.leader_epoch
                    && follower.leader() == following.leader =>
            {
                follower.on_changed(following);
                false
            }
            (Part::Lead(leadership), role) => {
                let LogEnds { log_end_offset, flushed_end_offset, .. } = log_ends(&log);
                let own = OwnEnds { log_end_offset, flushed_end_offset };
                let (known, now) = (role.high_watermark(), self.data_dir.now());
                let leader = Leader::new(self.node_id, leadership, own, known, now);
                *role = Role::Leader(leader);
                true
            }
            (Part::Follow(following), role) => {
                if is_planted(Bug::FollowersCutAtTheirWatermark) {
                    let now_ms = i64::try_from(self.data_dir.now().as_millis()).unwrap_or(0);
                    log.truncate_to(role.high_watermark(), now_ms).unwrap_or_default();
                }
                *role = Role::Follower(Follower::new(following, role.high_watermark()));
                true
            }
        };
        if has_changed {
            // Before the high watermark can be another's: see `Committed::outcome`.
            self.term.store(i64::from(role.leader_epoch()), Ordering::Release);
            self.is_read_from.store(false, Ordering::Relaxed);
            self.set_state(if role.leader().is_some() { LEADING } else { FOLLOWING });
        }
        self.publish(&role);
        let is_durable = role.durability() == Durability::Fsync;
        drop(role);
        drop(log);
        if has_changed {
            self.waiters.on_disrupted();
        }
        if is_durable {
            self.sync_soon();
        }
    }

    /// A failed disk is final, and so is the end.
    fn set_state(&self, state: u8) {
        let replaced = |now| (now != CLOSED && now != STORAGE_FAILED).then_some(state);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, replaced).unwrap_or_default();
    }
}
