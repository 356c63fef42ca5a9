//! Producer ids: blocks that the controller hands to brokers, and single ids from a block.
//!
//! An id is never given twice in the life of a cluster: a block is recorded as gone before it is
//! used, and what a broker had left of one when it stopped is lost.

use flumen_planted::{Bug, is_planted};
use serde::{Deserialize, Serialize};

use super::control::{AllocateProducerIdsError, StaleBroker};
use super::decision::Decision;
use super::image::MetadataImage;
use super::records::ProducerIdsRecord;

/// Large, so that few producers wait for the metadata log; small against 2^63.
const BLOCK_SIZE: i64 = 1000;

/// Producer ids that one broker may give to producers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdBlock {
    next: i64,
    end: i64,
}

impl ProducerIdBlock {
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.end
    }
}

impl Iterator for ProducerIdBlock {
    type Item = i64;

    /// Takes the next id, `None` when the block is used up.
    fn next(&mut self) -> Option<i64> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// All ids have been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("there are no producer ids left")]
pub struct NoProducerIds;

/// Decides on a block for a broker, if its registered start asks.
pub(super) fn allocate_producer_ids(
    image: &MetadataImage,
    broker_id: i32,
    broker_epoch: i64,
) -> Decision<Result<ProducerIdBlock, AllocateProducerIdsError>> {
    if image.broker(broker_id).is_none_or(|broker| broker.epoch != broker_epoch) {
        return Decision::answer(Err(StaleBroker.into()));
    }
    let next = image.next_producer_id();
    let Some(end) = next.checked_add(BLOCK_SIZE) else {
        return Decision::answer(Err(NoProducerIds.into()));
    };
    let next_producer_id = if is_planted(Bug::ProducerIdsRepeat) { next } else { end };
    let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
    Decision { records: vec![record.into()], answer: Ok(ProducerIdBlock { next, end }) }
}
