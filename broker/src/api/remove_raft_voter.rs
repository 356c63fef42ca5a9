//! RemoveRaftVoter (key 81), v0. Takes the vote in the metadata quorum from a broker (KIP-853); it goes
//! on to follow the log.
//! Differs from Kafka: without a directory id the voter is removed whatever directory it has.

use std::time::Duration;

use flumen_protocol::messages::remove_raft_voter::{
    RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};

use super::{Call, Context, voters};

/// The request names no time to wait.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: RemoveRaftVoterRequest,
) -> RemoveRaftVoterResponse {
    let directory = voters::directory(request.voter_directory_id);
    let remove = ctx.controller.remove_voter(request.voter_id, directory);
    let remove = Box::pin(voters::decided(call, remove));
    let image = ctx.controller.image();
    let asked = request.cluster_id.as_deref();
    let changed = voters::change(image.cluster_id(), asked, CHANGE_TIME_MAX, remove).await;
    let (error, error_message) = changed;
    RemoveRaftVoterResponse { error_code: error.code(), error_message, ..Default::default() }
}
