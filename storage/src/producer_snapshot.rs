//! The file format of producer snapshots, Kafka's `<offset>.snapshot`.
//!
//! ```text
//! version i16 (1) | crc u32 | count i32 | rows, 46 bytes each:
//! producer id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 |
//! timestamp i64 | coordinator epoch i32 | first offset of the open transaction i64 (or -1)
//! ```
//!
//! The CRC-32C covers everything behind it. Kafka writes one row per producer and so forgets all but
//! the last batch over a restart. Here a producer has a row for each remembered batch, oldest first:
//! Kafka, which lets a later row of a producer replace an earlier one, reads the same state from
//! it as from its own files, and we find all batches again.

use crate::producer_state::{ProducedBatch, ProducerEntry, ProducerState};

const VERSION: i16 = 1;
const HEADER_SIZE: usize = 10;
/// Where the bytes under the CRC begin.
const CRC_END: usize = 6;
const ROW_SIZE: usize = 46;

/// The bytes of a snapshot file.
pub(crate) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_SIZE];
    let mut count: i32 = 0;
    for entry in state.producers() {
        // A producer of which only a marker is known still has a row, as in Kafka.
        let placeholder =
            ProducedBatch { last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: 0 };
        let batches = match entry.batches() {
            [] => std::slice::from_ref(&placeholder),
            batches => batches,
        };
        for (index, batch) in batches.iter().enumerate() {
            let is_last = index + 1 == batches.len();
            let timestamp = if is_last { entry.last_timestamp } else { batch.timestamp };
            bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
            bytes.extend_from_slice(&entry.epoch.to_be_bytes());
            bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
            bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
            bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
            bytes.extend_from_slice(&timestamp.to_be_bytes());
            bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
            bytes.extend_from_slice(&entry.transaction_start.unwrap_or(-1).to_be_bytes());
            count += 1;
        }
    }
    bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
    bytes[CRC_END..HEADER_SIZE].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_END..]);
    bytes[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The state in a snapshot file, or `None` where the bytes are damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<ProducerState> {
    let (header, rows) = bytes.split_at_checked(HEADER_SIZE)?;
    let version = i16::from_be_bytes(header[..2].try_into().ok()?);
    let crc = u32::from_be_bytes(header[2..CRC_END].try_into().ok()?);
    let count = i32::from_be_bytes(header[CRC_END..].try_into().ok()?);
    let (rows, rest) = rows.as_chunks::<ROW_SIZE>();
    let is_whole = rest.is_empty() && usize::try_from(count).ok()? == rows.len();
    if version != VERSION || !is_whole || crc32c::crc32c(&bytes[CRC_END..]) != crc {
        return None;
    }
    let mut state = ProducerState::default();
    let mut current: Option<ProducerEntry> = None;
    for row in rows {
        let producer_id = number(row, 0);
        let mut entry = match current.take() {
            Some(entry) if entry.producer_id == producer_id => entry,
            finished => {
                finished.into_iter().for_each(|entry| state.load(entry));
                ProducerEntry::new(producer_id)
            }
        };
        read_row(row, &mut entry);
        current = Some(entry);
    }
    current.into_iter().for_each(|entry| state.load(entry));
    Some(state)
}

fn read_row(row: &[u8; ROW_SIZE], entry: &mut ProducerEntry) {
    let timestamp = number(row, 26);
    let transaction_start = number(row, 38);
    entry.set_epoch(i16::from_be_bytes(row[8..10].try_into().expect("two bytes")));
    let last_offset = number(row, 14);
    if last_offset >= 0 {
        entry.push(ProducedBatch {
            last_sequence: small(row, 10),
            last_offset,
            offset_delta: small(row, 22),
            timestamp,
        });
    }
    entry.last_timestamp = timestamp;
    entry.coordinator_epoch = small(row, 34);
    entry.transaction_start = (transaction_start >= 0).then_some(transaction_start);
}

fn number(row: &[u8; ROW_SIZE], position: usize) -> i64 {
    i64::from_be_bytes(row[position..position + 8].try_into().expect("eight bytes"))
}

fn small(row: &[u8; ROW_SIZE], position: usize) -> i32 {
    i32::from_be_bytes(row[position..position + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ProducerState {
        let mut state = ProducerState::default();
        let mut writer = ProducerEntry::new(4000);
        writer.set_epoch(3);
        for index in 0..7 {
            writer.push(ProducedBatch {
                last_sequence: index * 10 + 9,
                last_offset: i64::from(index) * 10 + 109,
                offset_delta: 9,
                timestamp: 1_000_000 + i64::from(index),
            });
        }
        writer.transaction_start = Some(140);
        state.load(writer);
        let mut marked = ProducerEntry::new(4001);
        marked.set_epoch(1);
        marked.coordinator_epoch = 5;
        marked.last_timestamp = 77;
        state.load(marked);
        state
    }

    #[test]
    fn all_remembered_batches_survive() {
        let bytes = encode(&state());
        assert_eq!(bytes.len(), HEADER_SIZE + 6 * ROW_SIZE);
        assert_eq!(decode(&bytes), Some(state()));
        assert_eq!(encode(&ProducerState::default()).len(), HEADER_SIZE);
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let bytes = encode(&state());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        for size in 0..bytes.len() {
            assert_eq!(decode(&bytes[..size]), None, "size {size}");
        }
    }
}
