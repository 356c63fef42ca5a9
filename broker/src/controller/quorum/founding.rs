//! How a voter with an empty log finds out whether there is a cluster already.
//!
//! It asks the other voters. Once all of them have answered that they have nothing, it writes the first
//! entry of the log, which is the same wherever it is written. A majority is not enough: a voter that lost
//! its disk and one that never ran have nothing either, and the third may have everything. If somebody has
//! more, this voter is late or has lost its disk; it cannot tell, and so does not vote until the leader
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

/// How many of the voters, with empty logs all of them, begin a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Founders {
    /// All of them.
    All,
    /// Most of them: somebody has said that the others have nothing.
    Majority,
}

/// Judges what the others among `voters` have answered to one whose own log is empty.
fn judge(
    voters: &[(u64, String)],
    founders: Founders,
    answers: &BTreeMap<u64, Standing>,
) -> Verdict {
    if answers.values().any(|standing| !standing.is_pristine) {
        return Verdict::Follow;
    }
    if let Some((node_id, _)) = answers.iter().find(|(_, standing)| standing.voters != voters) {
        return Verdict::Disagree { node_id: *node_id };
    }
    let needed = match founders {
        Founders::All => voters.len(),
        Founders::Majority => voters.len() / 2 + 1,
    };
    let pristine = answers.len() + 1;
    if pristine >= needed { Verdict::Found } else { Verdict::Wait }
}

/// Founds the cluster or finds it, and notes which durably.
pub(super) async fn found_or_follow(
    service: &Arc<QuorumService>,
    founders: Founders,
) -> Result<(), QuorumError> {
    let voters = service.voters();
    for round in 0_u32.. {
        let answers = ask_all(service).await;
        match judge(voters, founders, &answers) {
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
                    let is_silent =
                        |id: &u64| *id != service.node_id() && !answers.contains_key(id);
                    let silent: Vec<u64> =
                        voters.iter().map(|(id, _)| *id).filter(is_silent).collect();
                    tracing::warn!(
                        ?silent,
                        "a cluster is founded when all of controller.quorum.voters are up"
                    );
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

    /// What voter 1 of `count` concludes when the voters in `pristine` and `settled` answer, if all must
    /// found the cluster and if a majority may.
    fn check(count: u64, pristine: &[u64], settled: &[u64], all: Verdict, majority: Verdict) {
        let standing = |is_pristine| Standing { is_pristine, voters: voters(count) };
        let answers = pristine
            .iter()
            .map(|id| (*id, standing(true)))
            .chain(settled.iter().map(|id| (*id, standing(false))))
            .collect();
        for (founders, expected) in [(Founders::All, all), (Founders::Majority, majority)] {
            assert_eq!(judge(&voters(count), founders, &answers), expected, "{founders:?}");
        }
    }

    #[test]
    fn all_logs_must_be_empty_and_known_to_be() {
        use Verdict::{Found, Wait};
        check(3, &[], &[], Wait, Wait);
        check(3, &[2], &[], Wait, Found);
        check(3, &[2, 3], &[], Found, Found);
        check(4, &[2], &[], Wait, Wait);
        check(4, &[2, 3], &[], Wait, Found);
        check(5, &[2], &[], Wait, Wait);
        check(5, &[2, 5], &[], Wait, Found);
        check(5, &[2, 3, 4, 5], &[], Found, Found);
    }

    #[test]
    fn one_log_that_is_not_empty_is_a_cluster() {
        use Verdict::Follow;
        check(3, &[], &[2], Follow, Follow);
        check(3, &[2], &[3], Follow, Follow);
        check(5, &[2, 3, 4], &[5], Follow, Follow);
    }

    #[test]
    fn voters_that_were_told_differently_found_nothing() {
        let other = Standing { is_pristine: true, voters: voters(2) };
        let answers = BTreeMap::from([(2, other)]);
        let verdict = judge(&voters(3), Founders::Majority, &answers);
        assert_eq!(verdict, Verdict::Disagree { node_id: 2 });
    }
}
