//! How long a connection is put up with: for its first request, for the rest of a request, for
//! taking its answers, for memory, for silence. Pure.
//!
//! While memory is short, whoever holds some of it without getting on has to go first, before those
//! who wait for it.

use std::time::Duration;

/// How long a stranger may take until its first request is complete.
pub(super) const FIRST_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a request may take to arrive, whatever its size. A large one gets more time, see
/// [`SENDING_RATE_MIN`].
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes per second at which a request may arrive for as long as it takes.
const SENDING_RATE_MIN: usize = 16 * 1024;

/// The same while memory is short.
const SENDING_RATE_SHORT: usize = 1024 * 1024;

/// While memory is short: how long a request may take to arrive, beyond what its bytes earn it, and
/// how long a client may take none of its answers.
const SHORT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a connection may wait for memory.
const STARVED_TIME_MAX: Duration = Duration::from_secs(20);

/// How often a connection that waits for memory asks again.
const STARVED_RETRY: Duration = Duration::from_millis(10);

/// After this time without traffic a large receiving buffer is given back.
pub(super) const BUFFER_KEPT: Duration = Duration::from_secs(5);

/// How often a connection is looked at while it holds memory.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What a connection's time is over for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Overdue {
    #[error("no request came within {0:?}")]
    FirstRequest(Duration),
    #[error("{size} bytes of a request came within {time:?}")]
    Request { size: usize, time: Duration },
    #[error("the client has taken none of its answers for {0:?}")]
    Answers(Duration),
    #[error("no memory was left for it for {0:?}")]
    Memory(Duration),
    #[error("there was no traffic for {0:?}")]
    Traffic(Duration),
}

/// Where a connection stands; times are how long ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When it was opened, if it has had no request.
    pub(super) stranger_for: Option<Duration>,
    /// When the request that is arriving began to, and how much of it is there.
    pub(super) request_for: Option<(Duration, usize)>,
    /// When the client last took some of the answers that wait to be sent.
    pub(super) untaken_for: Option<Duration>,
    /// When it began to wait for memory.
    pub(super) starved_for: Option<Duration>,
    /// When anything was last read or sent.
    pub(super) quiet_for: Duration,
    /// The setting `connections.max.idle.ms`.
    pub(super) idle_max: Duration,
    /// Others wait for memory.
    pub(super) is_memory_short: bool,
    /// It holds memory that it may have to give back.
    pub(super) holds_memory: bool,
}

impl Standing {
    /// Says when to look again, or why the connection has to end.
    pub(super) fn judge(&self) -> Result<Duration, Overdue> {
        if let Some(time) = self.stranger_for {
            let left = FIRST_REQUEST_TIME_MAX.saturating_sub(time);
            let overdue = Overdue::FirstRequest(FIRST_REQUEST_TIME_MAX);
            return if left.is_zero() { Err(overdue) } else { Ok(left) };
        }
        if let Some(time) = self.untaken_for
            && self.is_memory_short
            && time >= SHORT_TIME_MAX
        {
            return Err(Overdue::Answers(time));
        }
        if let Some((time, size)) = self.request_for
            && self.starved_for.is_none()
        {
            let (base, rate) = match self.is_memory_short {
                true => (SHORT_TIME_MAX, SENDING_RATE_SHORT),
                false => (REQUEST_TIME_MAX, SENDING_RATE_MIN),
            };
            let earned = u64::try_from(size / rate).unwrap_or(u64::MAX);
            if time >= base.saturating_add(Duration::from_secs(earned)) {
                return Err(Overdue::Request { size, time });
            }
        }
        if self.starved_for.is_some_and(|time| time >= STARVED_TIME_MAX) {
            return Err(Overdue::Memory(STARVED_TIME_MAX));
        }
        let left = self.idle_max.saturating_sub(self.quiet_for);
        if left.is_zero() {
            return Err(Overdue::Traffic(self.idle_max));
        }
        Ok(match () {
            () if self.starved_for.is_some() => STARVED_RETRY,
            () if self.holds_memory => LOOK_INTERVAL.min(left),
            () => left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Standing = Standing {
        stranger_for: None,
        request_for: None,
        untaken_for: None,
        starved_for: None,
        quiet_for: Duration::ZERO,
        idle_max: Duration::from_secs(600),
        is_memory_short: false,
        holds_memory: false,
    };

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn strangers_have_ten_seconds() {
        let stranger = |time| Standing { stranger_for: Some(time), ..QUIET }.judge();
        assert_eq!(stranger(seconds(4)), Ok(seconds(6)));
        assert_eq!(stranger(seconds(10)), Err(Overdue::FirstRequest(seconds(10))));
    }

    #[test]
    fn a_request_may_take_long_if_it_gets_on() {
        let arriving = |time, size, is_memory_short| {
            let request_for = Some((seconds(time), size));
            Standing { request_for, is_memory_short, holds_memory: true, ..QUIET }.judge()
        };
        assert_eq!(arriving(29, 29, false), Ok(LOOK_INTERVAL));
        let late = Overdue::Request { size: 30, time: seconds(30) };
        assert_eq!(arriving(30, 30, false), Err(late));
        assert_eq!(arriving(400, 400 * SENDING_RATE_MIN, false), Ok(LOOK_INTERVAL));
        let late = Overdue::Request { size: 5, time: seconds(5) };
        assert_eq!(arriving(5, 5, true), Err(late));
        assert_eq!(arriving(5, SENDING_RATE_SHORT, true), Ok(LOOK_INTERVAL));
    }

    #[test]
    fn answers_may_lie_until_the_idle_time_or_until_memory_is_short() {
        let untaken = |time, is_memory_short| {
            let untaken_for = Some(seconds(time));
            let quiet_for = seconds(time);
            Standing { untaken_for, quiet_for, is_memory_short, holds_memory: true, ..QUIET }
                .judge()
        };
        assert_eq!(untaken(599, false), Ok(seconds(1)));
        assert_eq!(untaken(600, false), Err(Overdue::Traffic(seconds(600))));
        assert_eq!(untaken(4, true), Ok(LOOK_INTERVAL));
        assert_eq!(untaken(5, true), Err(Overdue::Answers(seconds(5))));
    }

    #[test]
    fn who_waits_for_memory_is_not_blamed_for_being_slow_and_gives_up_in_the_end() {
        let starved = |time| {
            let request_for = Some((seconds(100), 10));
            let starved_for = Some(seconds(time));
            Standing { starved_for, request_for, is_memory_short: true, ..QUIET }.judge()
        };
        assert_eq!(starved(19), Ok(STARVED_RETRY));
        assert_eq!(starved(20), Err(Overdue::Memory(seconds(20))));
    }

    #[test]
    fn silence_ends_a_connection() {
        let quiet = |time| Standing { quiet_for: seconds(time), ..QUIET }.judge();
        assert_eq!(quiet(590), Ok(seconds(10)));
        assert_eq!(quiet(600), Err(Overdue::Traffic(seconds(600))));
    }
}
