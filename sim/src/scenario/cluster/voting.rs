//! An operator who has brokers with an empty disk vote on metadata again, as the manual says; in some runs, where no
//! disk is lost, one who takes votes from brokers and gives them back.

use flumen_client::admin::QuorumReplica;
use flumen_client::{Admin, Error};
use flumen_protocol::{ErrorCode, Uuid};

use super::{LOOK_EVERY, Program};
use crate::faults::Voteless;

/// Pause between two looks.
const PAUSE_MS_MAX: u64 = 4_000;

/// Gives the vote back to whose disk was replaced, until everything is healed.
pub(super) async fn restore(mut program: Program, voteless: Voteless) -> turmoil::Result {
    loop {
        // Nothing is replaced after the healing.
        let is_last = program.is_draining();
        loop {
            let Some(id) = voteless.borrow_mut().pop_first() else { break };
            vote_anew(&program.client.admin(), id).await;
        }
        if is_last {
            return Ok(());
        }
        program.pause(PAUSE_MS_MAX).await;
    }
}

/// Takes votes and gives them back, until everything is healed.
pub(super) async fn change(mut program: Program, brokers: i32) -> turmoil::Result {
    loop {
        program.pause(PAUSE_MS_MAX).await;
        if program.is_draining() {
            return Ok(());
        }
        let id = i32::try_from(program.rng.below(brokers.unsigned_abs().into()))? + 1;
        vote_anew(&program.client.admin(), id).await;
    }
}

/// Removes a voter and adds it.
async fn vote_anew(admin: &Admin, id: i32) {
    let mut was_tried = false;
    loop {
        let quorum = admin.describe_quorum().await;
        let voter = quorum.map(|quorum| find(&quorum.voters, id));
        match voter {
            // The directory is told, so that a request that arrives late cannot remove it once more.
            Ok(Some(directory)) if admin.remove_voter(id, directory).await.is_ok() => break,
            Ok(Some(_)) => was_tried = true,
            Ok(None) if was_tried => break,
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Until it is there, and has introduced itself.
    while !votes(admin.add_voter(id, Uuid::ZERO, None).await) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn find(replicas: &[QuorumReplica], id: i32) -> Option<Uuid> {
    replicas.iter().find(|replica| replica.id == id).map(|replica| replica.directory_id)
}

fn votes(added: Result<(), Error>) -> bool {
    matches!(added, Ok(()) | Err(Error::Broker { code: ErrorCode::DuplicateVoter, .. }))
}
