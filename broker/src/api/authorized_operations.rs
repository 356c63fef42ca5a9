//! What a client may do, as it is told when it asks (KIP-430).
//!
//! There is no authorizer yet, so everybody may do everything that the kind of thing allows.

use std::ops::RangeInclusive;

/// Stands for "nobody asked".
pub(super) const NOT_ASKED: i32 = i32::MIN;

/// Read, write, create, delete, alter, describe; then describe and alter settings.
pub(super) const TOPIC: i32 = bits(&[3..=8, 10..=11]);

/// Create; alter, describe, act for the cluster; describe and alter settings; idempotent writing.
pub(super) const CLUSTER: i32 = bits(&[5..=5, 7..=12]);

/// Kafka numbers the operations; each is the bit of its number.
const fn bits(operations: &[RangeInclusive<u32>]) -> i32 {
    let mut bits = 0;
    let mut range = 0;
    while range < operations.len() {
        let mut operation = *operations[range].start();
        while operation <= *operations[range].end() {
            bits |= 1 << operation;
            operation += 1;
        }
        range += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Apache Kafka 4.4 without an authorizer answers.
    #[test]
    fn the_bits_are_those_of_kafka() {
        assert_eq!((TOPIC, CLUSTER), (3576, 8096));
    }
}
