//! AddRaftVoter (key 80), v0–v1. Lets a broker vote in the metadata quorum (KIP-853).
//! v1 the client may do without waiting for the commit.
//! Differs from Kafka: the broker follows the metadata log already, so that the quorum knows its
//! address and directory, and neither need be given; the commit is always waited for.

use std::time::Duration;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::add_raft_voter::{
    AddRaftVoterRequest, AddRaftVoterResponse, Listener,
};

use super::{Call, Context, voters};
use crate::config::Endpoint;

/// The listener on which voters talk, as DescribeQuorum names it.
const PEER: &str = "PEER";

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: AddRaftVoterRequest,
) -> AddRaftVoterResponse {
    let Ok(address) = peer_address(request.listeners) else {
        let message = format!("The request names listeners of the voter, and none is {PEER}");
        return answer((ErrorCode::InvalidRequest, Some(message)));
    };
    let directory = voters::directory(request.voter_directory_id);
    let add = ctx.controller.add_voter(request.voter_id, address, directory);
    let add = Box::pin(voters::decided(call, add));
    let time = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let image = ctx.controller.image();
    answer(voters::change(image.cluster_id(), request.cluster_id.as_deref(), time, add).await)
}

/// The voter's peer listener, if listeners are given.
fn peer_address(listeners: Vec<Listener>) -> Result<Option<String>, ()> {
    if listeners.is_empty() {
        return Ok(None);
    }
    let peer = listeners.into_iter().find(|listener| listener.name == PEER).ok_or(())?;
    Ok(Some(Endpoint { host: peer.host, port: peer.port }.to_string()))
}

fn answer((error, error_message): voters::Answer) -> AddRaftVoterResponse {
    AddRaftVoterResponse { error_code: error.code(), error_message, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_listener_is_taken_wherever_it_stands() {
        let listener = |name: &str, host: &str| Listener {
            name: name.to_owned(),
            host: host.to_owned(),
            port: 9192,
        };
        assert_eq!(peer_address(Vec::new()), Ok(None));
        let both = vec![listener("PLAINTEXT", "a"), listener(PEER, "::1")];
        assert_eq!(peer_address(both), Ok(Some("[::1]:9192".to_owned())));
        assert_eq!(peer_address(vec![listener("CONTROLLER", "a")]), Err(()));
    }
}
