//! What the requests share that change who votes in the metadata quorum.

use std::future::Future;
use std::time::Duration;

use flumen_protocol::{ErrorCode, Uuid};

use super::Call;
use super::error::WireError;
use crate::clock::within;
use crate::controller::ChangeVotersError;

/// An error and what is said about it.
pub(super) type Answer = (ErrorCode, Option<String>);

/// Makes the change, if it is meant for this cluster.
pub(super) async fn change(
    cluster_id: &str,
    asked: Option<&str>,
    time: Duration,
    change: impl Future<Output = Result<(), ChangeVotersError>>,
) -> Answer {
    if let Some(asked) = asked.filter(|asked| *asked != cluster_id) {
        let message =
            format!("The given id \"{asked}\" doesn't match the cluster id \"{cluster_id}\"");
        return (ErrorCode::InconsistentClusterId, Some(message));
    }
    match within(time, change).await {
        Some(changed) => (changed.code(), changed.err().map(|error| error.to_string())),
        // A majority may still agree to it.
        None => (ErrorCode::RequestTimedOut, Some("the quorum did not agree in time".to_owned())),
    }
}

/// Notes if nobody here can decide on the change: another broker may.
pub(super) async fn decided(
    call: &Call,
    change: impl Future<Output = Result<(), ChangeVotersError>>,
) -> Result<(), ChangeVotersError> {
    let decided = call.decided(async {
        match change.await {
            Err(ChangeVotersError::NotLeader(error)) => Err(error),
            decided => Ok(decided),
        }
    });
    decided.await?
}

/// The directory that the voter must have: any, if none is named.
pub(super) fn directory(id: Uuid) -> Option<Uuid> {
    Some(id).filter(|id| !id.is_zero())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_change_for_another_cluster_is_not_begun() {
        let never = std::future::poll_fn(|_| panic!("it was begun"));
        let (error, message) = change("here", Some("there"), Duration::from_secs(1), never).await;
        assert_eq!(error, ErrorCode::InconsistentClusterId);
        // The words of Apache Kafka 4.4.
        let expected = "The given id \"there\" doesn't match the cluster id \"here\"";
        assert_eq!(message.as_deref(), Some(expected));
    }

    #[tokio::test]
    async fn the_outcome_is_told_and_not_waited_for_without_end() {
        let time = Duration::from_millis(1);
        let done = change("here", Some("here"), time, ready(Ok(()))).await;
        assert_eq!(done, (ErrorCode::None, None));
        let last = ChangeVotersError::LastVoter { node_id: 1 };
        let refused = change("here", None, time, ready(Err(last.clone()))).await;
        assert_eq!(refused, (ErrorCode::InvalidRequest, Some(last.to_string())));
        let silent = change("here", None, time, pending()).await;
        assert_eq!(silent.0, ErrorCode::RequestTimedOut);
    }
}
