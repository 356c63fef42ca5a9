//! Connections to other brokers, one for each purpose, made when they are needed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::{
    BackoffConfig, Call, Connection, ConnectionError, ConnectionOptions, Seams,
};
use flumen_protocol::messages::envelope::EnvelopeRequest;
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};
use flumen_protocol::{ErrorCode, Request};
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::{info, warn};

use super::Lane;
use super::message::{self, Head, PeerFault, PeerKind};
use super::reach::{News, Reach};
use super::service::PEER_FRAME_BYTES_MAX;

/// A broker that comes back is to be found at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// How long one connection has to show that somebody is at its other end. Then another is tried.
const PROBE_ANSWER_TIME: Duration = Duration::from_millis(250);

/// Where a broker can be reached by other brokers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerAddress {
    pub(crate) node_id: i32,
    /// `host:port` of its peer listener.
    pub(crate) address: String,
}

/// Why there is no answer from another broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerError {
    /// Nobody listens at the address: the process is gone.
    #[error("nobody listens there")]
    Refused,
    /// No connection, or it broke.
    #[error("it cannot be reached: {reason}")]
    Unreachable {
        /// What the connection says.
        reason: String,
    },
    /// No answer in time. What was asked may have been done.
    #[error("it did not answer in time")]
    TimedOut,
    /// It answers, but not this.
    #[error(transparent)]
    Fault(#[from] PeerFault),
}

/// Asks other brokers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PeerClient {
    shared: Arc<Shared>,
}

struct Shared {
    node_id: i32,
    seams: Seams,
    /// Known once this broker has metadata.
    cluster_id: Mutex<Option<String>>,
    /// One for each purpose, to where the broker was last said to be.
    connections: Mutex<BTreeMap<(i32, Lane), Connection>>,
    reach: Mutex<Reach>,
}

impl fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerClient").field("node_id", &self.shared.node_id).finish_non_exhaustive()
    }
}

impl PeerClient {
    pub(crate) fn new(node_id: i32, seams: Seams) -> Self {
        let (cluster_id, connections, reach) = Default::default();
        Self { shared: Arc::new(Shared { node_id, seams, cluster_id, connections, reach }) }
    }

    /// Names the cluster in all messages from now on.
    pub(crate) fn set_cluster(&self, cluster_id: &str) {
        *self.shared.cluster_id.lock() = Some(cluster_id.to_owned());
    }

