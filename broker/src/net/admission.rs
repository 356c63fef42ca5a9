//! Who may connect: limits on open connections, in all and per address, and on new connections per
//! second from one address. Pure, apart from the counting.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::LimitConfig;

/// New connections per second from one address, once the burst is used up.
const RATE_PER_SECOND: u32 = 200;

/// New connections from one address that may come at once.
const BURST: u32 = 400;

/// The longest that a connection above the rate is made to wait; beyond it is refused.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Why a connection was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("{limit} connections are open, which is the limit")]
    Full { limit: usize },
    #[error("{limit} connections from this address are open, which is the limit")]
    ByAddress { limit: usize },
    #[error("this address opens more than {per_second} connections per second")]
    ByRate { per_second: u32 },
}

/// The state behind the limits, shared by all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    open_max: usize,
    open_per_address_max: usize,
    open: usize,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    open: usize,
    /// When the next connection would be exactly at the rate; what lies ahead of now is debt.
    due: Duration,
}

/// An admitted connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Admitted {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
    /// How long to wait before serving it, so that the address keeps to its rate.
    pub(crate) wait: Duration,
}

impl Admission {
    pub(crate) fn new(limits: &LimitConfig) -> Self {
        Self(Arc::new(Mutex::new(Counts {
            open_max: limits.connections_max,
            open_per_address_max: limits.connections_per_ip_max,
            open: 0,
            addresses: BTreeMap::new(),
        })))
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.0.lock().open
    }

    /// Connections that may be open.
    pub(crate) fn limit(&self) -> usize {
        self.0.lock().open_max
    }

    pub(crate) fn admit(&self, peer: SocketAddr, now: Duration) -> Result<Admitted, Denied> {
        let address = peer.ip().to_canonical();
        let mut counts = self.0.lock();
        let wait = counts.admit(address, now)?;
        drop(counts);
        Ok(Admitted { counts: Arc::clone(&self.0), address, wait })
    }
}

impl Counts {
    fn admit(&mut self, address: IpAddr, now: Duration) -> Result<Duration, Denied> {
        if self.open >= self.open_max {
            return Err(Denied::Full { limit: self.open_max });
        }
        let spacing = Duration::from_secs(1) / RATE_PER_SECOND;
        let entry =
            self.addresses.entry(address).or_insert(Address { open: 0, due: Duration::ZERO });
        if entry.open >= self.open_per_address_max {
            return Err(Denied::ByAddress { limit: self.open_per_address_max });
        }
        let due = entry.due.max(now.saturating_sub(spacing * BURST));
        let wait = due.saturating_sub(now);
        if wait > WAIT_MAX {
            return Err(Denied::ByRate { per_second: RATE_PER_SECOND });
        }
        entry.due = due + spacing;
        entry.open += 1;
        self.open += 1;
        Ok(wait)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.open -= 1;
        if let Some(entry) = counts.addresses.get_mut(&self.address) {
            entry.open -= 1;
        }
        // An address without connections is remembered only as long as it is in debt, which the
        // bound on waiting keeps short; whoever comes next clears the rest.
        if counts.addresses.len() > counts.open + 1024 {
            counts.addresses.retain(|_, entry| entry.open > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(open_max: usize, open_per_address_max: usize) -> Admission {
        let limits = crate::config::BrokerConfig::default().limits;
        Admission::new(&LimitConfig {
            connections_max: open_max,
            connections_per_ip_max: open_per_address_max,
            ..limits
        })
    }

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 1))
    }

    #[test]
    fn open_connections_are_limited_and_make_room_when_closed() {
        let admission = admission(3, 2);
        let now = Duration::from_secs(100);
        let first = admission.admit(peer(1), now).unwrap();
        let _second = admission.admit(peer(1), now).unwrap();
        let limit = 2;
        assert_eq!(admission.admit(peer(1), now).unwrap_err(), Denied::ByAddress { limit });
        let _third = admission.admit(peer(2), now).unwrap();
        assert_eq!(admission.admit(peer(3), now).unwrap_err(), Denied::Full { limit: 3 });
        drop(first);
        assert!(admission.admit(peer(1), now).is_ok());
        assert_eq!(admission.open(), 2);
    }

    #[test]
    fn an_address_above_its_rate_waits_and_is_then_refused() {
        let admission = admission(10_000, 10_000);
        let now = Duration::from_secs(100);
        let admitted: Vec<_> =
            std::iter::from_fn(|| admission.admit(peer(1), now).ok()).take(5000).collect();
        let at_once = admitted.iter().filter(|a| a.wait.is_zero()).count();
        assert_eq!(at_once, usize::try_from(BURST).unwrap() + 1);
        assert!(admitted.len() < 1000, "{}", admitted.len());
        assert!(admission.admit(peer(2), now).unwrap().wait.is_zero());
        assert!(admission.admit(peer(1), now + Duration::from_secs(10)).unwrap().wait.is_zero());
    }
}
