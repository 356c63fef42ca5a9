//! What this broker answers to other members of the quorum.
//!
//! It can be asked before Raft runs here: a voter that does not know yet whether there is a cluster
//! must be able to say so to others in the same position. Whatever arrives is checked before Raft sees
//! it, for Raft takes what cannot be for its own bug and stops.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flumen_client::connection::Seams;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use openraft::{Raft, ServerState};
use parking_lot::Mutex;

use super::consistency::TERM_MAX;
use super::disk::Disk;
use super::peers::{Gone, Peers, ask};
use super::state_machine::{Published, StateMachine};
use super::transport::{QuorumAddress, QuorumLane, QuorumTransport, TransportError};
use super::types::{Snapshot, TypeConfig, Vote, invalid, log_id};
use super::wire::{self, CHUNK_BYTES, Request, Response, Standing, WireVote};
use super::withheld::WithheldVotes;
use super::{membership, runtime, snapshot};

/// How long it may take a machine to say that nobody listens.
const PROBE_TIMEOUT: Duration = Duration::from_millis(100);

/// The largest snapshot that is taken in, which is held in memory until it is whole.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// No member has this id. A transfer of the leadership to it ends the old leader's lease here, and
/// nobody stands because of it.
const NOBODY: u64 = u64::MAX;

