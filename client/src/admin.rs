//! Administration: topics, configurations, groups, offsets and the cluster itself.
//!
//! One file per area. Operations on many things give one result per thing, because a broker may do
//! some and refuse others; the `Err` around them means that nothing is known about any. Everything
//! is retried until [`api_timeout`](crate::ClientConfig::api_timeout) while that can help.

mod by_leader;
mod cluster;
mod configs;
mod groups;
mod offsets;
mod quorum;
mod replicas;
mod topics;

use flumen_protocol::{ApiKey, ErrorCode, Request};

pub use cluster::{ClusterDescription, LogDir, LogDirReplica};
pub use configs::{ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSynonym};
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use offsets::{Isolation, ListedOffset, OffsetSpec};
pub use quorum::{Quorum, QuorumReplica, VoterListener};
pub use replicas::{Election, PartitionOutcomes, PartitionReplicas, Reassignment};
pub use topics::{CreatedTopic, NewTopic};

pub use crate::commits::{CommittedOffset, OffsetToCommit};

use crate::client::Client;
use crate::cluster::Topics;
use crate::connection::Call;
use crate::error::Error;

/// The administration of one cluster; made by [`Client::admin`].
///
/// # Errors
/// While nobody who can answer is reached (the controller, a leader, the coordinator of a group),
/// methods try again for as long as the client's `api_timeout`, and then give [`Error::TimedOut`]
/// with the last failure. What is refused is [`Error::Broker`] with the reason. Methods that take several
/// things give an error of their own for each; the outer one means that nothing is known of any.
///
/// # Cancel safety
/// A method that only asks may be dropped at any time. One that changes something may have changed it
/// already when it is dropped, or when it ends with an error of the connection: ask, or do it again.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

/// What became of each thing an operation was about, by name.
pub type Outcomes<T> = Vec<(String, Result<T, Error>)>;

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks the controller until one is found that says it is.
    async fn ask_controller<R: Request + Sync>(
        &self,
        request: &R,
        first_code: impl Fn(&R::Response) -> Option<i16>,
    ) -> Result<R::Response, Error> {
        let mut retry = self.client.retry();
        loop {
            let error = match self.client.ask_controller(request).await {
                Ok(response) => match first_code(&response).map(ErrorCode::from_code) {
                    Some(code @ ErrorCode::NotController) => {
                        Error::Broker { api: R::API_KEY, code, message: None }
                    }
                    _ => return Ok(response),
                },
                Err(error) => error,
            };
            retry.after(error).await?;
            // Its failure shows in the next try.
            drop(self.client.refresh(Topics::Named(Vec::new())).await);
        }
    }

    /// Asks the coordinator of a group, wherever it may have moved to, until the answer is final.
    async fn ask_coordinator<R: Request + Sync + Send>(
        &self,
        group: &str,
        build: impl Fn(i16) -> R + Send + Sync,
        version_max: Option<i16>,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Error> {
        let call = Call { timeout: None, version_max };
        let mut retry = self.client.retry();
        loop {
            let attempt = async {
                let coordinator = self.client.find_coordinator(group).await?;
                let connection = self.client.connection_to(coordinator)?;
                let response = connection.send_with(call, &build).await?;
                Error::check(R::API_KEY, code(&response), None)?;
                Ok(response)
            };
            match attempt.await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }
}

/// The error for something the answer leaves out.
fn incomplete(api: ApiKey, about: &str) -> Error {
    Error::Incomplete { api, about: about.to_owned() }
}

/// How long a broker may work on a request, in milliseconds, as the wire has it.
fn timeout_ms(client: &Client) -> i32 {
    i32::try_from(client.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
}
