//! Which partition of `__consumer_offsets` a group lives in.

/// The partition of a group: Java's `String.hashCode` modulo the number of partitions.
///
/// Every Kafka tool that looks for a group's records computes it the same way.
pub fn partition_of(group_id: &str, partition_count: i32) -> i32 {
    let hash = group_id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The one number without a positive counterpart counts as zero.
    hash.checked_abs().unwrap_or(0) % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_placed_where_kafka_places_them() {
        // The hash codes are those of Java.
        for (group_id, hash) in [
            ("", 0),
            ("gg1", 102_225),
            ("polygenelubricants", 0),
            ("hello", 99_162_322),
            ("grüße", 98_768_023),
        ] {
            assert_eq!(partition_of(group_id, i32::MAX), hash, "{group_id}");
        }
        assert_eq!(partition_of("gg1", 50), 25);
    }
}
