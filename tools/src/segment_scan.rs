//! Walks over a segment file batch by batch, reading only, and says where it stops being one.
//!
//! It reads the file itself, not through the partition log: a log that is damaged must still be
//! looked at, and a broker may be using the directory meanwhile.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use flumen_protocol::records::{BATCH_OVERHEAD, BatchError, BatchHeader, RecordBatch, RecordError};

/// The most that the records of one batch may take when they are decompressed.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A batch, and where in the file it begins.
#[derive(Debug)]
pub(crate) struct FoundBatch {
    pub(crate) position: u64,
    pub(crate) batch: RecordBatch,
}

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("at position {position}: {flaw}")]
pub(crate) struct Damage {
    pub(crate) position: u64,
    pub(crate) flaw: Flaw,
}

/// What can be wrong with a segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("the records of the batch: {0}")]
    Records(#[from] RecordError),
    #[error("offset {base_offset} follows offset {previous}")]
    OffsetOrder { base_offset: i64, previous: i64 },
    #[error("offset {base_offset} is below {named}, which the file is named after")]
    BelowName { base_offset: i64, named: i64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The batches of a segment file; ends after the first damage.
#[derive(Debug)]
pub(crate) struct SegmentScan {
    reader: BufReader<File>,
    /// Where the next batch begins.
    position: u64,
    /// Bytes of the file when the scan began; a broker may be adding to it.
    size: u64,
    /// The offset that the file is named after, and then the last one seen.
    named: Option<i64>,
    previous: Option<i64>,
    finished: bool,
}

impl SegmentScan {
    /// Opens a segment file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let name = path.file_stem().and_then(|name| name.to_str());
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, file),
            position: 0,
            size,
            named: name.and_then(|name| name.parse().ok()),
            previous: None,
            finished: false,
        })
    }

    /// The bytes that were found whole.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    fn read_batch(&mut self) -> Result<FoundBatch, Flaw> {
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(BATCH_OVERHEAD)];
        self.reader.read_exact(&mut bytes)?;
        let header = BatchHeader::parse(&bytes)?;
        let needed = header.size_in_bytes();
        if needed > left {
            return Err(BatchError::Incomplete { needed, available: left }.into());
        }
        bytes.resize(needed, 0);
        self.reader.read_exact(&mut bytes[BATCH_OVERHEAD..])?;
        let batch = RecordBatch::parse(Bytes::from(bytes))?;
        batch.verify_crc()?;
        self.check_offsets(&header)?;
        let position = self.position;
        self.position += needed as u64;
        self.previous = Some(header.last_offset());
        Ok(FoundBatch { position, batch })
    }

    fn check_offsets(&self, header: &BatchHeader) -> Result<(), Flaw> {
        let base_offset = header.base_offset;
        if let Some(named) = self.named.filter(|named| base_offset < *named) {
            return Err(Flaw::BelowName { base_offset, named });
        }
        match self.previous.filter(|previous| base_offset <= *previous) {
            Some(previous) => Err(Flaw::OffsetOrder { base_offset, previous }),
            None => Ok(()),
        }
    }
}

impl Iterator for SegmentScan {
    type Item = Result<FoundBatch, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished || self.position == self.size {
            return None;
        }
        let found = self.read_batch();
        self.finished = found.is_err();
        let position = self.position;
        Some(found.map_err(|flaw| Damage { position, flaw }))
    }
}

/// Decodes every record of a batch, so that what a checksum cannot show is seen.
pub(crate) fn check_records(found: &FoundBatch) -> Result<(), Damage> {
    let damage = |flaw| Damage { position: found.position, flaw };
    let outlines = found.batch.outlines(DECOMPRESSED_BYTES_MAX);
    let mut outlines = outlines.map_err(|error| damage(error.into()))?;
    outlines.try_for_each(|outline| outline.map(drop)).map_err(|error| damage(error.into()))
}

#[cfg(test)]
mod tests {
    use flumen_protocol::records::{BatchBuilder, BatchOptions};

    use super::*;

    fn batch(base_offset: i64) -> Vec<u8> {
        let options = BatchOptions { base_offset, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        builder.append(1, Some(b"k"), Some(b"value"), &[]);
        builder.append(2, None, None, &[]);
        builder.build().to_vec()
    }

    /// Scans a file of these bytes; gives the base offsets found and the damage.
    fn scan(bytes: &[u8]) -> (Vec<i64>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("00000000000000000010.log");
        std::fs::write(&path, bytes).unwrap();
        let mut offsets = Vec::new();
        for found in SegmentScan::open(&path).unwrap() {
            match found {
                Ok(found) => offsets.push(found.batch.header().base_offset),
                Err(damage) => return (offsets, Some(damage.to_string())),
            }
        }
        (offsets, None)
    }

    #[test]
    fn whole_segments_are_walked_to_their_end() {
        assert_eq!(scan(&[]), (vec![], None));
        assert_eq!(scan(&[batch(10), batch(12), batch(20)].concat()), (vec![10, 12, 20], None));
    }

    #[test]
    fn damage_is_placed_and_named() {
        let (first, second) = (batch(10), batch(12));
        let at = first.len();
        let check = |bytes: &[u8], expected: &str| {
            let (offsets, damage) = scan(bytes);
            let damage = damage.unwrap();
            assert_eq!(offsets, [10], "{damage}");
            assert!(damage.contains(&format!("position {at}")), "{damage}");
            assert!(damage.contains(expected), "{damage} should contain {expected}");
        };
        let torn = [&first[..], &second[..second.len() - 3]].concat();
        check(&torn, "needs");
        check(&[&first[..], &[0; 5]].concat(), "needs 61 bytes");
        let mut flipped = [&first[..], &second].concat();
        *flipped.last_mut().unwrap() ^= 1;
        check(&flipped, "checksum");
        check(&[&first[..], &batch(11)].concat(), "offset 11 follows offset 11");
        assert!(scan(&batch(9)).1.unwrap().contains("offset 9 is below 10"));
    }
}
