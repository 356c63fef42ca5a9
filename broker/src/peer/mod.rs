//! What brokers say to each other: the peer listener, and the connections to those of others.
//!
//! The framing and the headers are those of Kafka's protocol, with three requests: `ApiVersions`, by
//! which every connection begins, `Fetch`, by which followers replicate, and `Envelope`, which carries
//! a [`message`] of one of the kinds below. `client` asks, `service` answers, `listener` accepts.
//! `control` is the way to the controller, wherever it is; `reach` (pure) what an operator is told.
//!
//! A connection is for one [`Lane`]: answers leave in order, and a vote must not wait for a fetch.
//!
//! **Invariant:** a message names the node it is for and the cluster it comes from, and one that
//! reaches another is refused.

mod client;
mod control;
mod listener;
mod message;
mod quorum;
mod reach;
mod replication;
mod service;
#[cfg(test)]
mod tests;

use crate::controller::QuorumLane;

pub(crate) use client::{PeerAddress, PeerClient, PeerError};
pub(crate) use control::{ControlHandler, ControlRoute, NotForwarded};
pub(crate) use listener::{PeerAcceptor, PeerLimits};
pub(crate) use message::{PeerFault, PeerKind};
pub(crate) use replication::ReplicaRoute;
pub(crate) use service::{PeerHandler, PeerServices};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// One of those that the metadata quorum tells apart.
    Quorum(QuorumLane),
    /// Whether anybody is there.
    Probe,
    /// That this broker is alive, which must not wait for what takes the controller long.
    Heartbeat,
    /// Other questions to the controller.
    Control,
    /// Requests of clients that the controller has to answer; several may be under way.
    Forward(u8),
    /// Replication; several may be under way.
    Fetch(u8),
}
