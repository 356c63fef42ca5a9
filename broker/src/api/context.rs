//! What a handler sees: the broker's parts, and who is calling.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::ApiKey;

use crate::config::BrokerConfig;
use crate::controller::Controller;
use crate::group::Groups;

/// The parts of one broker, shared by all of its connections.
#[derive(Debug)]
pub struct Context {
    /// The settings it was started with.
    pub config: Arc<BrokerConfig>,
    /// Time, randomness and tasks.
    pub seams: Seams,
    /// The metadata of the cluster, and who decides changes to it.
    pub controller: Controller,
    /// The groups that this broker coordinates.
    pub groups: Arc<Groups>,
    /// The listener whose addresses clients are told.
    pub(crate) listener_name: String,
}

/// One request's header and sender.
#[derive(Debug, Clone)]
pub struct Call {
    /// The API that is called.
    pub api: ApiKey,
    /// The version that the body has and the response will have.
    pub version: i16,
    /// The number that the response repeats.
    pub correlation_id: i32,
    /// The name that the client gives itself.
    pub client_id: Option<String>,
    /// Where the client connects from.
    pub peer: SocketAddr,
    /// When the request was complete, on the monotonic clock.
    pub received: Duration,
}
