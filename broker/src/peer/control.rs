//! The way to whoever leads the metadata quorum: this broker, or another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::debug;

use super::{Lane, PeerAddress, PeerClient, PeerError, PeerFault, PeerHandler, PeerKind};
use crate::clock::within;
use crate::controller::{Control, ControlRequest, ControlResponse, Controller, NotLeader};

/// How long an answer of the leader is waited for: it writes to its disk, and to those of others.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Requests of clients that are passed on at once. Each has a connection of its own meanwhile:
/// answers leave a connection in order, and one that takes long would hold up the others.
const FORWARDED_MAX: u8 = 8;

/// Asks the leader, wherever it is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ControlRoute {
    controller: Controller,
    peers: PeerClient,
    lanes: Arc<ForwardLanes>,
}

/// The connections on which requests of clients are passed on, by number.
#[derive(Debug)]
struct ForwardLanes {
    free: Mutex<VecDeque<u8>>,
    permits: Semaphore,
}

/// A connection that nobody else uses until this is dropped.
#[derive(Debug)]
struct ForwardLane<'a> {
    lanes: &'a ForwardLanes,
    number: u8,
    _permit: SemaphorePermit<'a>,
}

impl ForwardLanes {
    fn new() -> Self {
        let permits = Semaphore::new(usize::from(FORWARDED_MAX));
        Self { free: Mutex::new((0..FORWARDED_MAX).collect()), permits }
    }

    /// Waits for a connection. The one that was left longest ago comes first: on a later one there may
    /// be an answer under way that nobody waits for any more.
    async fn take(&self) -> ForwardLane<'_> {
        let permit = self.permits.acquire().await.expect("it is never closed");
        let number = self.free.lock().pop_front().expect("there is one for each permit");
        ForwardLane { lanes: self, number, _permit: permit }
    }
}

impl Drop for ForwardLane<'_> {
    fn drop(&mut self) {
        self.lanes.free.lock().push_back(self.number);
    }
}

/// A request was not passed on, or not answered: nobody leads, the leader does not answer, or another
/// broker began to lead meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotForwarded;

impl ControlRoute {
    pub(crate) fn new(controller: Controller, peers: PeerClient) -> Self {
        Self { controller, peers, lanes: Arc::new(ForwardLanes::new()) }
    }

    /// Passes the request of a client on to the leader, and waits for its answer as long as it leads.
    pub(crate) async fn forward(
        &self,
        message: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, NotForwarded> {
        let lane = within(timeout, self.lanes.take()).await;
        let lane = lane.ok_or(NotForwarded)?;
        let leader = self.controller.leader();
        let number = Lane::Forward(lane.number);
        tokio::select! {
            biased;
            answer = self.ask_leader(number, PeerKind::Forward, message, timeout) => {
                answer.map_err(|NotLeader| NotForwarded)
            }
            // The old one may be cut off or frozen, and never answer.
            () = self.controller.another_leader(leader) => Err(NotForwarded),
        }
    }

    /// Where the leader is, if another broker leads.
    fn other_leader(&self) -> Option<PeerAddress> {
        let node_id = self.controller.leader().filter(|_| !self.controller.is_leader())?;
        let address = self.controller.member_address(node_id)?;
        Some(PeerAddress { node_id, address })
    }

    /// Sends a message to the leader, if it is another broker, and waits for its answer.
    async fn ask_leader(
        &self,
        lane: Lane,
        kind: PeerKind,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, NotLeader> {
        let leader = self.other_leader().ok_or(NotLeader)?;
        let answer = self.peers.ask(&leader, lane, kind, body, timeout).await;
        answer.map_err(|error| {
            debug!(leader = leader.node_id, %error, "the controller does not answer");
            if matches!(error, PeerError::Refused | PeerError::Unreachable { .. }) {
                self.controller.on_peer_lost(leader.node_id);
            }
            NotLeader
        })
    }
}

impl Control for ControlRoute {
    fn ask(&self, request: ControlRequest) -> BoxFuture<'_, Result<ControlResponse, NotLeader>> {
        Box::pin(async move {
            if self.controller.is_leader() {
                let answer = within(ANSWER_TIME_MAX, self.controller.control(request)).await;
                return answer.unwrap_or(Err(NotLeader));
            }
            let lane = match request {
                ControlRequest::Heartbeat(_) => Lane::Heartbeat,
                _ => Lane::Control,
            };
            let body = rmp_serde::to_vec(&request).expect("a question has a form in MessagePack");
            let answer = self.ask_leader(lane, PeerKind::Control, &body, ANSWER_TIME_MAX).await?;
            rmp_serde::from_slice(&answer).map_err(|_unreadable| NotLeader)
        })
    }
}

/// Answers what other brokers ask of the controller, while this broker leads.
#[derive(Debug)]
pub(crate) struct ControlHandler(pub(crate) Controller);

impl PeerHandler for ControlHandler {
    fn handle(
        self: Arc<Self>,
        _from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            let request =
                rmp_serde::from_slice(&body).map_err(|_unreadable| PeerFault::Malformed)?;
            let answer = self.0.control(request).await;
            let answer = answer.map_err(|NotLeader| PeerFault::Unable)?;
            Ok(rmp_serde::to_vec(&answer).expect("an answer has a form in MessagePack").into())
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn requests_that_are_passed_on_share_no_connection() {
        let lanes = ForwardLanes::new();
        let take = || lanes.take().now_or_never();
        let mut taken: Vec<_> = std::iter::from_fn(take).collect();
        let numbers: Vec<u8> = taken.iter().map(|lane| lane.number).collect();
        assert_eq!(numbers, (0..FORWARDED_MAX).collect::<Vec<_>>());
        assert!(take().is_none(), "further ones wait");
        drop(taken.remove(5));
        drop(taken.remove(2));
        assert_eq!(take().map(|lane| lane.number), Some(5));
        assert_eq!(take().map(|lane| lane.number), Some(2));
    }
}
