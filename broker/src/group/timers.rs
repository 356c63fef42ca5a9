//! Deadlines of groups and members, ordered by time.
//!
//! A heartbeat moves a deadline far more often than one is reached, so moving one back costs
//! nothing here: the queue keeps the earlier entry, and when that comes up the [`Deadline`] says
//! that there is time left and queues itself again.

use std::collections::BTreeSet;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A member has not been heard of for its session timeout.
    Session { group_id: String, member_id: String },
    /// A member that was given an id has not come back with it.
    PendingMember { group_id: String, member_id: String },
    /// The time to join is over.
    Join { group_id: String },
    /// The time to ask for an assignment is over.
    Sync { group_id: String },
    /// Offsets may have expired.
    OffsetRetention,
}

/// All that is due some time, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(i64, Timer)>,
}

impl Timers {
    pub(super) fn insert(&mut self, at_ms: i64, timer: Timer) {
        self.queue.insert((at_ms, timer));
    }

    /// When the next timer is due.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.queue.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the next timer that is due at `now_ms`, with the time it was queued for.
    pub(super) fn pop_due(&mut self, now_ms: i64) -> Option<(i64, Timer)> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.queue.pop_first()
    }
}

/// One deadline that can be moved cheaply.
#[derive(Debug, Default, Clone)]
pub(super) struct Deadline {
    at_ms: Option<i64>,
    /// The queue entry that counts; entries queued for another time are stale.
    queued_ms: Option<i64>,
}

impl Deadline {
    /// Moves the deadline; `timer` names it in the queue.
    pub(super) fn set(&mut self, at_ms: i64, timers: &mut Timers, timer: impl FnOnce() -> Timer) {
        self.at_ms = Some(at_ms);
        if self.queued_ms.is_none_or(|queued_ms| at_ms < queued_ms) {
            timers.insert(at_ms, timer());
            self.queued_ms = Some(at_ms);
        }
    }

    /// Takes the deadline back.
    pub(super) fn clear(&mut self) {
        self.at_ms = None;
    }

    /// Says whether the queue entry of `queued_ms`, which has just come up, means that the
    /// deadline is reached. Queues it again when it was moved in the meantime.
    pub(super) fn is_reached(
        &mut self,
        queued_ms: i64,
        now_ms: i64,
        timers: &mut Timers,
        timer: impl FnOnce() -> Timer,
    ) -> bool {
        if self.queued_ms != Some(queued_ms) {
            return false;
        }
        self.queued_ms = None;
        match self.at_ms {
            Some(at_ms) if at_ms > now_ms => {
                self.set(at_ms, timers, timer);
                false
            }
            Some(_) => {
                self.at_ms = None;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire(deadline: &mut Deadline, timers: &mut Timers, now_ms: i64) -> bool {
        let mut reached = false;
        while let Some((queued_ms, _)) = timers.pop_due(now_ms) {
            reached |= deadline.is_reached(queued_ms, now_ms, timers, || Timer::OffsetRetention);
        }
        reached
    }

    #[test]
    fn a_deadline_moved_back_is_reached_once_and_late() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(10, &mut timers, || Timer::OffsetRetention);
        deadline.set(25, &mut timers, || Timer::OffsetRetention);
        assert!(!fire(&mut deadline, &mut timers, 10));
        assert_eq!(timers.next_ms(), Some(25));
        assert!(fire(&mut deadline, &mut timers, 25));
        assert_eq!(timers.next_ms(), None);
    }

    #[test]
    fn a_deadline_moved_forward_leaves_no_second_shot() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(25, &mut timers, || Timer::OffsetRetention);
        deadline.set(10, &mut timers, || Timer::OffsetRetention);
        assert!(fire(&mut deadline, &mut timers, 10));
        assert!(!fire(&mut deadline, &mut timers, 25));
    }

    #[test]
    fn a_cleared_deadline_is_never_reached() {
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(10, &mut timers, || Timer::OffsetRetention);
        deadline.clear();
        assert!(!fire(&mut deadline, &mut timers, 100));
        deadline.set(120, &mut timers, || Timer::OffsetRetention);
        assert!(fire(&mut deadline, &mut timers, 120));
    }
}
