//! How fast replicas that are not in sync are copied: what a reassignment may take of the network.
//!
//! A topic names the replicas, a broker the rates, one as a leader and one as a follower (as in Kafka).
//! Replicas in sync are neither held back nor counted: records would not be committed meanwhile, and
//! what they take must not keep a copy from ever being finished. `Rate` is pure; what is held back is
//! decided where it would be sent or asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Partition;
use crate::config::{ThrottleRates, TopicConfig};
use crate::controller::PartitionImage;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Who is held back looks again after that: the rate may be another by then.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Lets bytes pass at a rate: after some have passed, no more do before they are paid for by time.
#[derive(Debug)]
struct Rate {
    bytes_per_second: u64,
    free_at: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self { bytes_per_second: u64::MAX, free_at: Duration::ZERO }
    }
}

impl Rate {
    /// What is not paid for yet is so at the new rate.
    fn set(&mut self, bytes_per_second: u64, now: Duration) {
        if bytes_per_second == self.bytes_per_second {
            return;
        }
        let left = self.free_at.saturating_sub(now).as_nanos();
        let bytes = left.saturating_mul(self.bytes_per_second.into()) / NANOS_PER_SECOND;
        *self = Self { bytes_per_second, free_at: now };
        self.on_passed(u64::try_from(bytes).unwrap_or(u64::MAX), now);
    }

    fn on_passed(&mut self, bytes: u64, now: Duration) {
        let rate = u128::from(self.bytes_per_second);
        // At a rate of zero nothing passes however much is paid for.
        let nanos = (u128::from(bytes) * NANOS_PER_SECOND).checked_div(rate).unwrap_or(0);
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now).saturating_add(time);
    }

    /// When bytes may pass again; `None`: now.
    fn held_until(&self, now: Duration) -> Option<Duration> {
        match self.bytes_per_second {
            0 => Some(Duration::MAX),
            _ => Some(self.free_at).filter(|free_at| *free_at > now),
        }
    }
}

/// One direction of copying.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Rate>);

impl Throttle {
    /// When to look again whether replicas may be copied; `None`: they may.
    pub(crate) fn held_until(&self, now: Duration) -> Option<Duration> {
        let until = self.0.lock().held_until(now)?;
        Some(until.min(now + LOOK_AGAIN_AFTER))
    }

    /// How much may be copied at a time: what passes in a second.
    pub(crate) fn bytes_at_once(&self) -> usize {
        usize::try_from(self.0.lock().bytes_per_second).unwrap_or(usize::MAX)
    }

    /// Notes that throttled replicas were copied.
    pub(crate) fn on_copied(&self, size: usize, now: Duration) {
        if size > 0 {
            self.0.lock().on_passed(u64::try_from(size).unwrap_or(u64::MAX), now);
        }
    }
}

/// Both directions.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    /// What this broker sends as a leader.
    pub(crate) leader: Throttle,
    /// What it asks for as a follower.
    pub(crate) follower: Throttle,
}

impl Throttles {
    /// Takes over changed settings.
    pub(super) fn set(&self, rates: ThrottleRates, now: Duration) {
        self.leader.0.lock().set(rates.leader, now);
        self.follower.0.lock().set(rates.follower, now);
    }
}

/// Whether the metadata wants the copying of a partition held back on this broker.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    by_leader: AtomicBool,
    by_follower: AtomicBool,
}

impl Partition {
    /// Takes over what the topic says of throttled replicas, and who is in sync.
    pub(super) fn set_throttled(&self, config: &TopicConfig, image: &PartitionImage) {
        let replica = (self.index, self.node_id);
        let by_leader = config.leader_throttled_replicas.contains(replica);
        let by_follower = config.follower_throttled_replicas.contains(replica)
            && !image.in_sync.contains(&self.node_id);
        self.throttled.by_leader.store(by_leader, Ordering::Relaxed);
        self.throttled.by_follower.store(by_follower, Ordering::Relaxed);
    }

    /// Whether what this broker, as the leader, sends to that follower is throttled.
    pub(crate) fn throttles(&self, follower: i32) -> bool {
        self.throttled.by_leader.load(Ordering::Relaxed)
            && self.role.lock().leader().is_some_and(|leader| !leader.in_sync().contains(&follower))
    }

    /// Whether what this broker fetches as a follower is throttled.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttled.by_follower.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_has_passed_is_paid_for_by_time() {
        let mut rate = Rate::default();
        rate.on_passed(u64::MAX, ms(0));
        assert_eq!(rate.held_until(ms(1000)), None);
        rate.set(1000, ms(1000));
        assert_eq!(rate.held_until(ms(1000)), None);
        rate.on_passed(500, ms(1000));
        assert_eq!(rate.held_until(ms(1499)), Some(ms(1500)));
        assert_eq!(rate.held_until(ms(1500)), None);
        // Time in which nothing passed is not saved up.
        rate.on_passed(500, ms(9000));
        rate.on_passed(1500, ms(9100));
        assert_eq!(rate.held_until(ms(9100)), Some(ms(11_000)));
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let mut rate = Rate::default();
        rate.set(1000, ms(0));
        rate.on_passed(60_000, ms(0));
        rate.set(2000, ms(20_000));
        assert_eq!(rate.held_until(ms(20_000)), Some(ms(40_000)));
        rate.set(0, ms(30_000));
        assert_eq!(rate.held_until(ms(900_000)), Some(Duration::MAX));
        rate.on_passed(1, ms(900_000));
        rate.set(1, ms(900_000));
        assert_eq!(rate.held_until(ms(900_000)), None);
        rate.on_passed(u64::MAX, ms(900_000));
        rate.on_passed(u64::MAX, ms(900_000));
        rate.set(u64::MAX, ms(900_000));
        assert!(rate.held_until(ms(900_000)).is_none_or(|until| until < ms(902_000)));
    }
}
