//! Decides on heartbeats: they let brokers into service, out of it, and go.

use super::brokers::{begin_leaving, fence_broker, unfence_broker};
use super::control::{BrokerHeartbeat, HeartbeatAnswer, StaleBroker, Wants};
use super::decision::Decision;
use super::standing::Standing;

/// What the sessions say about the sender of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readiness {
    /// It has its own registration, and what came before.
    pub(super) may_serve: bool,
    /// All others know that it leads nothing any more.
    pub(super) may_leave: bool,
}

/// Decides on a heartbeat.
pub(super) fn heartbeat(
    standing: Standing<'_>,
    beat: &BrokerHeartbeat,
    readiness: Readiness,
) -> Decision<Result<HeartbeatAnswer, StaleBroker>> {
    let image = standing.image;
    let registered = image.broker(beat.broker_id).filter(|broker| broker.epoch == beat.epoch);
    let Some(broker) = registered else { return Decision::answer(Err(StaleBroker)) };
    let answer = |is_fenced, may_stop| Ok(HeartbeatAnswer { is_fenced, may_stop });
    match beat.wants {
        // A request to leave is not taken back: a heartbeat that was under way must not undo it.
        Wants::Service if broker.fenced && readiness.may_serve && !broker.is_leaving => {
            Decision { records: unfence_broker(standing, broker), answer: answer(false, false) }
        }
        Wants::Service => Decision::answer(answer(broker.fenced, false)),
        Wants::Fence => {
            let fenced = fence_broker(standing, beat.broker_id, beat.epoch);
            Decision { records: fenced.records, answer: answer(true, false) }
        }
        Wants::Leave if broker.fenced => Decision::answer(answer(true, true)),
        Wants::Leave if !broker.is_leaving => {
            Decision { records: begin_leaving(standing, broker), answer: answer(false, false) }
        }
        Wants::Leave if readiness.may_leave => {
            let fenced = fence_broker(standing, beat.broker_id, beat.epoch);
            Decision { records: fenced.records, answer: answer(true, true) }
        }
        Wants::Leave => Decision::answer(answer(false, false)),
    }
}
