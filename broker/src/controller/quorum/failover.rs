//! A new leader at once, when the old one's process is gone.
//!
//! Raft waits for an election timeout, because silence proves nothing. A refused connection does: the
//! machine answers and nobody listens there. So whoever hears nothing from the leader, or loses a
//! connection to it, asks. If it is refused, it forgets the leader's lease and stands, those
//! with lower ids a moment earlier, so that the votes are not split. The other voters honour their
//! lease until they know as well; the pre-vote tells them to look (see `service`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::Instant;
use openraft::async_runtime::WatchReceiver;

use super::service::QuorumService;

/// Between those who stand, by the order of their ids.
const STAGGER_MS: u64 = 30;
/// Added by chance.
const STAGGER_RANDOM_MS: u64 = 20;
/// How often it is tried, with growing pauses; after that the election timeout is near.
const ATTEMPTS: u32 = 5;
/// The first of the pauses, which leaves time for votes to be synced.
const PAUSE_MS: u64 = 80;

/// Finds out whether the leader is gone, and if it is has another elected.
pub(super) async fn replace_leader(service: Arc<QuorumService>) {
    if service.is_replacing.swap(true, Ordering::AcqRel) {
        return;
    }
    if let Some(leader) = service.other_leader()
        && service.confirm_gone(&leader).await
    {
        tracing::info!(leader = leader.address.node_id, "nobody listens where the leader was");
        stand(&service).await;
    }
    service.is_replacing.store(false, Ordering::Release);
}

async fn stand(service: &QuorumService) {
    let Some(raft) = service.raft() else { return };
    let Some(rank) = service.rank() else { return };
    let mut pause = STAGGER_MS * rank + service.random_below(STAGGER_RANDOM_MS);
    for attempt in 0..ATTEMPTS {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let (has_leader, is_candidate_of_another) = {
            let gone = *service.gone().lock();
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            let vote = metrics.vote;
            // Somebody else stands and has this vote: leave it time on the first attempt.
            let other = vote.leader_id.voted_for != service.node_id() && Some(vote) != gone;
            (metrics.current_leader.is_some() && Some(vote) != gone, other)
        };
        if has_leader || service.disk().is_vote_withheld() {
            return;
        }
        if !(is_candidate_of_another && attempt == 0) && raft.trigger().elect(true).await.is_err() {
            return;
        }
        pause = (PAUSE_MS << attempt) + service.random_below(PAUSE_MS << attempt);
    }
}

/// Asks after a leader that has missed two heartbeats, until the quorum stops.
pub(super) async fn watch_leader(service: Arc<QuorumService>, heartbeat: Duration) {
    let Some(raft) = service.raft() else { return };
    loop {
        tokio::time::sleep(heartbeat).await;
        let Some(leader) = service.other_leader() else { continue };
        let heard = raft.with_raft_state(|state| state.vote_last_modified()).await;
        match heard {
            Ok(Some(at)) => {
                service.note_heard(leader.address.node_id, at.elapsed());
                if at.elapsed() > heartbeat * 2 {
                    replace_leader(Arc::clone(&service)).await;
                }
            }
            Ok(None) => {}
            Err(_stopped) => return,
        }
    }
}
