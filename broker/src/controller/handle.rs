//! What the rest of the broker sees of the controller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_partitions::CreatePartitionsTopic;
use flumen_protocol::messages::create_topics::CreatableTopic;
use flumen_storage::vfs::Vfs;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::brokers::found_cluster;
use super::configs::{AlterConfigError, Alteration, ResourceName, alter_configs};
use super::control::{AllocateProducerIdsError, Control, ControlRequest, ControlResponse};
use super::create_partitions::{CreatePartitionsError, create_partitions};
use super::create_topics::{CLUSTER_METADATA, CreateTopicError, CreatedTopic, create_topics};
use super::decision::Decision;
use super::delete_topics::{DeleteTopicError, TopicReference, delete_topics};
use super::elections::{ElectionType, TopicElections, elect_leaders};
use super::image::MetadataImage;
use super::leaderships::ElectionCounts;
use super::producer_ids::ProducerIdBlock;
use super::quorum::{
    ChangeVotersError, Directory, NotLeader, OpenQuorum, Published, Quorum, QuorumError,
    QuorumPeers, QuorumService, QuorumStatus,
};
use super::reassignments::{ReassignError, Reassignment, alter_reassignments};
use super::runtime::{Asked, Decider, QUEUE_SIZE, Question};
use super::sessions::BrokerSessions;
use super::standing::Standing;
use crate::config::{BrokerConfig, Settings};

/// Between two looks at who leads, while there is no cluster.
const ROLE_INTERVAL: Duration = Duration::from_millis(20);

/// The metadata of the cluster, and the way to change it.
///
/// Reading is cheap and never waits. A change is answered when it is committed and in the published
/// image, so that whoever is answered finds it there. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    pub(super) node_id: i32,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) seams: Seams,
    pub(super) sessions: Arc<Mutex<BrokerSessions>>,
    pub(super) quorum: Arc<Quorum>,
    published: Arc<Published>,
    questions: mpsc::Sender<Box<dyn Question>>,
    producer_ids: Arc<Mutex<ProducerIdBlock>>,
    elections: Arc<ElectionCounts>,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// Why there is no producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProducerIdError {
    /// Nobody can hand out a block now.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The controller refuses.
    #[error(transparent)]
    Refused(#[from] AllocateProducerIdsError),
}

/// A controller whose files are open: other members of its quorum are answered, so that it can
/// find out with them whether there is a cluster.
pub struct OpenController {
    config: Arc<BrokerConfig>,
    seams: Seams,
    quorum: OpenQuorum,
}

impl fmt::Debug for OpenController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenController")
            .field("node_id", &self.config.node_id)
            .finish_non_exhaustive()
    }
}

impl OpenController {
    /// Opens the metadata in the data directory, whose lock the caller holds. Without `peers` this
    /// broker is a cluster of its own.
    ///
    /// # Errors
    /// The metadata log cannot be used.
    pub fn open(
        config: Arc<BrokerConfig>,
        vfs: Arc<dyn Vfs>,
        seams: Seams,
        peers: Option<QuorumPeers>,
    ) -> Result<Self, QuorumError> {
        let dir = config.data_dir().join(format!("{CLUSTER_METADATA}-0"));
        let (node_id, replication) = (config.node_id, &config.replication);
        let quorum = OpenQuorum::open(node_id, replication, &dir, vfs, seams.clone(), peers)?;
        Ok(Self { config, seams, quorum })
    }

    /// What answers the other members of the quorum; to be reachable before [`start`](Self::start).
    pub fn service(&self) -> &Arc<QuorumService> {
        self.quorum.service()
    }

    /// Takes part in the quorum, and returns once there is a cluster.
    ///
    /// # Errors
    /// The metadata log cannot be used, or the quorum cannot be joined.
    pub async fn start(self) -> Result<Controller, QuorumError> {
        let Self { config, seams, quorum } = self;
        let quorum = Arc::new(Box::pin(quorum.start()).await?);
        let timeout = Duration::from_millis(config.replication.session_timeout_ms);
        let sessions = Arc::new(Mutex::new(BrokerSessions::new(timeout)));
        let (questions, asked) = mpsc::channel(QUEUE_SIZE);
        let elections = Arc::<ElectionCounts>::default();
        let decider = Decider::new(
            Arc::clone(&quorum),
            Arc::clone(&seams.clock),
            Arc::clone(&config),
            Arc::clone(&sessions),
            Arc::clone(&elections),
        );
        drop(seams.spawn.spawn("controller", Box::pin(decider.run(asked))));
        let controller = Controller {
            node_id: config.node_id,
            config,
            seams,
            sessions,
            published: Arc::clone(quorum.published()),
            quorum,
            questions,
            producer_ids: Arc::default(),
            elections,
        };
        controller.wait_for_cluster().await?;
        Ok(controller)
    }
}

