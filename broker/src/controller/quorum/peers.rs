//! How Raft reaches its other members: its requests as messages of `wire`, sent over the transport.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use openraft::OptionalSend;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;

use super::node;
use super::transport::{QuorumAddress, QuorumLane, QuorumTransport, TransportError};
use super::types::{Member, Snapshot, TypeConfig, Vote, log_id};
use super::wire::{self, CHUNK_BYTES, Request, Response};

/// An append is answered when it is on disk, which takes a busy disk a while.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Installing a snapshot takes the other end several syncs.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);

/// The vote of a leader that was found to be gone, if one was.
pub(super) type Gone = Arc<Mutex<Option<Vote>>>;

/// Gives connections to peers.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) node_id: u64,
    pub(super) transport: Arc<dyn QuorumTransport>,
    pub(super) gone: Gone,
}

/// A way to one peer, for one purpose.
pub(super) struct Peer {
    peers: Peers,
    target: u64,
    addr: String,
    append_lane: QuorumLane,
}

impl Peers {
    fn peer(&self, target: u64, member: &Member, append_lane: QuorumLane) -> Peer {
        Peer { peers: self.clone(), target, addr: member.addr.clone(), append_lane }
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, QuorumLane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Peer {
        self.peer(target, member, QuorumLane::Heartbeat)
    }
}

/// Asks a peer and reads its answer.
pub(super) async fn ask(
    transport: &dyn QuorumTransport,
    to: &QuorumAddress,
    lane: QuorumLane,
    request: &Request,
    timeout: Duration,
) -> Result<Response, TransportError> {
    let answer = transport.call(to, lane, wire::encode(request), timeout).await?;
    // Whoever answers with something else is no member of this version.
    wire::decode(&answer).map_err(|_garbage| TransportError::Unreachable)
}

impl Peer {
    async fn ask(
        &self,
        lane: QuorumLane,
        action: RPCTypes,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, RPCError<TypeConfig>> {
        let to = QuorumAddress { node_id: node(self.target), addr: self.addr.clone() };
        let asked = ask(&*self.peers.transport, &to, lane, request, timeout).await;
        asked.map_err(|error| match error {
            TransportError::TimedOut => {
                Timeout { action, id: self.peers.node_id, target: self.target, timeout }.into()
            }
            TransportError::Refused | TransportError::Unreachable => {
                Unreachable::new(&error).into()
            }
        })
    }

    fn unexpected(&self, response: &Response) -> Unreachable<TypeConfig> {
        let reason = match response {
            Response::NotReady => "is not ready",
            _ => "gave an answer to another question",
        };
        Unreachable::from_string(format!("node {} {reason}", self.target))
    }

    fn voted(&self, response: Response) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match response {
            Response::Vote { vote, last, is_granted } => {
                Ok(VoteResponse::new(wire::vote(vote), last.map(log_id), is_granted))
            }
            other => Err(self.unexpected(&other).into()),
        }
    }

    /// Sends a snapshot piece by piece; a piece that was lost is sent again by starting over.
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: &Snapshot,
    ) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
        let bytes = &snapshot.snapshot;
        let size = bytes.len() as u64;
        let mut offset = 0;
        loop {
            let end = bytes.len().min(offset + CHUNK_BYTES);
            let chunk = bytes.slice(offset..end);
            let vote = wire::wire_vote(&vote);
            let request = Request::Snapshot { vote, offset: offset as u64, size, chunk };
            let asked = self.ask(
                QuorumLane::Snapshot,
                RPCTypes::InstallSnapshot,
                &request,
                SNAPSHOT_TIMEOUT,
            );
            match asked.await? {
                Response::ChunkTaken(next) if next == end as u64 && end < bytes.len() => {
                    offset = end;
                }
                Response::SnapshotInstalled(vote) => {
                    return Ok(SnapshotResponse::new(wire::vote(vote)));
                }
                Response::ChunkTaken(_) => {
                    let lost = "the other end has other pieces of the snapshot";
                    return Err(NetworkError::from_string(lost).into());
                }
                other => return Err(self.unexpected(&other).into()),
            }
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = bytes::Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let timeout = match self.append_lane {
            QuorumLane::Heartbeat => option.hard_ttl(),
            _ => APPEND_TIMEOUT.max(option.hard_ttl()),
        };
        let request = wire::append_request(rpc);
        match self.ask(self.append_lane, RPCTypes::AppendEntries, &request, timeout).await? {
            Response::Append(appended) => Ok(wire::to_append_response(appended)),
            other => Err(self.unexpected(&other).into()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::vote_request(&rpc);
        let asked = self.ask(QuorumLane::Vote, RPCTypes::Vote, &request, option.hard_ttl());
        self.voted(asked.await?)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let gone = *self.peers.gone.lock();
        let is_leader_gone =
            gone.is_some_and(|gone| gone.leader_id.term + 1 == rpc.vote.leader_id.term);
        let request = wire::pre_vote_request(&rpc, is_leader_gone);
        let asked = self.ask(QuorumLane::Vote, RPCTypes::Vote, &request, option.hard_ttl());
        self.voted(asked.await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sending = Box::pin(self.send_snapshot(vote, &snapshot));
        match select(sending, Box::pin(cancel)).await {
            Either::Left((sent, _)) => Ok(sent?),
            Either::Right((closed, _)) => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::transfer_request(&rpc);
        let asked =
            self.ask(QuorumLane::Vote, RPCTypes::TransferLeader, &request, option.hard_ttl());
        match asked.await? {
            // A refusal needs no answer of its own: the old leader goes on leading until another is
            // elected, and who asked for the transfer looks at that.
            Response::Transfer { .. } => Ok(Ok(())),
            other => Err(self.unexpected(&other).into()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        // Short, so that a member that comes back is not kept waiting.
        let growing = [50, 100, 200].into_iter().chain(std::iter::repeat(400));
        Some(Backoff::new(growing.map(Duration::from_millis)))
    }
}
