//! Which brokers are alive: what only the leader of the quorum knows, and no record holds.
//!
//! A broker lives as long as its heartbeats come within the session timeout. A new leader has heard
//! of nobody and gives everybody a full session; but the leader before it was silent already, or there
//! would be no new one: half of a session may have passed for it. Time in which this process did not run counts for
//! nobody: the heartbeats of it are still waiting to be read. Pure: time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The sessions of brokers with the leader of the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokerSessions {
    timeout: Duration,
    /// The term of the quorum that they are of.
    term: Option<u64>,
    sessions: BTreeMap<i32, Session>,
    ticked: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    epoch: i64,
    deadline: Duration,
    is_heard: bool,
    /// The version of the image that the broker has.
    metadata_version: i64,
    /// The version that it must have reached to be let into service.
    service_version: Option<i64>,
    /// The version that others must have reached before it may stop.
    leave_version: Option<i64>,
}

impl BrokerSessions {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, term: None, sessions: BTreeMap::new(), ticked: Duration::ZERO }
    }

    /// Whether they are those of the leader of `term`.
    pub(super) fn is_of(&self, term: u64) -> bool {
        self.term == Some(term)
    }

    /// Begins anew: this broker has become the leader of `term`. `silent` is the leader before it and when that was
    /// heard of; where this process did not run itself that is longer ago than it should be, hence half
    /// a session is left.
    pub(super) fn on_leading(
        &mut self,
        term: u64,
        now: Duration,
        brokers: impl Iterator<Item = (i32, i64)>,
        silent: Option<(i32, Duration)>,
    ) {
        let passed = |id| match silent {
            Some((leader, since)) if leader == id => {
                now.saturating_sub(since).min(self.timeout / 2)
            }
            _ => Duration::ZERO,
        };
        let session = |id, epoch| Session {
            epoch,
            deadline: now + self.timeout - passed(id),
            is_heard: false,
            metadata_version: -1,
            service_version: None,
            leave_version: None,
        };
        self.sessions = brokers.map(|(id, epoch)| (id, session(id, epoch))).collect();
        self.ticked = now;
        self.term = Some(term);
    }

    /// A registered start of a broker is alive, and has metadata up to `metadata_version`.
    pub(super) fn on_heartbeat(
        &mut self,
        now: Duration,
        broker_id: i32,
        epoch: i64,
        metadata_version: i64,
    ) {
        let deadline = now + self.timeout;
        let fresh = Session {
            epoch,
            deadline,
            is_heard: true,
            metadata_version,
            service_version: None,
            leave_version: None,
        };
        let session = self.sessions.entry(broker_id).or_insert(fresh);
        if session.epoch != epoch {
            *session = fresh;
        }
        session.deadline = session.deadline.max(deadline);
        session.is_heard = true;
        session.metadata_version = session.metadata_version.max(metadata_version);
    }

    /// A broker is known to be dead or removed.
    pub(super) fn on_gone(&mut self, broker_id: i32) {
        self.sessions.remove(&broker_id);
    }

    /// Whether that start of the broker is still counted as alive.
    pub(super) fn is_alive(&self, now: Duration, broker_id: i32, epoch: i64) -> bool {
        let session = self.sessions.get(&broker_id);
        session.is_some_and(|session| session.epoch == epoch && now < session.deadline)
    }

    /// The brokers that this leader has heard of and not missed since.
    pub(super) fn heard(&self, now: Duration) -> BTreeSet<i32> {
        let alive = |session: &Session| session.is_heard && now < session.deadline;
        self.sessions.iter().filter(|(_, session)| alive(session)).map(|(id, _)| *id).collect()
    }

    /// The starts of brokers whose time is over. To be asked every `interval` or so.
    pub(super) fn overdue(&mut self, now: Duration, interval: Duration) -> Vec<(i32, i64)> {
        let lost = now.saturating_sub(self.ticked + interval * 2);
        self.ticked = now;
        for session in self.sessions.values_mut() {
            session.deadline += lost;
        }
        let overdue = |session: &Session| session.deadline <= now;
        self.sessions
            .iter()
            .filter(|(_, session)| overdue(session))
            .map(|(id, session)| (*id, session.epoch))
            .collect()
    }

    /// Whether the broker has the metadata to be let into service: what was published when it first
    /// asked, which has its registration.
    pub(super) fn may_serve(&mut self, broker_id: i32, published: i64) -> bool {
        let Some(session) = self.sessions.get_mut(&broker_id) else { return false };
        let needed = *session.service_version.get_or_insert(published);
        session.metadata_version >= needed
    }

    /// Whether all `others` know that the broker, which leads nothing any more, is leaving.
    pub(super) fn may_leave(
        &mut self,
        broker_id: i32,
        published: i64,
        others: impl Iterator<Item = i32>,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&broker_id) else { return true };
        let needed = *session.leave_version.get_or_insert(published);
        let knows = |id: i32| {
            self.sessions.get(&id).is_none_or(|session| session.metadata_version >= needed)
        };
        others.filter(|id| *id != broker_id).all(knows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(2500);
    const INTERVAL: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn leading(now: u64, brokers: &[(i32, i64)]) -> BrokerSessions {
        let mut sessions = BrokerSessions::new(TIMEOUT);
        sessions.on_leading(1, ms(now), brokers.iter().copied(), None);
        sessions
    }

    /// Ticks in time up to `until`, and returns who is overdue then.
    fn run(sessions: &mut BrokerSessions, from: u64, until: u64) -> Vec<(i32, i64)> {
        let mut overdue = Vec::new();
        for now in (from..=until).step_by(100) {
            overdue = sessions.overdue(ms(now), INTERVAL);
        }
        overdue
    }

    #[test]
    fn a_broker_is_missed_after_its_session_and_not_before() {
        let mut sessions = leading(1000, &[(1, 10), (2, 20)]);
        sessions.on_heartbeat(ms(2000), 1, 10, 5);
        assert_eq!(run(&mut sessions, 1000, 3400), []);
        assert_eq!(run(&mut sessions, 3500, 3500), [(2, 20)], "a new leader gives a full session");
        assert_eq!(run(&mut sessions, 3600, 4500), [(1, 10), (2, 20)]);
        assert!(!sessions.is_alive(ms(4500), 1, 10));
        sessions.on_heartbeat(ms(4600), 1, 10, 5);
        assert!(sessions.is_alive(ms(4600), 1, 10));
        assert_eq!(run(&mut sessions, 4600, 4600), [(2, 20)]);
    }

    #[test]
    fn time_in_which_the_controller_stood_still_counts_for_nobody() {
        let mut sessions = leading(0, &[(1, 10)]);
        assert_eq!(run(&mut sessions, 0, 1000), []);
        // Frozen for a minute; the heartbeats of it are unread.
        assert_eq!(sessions.overdue(ms(61_000), INTERVAL), []);
        assert_eq!(run(&mut sessions, 61_100, 62_200), []);
        assert_eq!(run(&mut sessions, 62_300, 62_400), [(1, 10)]);
    }

    #[test]
    fn the_silence_of_the_leader_before_counts_as_half_a_session_at_most() {
        for (heard, missed) in [(9_000, 11_500), (0, 11_250)] {
            let mut sessions = BrokerSessions::new(TIMEOUT);
            let brokers = [(1, 10), (2, 20)].into_iter();
            sessions.on_leading(1, ms(10_000), brokers, Some((1, ms(heard))));
            assert!(sessions.is_alive(ms(missed - 1), 1, 10), "{heard}");
            assert!(!sessions.is_alive(ms(missed), 1, 10), "{heard}");
            assert!(sessions.is_alive(ms(12_499), 2, 20));
        }
    }

    #[test]
    fn another_start_has_a_session_of_its_own() {
        let mut sessions = leading(0, &[(1, 10)]);
        sessions.on_heartbeat(ms(100), 1, 11, 0);
        assert!(!sessions.is_alive(ms(200), 1, 10));
        assert!(sessions.is_alive(ms(200), 1, 11));
    }

    #[test]
    fn only_who_was_heard_of_is_heard() {
        let mut sessions = leading(0, &[(1, 10), (2, 20), (3, 30)]);
        sessions.on_heartbeat(ms(100), 2, 20, 0);
        assert_eq!(sessions.heard(ms(200)), BTreeSet::from([2]));
        assert_eq!(sessions.heard(ms(2600)), BTreeSet::new(), "and not missed since");
        sessions.on_leading(2, ms(3000), [(2, 20)].into_iter(), None);
        assert!(sessions.is_of(2) && !sessions.is_of(1));
        assert_eq!(sessions.heard(ms(3000)), BTreeSet::new());
    }

    #[test]
    fn service_waits_for_the_metadata_of_the_first_request() {
        let mut sessions = leading(0, &[]);
        sessions.on_heartbeat(ms(0), 1, 10, 6);
        assert!(!sessions.may_serve(1, 7));
        sessions.on_heartbeat(ms(400), 1, 10, 7);
        assert!(sessions.may_serve(1, 90), "what came later is not waited for");
        sessions.on_heartbeat(ms(500), 1, 11, 7);
        assert!(!sessions.may_serve(1, 90), "another start begins anew");
    }

    #[test]
    fn a_leaving_broker_waits_until_the_others_know() {
        let mut sessions = leading(0, &[(1, 10), (2, 20), (3, 30)]);
        for (id, version) in [(1, 9), (2, 8), (3, 7)] {
            sessions.on_heartbeat(ms(0), id, i64::from(id) * 10, version);
        }
        let others = || [1, 2].into_iter();
        assert!(!sessions.may_leave(1, 9, others()));
        sessions.on_heartbeat(ms(400), 2, 20, 9);
        assert!(sessions.may_leave(1, 50, others()));
    }
}
