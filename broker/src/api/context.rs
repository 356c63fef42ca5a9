//! What a handler sees: the broker's parts, and who is calling.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::ApiKey;
use parking_lot::Mutex;

use super::replica_fetch::ReplicaSessions;
use crate::clock::within;
use crate::config::BrokerConfig;
use crate::controller::{Controller, MetadataImage, NotLeader};
use crate::fetch_session::FetchSessions;
use crate::group::Groups;
use crate::metrics::Metrics;
use crate::partition::{CaughtUp, DataDir, Partition, Partitions, Reconciled};
use crate::peer::ControlRoute;

/// The longest that a look at the end of a log waits for the disk. A disk that needs longer is in
/// trouble, and whoever looks into it wants an answer.
const SYNC_WAIT: Duration = Duration::from_secs(1);

/// The parts of one broker, shared by all of its connections.
#[derive(Debug)]
pub struct Context {
    /// The settings it was started with.
    pub config: Arc<BrokerConfig>,
    /// Time, randomness and tasks.
    pub seams: Seams,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The metadata of the cluster, and who decides changes to it.
    pub controller: Controller,
    /// The way to whoever decides.
    pub(crate) control: ControlRoute,
    /// The partitions that this broker leads.
    pub partitions: Arc<Partitions>,
    /// The directory that holds them.
    pub data_dir: Arc<DataDir>,
    /// The groups that this broker coordinates.
    pub groups: Arc<Groups>,
    /// When the partitions have caught up with the metadata.
    pub reconciled: Reconciled,
    pub(crate) fetch_sessions: Arc<Mutex<FetchSessions>>,
    /// What followers fetch from here.
    pub(crate) replica_sessions: ReplicaSessions,
    /// Where followers have caught up.
    pub(crate) caught_up: Arc<CaughtUp>,
    /// The listener whose addresses clients are told.
    pub(crate) listener_name: String,
}

impl Context {
    /// Waits until the partitions are in line with the newest metadata, so that whoever is told of
    /// a change can use it at once.
    pub(crate) async fn catch_up(&self) {
        self.reconciled.wait_for(self.controller.image().version()).await;
    }

    /// Waits until what producers with `acks=1` were told is in the log can be read as well, so that
    /// whoever asks for the end of these partitions finds it there, as with Kafka.
    pub(crate) async fn sync_appended(&self, partitions: Vec<Arc<Partition>>) {
        let synced = async {
            for unsynced in partitions.iter().filter_map(Partition::unsynced) {
                // If the log cannot be synced, the question itself is answered with what there is.
                unsynced.await.unwrap_or_default();
            }
        };
        within(SYNC_WAIT, synced).await.unwrap_or_default();
    }

    /// What clients of this listener are told to connect to in order to reach a broker: its id,
    /// host, port and rack.
    pub(crate) fn endpoint_of(
        &self,
        image: &MetadataImage,
        broker: i32,
    ) -> Option<(i32, String, i32, Option<String>)> {
        let broker = image.broker(broker).filter(|broker| !broker.fenced)?;
        let endpoint = broker.endpoint(&self.listener_name)?;
        Some((broker.id, endpoint.host.clone(), i32::from(endpoint.port), broker.rack.clone()))
    }

    /// The broker that clients are told is the controller; -1 if there is none.
    pub(crate) fn named_controller(&self, image: &MetadataImage) -> i32 {
        let is_listed = |id| self.endpoint_of(image, id).is_some();
        let listed = image.live_brokers().map(|broker| broker.id).filter(|id| is_listed(*id));
        named_controller(self.controller.leader(), self.config.node_id, &listed.collect::<Vec<_>>())
    }
}

/// Who of the brokers that clients are told of is named as the controller: who leads the metadata quorum, and
/// while that one is out of service any other, for each passes on what only the leader decides. A client
/// that does not find the controller among the brokers of the same answer can go nowhere.
fn named_controller(leader: Option<i32>, own_id: i32, listed: &[i32]) -> i32 {
    let wanted = [leader, Some(own_id)];
    let named = wanted.into_iter().flatten().find(|id| listed.contains(id));
    named.or(listed.first().copied()).unwrap_or(-1)
}

/// One request's header and sender.
#[derive(Debug)]
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
    /// Whether another broker has passed it on, and tries elsewhere if it hears of no decision.
    pub is_passed_on: bool,
    /// Whether nobody here could decide what it asks for.
    pub is_undecided: AtomicBool,
}

impl Call {
    /// Waits for the controller's answer, and notes if there is none: another broker may have one.
    pub(super) async fn decided<T>(
        &self,
        answer: impl Future<Output = Result<T, NotLeader>>,
    ) -> Result<T, NotLeader> {
        let answer = answer.await;
        self.is_undecided.store(answer.is_err(), Ordering::Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_one_of_the_brokers_that_are_named() {
        assert_eq!(named_controller(Some(3), 2, &[1, 2, 3]), 3);
        assert_eq!(named_controller(Some(3), 2, &[1, 2]), 2, "the leader is out of service");
        assert_eq!(named_controller(Some(3), 2, &[1]), 1);
        assert_eq!(named_controller(None, 2, &[1, 2]), 2);
        assert_eq!(named_controller(Some(3), 2, &[]), -1);
    }
}
