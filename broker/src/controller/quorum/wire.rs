//! What the members of the quorum say to each other, as MessagePack.
//!
//! The layout is ours and not openraft's, for the reason given in `types`. Whatever bytes arrive,
//! decoding them ends in a message or an error, and holds no more than a small multiple of them.

use std::io;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::consistency::{INDEX_MAX, TERM_MAX};
use super::types::{
    Directory, LogId, StoredEntry, TypeConfig, Vote, invalid, log_id, term_and_index,
};

/// How much of a snapshot goes into one message.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// Term, node, and whether a quorum granted it.
pub(super) type WireVote = (u64, u64, bool);
/// Term and index.
type WireId = (u64, u64);

/// What a member asks another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Entries that follow `prev`, or none to show that the leader lives.
    Append {
        vote: WireVote,
        prev: Option<WireId>,
        /// Each with its index.
        entries: Vec<(u64, StoredEntry)>,
        commit: Option<WireId>,
    },
    /// Asks for a vote in an election.
    Vote { vote: WireVote, last: Option<WireId>, is_transfer: bool },
    /// Asks whether a vote would be granted. `is_leader_gone` says that the candidate found nobody
    /// listening where the leader was, which the one that is asked can find out as well.
    PreVote { vote: WireVote, last: Option<WireId>, is_leader_gone: bool },
    /// A piece of a snapshot; the answer to the last one comes when it is installed.
    Snapshot { vote: WireVote, offset: u64, size: u64, chunk: Bytes },
    /// The leader asks `to` to take its place, and all others to let it.
    Transfer { vote: WireVote, to: u64, last: Option<WireId> },
    /// Who are you to the quorum?
    Standing,
    /// A broker wants to follow the log, and says where it is and which disk it has.
    Join(Joining),
}

impl Request {
    /// Whether the entry is among those of an append, or the one before them.
    pub(super) fn holds(&self, id: Option<WireId>) -> bool {
        let Self::Append { prev, entries, .. } = self else { return false };
        *prev == id || entries.iter().any(|(index, entry)| Some((entry.term(), *index)) == id)
    }
}

/// A broker that introduces itself to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) node_id: u64,
    pub(super) addr: String,
    pub(super) directory: Directory,
    /// Whether it came with an empty log, so that it may have forgotten votes and entries.
    pub(super) is_new: bool,
}

/// What a member knows of itself before it has met the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// Its log holds nothing that was ever decided, and it has promised nobody anything.
    pub(super) is_pristine: bool,
    /// The voters it was told of, with their addresses; all must be told the same.
    pub(super) voters: Vec<(u64, String)>,
}

/// The answer to a [`Request`] of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Response {
    Append(Appended),
    Vote {
        vote: WireVote,
        last: Option<WireId>,
        is_granted: bool,
    },
    /// A piece arrived, and the next is expected at this offset.
    ChunkTaken(u64),
    SnapshotInstalled(WireVote),
    Transfer {
        is_accepted: bool,
    },
    Standing(Standing),
    Join(Joined),
    /// It is not ready for this yet.
    NotReady,
}

/// What became of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Appended {
    All,
    UpTo(Option<WireId>),
    Conflict,
    HigherVote(WireVote),
}

/// What became of a [`Joining`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Joined {
    /// The log names it, or will soon.
    Done,
    /// It is a voter whose log was lost. It may follow, and vote when it was removed and added.
    VoteWithheld,
    /// Another one leads, if anybody does; with its peer listener, for it need not be among the voters
    /// that a broker was started with.
    NotLeader(Option<(u64, String)>),
}

/// Writes a message out.
pub(super) fn encode<M: Serialize>(message: &M) -> Bytes {
    rmp_serde::to_vec(message).expect("messages are plain data").into()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode<'a, M: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<M> {
    rmp_serde::from_slice(bytes).map_err(invalid)
}

/// Reads an answer. One that no member can give counts as unreadable: Raft adopts a higher vote that
/// it is told of, durably, and takes what cannot be for its own bug.
pub(super) fn decode_response(bytes: &[u8]) -> io::Result<Response> {
    let response: Response = decode(bytes)?;
    response.check()?;
    Ok(response)
}

