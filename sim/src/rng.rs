//! Seeded randomness: every node's random numbers are a function of the run's seed.

use std::sync::atomic::{AtomicU64, Ordering};

use flumen_client::connection::Rng;

/// A SplitMix64 generator (Steele, Lea, Flood 2014).
///
/// Good enough for ids, jitter and fault choices, and its whole state is one word, so a trace can
/// print it.
#[derive(Debug)]
pub struct SeededRng(AtomicU64);

impl SeededRng {
    /// A generator whose whole future is given by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `bound`, which is at least 1. The bias of the remainder is irrelevant here.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_sequence() {
        // The reference sequence for seed 1234567, as published with the algorithm.
        let rng = SeededRng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }
}
