//! The numbers that make a producer idempotent: one sequence per partition (KIP-98).
//!
//! A broker accepts a batch only if its sequence follows on the last one, and answers a batch it has
//! already with the original's offset. So a batch keeps its numbers through all retries. Only when
//! a broker says that a number does not follow, and no earlier batch of ours is still to come, a gap
//! is certain: a batch before it failed for good, or the broker lost its state. Then the partition
//! starts over in the next epoch, which the broker accepts at sequence 0 (KIP-360). The batch that
//! was refused is certainly not written, nor is any behind it, so nothing is doubled.
//!
//! Pure; knows no batches, only their numbers.

use flumen_protocol::ErrorCode;
use flumen_protocol::records::next_sequence;

/// A producer as brokers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
}

/// The numbers of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) identity: Identity,
    /// The number of the first record.
    pub(crate) base: i32,
}

impl Sequence {
    /// The numbers of what comes `increment` records later.
    pub(crate) fn advanced(self, increment: i32) -> Self {
        Self { base: next_sequence(self.base, increment), ..self }
    }
}

/// The sequence of one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sequencer {
    /// `None` before the first batch, and when the epochs are used up.
    identity: Option<Identity>,
    next: i32,
}

/// What a refused number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An earlier batch of ours is to be sent again first; the number stays.
    Early,
    /// The number is of an epoch that was left; the batch gets another one.
    Outdated,
    /// There is a gap: the partition has to start over.
    Gap,
}

impl Sequencer {
    /// Numbers the next batch; `fresh` is used if the partition has no identity of its own.
    pub(crate) fn assign(&mut self, record_count: i32, fresh: Identity) -> Sequence {
        let identity = *self.identity.get_or_insert(fresh);
        let sequence = Sequence { identity, base: self.next };
        self.next = next_sequence(self.next, record_count);
        sequence
    }

    /// Judges a refused number; `is_oldest` if no earlier batch waits to be sent again.
    pub(crate) fn judge(&self, refused: Sequence, is_oldest: bool) -> Refusal {
        if self.identity != Some(refused.identity) {
            Refusal::Outdated
        } else if is_oldest {
            Refusal::Gap
        } else {
            Refusal::Early
        }
    }

    /// Starts over in the next epoch; `false` if there is none and a new identity is needed.
    pub(crate) fn restart(&mut self) -> bool {
        self.next = 0;
        self.identity = self.identity.and_then(|identity| {
            let epoch = identity.epoch.checked_add(1)?;
            // The highest epoch is not used: brokers fence it.
            (epoch < i16::MAX).then_some(Identity { epoch, ..identity })
        });
        self.identity.is_some()
    }
}

/// Says whether a code refuses a batch's numbers, not its contents.
pub(crate) fn refuses_sequence(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Identity = Identity { producer_id: 7, epoch: 0 };

    #[test]
    fn numbers_follow_on_each_other() {
        let mut sequencer = Sequencer::default();
        let bases: Vec<i32> =
            [3, 1, 5].map(|count| sequencer.assign(count, FRESH).base).into_iter().collect();
        assert_eq!(bases, [0, 3, 4]);
    }

    #[test]
    fn numbers_wrap_around_to_zero() {
        let mut sequencer = Sequencer { identity: Some(FRESH), next: i32::MAX - 1 };
        let bases = [2, 1].map(|count| sequencer.assign(count, FRESH).base);
        assert_eq!(bases, [i32::MAX - 1, 0]);
    }

    #[test]
    fn a_partition_starts_over_in_the_next_epoch() {
        let mut sequencer = Sequencer::default();
        let lost = sequencer.assign(10, FRESH);
        let behind = sequencer.assign(10, FRESH);
        assert_eq!(sequencer.judge(behind, false), Refusal::Early);
        assert_eq!(sequencer.judge(behind, true), Refusal::Gap);
        assert!(sequencer.restart());
        assert_eq!(sequencer.judge(lost, true), Refusal::Outdated);
        let again = sequencer.assign(10, FRESH);
        assert_eq!((again.identity.epoch, again.base), (1, 0));
    }

    #[test]
    fn an_identity_is_given_up_with_its_last_epoch() {
        let last = Identity { producer_id: 7, epoch: i16::MAX - 2 };
        let mut sequencer = Sequencer::default();
        sequencer.assign(1, last);
        assert!(sequencer.restart());
        assert!(!sequencer.restart());
        let fresh = Identity { producer_id: 8, epoch: 0 };
        assert_eq!(sequencer.assign(1, fresh), Sequence { identity: fresh, base: 0 });
    }
}
