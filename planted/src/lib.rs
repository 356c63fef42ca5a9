//! Bugs that can be planted, to see whether the simulation's checkers find them.
//!
//! Each is a plausible mistake at one place of the storage or the broker, or where another place would
//! make up for it at both, which ask [`is_planted`] there. Without the feature `armed` that is the
//! constant `false`, and the compiler drops the mistake: no program that is built in earnest contains
//! one. With it, one bug at a time is planted per thread.
//!
//! **Invariant:** the broker does the same with a bug that is not planted as without this crate.

/// Declares the bugs.
macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A mistake that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $doc])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is wrong with it planted.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// Logs are acknowledged as synced without a sync.
    SyncsAreSkipped,
    /// A log that was opened knows no producers.
    ProducersAreForgotten,
    /// A batch that is sent again is appended again.
    RetriesAreAppended,
    /// A batch is appended though one before it is missing.
    SequencesAreUnchecked,
    /// A group's records are answered when appended, not when committed.
    GroupRecordsAreNotAwaited,
    /// A coordinator that loads a log leaves its last batch out.
    LastGroupBatchIsNotLoaded,
    /// A member that was put out can still commit.
    GenerationsAreUnchecked,
    /// A vote in the metadata quorum is not written down.
    VotesAreNotKept,
    /// Entries of the metadata log are acknowledged without a sync.
    EntriesAreNotSynced,
    /// A leader is elected from all replicas, in sync or not.
    AnyReplicaMayLead,
    /// A new leader has the epoch of the one before.
    LeaderEpochsStay,
    /// Who is out of service stays in sync.
    FencedMembersStay,
    /// The last member of an in-sync set is taken out like any other.
    LastMembersAreDropped,
    /// Who leaves an in-sync set that is too small is not remembered as eligible.
    EligibleAreForgotten,
    /// An in-sync set is taken from a leader that did not know of the last change.
    StaleProposalsAreTaken,
    /// A producer id is given twice.
    ProducerIdsRepeat,
    /// A record is acknowledged once its leader has appended it, whoever was to be awaited.
    AppendedIsAcknowledged,
    /// The high watermark does not wait for the members of the in-sync set.
    MembersAreNotAwaited,
    /// The high watermark does not wait for those who are proposed as members, or soon will be.
    ProposedAreNotAwaited,
    /// The high watermark moves though too few are in sync.
    TooFewMayCommit,
    /// A leader counts its own records before they are synced.
    LeadersCountTheUnsynced,
    /// A follower tells that it has records which it has not synced.
    FollowersTellTheUnsynced,
    /// A follower joins the in-sync set wherever its log ends.
    LaggardsJoin,
    /// A follower of a new leader cuts its log at its own high watermark.
    FollowersCutAtTheirWatermark,
    /// A leader does not tell a follower that their histories part.
    DivergenceIsNotTold,
    /// A fetch is answered whatever leader epoch it names.
    FetchEpochsAreUnchecked,
    /// A record is acknowledged by the high watermark of a later leader epoch, whoever leads in it.
    TermsAreConfused,
    /// Consumers read beyond the high watermark.
    UncommittedIsRead,
    /// A coordinator that was replaced goes on where it was when it is one again.
    OldCoordinatorsAppend,
    /// A broker that is registered again leads what its last start led.
    StartsKeepLeading,
    /// A broker that is registered again has the epoch of its last start.
    StartsShareAnEpoch,
    /// Producers' batches that were cut off a log are taken for repetitions when they come again.
    CutBatchesAreRemembered,
    /// A follower does not note which producers' batches it copies.
    FollowersIgnoreProducers,
    /// A new leader shows all that it has as committed.
    NewLeadersShowAll,
    /// A log that is opened counts as committed to its end.
    OpenedLogsAreCommitted,
    /// A leader goes by the in-sync set that it has proposed before that is accepted.
    ProposalsCountAtOnce,
    /// An in-sync set is taken from whoever led once.
    OldLeadersPropose,
    /// A log that is cut off keeps the leader epochs of what is gone.
    EpochsAreNotCutBack,
    /// Any replica may lead when nobody else can, though nobody has asked for that.
    UncleanIsAllowed,
    /// A leader is elected though it is out of service.
    FencedAreElected,
    /// The old replicas go before the new ones are in sync.
    MovesEndEarly,
    /// The old replicas stay though all new ones are in sync.
    MovesNeverEnd,
    /// A broker keeps what it has of a partition that was moved away.
    DepartedStay,
    /// A broker keeps what it has of a topic that was deleted.
    DeletedTopicsStay,
    /// A follower hears of a high watermark only with records.
    WatermarksAreNotTold,
    /// A new leader tells where a partition ends before it knows.
    EndsAreToldUnsettled,
    /// A snapshot of the metadata does not say who is eligible.
    SnapshotsForgetEligible,
    /// A snapshot of the metadata does not say which producer ids are given.
    SnapshotsForgetProducerIds,
    /// Only the last batch of a producer is known when it comes again.
    OneBatchIsRemembered,
    /// All members of a group are given what the first is.
    AllAreAssignedTheSame,
    /// A fetch session goes on reading where it began.
    SessionsStandStill,
    /// What a follower had counts for it after its damaged log was emptied.
    EmptiedLogsCount,
    /// Who comes with another disk stays in sync.
    NewDisksCount,
    /// A deletion of records is acknowledged when the leader has done it.
    DeletionsAreNotAwaited,
    /// A follower keeps what its leader has deleted.
    FollowersKeepTheDeleted,
    /// Where a log starts is not written down when that moves.
    StartsAreNotKept,
}

/// Whether a bug is there.
#[cfg(not(feature = "armed"))]
#[must_use]
#[inline]
pub const fn is_planted(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "armed")]
pub use armed::{is_planted, plant};

#[cfg(feature = "armed")]
mod armed {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether a bug is there, for this thread.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug for this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}

#[cfg(all(test, not(feature = "armed")))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planted_in_earnest() {
        assert!(!Bug::ALL.iter().any(|bug| is_planted(*bug)));
    }
}
