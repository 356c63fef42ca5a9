//! The types that Raft is told to work with, and their form on disk.
//!
//! What is stored is declared here in our own words and not as openraft's types: their layout is not
//! ours to promise, and a metadata log outlives the version that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::async_runtime::Oneshot;
use openraft::impls::leader_id_std;
use openraft::raft::ClientWriteResult;
use openraft::vote::RaftLeaderId;
use openraft_rt_tokio::TokioOneshot;
use serde::{Deserialize, Serialize};

use crate::controller::records::MetadataRecord;

/// Metadata records that are appended together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::controller) struct Proposal(pub(in crate::controller) Vec<MetadataRecord>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} metadata records", self.0.len())
    }
}

/// What became of a committed entry, the same on every member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Applied {
    /// It is in the image.
    Whole,
    /// One of its records does not fit the image, so that none of them counts.
    PassedOver,
}

/// Tells one directory of a node from the next, after its disk was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(in crate::controller) struct Directory(pub(in crate::controller) [u8; 16]);

/// A member of the quorum, whether it votes or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Member {
    /// Its peer listener, `host:port`.
    pub(super) addr: String,
    /// Where it keeps the log; unknown until it has told a leader.
    pub(super) directory: Option<Directory>,
}

openraft::declare_raft_types!(
    /// One leader per term, as Kafka's leader epoch of the metadata log demands.
    pub(super) TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = Member,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::runtime::SeamRuntime,
);

type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(super) type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
pub(super) type Payload = EntryPayload<Proposal, u64, Member>;

pub(super) type LogId = openraft::LogId<CommittedLeaderId>;
pub(super) type Vote = openraft::Vote<LeaderId>;
pub(super) type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub(super) type Membership = openraft::Membership<u64, Member>;
pub(super) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, Member>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, u64, Member>;
pub(super) type Snapshot = openraft::Snapshot<CommittedLeaderId, u64, Member, Bytes>;

/// Hears what became of a proposal.
pub(super) type Outcome = <TokioOneshot as Oneshot>::Receiver<ClientWriteResult<TypeConfig>>;

pub(super) fn log_id((term, index): (u64, u64)) -> LogId {
    LogId::new(CommittedLeaderId::from(term), index)
}

pub(super) fn term_and_index(id: &LogId) -> (u64, u64) {
    (id.leader_id.term, id.index)
}

/// One entry of the metadata log, as the value of a record; its index is the record's offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredEntry {
    term: u64,
    payload: StoredPayload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum StoredPayload {
    /// What a new leader appends to learn how far the log is committed.
    Blank,
    Records(Vec<MetadataRecord>),
    Members(Members),
}

/// Who votes, and where everybody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Members {
    /// More than one set while voters change.
    voters: Vec<BTreeSet<u64>>,
    members: BTreeMap<u64, Member>,
}

impl From<&Entry> for StoredEntry {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => StoredPayload::Blank,
            EntryPayload::Normal(proposal) => StoredPayload::Records(proposal.0.clone()),
            EntryPayload::Membership(membership) => StoredPayload::Members(membership.into()),
        };
        Self { term: entry.log_id.leader_id.term, payload }
    }
}

impl StoredEntry {
    pub(super) fn encode(entry: &Entry) -> io::Result<Vec<u8>> {
        rmp_serde::to_vec(&Self::from(entry)).map_err(io::Error::other)
    }

    pub(super) fn term(&self) -> u64 {
        self.term
    }

    pub(super) fn decode(index: u64, bytes: &[u8]) -> io::Result<Entry> {
        let stored: Self = rmp_serde::from_slice(bytes).map_err(invalid)?;
        stored.into_entry(index)
    }

    pub(super) fn into_entry(self, index: u64) -> io::Result<Entry> {
        let payload = match self.payload {
            StoredPayload::Blank => EntryPayload::Blank,
            StoredPayload::Records(records) => EntryPayload::Normal(Proposal(records)),
            StoredPayload::Members(members) => EntryPayload::Membership(members.try_into()?),
        };
        Ok(Entry { log_id: log_id((self.term, index)), payload })
    }
}

impl From<&Membership> for Members {
    fn from(membership: &Membership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, member)| (*id, member.clone())).collect(),
        }
    }
}

impl TryFrom<Members> for Membership {
    type Error = io::Error;

    fn try_from(members: Members) -> io::Result<Self> {
        let ids = members.voters.iter().flatten().chain(members.members.keys());
        for id in ids {
            i32::try_from(*id).map_err(invalid)?;
        }
        Self::new(members.voters, members.members).map_err(invalid)
    }
}

/// For what was read and makes no sense.
pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