    /// Sends a message and waits for the answer.
    pub(crate) async fn ask(
        &self,
        to: &PeerAddress,
        lane: Lane,
        kind: PeerKind,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, PeerError> {
        let cluster_id = self.shared.cluster_id.lock().clone();
        let head = Head::new(kind, self.shared.node_id, to.node_id, cluster_id);
        let request = EnvelopeRequest {
            request_data: message::encode(&head, body),
            request_principal: None,
            client_host_address: Bytes::new(),
        };
        let response = self.send(to, lane, &request, timeout).await?;
        let answer = message::decode_answer(response.response_data.unwrap_or_default());
        match answer {
            Err(fault @ (PeerFault::OtherNode | PeerFault::OtherCluster)) => {
                self.on_failure(to, &fault);
            }
            _ => self.on_answer(to),
        }
        Ok(answer?)
    }

    async fn send<R: Request + Sync>(
        &self,
        to: &PeerAddress,
        lane: Lane,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, PeerError> {
        let connection = self.connection(to, lane);
        let sent = connection.send(request, Call::timeout(timeout));
        let response = crate::clock::within(timeout, sent).await.ok_or(PeerError::TimedOut)?;
        if let Err(ConnectionError::Connect { source, .. }) = &response {
            // Other failures are those of one connection; whether the broker can be reached shows
            // when the next is made.
            let is_news = self.on_failure(to, source);
            if is_news && source.kind() == io::ErrorKind::ConnectionRefused {
                self.let_go_of_others(to.node_id, lane);
            }
        }
        response.map_err(failure)
    }

    /// Nobody listens there: no connection from before has another end any more, even if nothing has
    /// come of it that says so. One that lies idle would cost its next request all its time.
    fn let_go_of_others(&self, node_id: i32, lane: Lane) {
        let mut connections = self.shared.connections.lock();
        connections.retain(|(id, other), _| *id != node_id || *other == lane);
    }

    /// Notes that a broker cannot be reached; says whether that is news.
    fn on_failure(&self, to: &PeerAddress, reason: &dyn fmt::Display) -> bool {
        let PeerAddress { node_id, address } = to;
        let now = self.shared.seams.clock.monotonic();
        let is_news = self.shared.reach.lock().on_failure(*node_id, now).is_some();
        if is_news {
            warn!(node_id, address, %reason, "a broker cannot be reached");
        }
        is_news
    }

    fn on_answer(&self, to: &PeerAddress) {
        let PeerAddress { node_id, address } = to;
        let now = self.shared.seams.clock.monotonic();
        if let Some(News::Back(after)) = self.shared.reach.lock().on_answer(*node_id, now) {
            info!(node_id, address, ?after, "a broker can be reached again");
        }
    }

    /// Whether nobody listens there any more. A broker that does not answer may be there all the same.
    ///
    /// The sockets of a process that dies are closed one after the other: who hears of the first may
    /// still be let in by the listener, and lose that connection as well. So a broken one is no answer.
    /// Nor is a silent one: it may be from before and half-open, and the next is made anew.
    pub(crate) async fn is_gone(&self, to: &PeerAddress, timeout: Duration) -> bool {
        let asking = async {
            loop {
                match self.ask(to, Lane::Probe, PeerKind::Probe, &[], PROBE_ANSWER_TIME).await {
                    Err(PeerError::Unreachable { .. } | PeerError::TimedOut) => {
                        sleep(RECONNECT_PAUSE).await;
                    }
                    asked => return asked == Err(PeerError::Refused),
                }
            }
        };
        crate::clock::within(timeout, asking).await.unwrap_or(false)
    }

    /// Sends the fetch of a follower and waits for the answer.
    pub(crate) async fn fetch(
        &self,
        to: &PeerAddress,
        lane: u8,
        request: FetchRequest,
        timeout: Duration,
    ) -> Result<FetchResponse, PeerError> {
        let cluster_id = self.shared.cluster_id.lock().clone();
        let request = FetchRequest { cluster_id, ..request };
        let response = self.send(to, Lane::Fetch(lane), &request, timeout).await?;
        if response.error_code == ErrorCode::InconsistentClusterId.code() {
            self.on_failure(to, &PeerFault::OtherCluster);
            return Err(PeerFault::OtherCluster.into());
        }
        self.on_answer(to);
        Ok(response)
    }

    fn connection(&self, to: &PeerAddress, lane: Lane) -> Connection {
        let mut connections = self.shared.connections.lock();
        let known = connections.get(&(to.node_id, lane));
        if let Some(connection) = known.filter(|known| known.address() == to.address) {
            return connection.clone();
        }
        // The one to where the broker was before ends with its last answer.
        let options = ConnectionOptions {
            client_id: Some(format!("flumen-broker-{}", self.shared.node_id)),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            in_flight_max: 64,
            reconnect_backoff: BackoffConfig { initial: RECONNECT_PAUSE, max: RECONNECT_PAUSE },
            receive_bytes_max: PEER_FRAME_BYTES_MAX,
        };
        let connection = Connection::new(&to.address, options, &self.shared.seams);
        connections.insert((to.node_id, lane), connection.clone());
        connection
    }

    /// How many connections there are, used or not.
    #[cfg(test)]
    pub(super) fn connection_count(&self) -> usize {
        self.shared.connections.lock().len()
    }
}

fn failure(error: ConnectionError) -> PeerError {
    match error {
        ConnectionError::Connect { source, .. }
            if source.kind() == io::ErrorKind::ConnectionRefused =>
        {
            PeerError::Refused
        }
        ConnectionError::TimedOut { .. } => PeerError::TimedOut,
        other => PeerError::Unreachable { reason: other.to_string() },
    }
}
