//! Control records: what brokers write among the data to end transactions.
//!
//! Their key is `version i16, type i16`. The value of an end-transaction marker is `version i16,
//! coordinator epoch i32`. A control batch holds exactly one control record.

use bytes::Bytes;
use thiserror::Error;

use super::builder::{BatchBuilder, BatchOptions};
use super::record::Record;

/// Version of the control keys and marker values that are written.
const VERSION: i16 = 0;

/// Types of control records. Those Kafka's own controllers write are known to be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecordType {
    /// Ends a transaction; its records must not be seen.
    Abort,
    /// Ends a transaction; its records may be seen.
    Commit,
    /// Any other type.
    Other(i16),
}

/// Why a record is no control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ControlError {
    /// The key is absent, short, or of a negative version.
    #[error("malformed key of a control record")]
    MalformedKey,
    /// The value is absent, short, or of a negative version.
    #[error("malformed value of an end-transaction marker")]
    MalformedValue,
}

impl ControlRecordType {
    /// Reads the type from the key of a control record.
    ///
    /// Later versions of the key may be longer; their front stays the same.
    pub fn from_key(key: Option<&[u8]>) -> Result<Self, ControlError> {
        let (version, rest) = split_i16(key, ControlError::MalformedKey)?;
        let (id, _later) = split_i16(Some(rest), ControlError::MalformedKey)?;
        if version < 0 {
            return Err(ControlError::MalformedKey);
        }
        Ok(match id {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Other(other),
        })
    }

    fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::Other(id) => id,
        }
    }
}

/// The record that commits or aborts what a producer wrote to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Whether the transaction is committed.
    pub is_commit: bool,
    /// Epoch of the coordinator that decided; an older coordinator is refused by it.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads a marker; `None` for control records of other types.
    pub fn from_record(record: &Record) -> Result<Option<Self>, ControlError> {
        let is_commit = match ControlRecordType::from_key(record.key.as_deref())? {
            ControlRecordType::Abort => false,
            ControlRecordType::Commit => true,
            ControlRecordType::Other(_) => return Ok(None),
        };
        let malformed = ControlError::MalformedValue;
        let (version, rest) = split_i16(record.value.as_deref(), malformed)?;
        let epoch = rest.first_chunk().filter(|_| version >= 0).ok_or(malformed)?;
        Ok(Some(Self { is_commit, coordinator_epoch: i32::from_be_bytes(*epoch) }))
    }

    /// The batch that carries the marker, for offset 0 until the leader assigns one.
    #[must_use]
    pub fn to_batch(self, timestamp: i64, producer_id: i64, producer_epoch: i16) -> Bytes {
        let kind =
            if self.is_commit { ControlRecordType::Commit } else { ControlRecordType::Abort };
        let mut key = [0; 4];
        key[..2].copy_from_slice(&VERSION.to_be_bytes());
        key[2..].copy_from_slice(&kind.id().to_be_bytes());
        let mut value = [0; 6];
        value[..2].copy_from_slice(&VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id,
            producer_epoch,
            is_transactional: true,
            is_control: true,
            ..BatchOptions::default()
        });
        builder.append(timestamp, Some(&key), Some(&value), &[]);
        builder.build()
    }
}

fn split_i16(bytes: Option<&[u8]>, error: ControlError) -> Result<(i16, &[u8]), ControlError> {
    let (front, rest) = bytes.and_then(<[u8]>::split_first_chunk).ok_or(error)?;
    Ok((i16::from_be_bytes(*front), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordBatch;

    #[test]
    fn a_marker_survives_its_batch() {
        let marker = EndTransactionMarker { is_commit: true, coordinator_epoch: 7 };
        let batch = RecordBatch::parse(marker.to_batch(1_000, 42, 3)).unwrap();
        assert!(batch.header().is_control() && batch.header().is_transactional());
        assert_eq!((batch.header().producer_id, batch.header().base_sequence), (42, -1));
        let record = batch.records(0).unwrap().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::from_record(&record), Ok(Some(marker)));
    }

    #[test]
    fn keys_of_later_versions_are_read_and_short_ones_are_not() {
        let check = |key: &[u8], expected| {
            assert_eq!(ControlRecordType::from_key(Some(key)), expected);
        };
        check(&[0, 0, 0, 0], Ok(ControlRecordType::Abort));
        check(&[0, 9, 0, 1, 5, 5], Ok(ControlRecordType::Commit));
        check(&[0, 0, 0, 2], Ok(ControlRecordType::Other(2)));
        check(&[0, 0, 0], Err(ControlError::MalformedKey));
        check(&[0xff, 0xff, 0, 0], Err(ControlError::MalformedKey));
    }
}
