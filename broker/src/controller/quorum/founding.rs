//! How a voter with an empty log finds out whether there is a cluster already.
//!
//! It asks the other voters. Once a majority, itself included, has nothing and nobody has anything, it
//! writes the first entry of the log, which is the same wherever it is written. If somebody has more,
//! this voter is late or has lost its disk; it cannot tell, and so does not vote until the leader
//! has made out which (see `membership`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::QuorumError;
use super::peers::ask;
use super::service::QuorumService;
use super::transport::{QuorumAddress, QuorumLane};
use super::types::{Member, Membership};
use super::wire::{Request, Response, Standing};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two rounds of questions.
const ROUND_INTERVAL: Duration = Duration::from_millis(100);

/// After so many rounds it is said once what is waited for.
const ROUNDS_BEFORE_WARNING: u32 = 50;

/// What follows from the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nobody has anything: the cluster begins now.
    Found,
    /// There is a cluster.
    Follow,
    /// Too few have answered.
    Wait,
    /// Another voter was told of other voters.
    Disagree { node_id: u64 },
}

/// Judges what the others among `voters` have answered to one whose own log is empty.
fn judge(voters: &[(u64, String)], answers: &BTreeMap<u64, Standing>) -> Verdict {
    if answers.values().any(|standing| !standing.is_pristine) {
        return Verdict::Follow;
    }
    if let Some((node_id, _)) = answers.iter().find(|(_, standing)| standing.voters != voters) {
        return Verdict::Disagree { node_id: *node_id };
    }
    let pristine = answers.len() + 1;
    if pristine > voters.len() / 2 { Verdict::Found } else { Verdict::Wait }
}

/// Founds the cluster or finds it, and notes which durably.
pub(super) async fn found_or_follow(service: &Arc<QuorumService>) -> Result<(), QuorumError> {
    let voters = service.voters();
    for round in 0_u32.. {
        let answers = ask_all(service).await;
        match judge(voters, &answers) {
            Verdict::Found => {
                tracing::info!(?voters, "the metadata quorum is founded");
                let found = service.disk().found(members(voters)?).await;
                return found.map_err(QuorumError::Disk);
            }
            Verdict::Follow => {
                tracing::info!("there is a metadata quorum already; this voter asks to be let in");
                let noted = service.disk().withhold_vote(true).await;
                return noted.map_err(QuorumError::Disk);
            }
            Verdict::Disagree { node_id } => {
                return Err(QuorumError::OtherVoters { node_id: super::node(node_id) });
            }
            Verdict::Wait => {
                if round == ROUNDS_BEFORE_WARNING {
                    let heard = answers.len();
                    tracing::warn!(heard, "a majority of controller.quorum.voters is waited for");
                }
                tokio::time::sleep(ROUND_INTERVAL).await;
            }
        }
    }
    Ok(())
}

async fn ask_all(service: &Arc<QuorumService>) -> BTreeMap<u64, Standing> {
    let others = service.voters().iter().filter(|(id, _)| *id != service.node_id());
    let asked = others.map(|(id, addr)| async move {
        let to = QuorumAddress { node_id: super::node(*id), addr: addr.clone() };
        let lane = QuorumLane::Question;
        let answer = ask(service.transport(), &to, lane, &Request::Standing, ANSWER_TIMEOUT).await;
        match answer {
            Ok(Response::Standing(standing)) => Some((*id, standing)),
            _ => None,
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The members of a new cluster. Their directories are not named, even if they are known: the entry
/// must come out the same on every voter that writes it.
fn members(voters: &[(u64, String)]) -> Result<Membership, QuorumError> {
    let ids = voters.iter().map(|(id, _)| *id).collect();
    let members: BTreeMap<u64, Member> = voters
        .iter()
        .map(|(id, addr)| (*id, Member { addr: addr.clone(), directory: None }))
        .collect();
    Membership::new(vec![ids], members).map_err(super::refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(count: u64) -> Vec<(u64, String)> {
        (1..=count).map(|id| (id, format!("n{id}:1"))).collect()
    }

    /// What voter 1 of `count` concludes when the voters in `pristine` and `settled` answer.
    fn check(count: u64, pristine: &[u64], settled: &[u64], expected: Verdict) {
        let standing = |is_pristine| Standing { is_pristine, voters: voters(count) };
        let answers = pristine
            .iter()
            .map(|id| (*id, standing(true)))
            .chain(settled.iter().map(|id| (*id, standing(false))))
            .collect();
        assert_eq!(judge(&voters(count), &answers), expected);
    }

    #[test]
    fn a_majority_of_empty_logs_founds() {
        check(3, &[], &[], Verdict::Wait);
        check(3, &[2], &[], Verdict::Found);
        check(3, &[2, 3], &[], Verdict::Found);
        check(4, &[2], &[], Verdict::Wait);
        check(4, &[2, 3], &[], Verdict::Found);
        check(5, &[2], &[], Verdict::Wait);
        check(5, &[2, 5], &[], Verdict::Found);
    }

    #[test]
    fn one_log_that_is_not_empty_is_a_cluster() {
        check(3, &[], &[2], Verdict::Follow);
        check(3, &[2], &[3], Verdict::Follow);
        check(5, &[2, 3, 4], &[5], Verdict::Follow);
    }

    #[test]
    fn voters_that_were_told_differently_found_nothing() {
        let other = Standing { is_pristine: true, voters: voters(2) };
        let answers = BTreeMap::from([(2, other)]);
        assert_eq!(judge(&voters(3), &answers), Verdict::Disagree { node_id: 2 });
    }
}
