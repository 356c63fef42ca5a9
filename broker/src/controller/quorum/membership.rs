//! Who belongs to the quorum, and who of them votes.
//!
//! A broker introduces itself to the leader with its address and the id of its directory, and both
//! are written into the log as part of the membership. A voter that came with an empty log does not
//! vote before the log it follows names it with the directory it has: that entry is the leader's
//! word that nothing is lost by its voting. The leader writes it at once for a voter that never was
//! part of anything. For one that had another directory it does not: that one
//! may have voted and acknowledged with it, and must be removed and added, which makes a majority
//! without it agree. Who is removed counts for nothing any more, its directory neither: it introduces itself
//! again, and is added with the directory that it has then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::Uuid;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Raft, ServerState};

use super::NotLeader;
use super::peers::ask;
use super::service::QuorumService;
use super::state_machine::StateMachine;
use super::transport::{QuorumAddress, QuorumLane};
use super::types::{Directory, Member, Membership, TypeConfig};
use super::wire::{Joined, Joining, Request, Response};

/// Between two looks at whether the log names this broker as it is.
const ATTEND_INTERVAL: Duration = Duration::from_millis(200);

/// So many looks go by before a voter that may not vote asks again.
const LOOKS_WITHHELD: usize = 50;

/// How long the leader may take to commit a change of the membership.
const JOIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a change is tried while another one is not committed.
const CHANGE_ATTEMPTS: u32 = 20;
/// Between two of these.
const CHANGE_INTERVAL: Duration = Duration::from_millis(50);

/// Entries that a new voter may lack: with more it would hold up commits that need it.
const LAG_MAX: u64 = 100;

/// Why the voters are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeVotersError {
    /// Another broker decides.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// An earlier change is not committed yet.
    #[error("a previous change of the voters is not complete")]
    InProgress,
    /// It votes already.
    #[error("The voter id for {node_id} is already part of the set of voters {voters:?}.")]
    DuplicateVoter {
        /// The broker.
        node_id: i32,
        /// Who votes.
        voters: Vec<i32>,
    },
    /// It does not follow the log, or is far behind.
    #[error("Aborted add voter operation for {node_id} since it is lagging behind.")]
    Lagging {
        /// The broker.
        node_id: i32,
    },
    /// It does not vote, or does so with another directory.
    #[error("Cannot remove voter {node_id} from the set of voters {voters:?}.")]
    VoterNotFound {
        /// The broker.
        node_id: i32,
        /// Who votes.
        voters: Vec<i32>,
    },
    /// Nobody would be left.
    #[error("Cannot remove voter {node_id}, for it is the only one.")]
    LastVoter {
        /// The broker.
        node_id: i32,
    },
}

/// What the leader does with a broker that introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Admission {
    /// The log names it so already.
    Known,
    /// The log must name it so.
    Write,
    /// It may have forgotten votes.
    Withhold,
}

/// Judges a broker that introduces itself; `is_registered` says whether it ever was in service.
fn admit(membership: &Membership, joining: &Joining, is_registered: bool) -> Admission {
    let Some(member) = membership.get_node(&joining.node_id) else { return Admission::Write };
    let has_same_directory = member.directory == Some(joining.directory);
    if has_same_directory && member.addr == joining.addr {
        return Admission::Known;
    }
    let votes = membership.voter_ids().any(|id| id == joining.node_id);
    let was_other = match member.directory {
        Some(_) => !has_same_directory,
        None => joining.is_new && is_registered,
    };
    if votes && was_other { Admission::Withhold } else { Admission::Write }
}

/// Lets a broker into the membership, on the leader.
pub(super) async fn join(
    service: &QuorumService,
    raft: &Raft<TypeConfig, StateMachine>,
    joining: Joining,
) -> Response {
    let (membership, leader) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader;
        let membership = metrics.membership_config.membership().clone();
        (membership, if leads { None } else { Some(metrics.current_leader) })
    };
    if let Some(leader) = leader {
        let named = leader.and_then(|id| Some((id, membership.get_node(&id)?.addr.clone())));
        return Response::Join(Joined::NotLeader(named));
    }
    let is_registered = service.published().image().broker(super::node(joining.node_id)).is_some();
    match admit(&membership, &joining, is_registered) {
        Admission::Known => Response::Join(Joined::Done),
        Admission::Withhold => {
            let Joining { node_id, directory, .. } = joining;
            service.withheld_votes().note(node_id, directory);
            tracing::warn!(
                node_id,
                "a voter has lost its log; it votes again when it was removed and added"
            );
            Response::Join(Joined::VoteWithheld)
        }
        Admission::Write => {
            let Joining { node_id, addr, directory, .. } = joining;
            let member = Member { addr, directory: Some(directory) };
            let change = ChangeMembers::SetNodes(BTreeMap::from([(node_id, member)]));
            match commit(raft, change).await {
                Ok(()) => Response::Join(Joined::Done),
                Err(_) => Response::NotReady,
            }
        }
    }
}

