//! Staying in a group and leaving it, by word or by silence.

use tracing::info;

use super::classic::{Group, GroupState};
use super::effects::Turn;
use super::error::GroupError;
use super::timers::Timer;

/// Who leaves, as the request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// Empty when a static member is taken out by its instance id alone.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// Why, in the client's words.
    pub reason: Option<String>,
}

impl Group {
    /// Extends a member's session, and tells it when it has to rejoin.
    pub(super) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        turn: &mut Turn<'_>,
    ) -> Result<(), GroupError> {
        self.check_member(member_id, instance_id)?;
        self.check_generation(generation)?;
        match self.state {
            GroupState::Empty => Err(GroupError::UnknownMember),
            GroupState::PreparingRebalance => {
                self.extend_session(member_id, turn);
                Err(GroupError::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.extend_session(member_id, turn);
                Ok(())
            }
        }
    }

    /// Takes members out; one result each, in order.
    pub(super) fn leave(
        &mut self,
        leavers: &[Leaver],
        turn: &mut Turn<'_>,
    ) -> Vec<Result<(), GroupError>> {
        let results: Vec<_> = leavers.iter().map(|leaver| self.leave_one(leaver, turn)).collect();
        if results.iter().any(Result::is_ok) {
            self.after_removal("members left", turn);
        }
        results
    }

    fn leave_one(&mut self, leaver: &Leaver, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        let by_instance = || {
            let instance_id = leaver.instance_id.as_ref().filter(|_| leaver.member_id.is_empty());
            instance_id.and_then(|instance_id| self.static_members.get(instance_id).cloned())
        };
        let member_id = match by_instance() {
            Some(member_id) => member_id,
            None if self.pending_members.remove(&leaver.member_id).is_some() => return Ok(()),
            None => {
                self.check_member(&leaver.member_id, leaver.instance_id.as_deref())?;
                leaver.member_id.clone()
            }
        };
        let reason = leaver.reason.as_deref().unwrap_or("not given");
        info!(group = %self.id, member = %member_id, reason, "member leaves");
        self.remove_member(&member_id, turn);
        Ok(())
    }

    /// A member's session timer came up.
    pub(super) fn on_session_timer(
        &mut self,
        member_id: &str,
        queued_ms: i64,
        turn: &mut Turn<'_>,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let group_id = &self.id;
        let is_over =
            member.session.is_reached(queued_ms, turn.now.monotonic_ms, turn.timers, || {
                Timer::Session { group_id: group_id.clone(), member_id: member_id.to_owned() }
            });
        if !is_over || member.is_excused() {
            return;
        }
        info!(group = %self.id, member = member_id, "member's session ended");
        self.remove_member(member_id, turn);
        self.after_removal("a member's session ended", turn);
    }

    /// A pending member's timer came up: it never came back with the id it was given.
    pub(super) fn on_pending_timer(
        &mut self,
        member_id: &str,
        queued_ms: i64,
        turn: &mut Turn<'_>,
    ) {
        let Some(deadline) = self.pending_members.get_mut(member_id) else { return };
        let group_id = &self.id;
        let is_over = deadline.is_reached(queued_ms, turn.now.monotonic_ms, turn.timers, || {
            Timer::PendingMember { group_id: group_id.clone(), member_id: member_id.to_owned() }
        });
        if is_over {
            self.pending_members.remove(member_id);
            self.maybe_complete_join(turn);
        }
    }

    /// Goes on without the members that were just removed.
    fn after_removal(&mut self, reason: &str, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::Empty => {}
            GroupState::PreparingRebalance => self.maybe_complete_join(turn),
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare_rebalance(reason, turn);
            }
        }
    }
}
