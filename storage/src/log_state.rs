//! What a partition's log cannot give back once its oldest segments are gone: where it starts, and
//! the leader epochs.
//!
//! Kept in the partition's `log-state` file, which is replaced as a whole and has a checksum; a
//! damaged one reads as absent. The epochs are also written as Kafka's `leader-epoch-checkpoint`,
//! which has no checksum and so is only read where this file is absent.

use std::fmt::Write;

use crate::epoch_cache::{EpochCache, EpochEntry};

const VERSION: u32 = 1;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) log_start_offset: i64,
    pub(crate) epochs: EpochCache,
}

impl LogState {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("version: {VERSION}\nlog_start_offset: {}\n", self.log_start_offset);
        for EpochEntry { leader_epoch, start_offset } in self.epochs.entries() {
            writeln!(text, "epoch: {leader_epoch} {start_offset}").expect("strings can grow");
        }
        writeln!(text, "crc: {:08x}", crc32c::crc32c(text.as_bytes())).expect("strings can grow");
        text.into_bytes()
    }

    /// Reads the file; `None` where it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let checked = text.rfind("crc: ")?;
        let (content, crc) = text.split_at(checked);
        if crc != format!("crc: {:08x}\n", crc32c::crc32c(content.as_bytes())) {
            return None;
        }
        let mut lines = content.lines();
        let version = lines.next()?.strip_prefix("version: ")?;
        if version.parse() != Ok(VERSION) {
            return None;
        }
        let log_start_offset: i64 =
            lines.next()?.strip_prefix("log_start_offset: ")?.parse().ok()?;
        if !(0..i64::MAX).contains(&log_start_offset) {
            return None;
        }
        let epochs = lines
            .map(|line| parse_epoch(line.strip_prefix("epoch: ")?))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { log_start_offset, epochs: EpochCache::from_entries(epochs)? })
    }
}

/// The content of Kafka's `leader-epoch-checkpoint`: version, count, one row per epoch.
pub(crate) fn encode_leader_epochs(epochs: &EpochCache) -> Vec<u8> {
    let mut text = format!("0\n{}\n", epochs.entries().len());
    for EpochEntry { leader_epoch, start_offset } in epochs.entries() {
        writeln!(text, "{leader_epoch} {start_offset}").expect("strings can grow");
    }
    text.into_bytes()
}

/// Reads `leader-epoch-checkpoint`; `None` where it is damaged.
pub(crate) fn decode_leader_epochs(bytes: &[u8]) -> Option<EpochCache> {
    let text = str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let version: u32 = lines.next()?.parse().ok()?;
    let count: usize = lines.next()?.parse().ok()?;
    let entries = lines.map(parse_epoch).collect::<Option<Vec<_>>>()?;
    (version == 0 && count == entries.len()).then(|| EpochCache::from_entries(entries))?
}

fn parse_epoch(row: &str) -> Option<EpochEntry> {
    let (leader_epoch, start_offset) = row.split_once(' ')?;
    Some(EpochEntry {
        leader_epoch: leader_epoch.parse().ok()?,
        start_offset: start_offset.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> LogState {
        let row = |leader_epoch, start_offset| EpochEntry { leader_epoch, start_offset };
        let epochs = EpochCache::from_entries(vec![row(0, 17), row(3, 4000)]).unwrap();
        LogState { log_start_offset: 17, epochs }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let bytes = state().encode();
        assert_eq!(LogState::decode(&bytes), Some(state()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LogState::decode(&damaged), None, "bit {bit}");
        }
        for size in 0..bytes.len() {
            assert_eq!(LogState::decode(&bytes[..size]), None, "size {size}");
        }
    }

    #[test]
    fn a_log_does_not_start_where_no_record_can_be() {
        for log_start_offset in [-1, i64::MAX] {
            let state = LogState { log_start_offset, ..LogState::default() };
            assert_eq!(LogState::decode(&state.encode()), None, "{log_start_offset}");
        }
    }

    #[test]
    fn epochs_are_written_as_kafka_does() {
        let bytes = encode_leader_epochs(&state().epochs);
        assert_eq!(bytes, b"0\n2\n0 17\n3 4000\n");
        assert_eq!(decode_leader_epochs(&bytes), Some(state().epochs));
        assert_eq!(decode_leader_epochs(b"0\n3\n0 17\n3 4000\n"), None);
        assert_eq!(decode_leader_epochs(b""), None);
    }
}
