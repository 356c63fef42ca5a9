//! What a follower of a partition does next, and what its leader's answers mean.
//!
//! Pure: the state of the log and answers come in, what to do to the log comes out. The follower's
//! log is cut only where a leader of the epoch that is followed says that histories part, and never
//! by the follower's own high watermark (R7): what lies above that may be committed all the same.

use std::time::Duration;

use flumen_planted::{Bug, is_planted};
use flumen_storage::EpochEndOffset;

use crate::config::Durability;

/// A leader that cannot answer yet is asked again soon: it is about to lead, or about to be replaced.
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// The part of the cluster's metadata that a follower acts on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Following {
    /// Whom to follow, if anybody leads.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    /// When a record counts as stored.
    pub(crate) durability: Durability,
}

/// The state of the follower's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogEnds {
    pub(crate) log_start_offset: i64,
    pub(crate) log_end_offset: i64,
    pub(crate) flushed_end_offset: i64,
    /// The epoch of the last record, if there is one.
    pub(crate) last_epoch: Option<i32>,
}

/// What a fetch says of the follower's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FetchPosition {
    /// The epoch that is followed.
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
    pub(crate) last_epoch: Option<i32>,
    pub(crate) log_start_offset: i64,
}

/// What a follower does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nobody leads: nothing until the metadata changes.
    Rest,
    /// What it has must be on disk before it may tell that it has it.
    Sync,
    /// Nothing before this time.
    Wait(Duration),
    Fetch(FetchPosition),
}

/// A leader's answer for the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    /// Records that follow, or none so far.
    Records { high_watermark: i64, log_start_offset: i64 },
    /// The histories part; where the epoch ends in the leader's log.
    Diverging { epoch: i32, end_offset: i64 },
    /// The leader's log does not reach to what was asked for, from either side.
    OutOfRange { log_start_offset: i64 },
    /// It does not lead, leads in another epoch, or cannot read its log.
    Failed,
}

/// What an answer means for the follower's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The answer is to a question that is not current any more, or a failure.
    Nothing,
    /// Append what came, if anything, then tell [`Follower::on_appended`].
    Append { high_watermark: i64, log_start_offset: i64 },
    /// Cut the log off, durably, then tell [`Follower::on_cut`].
    Truncate { end_offset: i64 },
    /// Drop everything and begin at this offset, then tell [`Follower::on_cut`].
    Restart { offset: i64 },
}

/// A follower of one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Follower {
    following: Following,
    high_watermark: i64,
    back_off: Option<BackOff>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BackOff {
    until: Duration,
    time: Duration,
}

impl Follower {
    /// Begins to follow. What was known to be committed before still is.
    pub(crate) fn new(following: Following, high_watermark: i64) -> Self {
        Self { following, high_watermark, back_off: None }
    }

    pub(crate) fn leader(&self) -> Option<i32> {
        self.following.leader
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.following.leader_epoch
    }

    pub(crate) fn durability(&self) -> Durability {
        self.following.durability
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Takes over changed metadata of the same leader epoch.
    pub(crate) fn on_changed(&mut self, following: Following) {
        self.following = following;
        self.back_off = None;
    }

    /// What to do with a log in this state.
    pub(crate) fn next(&self, log: &LogEnds, now: Duration) -> Next {
        if self.following.leader.is_none() {
            return Next::Rest;
        }
        if let Some(BackOff { until, .. }) = self.back_off.filter(|back_off| now < back_off.until) {
            return Next::Wait(until);
        }
        let is_synced = log.flushed_end_offset >= log.log_end_offset
            || is_planted(Bug::FollowersTellTheUnsynced);
        if self.following.durability == Durability::Fsync && !is_synced {
            return Next::Sync;
        }
        Next::Fetch(self.position(log))
    }

    /// What `answer` to a fetch from `asked` means. `end_of_epoch` looks an epoch up in the
    /// follower's own log.
    pub(crate) fn on_answer(
        &mut self,
        asked: &FetchPosition,
        answer: Answer,
        log: &LogEnds,
        end_of_epoch: impl FnOnce(i32) -> Option<EpochEndOffset>,
        now: Duration,
    ) -> Step {
        if !self.is_current(asked, log) {
            return Step::Nothing;
        }
        let step = match answer {
            Answer::Records { high_watermark, log_start_offset } => {
                Step::Append { high_watermark, log_start_offset }
            }
            Answer::Diverging { epoch, end_offset } => {
                let end_offset = agreed_end(end_offset, end_of_epoch(epoch));
                // An epoch whose first record could not be written here goes by a cut at the end.
                let has_noted_more = log.last_epoch.is_some_and(|last| epoch < last);
                match end_offset < log.log_end_offset || has_noted_more {
                    true => Step::Truncate { end_offset: end_offset.min(log.log_end_offset) },
                    // It cannot be told apart from what was asked about.
                    false => Step::Nothing,
                }
            }
            Answer::OutOfRange { log_start_offset } => Step::Restart { offset: log_start_offset },
            Answer::Failed => Step::Nothing,
        };
        match step {
            Step::Nothing => self.on_failed(now),
            Step::Append { .. } | Step::Truncate { .. } | Step::Restart { .. } => {
                self.back_off = None;
            }
        }
        step
    }

    /// Notes that the leader cannot be reached, or that it does not answer as its follower expects.
    pub(crate) fn on_failed(&mut self, now: Duration) {
        let time = self.back_off.map_or(BACK_OFF_MIN, |last| (last.time * 2).min(BACK_OFF_MAX));
        self.back_off = Some(BackOff { until: now + time, time });
    }

    /// After the records of an answer were appended: what the leader knows to be committed is so here,
    /// as far as this log has it. Returns the high watermark.
    pub(crate) fn on_appended(&mut self, leader_high_watermark: i64, log_end_offset: i64) -> i64 {
        // A new leader may know less than the last one told.
        self.high_watermark = self.high_watermark.max(leader_high_watermark.min(log_end_offset));
        self.high_watermark
    }

    /// After the log was cut off or begun anew. Returns the high watermark.
    ///
    /// That lies below the cut unless records that were committed are lost: after an election of a
    /// replica that was not in sync.
    pub(crate) fn on_cut(&mut self, log: &LogEnds) -> i64 {
        self.high_watermark = self.high_watermark.clamp(log.log_start_offset, log.log_end_offset);
        self.high_watermark
    }

    fn position(&self, log: &LogEnds) -> FetchPosition {
        FetchPosition {
            leader_epoch: self.following.leader_epoch,
            offset: log.log_end_offset,
            last_epoch: log.last_epoch,
            log_start_offset: log.log_start_offset,
        }
    }

    /// Whether a question is still the one that this log would ask.
    pub(crate) fn is_current(&self, asked: &FetchPosition, log: &LogEnds) -> bool {
        let now = self.position(log);
        let same_log = (asked.offset, asked.last_epoch) == (now.offset, now.last_epoch);
        self.following.leader.is_some() && asked.leader_epoch == now.leader_epoch && same_log
    }
}

/// Where both logs agree for certain: not above the end that the leader names for an epoch, nor
/// above the end of that epoch here (KIP-279). What is left above is found by asking again.
fn agreed_end(leader_end: i64, own: Option<EpochEndOffset>) -> i64 {
    own.map_or(leader_end, |own| own.end_offset.min(leader_end)).max(0)
}

#[cfg(test)]
mod tests;
