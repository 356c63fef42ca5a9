//! The form of every decision of the controller.

use super::records::MetadataRecord;

/// What to append to the metadata log, and what to answer once that is committed.
///
/// A decision without records is an answer that changes nothing; it is given only when everything
/// decided before it is committed, for it may rest on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision<A> {
    /// Appended in order, in one entry or, if they are many, in [several](entries).
    pub(super) records: Vec<MetadataRecord>,
    /// For whoever asked.
    pub(super) answer: A,
}

impl<A> Decision<A> {
    pub(super) fn answer(answer: A) -> Self {
        Self { records: Vec::new(), answer }
    }
}

/// An entry of the log is closed when it has so many bytes: while a voter takes it, no heartbeat of the
/// quorum gets through.
const ENTRY_SIZE: usize = 256 << 10;

/// Cuts a decision into entries, each committed as a whole.
///
/// If the leader of the quorum is lost in between, a part of them may be all there is. So a topic is
/// never cut, and decisions about brokers are ordered so that every beginning of them is a state in which
/// all that must hold does: leaders move before their broker is fenced, or registered anew, and the
/// sessions of the next leader fence it; a broker is let in before it leads, and what it could lead and
/// does not is found by `balance::finish_undone`.
pub(super) fn entries(records: Vec<MetadataRecord>) -> Vec<Vec<MetadataRecord>> {
    // Of the usual size, and not worth writing twice.
    const FEW: usize = 500;
    if records.len() <= FEW {
        return vec![records];
    }
    let mut entries = Vec::new();
    let (mut entry, mut size) = (Vec::new(), 0);
    for record in records {
        let belongs_to_topic =
            matches!(record, MetadataRecord::Partition(_) | MetadataRecord::Config(_));
        if size >= ENTRY_SIZE && !belongs_to_topic {
            entries.push(std::mem::take(&mut entry));
            size = 0;
        }
        size += rmp_serde::to_vec(&record).map_or(0, |bytes| bytes.len());
        entry.push(record);
    }
    entries.push(entry);
    entries
}
