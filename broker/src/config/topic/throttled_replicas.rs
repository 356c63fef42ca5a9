//! The replicas of a topic whose copying is throttled, as `partition:broker` pairs or `*`.

use std::collections::BTreeSet;

use crate::config::definition::items;

/// Which replicas a topic names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// Every one.
    All,
    /// Those of these partitions on these brokers.
    Of(BTreeSet<(i32, i32)>),
}

impl ThrottledReplicas {
    /// Reads a value that passed the check of its definition.
    pub(super) fn parse(value: &str) -> Self {
        if value == "*" {
            return Self::All;
        }
        let pair = |item: &str| {
            let (partition, broker) = item.split_once(':')?;
            Some((partition.parse().ok()?, broker.parse().ok()?))
        };
        Self::Of(items(value).filter_map(pair).collect())
    }

    /// Whether the replica of a partition on a broker is one of them.
    #[must_use]
    pub fn contains(&self, replica: (i32, i32)) -> bool {
        match self {
            Self::All => true,
            Self::Of(replicas) => replicas.contains(&replica),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_named_one_by_one_or_all_at_once() {
        let check = |value, expected: [bool; 3]| {
            let named = ThrottledReplicas::parse(value);
            assert_eq!([(0, 1), (1, 2), (2, 1)].map(|r| named.contains(r)), expected, "{value}");
        };
        check("", [false; 3]);
        check("*", [true; 3]);
        check("0:1,1:2", [true, true, false]);
        check("1:2", [false, true, false]);
    }
}
