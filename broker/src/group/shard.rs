//! All groups of one partition of `__consumer_offsets`: finds the group an event is about, runs
//! its rules, and forgets groups of which nothing is left.
//!
//! Durable are the offsets and each group's stored record; both change in `replay` only. What
//! requests ask about offsets stands in [`commits`](super::commits), what people ask about groups
//! in [`listing`](super::listing).

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use super::classic::{Group, GroupState};
use super::effects::{GroupCommitted, GroupEffects, GroupReply, JoinRequest, SyncRequest, Turn};
use super::error::GroupError;
use super::offsets::OffsetStore;
use super::records::{self, GroupRecord};
use super::session::Leaver;
use super::timers::{Deadline, Timer, Timers};
use crate::config::GroupConfig;
use crate::coordinator::{CoordinatorRecord, Now, ReplayError, Shard, Ticket};

/// The pause before more of them.
const TOMBSTONES_PAUSE_MS: i64 = 100;

/// The groups of one partition.
#[derive(Debug)]
pub struct GroupShard {
    pub(super) config: Arc<GroupConfig>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) offsets: OffsetStore,
    /// How many records were replayed, which dates what no record tells of.
    pub(super) replayed: u64,
    timers: Timers,
    retention: Deadline,
}

impl GroupShard {
    /// A shard before anything was replayed.
    pub fn new(config: Arc<GroupConfig>) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            offsets: OffsetStore::default(),
            replayed: 0,
            timers: Timers::default(),
            retention: Deadline::default(),
        }
    }

    /// Handles a join; the answer goes to `ticket`.
    pub fn join(
        &mut self,
        now: Now,
        ticket: Ticket,
        mut request: JoinRequest,
        effects: &mut GroupEffects,
    ) {
        // Clients of version 0 know one timeout only.
        if request.rebalance_timeout_ms < 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        let group_id = request.group_id.clone();
        let is_first_join = request.member_id.is_empty();
        let refusal = self.check_join(&request).err().or_else(|| {
            // Only a first join makes a group: an id from somewhere else is from a lost past.
            let is_known = is_first_join || self.groups.contains_key(&group_id);
            (!is_known).then_some(GroupError::UnknownMember)
        });
        let was_void = self.is_void(&group_id);
        let mut turn = Turn { now, config: &self.config, timers: &mut self.timers, effects };
        if let Some(error) = refusal {
            turn.refuse_join(ticket, error, request.member_id);
            return;
        }
        let replayed = self.replayed;
        self.groups
            .entry(group_id.clone())
            .or_insert_with(|| Group::new(group_id.clone(), replayed))
            .join(ticket, request, &mut turn);
        if !was_void {
            self.forget_if_void(&group_id);
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), GroupError> {
        let (min_ms, max_ms) =
            (self.config.min_session_timeout_ms, self.config.max_session_timeout_ms);
        let given_ms = request.session_timeout_ms;
        if request.group_id.is_empty() {
            Err(GroupError::InvalidGroupId)
        } else if !(min_ms..=max_ms).contains(&given_ms) {
            Err(GroupError::InvalidSessionTimeout { given_ms, min_ms, max_ms })
        } else {
            Ok(())
        }
    }

    /// Handles a sync; the answer goes to `ticket`.
    pub fn sync(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: SyncRequest,
        effects: &mut GroupEffects,
    ) {
        let group_id = request.group_id.clone();
        let mut turn = Turn { now, config: &self.config, timers: &mut self.timers, effects };
        match self.groups.get_mut(&group_id) {
            // Offsets can be kept under no name, but nobody can be a member there.
            _ if group_id.is_empty() => turn.refuse_sync(ticket, GroupError::InvalidGroupId),
            Some(group) => group.sync(ticket, request, &mut turn),
            None => turn.refuse_sync(ticket, GroupError::UnknownMember),
        }
    }

    /// Extends a member's session.
    pub fn heartbeat(
        &mut self,
        now: Now,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        effects: &mut GroupEffects,
    ) -> Result<(), GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        self.with_group(now, group_id, effects, |group, turn| {
            group.heartbeat(member_id, instance_id, generation, turn)
        })
        .unwrap_or(Err(GroupError::UnknownMember))
    }

    /// Takes members out of a group; one result each, in order.
    pub fn leave(
        &mut self,
        now: Now,
        group_id: &str,
        leavers: &[Leaver],
        effects: &mut GroupEffects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let results =
            self.with_group(now, group_id, effects, |group, turn| group.leave(leavers, turn));
        Ok(results.unwrap_or_else(|| vec![Err(GroupError::UnknownMember); leavers.len()]))
    }

    /// Deletes a group without members, with its offsets, some at a time; says whether any are left.
    pub fn delete_group(
        &mut self,
        group_id: &str,
        effects: &mut GroupEffects,
    ) -> Result<bool, GroupError> {
        let Some(group) = self.groups.get_mut(group_id) else {
            return Err(GroupError::GroupNotFound { group_id: group_id.to_owned() });
        };
        if group.state != GroupState::Empty {
            return Err(GroupError::NotEmpty);
        }
        group.pending_members.clear();
        let offsets = self.offsets.of_group(group_id).into_iter().flatten();
        let of_offsets = offsets.flat_map(|(topic, partitions)| {
            let partitions = partitions.keys();
            partitions.map(move |&partition| records::offset_tombstone(group_id, topic, partition))
        });
        // The group goes last: until then the deletion can be asked for again.
        let of_group = std::iter::once_with(|| records::group_tombstone(group_id));
        let mut tombstones = of_offsets.chain(of_group).peekable();
        records::fill_batch(&mut tombstones, &mut effects.records);
        Ok(tombstones.peek().is_some())
    }

    /// Runs rules of a group that exists.
    fn with_group<R>(
        &mut self,
        now: Now,
        group_id: &str,
        effects: &mut GroupEffects,
        rules: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let was_void = self.is_void(group_id);
        let group = self.groups.get_mut(group_id)?;
        let mut turn = Turn { now, config: &self.config, timers: &mut self.timers, effects };
        let result = rules(group, &mut turn);
        if !was_void {
            self.forget_if_void(group_id);
        }
        Some(result)
    }

    pub(super) fn group_or_new(&mut self, group_id: &str) -> &mut Group {
        let replayed = self.replayed;
        self.groups
            .entry(group_id.to_owned())
            .or_insert_with(|| Group::new(group_id.to_owned(), replayed))
    }

    fn is_void(&self, group_id: &str) -> bool {
        self.groups.get(group_id).is_some_and(Group::is_void) && !self.offsets.has_group(group_id)
    }

    fn forget_if_void(&mut self, group_id: &str) {
        if self.is_void(group_id) {
            self.groups.remove(group_id);
        }
    }

    /// Notes that a member was heard of, outside of a heartbeat.
    pub(super) fn touch(
        &mut self,
        now: Now,
        group_id: &str,
        member_id: &str,
        effects: &mut GroupEffects,
    ) {
        self.with_group(now, group_id, effects, |group, turn| {
            group.extend_session(member_id, turn);
        });
    }

    /// Looks for offsets whose time is over, and for groups that were only kept for them.
    fn expire_offsets(&mut self, now: Now, effects: &mut GroupEffects) {
        let mut expired = self.expired_offsets(now).peekable();
        let count = records::fill_batch(&mut expired, &mut effects.records);
        let pause_ms = match expired.peek() {
            Some(_) => TOMBSTONES_PAUSE_MS,
            None => self.config.offsets_retention_check_interval_ms,
        };
        drop(expired);
        if count > 0 {
            info!(count, "expired committed offsets or empty groups");
        }
        self.set_retention(now, pause_ms);
    }

    fn set_retention(&mut self, now: Now, pause_ms: i64) {
        let at_ms = now.monotonic_ms.saturating_add(pause_ms);
        self.retention.set(at_ms, &mut self.timers, || Timer::OffsetRetention);
    }

    fn on_timer(&mut self, now: Now, queued_ms: i64, timer: Timer, effects: &mut GroupEffects) {
        let now_ms = now.monotonic_ms;
        let again = timer.clone();
        match timer {
            Timer::Session { group_id, member_id } => {
                self.with_group(now, &group_id, effects, |group, turn| {
                    group.on_session_timer(&member_id, queued_ms, turn);
                });
            }
            Timer::PendingMember { group_id, member_id } => {
                self.with_group(now, &group_id, effects, |group, turn| {
                    group.on_pending_timer(&member_id, queued_ms, turn);
                });
            }
            Timer::Join { group_id } => {
                self.with_group(now, &group_id, effects, |group, turn| {
                    if group.join_deadline.is_reached(queued_ms, now_ms, turn.timers, || again) {
                        group.on_join_deadline(turn);
                    }
                });
            }
            Timer::Sync { group_id } => {
                self.with_group(now, &group_id, effects, |group, turn| {
                    if group.sync_deadline.is_reached(queued_ms, now_ms, turn.timers, || again) {
                        group.on_sync_deadline(turn);
                    }
                });
            }
            Timer::OffsetRetention => {
                if self.retention.is_reached(queued_ms, now_ms, &mut self.timers, || again) {
                    self.expire_offsets(now, effects);
                }
            }
        }
    }
}