fn stopped() -> QuorumError {
    QuorumError::Raft { reason: "it stopped before there was a cluster".to_owned() }
}

/// Starting and stopping.
impl Controller {
    /// Opens the metadata in the data directory, whose lock the caller holds, and founds the
    /// cluster if there is none.
    ///
    /// # Errors
    /// The metadata log cannot be used, or the quorum cannot be joined.
    pub async fn start(
        config: Arc<BrokerConfig>,
        vfs: Arc<dyn Vfs>,
        seams: Seams,
    ) -> Result<Self, QuorumError> {
        Box::pin(OpenController::open(config, vfs, seams, None)?.start()).await
    }

    /// Waits for the metadata of a cluster, and founds it when this broker leads one that is new.
    async fn wait_for_cluster(&self) -> Result<(), QuorumError> {
        let mut versions = self.watch();
        while self.image().cluster_id().is_empty() {
            if self.is_leader() {
                let rng = Arc::clone(&self.seams.rng);
                if self.ask(move |image| found_cluster(image, &*rng)).await.is_ok() {
                    continue;
                }
            }
            tokio::select! {
                changed = versions.changed() => changed.map_err(|_closed| stopped())?,
                // Meanwhile this broker may have been elected.
                () = tokio::time::sleep(ROLE_INTERVAL) => {}
                _reason = self.quorum.failed() => return Err(stopped()),
            }
        }
        Ok(())
    }

    /// Lets another voter lead, if this broker leads and there is one, so that nobody has to notice
    /// that it stops.
    pub async fn hand_over(&self) {
        self.quorum.hand_over().await;
    }

    /// Stops taking part in the quorum. Requests are refused from then on.
    pub async fn shutdown(&self) {
        self.quorum.shutdown().await;
    }

    /// Waits until the controller can go on no more, and says why: its disk failed, its task ended,
    /// or it was shut down. A broker without metadata must stop.
    pub async fn failed(&self) -> String {
        tokio::select! {
            biased;
            reason = self.quorum.failed() => reason,
            () = self.questions.closed() => "the controller's task has ended".to_owned(),
        }
    }
}

/// Reading.
impl Controller {
    /// The newest committed metadata.
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        self.published.image()
    }

    /// Changes whenever a newer image is published, to its version.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.published.watch()
    }

    /// The broker that decides, if there is one.
    #[must_use]
    pub fn leader(&self) -> Option<i32> {
        self.quorum.leader()
    }

    /// Waits until another broker than `known` decides.
    pub(crate) async fn another_leader(&self, known: Option<i32>) {
        self.quorum.another_leader(known).await;
    }

    /// Whether this broker decides.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.quorum.leading_term().is_some()
    }

    /// Whether this broker decides and, as far as it knows, others agree.
    pub(super) fn leads_majority(&self) -> bool {
        self.quorum.leads_majority()
    }

    /// Waits until the published image has `version`; for ever, if the controller stops before.
    pub async fn wait_for(&self, version: i64) {
        if self.watch().wait_for(|published| *published >= version).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The id of the directory that holds the metadata, chosen when it was empty.
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        Uuid::from_bytes(self.quorum.directory().0)
    }

    /// Where a member of the quorum listens for its peers, as `host:port`.
    #[must_use]
    pub fn member_address(&self, node_id: i32) -> Option<String> {
        self.quorum.address(node_id).map(|address| address.addr)
    }

    /// A connection to another broker broke: if it led the quorum and its process is gone, the voters
    /// elect another without waiting.
    pub fn on_peer_lost(&self, node_id: i32) {
        self.quorum.on_peer_lost(node_id);
    }

    /// Where the quorum stands.
    #[must_use]
    pub fn quorum_status(&self) -> QuorumStatus {
        self.quorum.status()
    }

    /// This broker's settings as they are in `image`: those that were changed over those it was
    /// started with.
    #[must_use]
    pub fn settings(&self, image: &MetadataImage) -> Settings {
        image.settings(&self.config)
    }
}

/// Changing who belongs to the quorum; on the leader.
impl Controller {
    /// Makes a broker that follows a voter, if it has the directory that is named.
    ///
    /// # Errors
    /// [`ChangeVotersError`] says what is in the way.
    pub async fn add_voter(
        &self,
        node_id: i32,
        addr: Option<String>,
        directory: Option<Uuid>,
    ) -> Result<(), ChangeVotersError> {
        let directory = directory.map(|id| Directory(*id.as_bytes()));
        self.quorum.add_voter(node_id, addr, directory).await
    }

