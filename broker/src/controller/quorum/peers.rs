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
use super::wire::{self, Appended, CHUNK_BYTES, Request, Response, WireVote};

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
    wire::decode_response(&answer).map_err(|_garbage| TransportError::Unreachable)
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

    /// The vote that the peer has, told in answer to the vote `asked`.
    ///
    /// This broker knows its own votes, and Raft would lead in a term that nobody elected it in. One
    /// of a later term is the answer to a question of before that term, and of no use any more.
    fn told(&self, asked: &Vote, vote: WireVote) -> Result<Vote, Unreachable<TypeConfig>> {
        let vote = wire::vote(vote);
        if vote.leader_id.voted_for == self.peers.node_id && vote > *asked {
            let reason = format!("node {} tells this broker of its own vote", self.target);
            return Err(Unreachable::from_string(reason));
        }
        Ok(vote)
    }

    fn voted(
        &self,
        asked: &Vote,
        response: Response,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match response {
            Response::Vote { vote, last, is_granted } => {
                Ok(VoteResponse::new(self.told(asked, vote)?, last.map(log_id), is_granted))
            }
            other => Err(self.unexpected(&other).into()),
        }
    }

    fn appended(
        &self,
        request: &Request,
        response: Response,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let (Response::Append(appended), Request::Append { vote, .. }) = (&response, request)
        else {
            return Err(self.unexpected(&response).into());
        };
        let asked = wire::vote(*vote);
        match *appended {
            Appended::All => Ok(AppendEntriesResponse::Success),
            Appended::Conflict => Ok(AppendEntriesResponse::Conflict),
            Appended::HigherVote(vote) => {
                Ok(AppendEntriesResponse::HigherVote(self.told(&asked, vote)?))
            }
            Appended::UpTo(id) if request.holds(id) => {
                Ok(AppendEntriesResponse::PartialSuccess(id.map(log_id)))
            }
            // Raft would count entries as copied that it may not even have.
            Appended::UpTo(_) => {
                let reason = format!("node {} took entries it was not sent", self.target);
                Err(Unreachable::from_string(reason).into())
            }
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
            let asked = wire::wire_vote(&vote);
            let request = Request::Snapshot { vote: asked, offset: offset as u64, size, chunk };
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
                Response::SnapshotInstalled(told) => {
                    return Ok(SnapshotResponse::new(self.told(&vote, told)?));
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
        let asked = self.ask(self.append_lane, RPCTypes::AppendEntries, &request, timeout);
        self.appended(&request, asked.await?)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = wire::vote_request(&rpc);
        let asked = self.ask(QuorumLane::Vote, RPCTypes::Vote, &request, option.hard_ttl());
        self.voted(&rpc.vote, asked.await?)
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
        self.voted(&rpc.vote, asked.await?)
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

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::super::transport::Alone;
    use super::super::types::Entry;
    use super::*;

    /// Node 1's way to node 2.
    fn peer() -> Peer {
        let peers = Peers { node_id: 1, transport: Arc::new(Alone), gone: Gone::default() };
        peers.peer(2, &Member::default(), QuorumLane::Append)
    }

    /// What the leader of term 5 makes of an answer to its entries 11 and 12, which follow one of term 4.
    fn check(appended: Appended, expected: Option<AppendEntriesResponse<TypeConfig>>) {
        let entry = |index| Entry { log_id: log_id((5, index)), payload: EntryPayload::Blank };
        let request = wire::append_request(AppendEntriesRequest {
            vote: Vote::new_committed(5, 1),
            prev_log_id: Some(log_id((4, 10))),
            entries: vec![entry(11), entry(12)],
            leader_commit: None,
        });
        let response = Response::Append(appended);
        let read = peer().appended(&request, response.clone()).ok();
        assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{response:?}");
    }

    #[test]
    fn a_follower_has_what_it_was_sent_and_no_more() {
        let taken = |id| {
            let up_to = AppendEntriesResponse::PartialSuccess(Some(log_id(id)));
            check(Appended::UpTo(Some(id)), Some(up_to));
        };
        [(4, 10), (5, 11), (5, 12)].into_iter().for_each(taken);
        for id in [None, Some((4, 9)), Some((4, 11)), Some((5, 13))] {
            check(Appended::UpTo(id), None);
        }
    }

    #[test]
    fn nobody_tells_a_broker_that_it_was_elected() {
        let higher = |vote| Some(AppendEntriesResponse::HigherVote(wire::vote(vote)));
        for vote in [(6, 2, false), (6, 3, true)] {
            check(Appended::HigherVote(vote), higher(vote));
        }
        check(Appended::HigherVote((6, 1, true)), None);
        let own = Vote::new(6, 1);
        let voted = |vote| {
            peer().voted(&own, Response::Vote { vote, last: None, is_granted: true }).is_ok()
        };
        assert!(voted((6, 1, false)), "its own vote is what it asked for");
        assert!(!voted((6, 1, true)));
        assert!(!voted((7, 1, false)));
    }
}