impl Response {
    fn check(&self) -> io::Result<()> {
        match self {
            Self::Append(Appended::HigherVote(vote)) | Self::SnapshotInstalled(vote) => {
                check_vote(*vote)
            }
            Self::Append(Appended::UpTo(id)) => check_id(*id),
            Self::Vote { vote, last, .. } => check_vote(*vote).and_then(|()| check_id(*last)),
            Self::Join(Joined::NotLeader(Some((node, _)))) => check_node(*node),
            Self::Append(Appended::All | Appended::Conflict)
            | Self::Join(Joined::Done | Joined::VoteWithheld | Joined::NotLeader(None))
            | Self::ChunkTaken(_)
            | Self::Transfer { .. }
            | Self::Standing(_)
            | Self::NotReady => Ok(()),
        }
    }
}

fn check_vote((term, node, _): WireVote) -> io::Result<()> {
    check_node(node)?;
    if term > TERM_MAX { Err(invalid("a vote is of a term without a successor")) } else { Ok(()) }
}

fn check_node(node: u64) -> io::Result<()> {
    i32::try_from(node).map(drop).map_err(invalid)
}

fn check_id(id: Option<WireId>) -> io::Result<()> {
    match id {
        Some((term, index)) if term > TERM_MAX || index > INDEX_MAX => {
            Err(invalid("an entry of the metadata log has no successor"))
        }
        _ => Ok(()),
    }
}

pub(super) fn wire_vote(vote: &Vote) -> WireVote {
    (vote.leader_id.term, vote.leader_id.voted_for, vote.committed)
}

pub(super) fn vote((term, node, is_granted): WireVote) -> Vote {
    if is_granted { Vote::new_committed(term, node) } else { Vote::new(term, node) }
}

fn wire_id(id: &Option<LogId>) -> Option<WireId> {
    id.as_ref().map(term_and_index)
}

pub(super) fn append_request(request: AppendEntriesRequest<TypeConfig>) -> Request {
    let entries = request.entries.iter();
    Request::Append {
        vote: wire_vote(&request.vote),
        prev: wire_id(&request.prev_log_id),
        entries: entries.map(|entry| (entry.log_id.index, StoredEntry::from(entry))).collect(),
        commit: wire_id(&request.leader_commit),
    }
}

/// The request that [`append_request`] wrote; its entries must follow each other.
pub(super) fn to_append(
    from: WireVote,
    prev: Option<WireId>,
    entries: Vec<(u64, StoredEntry)>,
    commit: Option<WireId>,
) -> io::Result<AppendEntriesRequest<TypeConfig>> {
    let mut next = prev.map_or(0, |(_, index)| index.saturating_add(1));
    let mut decoded = Vec::new();
    let mut term = prev.map_or(0, |(term, _)| term);
    for (index, stored) in entries {
        let entry = stored.into_entry(index)?;
        let entry_term = entry.log_id.leader_id.term;
        if index != next || entry_term < term || entry_term > from.0 {
            return Err(invalid("entries of the metadata log do not follow each other"));
        }
        (next, term) = (next.saturating_add(1), entry_term);
        decoded.push(entry);
    }
    Ok(AppendEntriesRequest {
        vote: vote(from),
        prev_log_id: prev.map(log_id),
        entries: decoded,
        leader_commit: commit.map(log_id),
    })
}

pub(super) fn appended(response: AppendEntriesResponse<TypeConfig>) -> Appended {
    match response {
        AppendEntriesResponse::Success => Appended::All,
        AppendEntriesResponse::PartialSuccess(id) => Appended::UpTo(wire_id(&id)),
        AppendEntriesResponse::Conflict => Appended::Conflict,
        AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(wire_vote(&vote)),
    }
}

pub(super) fn vote_request(request: &VoteRequest<TypeConfig>) -> Request {
    let (vote, last) = (wire_vote(&request.vote), wire_id(&request.last_log_id));
    Request::Vote { vote, last, is_transfer: request.leadership_transfer }
}

pub(super) fn pre_vote_request(request: &VoteRequest<TypeConfig>, is_leader_gone: bool) -> Request {
    let (vote, last) = (wire_vote(&request.vote), wire_id(&request.last_log_id));
    Request::PreVote { vote, last, is_leader_gone }
}

pub(super) fn to_vote_request(
    from: WireVote,
    last: Option<WireId>,
    is_transfer: bool,
) -> VoteRequest<TypeConfig> {
    let mut request = VoteRequest::new(vote(from), last.map(log_id));
    request.leadership_transfer = is_transfer;
    request
}

