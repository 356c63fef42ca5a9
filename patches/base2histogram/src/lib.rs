//! A small stand-in for the histogram in which openraft keeps statistics of itself.
//!
//! The crate it replaces builds tables for sixteen resolutions when the first histogram is made:
//! 26 MB of memory that is never given back, for the one resolution that openraft uses. That is
//! more than all the rest of an idle broker. This one counts by powers of two and has no tables.
//!
//! Only what openraft calls is here, under the names by which it calls it.

use std::fmt;
use std::marker::PhantomData;

/// One bucket for 0 and one for each bit that can be a value's highest.
const BUCKET_COUNT: usize = 65;

/// Counts values by their highest bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKET_COUNT],
    label: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKET_COUNT], label: PhantomData }
    }

    /// Counts a value.
    pub const fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts a value `count` times.
    pub const fn record_n(&mut self, value: u64, count: u64) {
        let bits = u64::BITS - value.leading_zeros();
        self.counts[bits as usize] += count;
    }

    /// The percentiles, each as the largest value of its bucket.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.counts.iter().sum(),
            p0_1: self.per_mille(1),
            p1: self.per_mille(10),
            p5: self.per_mille(50),
            p10: self.per_mille(100),
            p50: self.per_mille(500),
            p90: self.per_mille(900),
            p99: self.per_mille(990),
            p99_9: self.per_mille(999),
        }
    }

    /// The smallest bucket boundary that at least `share` of a thousand values do not exceed.
    fn per_mille(&self, share: u128) -> u64 {
        let total: u128 = self.counts.iter().map(|count| u128::from(*count)).sum();
        let mut below = 0;
        for (bits, count) in (0_u32..).zip(self.counts) {
            below += u128::from(count);
            if below > 0 && below * 1000 >= total * share {
                return u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0);
            }
        }
        0
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a histogram says of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many values were counted.
    pub samples: u64,
    /// 0.1 % of the values are not above this.
    pub p0_1: u64,
    /// 1 % of the values are not above this.
    pub p1: u64,
    /// 5 % of the values are not above this.
    pub p5: u64,
    /// 10 % of the values are not above this.
    pub p10: u64,
    /// Half of the values are not above this.
    pub p50: u64,
    /// 90 % of the values are not above this.
    pub p90: u64,
    /// 99 % of the values are not above this.
    pub p99: u64,
    /// 99.9 % of the values are not above this.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "{samples} values, p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p99_9}")
    }
}

/// Several histograms, a line each.
#[derive(Debug, Clone, Default)]
pub struct AsciiChart {
    rows: Vec<(String, PercentileStats)>,
}

impl AsciiChart {
    /// A chart without lines.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a line.
    #[must_use]
    pub fn add(mut self, name: impl Into<String>, histogram: Histogram) -> Self {
        self.rows.push((name.into(), histogram.percentile_stats()));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|(name, stats)| writeln!(f, "{name}: {stats}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_bucket_ends() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats().p50, 0);
        for value in [0, 1, 5, 6, 1000] {
            histogram.record(value);
        }
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p1, stats.p10), (5, 0, 0));
        assert_eq!((stats.p50, stats.p99), (7, 1023));
        histogram.record(u64::MAX);
        assert_eq!(histogram.percentile_stats().p99_9, u64::MAX);
    }
}