/// Sees to it that the log names this broker as it is, and that it votes when it may.
pub(super) async fn attend(service: Arc<QuorumService>) {
    let Some(raft) = service.raft() else { return };
    let mut asked = 0_usize;
    let mut looks_left = 0_usize;
    let mut is_told = false;
    // Each leader hears of it, to be able to tell who does not vote.
    let mut told = None;
    loop {
        let (named, votes, leader) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            let applied = metrics.last_applied;
            let committed = &metrics.committed_membership_config;
            let is_applied = committed.log_id().is_some() && *committed.log_id() <= applied;
            let membership = committed.membership();
            let named = membership.get_node(&service.node_id()).filter(|_| is_applied).cloned();
            let votes = membership.voter_ids().any(|id| id == service.node_id());
            (named, votes, metrics.current_leader)
        };
        let directory = service.disk().directory();
        let named = named.filter(|member| member.directory == Some(directory));
        if named.is_some() && votes && service.disk().is_vote_withheld() {
            // Entries before the one that names it are durable before this is.
            if service.disk().withhold_vote(false).await.is_err() {
                return;
            }
            raft.runtime_config().elect(true);
            tracing::info!("this broker votes on metadata");
        }
        if looks_left > 0 && votes && leader == told {
            looks_left -= 1;
        } else if named.is_none_or(|member| member.addr != service.addr()) {
            if introduce(&service, leader, asked).await == Some(Joined::VoteWithheld) {
                looks_left = LOOKS_WITHHELD;
                told = leader;
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(
                        directory = %Uuid::from_bytes(directory.0),
                        "this broker votes on metadata and has lost its log: it only follows until \
                         `flumen cluster quorum remove {node_id}` and `add {node_id}`",
                        node_id = service.node_id()
                    );
                }
            }
            asked += 1;
        }
        tokio::time::sleep(ATTEND_INTERVAL).await;
    }
}

/// Has the leader judge a voter that came with an empty log.
///
/// The voter must not register before: to the leader, one that is registered and not named by the log has
/// lost its disk.
pub(super) async fn be_judged(service: &QuorumService) {
    for asked in 0_usize.. {
        if let Some(Joined::Done | Joined::VoteWithheld) = introduce(service, None, asked).await {
            return;
        }
        if asked == LOOKS_WITHHELD {
            tracing::warn!(
                "a voter without a log is let in by the leader of the metadata quorum, and nobody leads it"
            );
        }
        tokio::time::sleep(ATTEND_INTERVAL).await;
    }
}

/// Introduces this broker to the leader, or to one of the voters in turn to hear who that is; gives
/// what a leader has answered.
async fn introduce(service: &QuorumService, leader: Option<u64>, turn: usize) -> Option<Joined> {
    let raft = service.raft()?;
    let joining = Joining {
        node_id: service.node_id(),
        addr: service.addr().to_owned(),
        directory: service.disk().directory(),
        is_new: service.disk().is_vote_withheld(),
    };
    if leader == Some(service.node_id()) {
        // An answer other than success is seen at the next look.
        join(service, raft, joining).await;
        return None;
    }
    let voters = service.voters();
    let known = service.other_leader().map(|leader| leader.address);
    let in_turn = || {
        let (id, addr) = voters.get(turn % voters.len().max(1))?;
        Some(QuorumAddress { node_id: super::node(*id), addr: addr.clone() })
    };
    let mut to = known.or_else(in_turn)?;
    let request = Request::Join(joining);
    // Once to whoever is known, and once to whom that one names.
    for _ in 0..2 {
        let lane = QuorumLane::Question;
        let (id, addr) = match ask(service.transport(), &to, lane, &request, JOIN_TIMEOUT).await {
            Ok(Response::Join(Joined::NotLeader(leader))) => leader?,
            Ok(Response::Join(joined)) => return Some(joined),
            _ => return None,
        };
        to = QuorumAddress { node_id: super::node(id), addr };
    }
    None
}

/// Makes a broker that follows a voter.
pub(super) async fn add_voter(
    raft: &Raft<TypeConfig, StateMachine>,
    node_id: i32,
    addr: Option<String>,
    directory: Option<Directory>,
) -> Result<(), ChangeVotersError> {
    let id = u64::try_from(node_id).map_err(|_negative| ChangeVotersError::Lagging { node_id })?;
    let (voters, known, lag) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref().ok_or(NotLeader)?;
        let reached = replication.get(&id).and_then(|reached| reached.as_ref());
        let last = metrics.last_log_index.unwrap_or(0);
        let membership = metrics.membership_config.membership();
        let lag = reached.map(|reached| last.saturating_sub(reached.index));
        (ids(membership), membership.get_node(&id).cloned(), lag)
    };
    if voters.contains(&node_id) {
        return Err(ChangeVotersError::DuplicateVoter { node_id, voters });
    }
    let lagging = ChangeVotersError::Lagging { node_id };
    let known = known.ok_or(lagging.clone())?;
    // It must be the very directory that was asked for, and that it has introduced itself with: another one
    // has not got the log.
    let is_it = known.directory.is_some_and(|known| directory.is_none_or(|asked| asked == known));
    if lag.is_none_or(|lag| lag > LAG_MAX) || !is_it {
        return Err(lagging);
    }
    let member = Member { addr: addr.unwrap_or(known.addr), ..known };
    let change = ChangeMembers::Batch(vec![
        ChangeMembers::SetNodes(BTreeMap::from([(id, member)])),
        ChangeMembers::AddVoterIds(BTreeSet::from([id])),
    ]);
    commit(raft, change).await
}

