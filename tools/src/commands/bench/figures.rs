//! The figures of a run: rates and distributions of times.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::output::Output;

/// Times longer than this count as this.
const LONGEST: Duration = Duration::from_secs(600);

/// Collects times.
#[derive(Debug)]
pub(super) struct Times {
    microseconds: Histogram<u64>,
}

impl Times {
    pub(super) fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).expect("it is a constant");
        let microseconds = Histogram::new_with_max(longest, 3).expect("the bounds are valid");
        Self { microseconds }
    }

    pub(super) fn record(&mut self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.saturating_record(microseconds);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.microseconds.add(&other.microseconds).expect("both have the same bounds");
    }

    /// The distribution, in milliseconds.
    pub(super) fn summary(&self) -> TimeSummary {
        let ms = |microseconds: u64| Duration::from_micros(microseconds).as_secs_f64() * 1000.0;
        let at = |quantile| ms(self.microseconds.value_at_quantile(quantile));
        TimeSummary {
            count: self.microseconds.len(),
            mean_ms: self.microseconds.mean() / 1000.0,
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(self.microseconds.max()),
        }
    }
}

/// A distribution of times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TimeSummary {
    count: u64,
    mean_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl TimeSummary {
    fn shown(&self) -> String {
        format!(
            "{:.3} · {:.3} · {:.3} · {:.3} · {:.3}",
            self.p50_ms, self.p95_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}

/// What a run did and how long that took.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) records: u64,
    /// Keys and values, without framing and before compression.
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) records_per_second: f64,
    pub(super) megabytes_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acknowledged: Option<TimeSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumed: Option<TimeSummary>,
}

impl Figures {
    pub(super) fn new(records: u64, bytes: u64, took: Duration) -> Self {
        // Counts of a run are far below the point where this loses precision.
        #[expect(clippy::cast_precision_loss, reason = "rates are shown with few digits")]
        let per_second = |count: u64| count as f64 / took.as_secs_f64().max(1e-9);
        Self {
            records,
            bytes,
            seconds: took.as_secs_f64(),
            records_per_second: per_second(records),
            megabytes_per_second: per_second(bytes) / 1e6,
            acknowledged: None,
            consumed: None,
        }
    }

    pub(super) fn print(&self, output: Output) -> anyhow::Result<()> {
        let mut lines = vec![
            ("records", self.records.to_string()),
            ("seconds", format!("{:.3}", self.seconds)),
            ("records/s", format!("{:.0}", self.records_per_second)),
            ("MB/s", format!("{:.1}", self.megabytes_per_second)),
        ];
        for (name, times) in [
            ("acknowledged ms: p50 · p95 · p99 · p99.9 · max", &self.acknowledged),
            ("consumed ms: p50 · p95 · p99 · p99.9 · max", &self.consumed),
        ] {
            lines.extend(times.as_ref().map(|times| (name, times.shown())));
        }
        output.thing(self, &lines)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_counts_over_time() {
        let figures = Figures::new(1000, 2_000_000, Duration::from_millis(500));
        assert_eq!((figures.records_per_second, figures.megabytes_per_second), (2000.0, 4.0));
        let mut times = Times::new();
        for ms in 1..=100 {
            times.record(Duration::from_millis(ms));
        }
        times.record(LONGEST * 2);
        let summary = times.summary();
        assert_eq!(summary.count, 101);
        assert!((50.0..52.0).contains(&summary.p50_ms), "{summary:?}");
        assert!(summary.max_ms >= 600_000.0, "{summary:?}");
    }
}