impl Shard for GroupShard {
    type Reply = GroupReply;
    type Committed = GroupCommitted;

    fn replay(&mut self, offset: i64, record: &CoordinatorRecord) -> Result<(), ReplayError> {
        match GroupRecord::parse(offset, record)? {
            GroupRecord::Offset { group_id, topic, partition, value } => {
                if value.is_some() {
                    self.group_or_new(&group_id);
                }
                // A group whose last offset is deleted stays, empty, until retention looks at it.
                self.offsets.replay(&group_id, topic, partition, value);
            }
            GroupRecord::Group { group_id, value: Some(value) } => {
                self.group_or_new(&group_id).on_stored(value);
            }
            GroupRecord::Group { group_id, value: None } => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    group.on_tombstone();
                }
                self.forget_if_void(&group_id);
            }
            GroupRecord::Other { kind } => {
                warn!(offset, kind, "skipped a coordinator record of an unknown kind");
            }
        }
        self.replayed += 1;
        Ok(())
    }

    fn on_loaded(&mut self, now: Now, effects: &mut GroupEffects) {
        let mut turn = Turn { now, config: &self.config, timers: &mut self.timers, effects };
        for group in self.groups.values_mut() {
            group.restore(&mut turn);
        }
        self.set_retention(now, self.config.offsets_retention_check_interval_ms);
    }

    fn on_tick(&mut self, now: Now, effects: &mut GroupEffects) {
        while let Some((queued_ms, timer)) = self.timers.pop_due(now.monotonic_ms) {
            self.on_timer(now, queued_ms, timer, effects);
        }
    }

    fn on_committed(&mut self, now: Now, event: GroupCommitted, effects: &mut GroupEffects) {
        let GroupCommitted::AssignmentStored { group_id, generation } = event;
        self.with_group(now, &group_id, effects, |group, turn| {
            group.on_assignment_stored(generation, turn);
        });
    }

    fn on_refused(&mut self, now: Now, event: GroupCommitted, effects: &mut GroupEffects) {
        let GroupCommitted::AssignmentStored { group_id, generation } = event;
        self.with_group(now, &group_id, effects, |group, turn| {
            group.on_assignment_refused(generation, turn);
        });
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_ms()
    }
}
