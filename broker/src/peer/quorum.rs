//! The metadata quorum on the peer connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;

use super::{Lane, PeerAddress, PeerClient, PeerError, PeerFault, PeerHandler, PeerKind};
use crate::controller::{
    QuorumAddress, QuorumLane, QuorumService, QuorumTransport, TransportError,
};

impl QuorumTransport for PeerClient {
    fn call(
        &self,
        to: &QuorumAddress,
        lane: QuorumLane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let client = self.clone();
        let to = PeerAddress { node_id: to.node_id, address: to.addr.clone() };
        Box::pin(async move {
            let lane = Lane::Quorum(lane);
            client.ask(&to, lane, PeerKind::Quorum, &body, timeout).await.map_err(|error| {
                match error {
                    PeerError::Refused => TransportError::Refused,
                    PeerError::TimedOut => TransportError::TimedOut,
                    PeerError::Unreachable { .. } | PeerError::Fault(_) => {
                        TransportError::Unreachable
                    }
                }
            })
        })
    }
}

impl PeerHandler for QuorumService {
    fn handle(
        self: Arc<Self>,
        from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            let answer = Self::handle(self, from, body).await;
            answer.map_err(|_unreadable| PeerFault::Malformed)
        })
    }
}
