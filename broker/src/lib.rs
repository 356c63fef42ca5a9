//! The broker: listener, APIs, partitions, controller and group coordinators.

pub mod api;
mod clock;
pub mod config;
pub mod controller;
pub mod coordinator;
mod fetch_session;
pub mod group;
mod http;
mod lag;
mod lifecycle;
pub mod metrics;
mod net;
pub mod partition;
mod peer;
mod server;
mod supervision;

pub use server::{Broker, StartError};
