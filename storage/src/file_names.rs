//! Names of the files in a partition directory, Kafka's where Kafka has one.

/// Bytes of record batches.
pub(crate) const LOG: &str = "log";
/// Offset index.
pub(crate) const OFFSET_INDEX: &str = "index";
/// Time index.
pub(crate) const TIME_INDEX: &str = "timeindex";
/// Aborted transactions.
pub(crate) const ABORTED_INDEX: &str = "txnindex";
/// Producer state before the offset in the name.
pub(crate) const SNAPSHOT: &str = "snapshot";
/// Sizes and checksums of a segment's indexes; ours alone.
pub(crate) const SEAL: &str = "seal";
/// Marks a compacted segment that is still being written.
pub(crate) const CLEANED: &str = "cleaned";
/// Marks a compacted segment that is whole and replaces the old ones.
pub(crate) const SWAP: &str = "swap";
/// Marks a file that is about to be removed.
pub(crate) const DELETED: &str = "deleted";
/// Start offsets of the leader epochs.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// What no log can give back; ours alone.
pub(crate) const LOG_STATE: &str = "log-state";
/// The id of the topic.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

const OFFSET_DIGITS: usize = 20;

/// `<offset, 20 digits>.<suffix>`
pub(crate) fn segment_file(offset: i64, suffix: &str) -> String {
    format!("{offset:0OFFSET_DIGITS$}.{suffix}")
}

/// Splits `<offset, 20 digits>.<suffix>`; `None` for every other name.
///
/// The highest offset is none that a segment could begin with: no record has one after it.
pub(crate) fn parse_segment_file(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_at_checked(OFFSET_DIGITS)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let suffix = suffix.strip_prefix('.')?;
    let offset = digits.parse().ok().filter(|&offset| all_digits && offset < i64::MAX)?;
    Some((offset, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(segment_file(4711, LOG), "00000000000000004711.log");
        assert_eq!(parse_segment_file("00000000000000004711.log"), Some((4711, LOG)));
        assert_eq!(parse_segment_file("00000000000000004711.log.swap"), Some((4711, "log.swap")));
        let highest = segment_file(i64::MAX, LOG);
        for other in
            ["4711.log", "leader-epoch-checkpoint", "+0000000000000004711.log", "", &highest]
        {
            assert_eq!(parse_segment_file(other), None, "{other}");
        }
    }
}