pub(super) fn vote_response(response: &VoteResponse<TypeConfig>) -> Response {
    Response::Vote {
        vote: wire_vote(&response.vote),
        last: wire_id(&response.last_log_id),
        is_granted: response.vote_granted,
    }
}

pub(super) fn transfer_request(request: &TransferLeaderRequest<TypeConfig>) -> Request {
    Request::Transfer {
        vote: wire_vote(request.from_leader()),
        to: *request.to_node_id(),
        last: request.last_log_id().map(term_and_index),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::controller::quorum::types::Member;

    fn requests() -> Vec<Request> {
        let joining = Joining {
            node_id: 4,
            addr: "n4:1".to_owned(),
            directory: Directory([7; 16]),
            is_new: true,
        };
        let members = openraft::Membership::new(
            vec![[1].into()],
            std::collections::BTreeMap::from([(1_u64, Member::default())]),
        );
        let payload = openraft::EntryPayload::Membership(members.unwrap());
        let entry = super::super::types::Entry { log_id: log_id((2, 5)), payload };
        let (vote, last) = ((3, 1, true), Some((2, 9)));
        vec![
            Request::Append {
                vote,
                prev: Some((2, 4)),
                entries: vec![(5, StoredEntry::from(&entry))],
                commit: None,
            },
            Request::Vote { vote, last, is_transfer: true },
            Request::PreVote { vote, last: None, is_leader_gone: true },
            Request::Snapshot { vote, offset: 3, size: 9, chunk: Bytes::from_static(b"piece") },
            Request::Transfer { vote, to: 2, last },
            Request::Standing,
            Request::Join(joining),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for request in requests() {
            assert_eq!(decode::<Request>(&encode(&request)).unwrap(), request);
        }
        let standing = Standing { is_pristine: true, voters: vec![(1, "n1:1".to_owned())] };
        for response in [
            Response::Append(Appended::UpTo(Some((1, 2)))),
            Response::Vote { vote: (1, 2, false), last: None, is_granted: true },
            Response::Standing(standing),
            Response::Join(Joined::NotLeader(Some((3, "n3:1".to_owned())))),
            Response::NotReady,
        ] {
            assert_eq!(decode_response(&encode(&response)).unwrap(), response);
        }
    }

    #[test]
    fn answers_that_no_member_can_give_are_refused() {
        let node = u64::from(u32::MAX);
        let of_node = |node| (3, node, true);
        let late = Some((TERM_MAX + 1, 7));
        let far = Some((3, INDEX_MAX + 1));
        let vote = |vote, last| Response::Vote { vote, last, is_granted: false };
        for response in [
            Response::Append(Appended::HigherVote(of_node(node))),
            Response::Append(Appended::HigherVote((TERM_MAX + 1, 2, true))),
            Response::Append(Appended::UpTo(late)),
            Response::Append(Appended::UpTo(far)),
            Response::SnapshotInstalled(of_node(node)),
            vote(of_node(node), None),
            vote(of_node(2), late),
            vote(of_node(2), far),
            Response::Join(Joined::NotLeader(Some((node, "n:1".to_owned())))),
        ] {
            assert!(decode_response(&encode(&response)).is_err(), "{response:?}");
        }
        let highest = Response::Append(Appended::HigherVote((TERM_MAX, i32::MAX as u64, true)));
        assert_eq!(decode_response(&encode(&highest)).unwrap(), highest);
    }

    #[test]
    fn entries_that_do_not_follow_are_refused() {
        let Request::Append { vote, entries, .. } = requests().remove(0) else { unreachable!() };
        let read = |vote, prev| to_append(vote, prev, entries.clone(), None).is_ok();
        assert!(read(vote, Some((2, 4))));
        assert!(!read(vote, Some((2, 3))), "a gap");
        assert!(!read(vote, Some((3, 4))), "a term that falls");
        assert!(!read((1, 1, true), Some((1, 4))), "a term after the leader's");
        assert!(!read(vote, None), "no beginning");
    }

    proptest! {
        #[test]
        fn damaged_messages_are_errors(index in 0_usize..7, at: usize, byte: u8, cut: usize) {
            let whole = encode(&requests()[index]);
            let mut damaged = whole.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            damaged.truncate(damaged.len() - cut % damaged.len());
            // A value or an error: what counts is that it ends.
            if let Ok(Request::Append { vote, prev, entries, commit }) = decode(&damaged) {
                let _read_or_refused = to_append(vote, prev, entries, commit);
            }
        }
    }
}
