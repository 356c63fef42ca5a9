//! A broker that reaches no other follows nobody.

use std::time::Duration;

use flumen_client::connection::BoxFuture;
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};

use super::ReplicaTransport;

/// The missing way to other brokers.
#[derive(Debug)]
pub(crate) struct Alone;

impl ReplicaTransport for Alone {
    fn fetch(
        &self,
        _: i32,
        _: u8,
        _: FetchRequest,
        _: Duration,
    ) -> BoxFuture<'static, Option<FetchResponse>> {
        Box::pin(async { None })
    }
}
