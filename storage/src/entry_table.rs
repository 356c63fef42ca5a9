//! The body of an index: entries of one fixed size, in order.
//!
//! The active segment's table lives on the heap and grows; a sealed segment's is a mapping of its
//! file. What the entries mean is the business of the index that owns the table.

use bytes::Bytes;

/// Entries of `SIZE` bytes each, growing or sealed.
#[derive(Debug, Clone)]
pub(crate) enum EntryTable<const SIZE: usize> {
    /// Entries of the active segment.
    Growing(Vec<u8>),
    /// Entries of a sealed segment, usually a mapped file.
    Sealed(Bytes),
}

impl<const SIZE: usize> EntryTable<SIZE> {
    /// A table that can grow; nothing is allocated before the first entry.
    pub(crate) fn new() -> Self {
        Self::Growing(Vec::new())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Growing(bytes) => bytes,
            Self::Sealed(bytes) => bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_bytes().len() / SIZE
    }

    pub(crate) fn entry(&self, index: usize) -> &[u8; SIZE] {
        let start = index * SIZE;
        self.as_bytes()[start..start + SIZE].try_into().expect("the slice has SIZE bytes")
    }

    pub(crate) fn last(&self) -> Option<&[u8; SIZE]> {
        self.len().checked_sub(1).map(|index| self.entry(index))
    }

    /// Adds an entry; a sealed table becomes a growing copy first.
    pub(crate) fn push(&mut self, entry: [u8; SIZE]) {
        self.make_growing().extend_from_slice(&entry);
    }

    /// Number of leading entries for which `before` holds; it must not hold again after failing.
    pub(crate) fn partition_point(&self, before: impl Fn(&[u8; SIZE]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.entry(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Gives up the mapping of a file that is going to be written anew.
    pub(crate) fn detach(&mut self) {
        self.make_growing();
    }

    fn make_growing(&mut self) -> &mut Vec<u8> {
        if let Self::Sealed(bytes) = self {
            *self = Self::Growing(bytes.to_vec());
        }
        match self {
            Self::Growing(bytes) => bytes,
            Self::Sealed(_) => unreachable!("a sealed table was just copied"),
        }
    }
}
