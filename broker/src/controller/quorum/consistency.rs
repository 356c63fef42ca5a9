//! Whether the files of the metadata quorum fit together, asked before Raft relies on them.
//!
//! Raft believes its storage. A log that does not begin where its snapshot ends would come out as
//! metadata that lacks its beginning, and terms that go backwards as a failed assertion. No crash
//! leaves such files, because each is durable before the next is written: the vote before the
//! entries of its term, and a snapshot before what it holds is purged. So whoever finds them has
//! lost a file or was given one of somebody else's, and must not guess.

use super::types::{LogId, term_and_index};

/// Terms are leader epochs of the log, and the next election needs one more.
const TERM_MAX: u64 = i32::MAX as u64 - 1;
/// Indexes are offsets of the log, and what follows needs some more.
const INDEX_MAX: u64 = i64::MAX as u64 >> 1;

/// What the files say.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// The newest term voted in, 0 if none.
    pub(super) vote_term: u64,
    /// The last entry that was cut off the front.
    pub(super) purged: Option<LogId>,
    /// The last entry that the snapshot holds, if there is a snapshot that holds any.
    pub(super) snapshot: Option<LogId>,
    /// The index of the first entry of the log, or of the one to come.
    pub(super) start: u64,
    /// The first entry of each term in the log.
    pub(super) terms: Vec<LogId>,
    /// The index after the last entry of the log.
    pub(super) end: u64,
}

/// How the files do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Inconsistency {
    #[error("term {term} or index {index} has no successor")]
    OutOfRange { term: u64, index: u64 },
    #[error("the log begins at {start}, but only what lies before {purged_end} was removed")]
    Start { start: u64, purged_end: u64 },
    #[error("what lay before {purged_end} is in no snapshot: its file is lost")]
    NoSnapshot { purged_end: u64 },
    #[error("entry {index} of term {term} comes after one of term {before}")]
    TermFell { index: u64, term: u64, before: u64 },
    #[error("entry {index} was of term {term} when it was noted, and is not in the log")]
    OtherEntry { index: u64, term: u64 },
    #[error("there are entries of term {term}, but votes up to {vote_term}: quorum-state is lost")]
    VoteLost { term: u64, vote_term: u64 },
}

impl Found {
    /// Checks each against the others.
    pub(super) fn check(&self) -> Result<(), Inconsistency> {
        self.check_ranges()?;
        self.check_start()?;
        self.check_terms()?;
        self.purged.iter().chain(&self.snapshot).try_for_each(|id| self.check_noted(id))
    }

    fn check_ranges(&self) -> Result<(), Inconsistency> {
        let ids = self.purged.iter().chain(&self.snapshot).chain(&self.terms).map(term_and_index);
        for (term, index) in ids.chain([(self.vote_term, self.end)]) {
            if term > TERM_MAX || index > INDEX_MAX {
                return Err(Inconsistency::OutOfRange { term, index });
            }
        }
        Ok(())
    }

    fn check_start(&self) -> Result<(), Inconsistency> {
        let after = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
        let (start, purged_end) = (self.start, after(self.purged));
        // It may begin earlier: what is purged is noted first.
        if start > purged_end {
            return Err(Inconsistency::Start { start, purged_end });
        }
        if after(self.snapshot) < purged_end {
            return Err(Inconsistency::NoSnapshot { purged_end });
        }
        Ok(())
    }

    fn check_terms(&self) -> Result<(), Inconsistency> {
        let mut before = 0;
        for (term, index) in self.terms.iter().map(term_and_index) {
            if term < before {
                return Err(Inconsistency::TermFell { index, term, before });
            }
            before = term;
        }
        let noted = self.purged.iter().chain(&self.snapshot).map(|id| id.leader_id.term);
        let (term, vote_term) = (noted.fold(before, u64::max), self.vote_term);
        if vote_term < term { Err(Inconsistency::VoteLost { term, vote_term }) } else { Ok(()) }
    }

    /// Checks the id of an entry that is in the log, or was, or is to come from a leader.
    fn check_noted(&self, id: &LogId) -> Result<(), Inconsistency> {
        let (term, index) = term_and_index(id);
        let begun = self.terms.partition_point(|first| first.index <= index);
        let (until, after) = self.terms.split_at(begun);
        let before = until.last().map(|first| first.leader_id.term);
        let fits = if (self.start..self.end).contains(&index) {
            before == Some(term)
        } else {
            before.is_none_or(|before| before <= term)
                && after.first().is_none_or(|next| term <= next.leader_id.term)
        };
        if fits { Ok(()) } else { Err(Inconsistency::OtherEntry { index, term }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::log_id;
    use super::*;

    /// Entries 10 to 19 behind a snapshot of the first 15, in terms 2 (to 12), 3 and 5 (from 18).
    fn found() -> Found {
        Found {
            vote_term: 6,
            purged: Some(log_id((2, 9))),
            snapshot: Some(log_id((3, 14))),
            start: 10,
            terms: [(2, 10), (3, 13), (5, 18)].map(log_id).into(),
            end: 20,
        }
    }

    fn check(change: impl FnOnce(&mut Found), expected: Result<(), Inconsistency>) {
        let mut found = found();
        change(&mut found);
        assert_eq!(found.check(), expected, "{found:?}");
    }

    #[test]
    fn what_a_crash_leaves_fits_together() {
        assert_eq!(Found::default().check(), Ok(()));
        check(|_| {}, Ok(()));
        check(|found| found.vote_term = 5, Ok(()));
        check(|found| found.snapshot = found.purged, Ok(()));
        // A purge that was noted and not carried out.
        check(|found| found.purged = Some(log_id((3, 14))), Ok(()));
        // The snapshot of a leader that is far ahead, before the log was cut.
        check(|found| found.snapshot = Some(log_id((6, 90))), Ok(()));
    }

    #[test]
    fn lost_files_are_noticed() {
        let no_snapshot = || Err(Inconsistency::NoSnapshot { purged_end: 10 });
        check(|found| found.snapshot = None, no_snapshot());
        check(|found| found.snapshot = Some(log_id((2, 8))), no_snapshot());
        check(|found| found.vote_term = 4, Err(Inconsistency::VoteLost { term: 5, vote_term: 4 }));
        let start = |start, purged_end| Err(Inconsistency::Start { start, purged_end });
        check(|found| found.purged = None, start(10, 0));
        check(|found| found.start = 12, start(12, 10));
    }

    #[test]
    fn what_belongs_to_another_log_is_noticed() {
        let other = |term, index| Err(Inconsistency::OtherEntry { index, term });
        check(|found| found.snapshot = Some(log_id((2, 14))), other(2, 14));
        check(|found| found.snapshot = Some(log_id((5, 14))), other(5, 14));
        check(|found| found.snapshot = Some(log_id((4, 90))), other(4, 90));
        check(|found| found.purged = Some(log_id((4, 9))), other(4, 9));
        check(
            |found| found.terms[1] = log_id((1, 13)),
            Err(Inconsistency::TermFell { index: 13, term: 1, before: 2 }),
        );
    }

    #[test]
    fn numbers_without_a_successor_are_noticed() {
        let out = |term, index| Err(Inconsistency::OutOfRange { term, index });
        check(|found| found.vote_term = TERM_MAX + 1, out(TERM_MAX + 1, 20));
        check(|found| found.snapshot = Some(log_id((3, u64::MAX))), out(3, u64::MAX));
    }
}
