//! The way to whoever leads the metadata quorum: this broker, or another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;
use tracing::debug;

use super::{Lane, PeerAddress, PeerClient, PeerError, PeerFault, PeerHandler, PeerKind};
use crate::controller::{Control, ControlRequest, ControlResponse, Controller, NotLeader};

/// How long an answer of the leader is waited for: it writes to its disk, and to those of others.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Asks the leader, wherever it is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ControlRoute {
    controller: Controller,
    peers: PeerClient,
}

impl ControlRoute {
    pub(crate) fn new(controller: Controller, peers: PeerClient) -> Self {
        Self { controller, peers }
    }

    /// Where the leader is, if another broker leads.
    fn other_leader(&self) -> Option<PeerAddress> {
        let node_id = self.controller.leader().filter(|_| !self.controller.is_leader())?;
        let address = self.controller.member_address(node_id)?;
        Some(PeerAddress { node_id, address })
    }

    /// Sends a message to the leader, if it is another broker, and waits for its answer.
    pub(crate) async fn ask_leader(
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
                return self.controller.control(request).await;
            }
            let body = rmp_serde::to_vec(&request).expect("a question has a form in MessagePack");
            let answer =
                self.ask_leader(Lane::Control, PeerKind::Control, &body, ANSWER_TIME_MAX).await?;
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