/// A message that no member of the quorum sends.
#[derive(Debug, thiserror::Error)]
#[error("not a message of the metadata quorum: {0}")]
pub struct NotAMessage(#[source] io::Error);

/// Answers the messages of the quorum.
pub struct QuorumService {
    node_id: u64,
    addr: String,
    seams: Seams,
    disk: Arc<Disk>,
    published: Arc<Published>,
    voters: Vec<(u64, String)>,
    peers: Peers,
    raft: OnceLock<Raft<TypeConfig, StateMachine>>,
    arriving: Mutex<Arriving>,
    pub(super) is_replacing: AtomicBool,
    /// The other broker that led last, and when it was heard of.
    heard: Mutex<Option<(i32, Duration)>>,
    withheld_votes: WithheldVotes,
}

impl fmt::Debug for QuorumService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuorumService").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// The part of a snapshot that is here.
#[derive(Default)]
struct Arriving {
    vote: WireVote,
    bytes: BytesMut,
}

/// Another broker that leads.
pub(super) struct OtherLeader {
    vote: Vote,
    pub(super) address: QuorumAddress,
}

impl QuorumService {
    pub(super) fn new(
        peers: Peers,
        addr: String,
        seams: Seams,
        disk: Arc<Disk>,
        published: Arc<Published>,
        voters: Vec<(u64, String)>,
    ) -> Self {
        Self {
            node_id: peers.node_id,
            addr,
            seams,
            disk,
            published,
            voters,
            peers,
            raft: OnceLock::new(),
            arriving: Mutex::default(),
            is_replacing: AtomicBool::new(false),
            heard: Mutex::default(),
            withheld_votes: WithheldVotes::default(),
        }
    }

    pub(super) fn node_id(&self) -> u64 {
        self.node_id
    }

    /// Where this broker's peer listener is.
    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    pub(super) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    pub(super) fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// The voters that the settings name, by id.
    pub(super) fn voters(&self) -> &[(u64, String)] {
        &self.voters
    }

    pub(super) fn is_named_voter(&self) -> bool {
        self.voters.iter().any(|(id, _)| *id == self.node_id)
    }

    pub(super) fn peers(&self) -> Peers {
        self.peers.clone()
    }

    pub(super) fn transport(&self) -> &dyn QuorumTransport {
        &*self.peers.transport
    }

    pub(super) fn gone(&self) -> &Gone {
        &self.peers.gone
    }

    /// Who this broker has refused a vote while it leads.
    pub(super) fn withheld_votes(&self) -> &WithheldVotes {
        &self.withheld_votes
    }

    /// Raft, once it runs.
    pub(super) fn raft(&self) -> Option<&Raft<TypeConfig, StateMachine>> {
        self.raft.get()
    }

    pub(super) fn set_raft(&self, raft: Raft<TypeConfig, StateMachine>) {
        assert!(self.raft.set(raft).is_ok(), "Raft is started once");
    }

    pub(super) fn random_below(&self, bound: u64) -> u64 {
        self.seams.rng.next_u64() % bound.max(1)
    }

    /// Answers a message of the broker `from`.
    ///
    /// # Errors
    /// The bytes are no message, or one that cannot be true.
    pub async fn handle(self: Arc<Self>, from: i32, body: Bytes) -> Result<Bytes, NotAMessage> {
        let request: Request = wire::decode(&body).map_err(NotAMessage)?;
        let seams = self.seams.clone();
        let answer = runtime::within(seams, self.answer(from, request)).await;
        Ok(wire::encode(&answer.map_err(NotAMessage)?))
    }

    async fn answer(&self, from: i32, request: Request) -> io::Result<Response> {
        if request == Request::Standing {
            return Ok(Response::Standing(Standing {
                is_pristine: self.disk.is_pristine(self.node_id),
                voters: self.voters.clone(),
            }));
        }
        let Some(raft) = self.raft.get() else { return Ok(Response::NotReady) };
        let answer = match request {
            Request::Standing => return Ok(Response::NotReady),
            Request::Append { vote, prev, entries, commit } => {
                let vote = checked(vote, from)?;
                let request = wire::to_append(vote, prev, entries, commit)?;
                let appended = raft.append_entries(request).await.ok();
                appended.map(|appended| Response::Append(wire::appended(appended)))
            }
            Request::Vote { vote, last, is_transfer } => {
                let vote = checked(vote, from)?;
                if self.disk.is_vote_withheld() {
                    return Ok(self.no_vote());
                }
                let voted = raft.vote(wire::to_vote_request(vote, last, is_transfer)).await.ok();
                voted.map(|voted| wire::vote_response(&voted))
            }
            Request::PreVote { vote, last, is_leader_gone } => {
                let vote = checked(vote, from)?;
                if self.disk.is_vote_withheld() {
                    return Ok(self.no_vote());
                }
                if is_leader_gone && let Some(leader) = self.other_leader() {
                    self.confirm_gone(&leader).await;
                }
                let voted = raft.pre_vote(wire::to_vote_request(vote, last, false)).await.ok();
                voted.map(|voted| wire::vote_response(&voted))
            }
            Request::Snapshot { vote, offset, size, chunk } => {
                let vote = checked(vote, from)?;
                return self.take_chunk(raft, vote, offset, size, &chunk).await;
            }
            Request::Transfer { vote, to, last } => {
                let vote = wire::vote(checked(vote, from)?);
                let is_me = to == self.node_id;
                if is_me && self.disk.is_vote_withheld() {
                    return Ok(Response::Transfer { is_accepted: false });
                }
                let request = TransferLeaderRequest::new(vote, to, last.map(log_id));
                let done = raft.handle_transfer_leader(request).await.ok();
                done.map(|done| Response::Transfer { is_accepted: done.is_ok() })
            }
            Request::Join(joining) => {
                if i32::try_from(joining.node_id) != Ok(from) {
                    return Err(invalid("a broker joins in the name of another"));
                }
                return Ok(membership::join(self, raft, joining).await);
            }
        };
        Ok(answer.unwrap_or(Response::NotReady))
    }

    /// The answer of one that may have forgotten what it voted. It shows no term of its own, so that
    /// the candidate does not take it for one that is ahead.
    fn no_vote(&self) -> Response {
        Response::Vote { vote: (0, self.node_id, false), last: None, is_granted: false }
    }

    async fn take_chunk(
        &self,
        raft: &Raft<TypeConfig, StateMachine>,
        vote: WireVote,
        offset: u64,
        size: u64,
        chunk: &Bytes,
    ) -> io::Result<Response> {
        let fits = offset.checked_add(chunk.len() as u64).is_some_and(|end| end <= size);
        if chunk.len() > CHUNK_BYTES || !fits || size > SNAPSHOT_BYTES_MAX {
            return Err(invalid("a piece of a snapshot is larger than it can be"));
        }
        let whole = {
            let mut arriving = self.arriving.lock();
            if offset == 0 {
                *arriving = Arriving { vote, bytes: BytesMut::new() };
            }
            if arriving.vote == vote && arriving.bytes.len() as u64 == offset {
                arriving.bytes.extend_from_slice(chunk);
            }
            let next = arriving.bytes.len() as u64;
            if next != size {
                return Ok(Response::ChunkTaken(next));
            }
            std::mem::take(&mut *arriving).bytes.freeze()
        };
        let (meta, _) = snapshot::decode(&whole)?;
        if meta.last_log_id.is_none_or(|last| last.leader_id.term > vote.0) {
            return Err(invalid("a snapshot is newer than the leader that sends it"));
        }
        let snapshot = Snapshot { meta, snapshot: whole };
        let installed = raft.install_full_snapshot(wire::vote(vote), snapshot).await.ok();
        let answer = installed
            .map(|installed| Response::SnapshotInstalled(wire::wire_vote(&installed.vote)));
        Ok(answer.unwrap_or(Response::NotReady))
    }

    /// The leader, if it is known and another broker.
    pub(super) fn other_leader(&self) -> Option<OtherLeader> {
        let metrics = self.raft.get()?.metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader.filter(|leader| *leader != self.node_id)?;
        let member = metrics.membership_config.membership().get_node(&leader)?;
        let address = QuorumAddress { node_id: super::node(leader), addr: member.addr.clone() };
        Some(OtherLeader { vote: metrics.vote, address })
    }

    /// Notes that the broker that leads was heard of some time `ago`.
    pub(super) fn note_heard(&self, leader: i32, ago: Duration) {
        let at = self.seams.clock.monotonic().saturating_sub(ago);
        *self.heard.lock() = Some((leader, at));
    }

    /// The other broker that led last, and since when it says nothing.
    pub(super) fn silent_since(&self) -> Option<(i32, Duration)> {
        *self.heard.lock()
    }

    /// Whether nobody listens where the leader was; if so, its lease ends here.
    pub(super) async fn confirm_gone(&self, leader: &OtherLeader) -> bool {
        let question = &Request::Standing;
        let lane = QuorumLane::Question;
        let asked = ask(self.transport(), &leader.address, lane, question, PROBE_TIMEOUT).await;
        if !matches!(asked, Err(TransportError::Refused)) {
            return false;
        }
        let Some(raft) = self.raft.get() else { return false };
        *self.gone().lock() = Some(leader.vote);
        let end_of_lease = TransferLeaderRequest::new(leader.vote, NOBODY, None);
        raft.handle_transfer_leader(end_of_lease).await.is_ok()
    }

    /// How many voters with lower ids there are beside the leader that is gone; `None` when this
    /// broker cannot be elected.
    pub(super) fn rank(&self) -> Option<u64> {
        let metrics = self.raft.get()?.metrics();
        let metrics = metrics.borrow_watched();
        let gone = (*self.gone().lock()).map(|gone| gone.leader_id.voted_for);
        let membership = metrics.membership_config.membership();
        let mut voters = membership.voter_ids().filter(|id| Some(*id) != gone);
        let is_follower = metrics.state != ServerState::Leader && !self.disk.is_vote_withheld();
        voters.position(|id| id == self.node_id && is_follower).map(|rank| rank as u64)
    }
}

/// A vote that the broker `from` may speak of: its own, of a term that has a successor.
fn checked(vote: WireVote, from: i32) -> io::Result<WireVote> {
    let (term, node, _) = vote;
    if i32::try_from(node) != Ok(from) || term > TERM_MAX {
        return Err(invalid("a member of the quorum speaks with another one's vote"));
    }
    Ok(vote)
}
