//! Whether the files of the metadata quorum fit together, asked before Raft relies on them.
//!
//! Raft believes its storage. A log that does not begin where its snapshot ends would come out as
//! metadata that lacks its beginning, and terms that go backwards as a failed assertion. No crash
//! leaves such files, because each is durable before the next is written: the vote before the
//! entries of its term, and a snapshot before what it holds is purged. So whoever finds them has
//! lost a file or was given one of somebody else's, and must not guess.

use super::types::{LogId, term_and_index};

/// Terms are leader epochs of the log, and the next election needs one more.
pub(super) const TERM_MAX: u64 = i32::MAX as u64 - 1;
/// Indexes are offsets of the log, and what follows needs some more.
pub(super) const INDEX_MAX: u64 = i64::MAX as u64 >> 1;

/// What the files say.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// The newest term voted in.
    pub(super) vote_term: Option<u64>,
    /// The last entry that was cut off the front.
    pub(super) purged: Option<LogId>,
    /// The last entry that the snapshot holds, if there is a snapshot that holds any.
    pub(super) snapshot: Option<LogId>,
    /// The entry that the voters in the snapshot are from.
    pub(super) members: Option<LogId>,
    /// The index of the first entry of the log, or of the one to come.
    pub(super) start: u64,
    /// The first entry of each term in the log.
    pub(super) terms: Vec<LogId>,
    /// The index after the last entry of the log.
    pub(super) end: u64,
    /// The index after the last entry that is known to have been on disk.
    pub(super) synced: u64,
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
    #[error("the snapshot ends before {end}, and its voters are from entry {index}")]
    Members { index: u64, end: u64 },
    #[error("entry {index} of term {term} comes after one of term {before}")]
    TermFell { index: u64, term: u64, before: u64 },
    #[error("entry {index} was of term {term} when it was noted, and is not in the log")]
    OtherEntry { index: u64, term: u64 },
    #[error("quorum-state has a vote in term 0, which is over before anybody votes")]
    EarlyVote,
    #[error("entries up to {synced} were on disk, and the log ends at {end}: some of it is lost")]
    EntriesLost { synced: u64, end: u64 },
    #[error("there are entries of term {term}, but votes up to {vote_term}: quorum-state is lost")]
    VoteLost { term: u64, vote_term: u64 },
}

impl Found {
    /// Checks each against the others.
    pub(super) fn check(&self) -> Result<(), Inconsistency> {
        self.check_ranges()?;
        self.check_start()?;
        self.check_terms()?;
        self.noted().try_for_each(|id| self.check_noted(id))?;
        self.check_notes()
    }

    fn check_ranges(&self) -> Result<(), Inconsistency> {
        let ids = self.noted().chain(&self.terms).map(term_and_index);
        for (term, index) in ids.chain([(self.vote_term(), self.end)]) {
            if term > TERM_MAX || index > INDEX_MAX {
                return Err(Inconsistency::OutOfRange { term, index });
            }
        }
        // The first entry is of term 0 and comes without a vote; every election begins a new term.
        if self.vote_term == Some(0) { Err(Inconsistency::EarlyVote) } else { Ok(()) }
    }

    fn vote_term(&self) -> u64 {
        self.vote_term.unwrap_or(0)
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
        let (synced, end) = (self.synced, self.end);
        if end < synced {
            return Err(Inconsistency::EntriesLost { synced, end });
        }
        if let Some(members) = self.members.filter(|id| after(self.snapshot) <= id.index) {
            let (index, end) = (members.index, after(self.snapshot));
            return Err(Inconsistency::Members { index, end });
        }
        Ok(())
    }

    /// What was noted in one file or another, none of it after the end of the snapshot.
    fn noted(&self) -> impl Iterator<Item = &LogId> {
        self.purged.iter().chain(&self.members).chain(&self.snapshot)
    }

