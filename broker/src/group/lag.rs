//! How far groups are behind: in records, and in time.
//!
//! Lag in records says how much work is left, lag in time how stale a consumer's view is: only the
//! second means the same on a busy topic and on a quiet one.

use super::runtime::Groups;

/// What the partitions of this broker say about their ends.
pub trait LagSource {
    /// The first offset that is not there to be read yet; none if the partition is not here.
    fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64>;

    /// The first offset that is still there.
    fn log_start_offset(&self, topic: &str, partition: i32) -> Option<i64>;

    /// The timestamp of the first record at or after `offset`, in milliseconds.
    fn timestamp_ms_at(&self, topic: &str, partition: i32, offset: i64) -> Option<i64>;
}

/// A group's lag in one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupLag {
    /// The group.
    pub group_id: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset the group reads next.
    pub committed_offset: i64,
    /// Records between that offset and the high watermark.
    pub lag_records: i64,
    /// The age of the first of these records; 0 when there is none.
    pub lag_seconds: f64,
}

impl Groups {
    /// The lag of every group that this broker coordinates, in every partition that `source` has.
    ///
    /// Offsets that are appended and not committed yet count: monitoring may be a moment early.
    pub fn lag(&self, source: &impl LagSource, now_ms: i64) -> Vec<GroupLag> {
        let mut lags = Vec::new();
        self.inspect(|shard| {
            for (group_id, offsets) in shard.all_offsets() {
                for (topic, partitions) in offsets {
                    for (&partition, committed) in partitions {
                        lags.push((group_id.clone(), topic.clone(), partition, committed.offset));
                    }
                }
            }
        });
        // Outside of the lock: the source may have to read from a disk.
        let measured = lags.into_iter().filter_map(|(group_id, topic, partition, offset)| {
            let (lag_records, lag_seconds) = measure(source, &topic, partition, offset, now_ms)?;
            Some(GroupLag {
                group_id,
                topic,
                partition,
                committed_offset: offset,
                lag_records,
                lag_seconds,
            })
        });
        measured.collect()
    }
}

/// Records that retention took away before the group read them do not count: no effort of the
/// group's could make that lag go down.
fn measure(
    source: &impl LagSource,
    topic: &str,
    partition: i32,
    offset: i64,
    now_ms: i64,
) -> Option<(i64, f64)> {
    let high_watermark = source.high_watermark(topic, partition)?;
    let next = offset.max(source.log_start_offset(topic, partition)?);
    let lag_records = (high_watermark - next).max(0);
    let is_behind = lag_records > 0;
    let oldest_ms = source.timestamp_ms_at(topic, partition, next).filter(|_| is_behind);
    let lag_ms = oldest_ms.map_or(0, |oldest_ms| (now_ms - oldest_ms).max(0));
    #[expect(clippy::cast_precision_loss, reason = "seconds need no more than 53 bits")]
    let lag_seconds = lag_ms as f64 / 1_000.0;
    Some((lag_records, lag_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets 100 to 200, one record per second.
    struct OnePartition;

    impl LagSource for OnePartition {
        fn high_watermark(&self, topic: &str, _: i32) -> Option<i64> {
            (topic == "here").then_some(200)
        }

        fn log_start_offset(&self, _: &str, _: i32) -> Option<i64> {
            Some(100)
        }

        fn timestamp_ms_at(&self, _: &str, _: i32, offset: i64) -> Option<i64> {
            (offset < 200).then_some(offset * 1_000)
        }
    }

    #[test]
    fn lag_is_measured_in_records_and_in_time() {
        let at = |topic, offset| measure(&OnePartition, topic, 0, offset, 205_000);
        assert_eq!(at("here", 200), Some((0, 0.0)));
        assert_eq!(at("here", 199), Some((1, 6.0)));
        assert_eq!(at("here", 0), Some((100, 105.0)), "what is gone does not count");
        assert_eq!(at("here", 300), Some((0, 0.0)), "ahead of the log");
        assert_eq!(at("elsewhere", 0), None);
    }
}
