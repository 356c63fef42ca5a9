//! The form of every decision of the controller.

use super::records::MetadataRecord;

/// What to append to the metadata log, and what to answer once that is committed.
///
/// A decision without records is an answer that changes nothing; it is given only when everything
/// decided before it is committed, for it may rest on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision<A> {
    /// Appended together: all of them, or none.
    pub(super) records: Vec<MetadataRecord>,
    /// For whoever asked.
    pub(super) answer: A,
}

impl<A> Decision<A> {
    pub(super) fn answer(answer: A) -> Self {
        Self { records: Vec::new(), answer }
    }
}