    fn check_terms(&self) -> Result<(), Inconsistency> {
        let mut before = 0;
        for (term, index) in self.terms.iter().map(term_and_index) {
            if term < before {
                return Err(Inconsistency::TermFell { index, term, before });
            }
            before = term;
        }
        let noted = self.noted().map(|id| id.leader_id.term);
        let (term, vote_term) = (noted.fold(before, u64::max), self.vote_term());
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

    /// Checks the ids of noted entries against each other: the log may have none of them any more.
    fn check_notes(&self) -> Result<(), Inconsistency> {
        let mut notes: Vec<(u64, u64)> = self.noted().map(term_and_index).collect();
        notes.sort_by_key(|(_, index)| *index);
        for pair in notes.windows(2) {
            let ((term, index), (later, later_index)) = (pair[0], pair[1]);
            if term > later || (index == later_index && term != later) {
                return Err(Inconsistency::OtherEntry { index, term });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::log_id;
    use super::*;

    /// Entries 10 to 19 behind a snapshot of the first 15, in terms 2 (to 12), 3 and 5 (from 18).
    fn found() -> Found {
        Found {
            vote_term: Some(6),
            purged: Some(log_id((2, 9))),
            snapshot: Some(log_id((3, 14))),
            members: Some(log_id((1, 0))),
            start: 10,
            terms: [(2, 10), (3, 13), (5, 18)].map(log_id).into(),
            end: 20,
            synced: 20,
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
        check(|found| found.vote_term = Some(5), Ok(()));
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
        let vote_lost = |vote_term| Err(Inconsistency::VoteLost { term: 5, vote_term });
        check(|found| found.vote_term = Some(4), vote_lost(4));
        check(|found| found.vote_term = None, vote_lost(0));
        let start = |start, purged_end| Err(Inconsistency::Start { start, purged_end });
        check(|found| found.purged = None, start(10, 0));
        check(|found| found.start = 12, start(12, 10));
        check(|found| found.synced = 21, Err(Inconsistency::EntriesLost { synced: 21, end: 20 }));
    }

    #[test]
    fn what_belongs_to_another_log_is_noticed() {
        let other = |term, index| Err(Inconsistency::OtherEntry { index, term });
        check(|found| found.snapshot = Some(log_id((2, 14))), other(2, 14));
        check(|found| found.snapshot = Some(log_id((5, 14))), other(5, 14));
        check(|found| found.snapshot = Some(log_id((4, 90))), other(4, 90));
        check(|found| found.purged = Some(log_id((4, 9))), other(4, 9));
        // Where the log has nothing to say, the snapshot has.
        let ends_with = |found: &mut Found, purged, snapshot| {
            (found.purged, found.snapshot) = (Some(log_id(purged)), Some(log_id(snapshot)));
            (found.terms, found.start, found.end, found.synced) = (Vec::new(), 10, 10, 10);
        };
        check(|found| ends_with(found, (4, 9), (4, 9)), Ok(()));
        check(|found| ends_with(found, (4, 9), (5, 14)), Ok(()));
        check(|found| ends_with(found, (4, 9), (5, 9)), other(4, 9));
        check(|found| ends_with(found, (4, 9), (3, 14)), other(4, 9));
        check(|found| found.members = Some(log_id((3, 8))), other(3, 8));
        check(|found| found.members = Some(log_id((2, 13))), other(2, 13));
        let members = Err(Inconsistency::Members { index: 15, end: 15 });
        check(|found| found.members = Some(log_id((3, 15))), members);
        check(
            |found| found.terms[1] = log_id((1, 13)),
            Err(Inconsistency::TermFell { index: 13, term: 1, before: 2 }),
        );
    }

    #[test]
    fn numbers_that_cannot_be_are_noticed() {
        let out = |term, index| Err(Inconsistency::OutOfRange { term, index });
        check(|found| found.vote_term = Some(TERM_MAX + 1), out(TERM_MAX + 1, 20));
        check(|found| found.snapshot = Some(log_id((3, u64::MAX))), out(3, u64::MAX));
        check(|found| found.vote_term = Some(0), Err(Inconsistency::EarlyVote));
    }
}
