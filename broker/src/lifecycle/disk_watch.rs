//! Whether the disk still answers. Pure: looks come in, with the time of each.
//!
//! A disk that hangs gives no error. What waits for it waits for good, and as long as this broker
//! leads, so does every producer. Nobody but this broker can see it.

use std::time::Duration;

/// What a look at the group commit shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// A round of syncs is under way.
    pub(super) is_running: bool,
    /// The rounds begun so far.
    pub(super) rounds: u64,
}

/// Notices a round of syncs that does not end.
#[derive(Debug)]
pub(super) struct DiskWatch {
    time_max: Duration,
    /// The round under way, and when it was first seen.
    seen: Option<(u64, Duration)>,
}

impl DiskWatch {
    /// A round that takes longer than `time_max` is overdue.
    pub(super) fn new(time_max: Duration) -> Self {
        Self { time_max, seen: None }
    }

    /// Takes a look at time `now`; says whether the disk is overdue.
    pub(super) fn look(&mut self, now: Duration, look: Look) -> bool {
        if !look.is_running {
            self.seen = None;
            return false;
        }
        match self.seen {
            Some((round, since)) if round == look.rounds => {
                now.saturating_sub(since) > self.time_max
            }
            _ => {
                self.seen = Some((look.rounds, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_round_that_does_not_end_is_overdue_and_a_busy_disk_is_not() {
        let mut watch = DiskWatch::new(2 * SECOND);
        let running = |rounds| Look { is_running: true, rounds };
        assert!(!watch.look(SECOND, running(7)));
        assert!(!watch.look(3 * SECOND, running(7)));
        // Another round: the one before has ended.
        assert!(!watch.look(4 * SECOND, running(8)));
        assert!(!watch.look(6 * SECOND, running(8)));
        assert!(watch.look(7 * SECOND, running(8)));
        assert!(watch.look(8 * SECOND, running(8)));
        // It has answered after all.
        assert!(!watch.look(9 * SECOND, Look { is_running: false, rounds: 8 }));
        assert!(!watch.look(20 * SECOND, running(9)));
    }
}
