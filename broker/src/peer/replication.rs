//! Replication on the peer connections.

use std::time::Duration;

use flumen_client::connection::BoxFuture;
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};
use tracing::debug;

use super::{PeerAddress, PeerClient};
use crate::controller::Controller;
use crate::partition::ReplicaTransport;

/// Reaches leaders where the metadata says they are.
#[derive(Debug)]
pub(crate) struct ReplicaRoute {
    controller: Controller,
    peers: PeerClient,
}

impl ReplicaRoute {
    pub(crate) fn new(controller: Controller, peers: PeerClient) -> Self {
        Self { controller, peers }
    }
}

impl ReplicaTransport for ReplicaRoute {
    fn fetch(
        &self,
        leader: i32,
        lane: u8,
        request: FetchRequest,
        time: Duration,
    ) -> BoxFuture<'static, Option<FetchResponse>> {
        let address = self.controller.member_address(leader);
        let peers = self.peers.clone();
        Box::pin(async move {
            let to = PeerAddress { node_id: leader, address: address? };
            let fetched = peers.fetch(&to, lane, request, time).await;
            fetched.inspect_err(|error| debug!(leader, %error, "a fetch failed")).ok()
        })
    }
}
