//! How often one request may name the same thing again.
//!
//! Kafka answers a name as often as it stands in a request. Where the few bytes of a name are
//! answered with all there is to say of it, one request could ask for more than any memory holds:
//! beyond [`REPETITIONS_MAX`] a repeated name is passed over there. No known client repeats itself.

use std::collections::BTreeSet;

/// Names beyond the first of each that are answered, over the whole request.
const REPETITIONS_MAX: usize = 100;

/// What a request has named so far.
#[derive(Debug)]
pub(super) struct Repetitions<T> {
    named: BTreeSet<T>,
    count: usize,
}

impl<T> Default for Repetitions<T> {
    fn default() -> Self {
        Self { named: BTreeSet::new(), count: 0 }
    }
}

impl<T: Ord> Repetitions<T> {
    /// Notes that `name` is asked for, and says whether it is answered.
    pub(super) fn admit(&mut self, name: T) -> bool {
        let is_new = self.named.insert(name);
        self.count += usize::from(!is_new);
        is_new || self.count <= REPETITIONS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_answered_again_but_not_without_end() {
        let mut repetitions = Repetitions::default();
        let admitted = (0..1_000).filter(|_| repetitions.admit("a")).count();
        assert_eq!(admitted, 1 + REPETITIONS_MAX);
        assert!(repetitions.admit("b"), "the first of another");
        assert!(!repetitions.admit("b"), "the bound is that of the request");
    }
}