    /// Makes a voter a broker that only follows.
    ///
    /// # Errors
    /// [`ChangeVotersError`] says what is in the way.
    pub async fn remove_voter(
        &self,
        node_id: i32,
        directory: Option<Uuid>,
    ) -> Result<(), ChangeVotersError> {
        let directory = directory.map(|id| Directory(*id.as_bytes()));
        self.quorum.remove_voter(node_id, directory).await
    }

    /// Lets go of a broker that does not vote and will not come back.
    ///
    /// # Errors
    /// [`ChangeVotersError`] says what is in the way.
    pub async fn forget_member(&self, node_id: i32) -> Result<(), ChangeVotersError> {
        self.quorum.forget(node_id).await
    }
}

/// Changing.
impl Controller {
    /// Creates topics, or only says whether they could be created.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided; each topic has its own answer otherwise.
    pub async fn create_topics(
        &self,
        topics: Vec<CreatableTopic>,
        validate_only: bool,
    ) -> Result<Vec<(String, Result<CreatedTopic, CreateTopicError>)>, NotLeader> {
        let (config, rng) = (Arc::clone(&self.config), Arc::clone(&self.seams.rng));
        self.ask(move |image| create_topics(image, &topics, validate_only, &config, &*rng)).await
    }

    /// Deletes topics by name or by id.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicReference>,
    ) -> Result<Vec<(TopicReference, Result<(), DeleteTopicError>)>, NotLeader> {
        self.ask(move |image| delete_topics(image, &topics)).await
    }

    /// Adds partitions to topics.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn create_partitions(
        &self,
        topics: Vec<CreatePartitionsTopic>,
        validate_only: bool,
    ) -> Result<Vec<(String, Result<(), CreatePartitionsError>)>, NotLeader> {
        let limit = self.config.limits.partitions_max;
        self.ask(move |image| create_partitions(image, &topics, validate_only, limit)).await
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn alter_configs(
        &self,
        resources: Vec<(ResourceName, Alteration)>,
        validate_only: bool,
    ) -> Result<Vec<(ResourceName, Result<(), AlterConfigError>)>, NotLeader> {
        let config = Arc::clone(&self.config);
        self.ask(move |image| {
            alter_configs(&Standing::new(image, &config), &resources, validate_only)
        })
        .await
    }

    /// Elects leaders, in all partitions without `topics`.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        topics: Option<Vec<(String, Vec<i32>)>>,
    ) -> Result<Vec<TopicElections>, NotLeader> {
        let config = Arc::clone(&self.config);
        self.ask(move |image| {
            elect_leaders(&Standing::new(image, &config), election, topics.as_deref())
        })
        .await
    }

    /// Moves partitions to other brokers, or ends such moves. The answers are in the order of the
    /// request; the moves go on after them.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn alter_reassignments(
        &self,
        reassignments: Vec<Reassignment>,
        allows_factor_change: bool,
    ) -> Result<Vec<Result<(), ReassignError>>, NotLeader> {
        let config = Arc::clone(&self.config);
        self.ask(move |image| {
            let standing = Standing::new(image, &config);
            alter_reassignments(&standing, &reassignments, allows_factor_change)
        })
        .await
    }

    /// How many leaders this broker, as the one that decides, has elected.
    #[must_use]
    pub fn elections(&self) -> u64 {
        self.elections.clean() + self.elections.unclean()
    }

    /// How many leaders this broker, as the one that decides, has elected that need not have every
    /// acknowledged record.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        self.elections.unclean()
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// [`ProducerIdError`] when a new block is needed and cannot be had.
    pub async fn next_producer_id(&self, control: &dyn Control) -> Result<i64, ProducerIdError> {
        loop {
            if let Some(id) = self.producer_ids.lock().next() {
                return Ok(id);
            }
            let broker_id = self.node_id;
            let broker_epoch = self.image().broker(broker_id).map_or(-1, |broker| broker.epoch);
            let request = ControlRequest::AllocateProducerIds { broker_id, broker_epoch };
            let ControlResponse::ProducerIds(block) = control.ask(request).await? else {
                // The answer of another build, which is as good as none.
                return Err(NotLeader.into());
            };
            let block = block?;
            let mut current = self.producer_ids.lock();
            // Of two blocks fetched at once the lower is used up first, and the other is lost.
            if current.is_empty() {
                *current = block;
            }
        }
    }

    pub(super) async fn ask<A, D>(&self, decide: D) -> Result<A, NotLeader>
    where
        A: Send + 'static,
        D: FnOnce(&MetadataImage) -> Decision<A> + Send + 'static,
    {
        let (question, answer) = Asked::new(decide);
        self.questions.send(Box::new(question)).await.map_err(|_stopped| NotLeader)?;
        answer.await.map_err(|_stopped| NotLeader)?
    }
}