/// Makes a voter a broker that only follows.
pub(super) async fn remove_voter(
    raft: &Raft<TypeConfig, StateMachine>,
    node_id: i32,
    directory: Option<Directory>,
) -> Result<(), ChangeVotersError> {
    let (voters, member) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader {
            return Err(NotLeader.into());
        }
        let membership = metrics.membership_config.membership();
        let id = u64::try_from(node_id).ok();
        (ids(membership), id.and_then(|id| Some((id, membership.get_node(&id)?.clone()))))
    };
    let fits = |member: &Member| match (directory, member.directory) {
        (Some(asked), Some(known)) => asked == known,
        _ => true,
    };
    let (id, member) = match member {
        Some((id, member)) if voters.contains(&node_id) && fits(&member) => (id, member),
        _ => return Err(ChangeVotersError::VoterNotFound { node_id, voters }),
    };
    if voters.len() == 1 {
        return Err(ChangeVotersError::LastVoter { node_id });
    }
    // What it votes with next may be on another disk.
    let member = Member { directory: None, ..member };
    let change = ChangeMembers::Batch(vec![
        ChangeMembers::RemoveVoters(BTreeSet::from([id])),
        ChangeMembers::SetNodes(BTreeMap::from([(id, member)])),
    ]);
    commit(raft, change).await
}

/// Lets go of a broker that only follows; a voter stays.
pub(super) async fn forget(
    raft: &Raft<TypeConfig, StateMachine>,
    node_id: i32,
) -> Result<(), ChangeVotersError> {
    let id = u64::try_from(node_id).ok();
    let is_learner = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().learner_ids().any(|learner| Some(learner) == id)
    };
    match id.filter(|_| is_learner) {
        Some(id) => {
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([id]));
            commit(raft, change).await
        }
        None => Ok(()),
    }
}

fn ids(membership: &Membership) -> Vec<i32> {
    membership.voter_ids().map(super::node).collect()
}

/// Changes the membership, after a change that is under way: brokers introduce themselves at any time.
async fn commit(
    raft: &Raft<TypeConfig, StateMachine>,
    change: ChangeMembers<u64, Member>,
) -> Result<(), ChangeVotersError> {
    for _ in 0..CHANGE_ATTEMPTS {
        match raft.change_membership(change.clone(), true).await {
            Ok(_) => return Ok(()),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_),
            ))) => tokio::time::sleep(CHANGE_INTERVAL).await,
            Err(_) => return Err(NotLeader.into()),
        }
    }
    Err(ChangeVotersError::InProgress)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joining(directory: u8, is_new: bool) -> Joining {
        Joining { node_id: 3, addr: "n3:1".to_owned(), directory: id(directory), is_new }
    }

    fn id(byte: u8) -> Directory {
        Directory([byte; 16])
    }

    /// Broker 3, known with a directory or without one, among the voters or not.
    fn membership(voters: &[u64], known: Option<u8>) -> Membership {
        let member = |node: u64, directory: Option<u8>| {
            (node, Member { addr: format!("n{node}:1"), directory: directory.map(id) })
        };
        let members = BTreeMap::from([member(1, Some(1)), member(2, None), member(3, known)]);
        Membership::new(vec![voters.iter().copied().collect()], members).unwrap()
    }

    #[test]
    fn a_voter_that_lost_its_directory_is_not_let_vote() {
        let voters = membership(&[1, 2, 3], Some(3));
        assert_eq!(admit(&voters, &joining(3, false), true), Admission::Known);
        assert_eq!(admit(&voters, &joining(4, true), true), Admission::Withhold);
        // Even if it never came as far as to register.
        assert_eq!(admit(&voters, &joining(4, true), false), Admission::Withhold);
        // Nor if the log did not name its directory yet, but it was in service.
        let unnamed = membership(&[1, 2, 3], None);
        assert_eq!(admit(&unnamed, &joining(4, true), true), Admission::Withhold);
    }

    #[test]
    fn a_voter_that_is_late_for_the_founding_is_let_vote() {
        let voters = membership(&[1, 2, 3], None);
        assert_eq!(admit(&voters, &joining(3, true), false), Admission::Write);
        assert_eq!(admit(&voters, &joining(3, false), true), Admission::Write);
    }

    #[test]
    fn a_broker_that_only_follows_may_come_with_any_directory() {
        let voters = membership(&[1, 2], Some(3));
        assert_eq!(admit(&voters, &joining(4, true), true), Admission::Write);
        assert_eq!(admit(&voters, &joining(3, true), true), Admission::Known);
    }

    #[test]
    fn a_broker_that_moved_is_written_down() {
        let voters = membership(&[1, 2, 3], Some(3));
        let moved = Joining { addr: "elsewhere:1".to_owned(), ..joining(3, false) };
        assert_eq!(admit(&voters, &moved, true), Admission::Write);
    }
}
