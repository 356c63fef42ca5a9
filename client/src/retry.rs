//! When to try again: growing pauses with jitter, and an end to it.
//!
//! Pure: randomness and times are arguments. Whether an error is worth another try is said by the
//! error itself.

use std::time::Duration;

use crate::connection::Rng;

/// The pauses between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The first pause.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// Pauses that double from try to try, each varied by a fifth in either direction.
///
/// Without the variation, clients that lost the same broker would come back all at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// Starts with the first pause.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self { config, failures: 0 }
    }

    /// Starts over, something having succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after another failure.
    pub fn next(&mut self, rng: &dyn Rng) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).and_then(|factor| {
            let pause = self.config.initial.checked_mul(factor)?;
            (pause < self.config.max).then_some(pause)
        });
        self.failures = self.failures.saturating_add(1);
        let per_mille = 800 + u32::try_from(rng.next_u64() % 401).expect("at most 400");
        doubled.unwrap_or(self.config.max) * per_mille / 1000
    }
}

/// A point on the monotonic clock by which something has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// The deadline `timeout` after `now`.
    #[must_use]
    pub fn after(now: Duration, timeout: Duration) -> Self {
        Self(now.saturating_add(timeout))
    }

    /// The time left at `now`; `None` once it has passed.
    #[must_use]
    pub fn remaining(self, now: Duration) -> Option<Duration> {
        self.0.checked_sub(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(u64);

    impl Rng for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    fn pauses(random: u64, count: usize) -> Vec<u128> {
        let config =
            BackoffConfig { initial: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let mut backoff = Backoff::new(config);
        (0..count).map(|_| backoff.next(&Fixed(random)).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_limit() {
        assert_eq!(pauses(200, 6), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pauses(200, 100)[99], 1000);
    }

    #[test]
    fn jitter_is_a_fifth_either_way() {
        assert_eq!(pauses(0, 2), [80, 160]);
        assert_eq!(pauses(400, 2), [120, 240]);
    }

    #[test]
    fn a_deadline_passes() {
        let deadline = Deadline::after(Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!(deadline.remaining(Duration::from_secs(12)), Some(Duration::from_secs(3)));
        assert_eq!(deadline.remaining(Duration::from_secs(15)), None);
        assert_eq!(deadline.remaining(Duration::from_secs(20)), None);
    }
}
