//! What the rest of the broker sees of the controller.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::messages::create_partitions::CreatePartitionsTopic;
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use flumen_storage::vfs::Vfs;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::brokers::found_cluster;
use super::configs::{AlterConfigError, Alteration, ResourceName, alter_configs, follow_up};
use super::control::{AllocateProducerIdsError, ControlRequest, ControlResponse};
use super::create_partitions::{CreatePartitionsError, create_partitions};
use super::create_topics::{CLUSTER_METADATA, CreateTopicError, CreatedTopic, create_topics};
use super::decision::Decision;
use super::delete_topics::{DeleteTopicError, TopicReference, delete_topics};
use super::elections::{ElectionType, TopicElections, elect_leaders};
use super::image::MetadataImage;
use super::producer_ids::ProducerIdBlock;
use super::quorum::{NotLeader, Published, Quorum, QuorumError, QuorumStatus};
use super::reassignments::{ReassignError, Reassignment, alter_reassignments};
use super::runtime::{Asked, Decider, QUEUE_SIZE, Question};
use super::sessions::BrokerSessions;
use super::standing::Standing;
use crate::config::{BrokerConfig, Settings};

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
    unclean_elections: Arc<AtomicU64>,
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
        let node_id = config.node_id;
        let dir = config.data_dir().join(format!("{CLUSTER_METADATA}-0"));
        let controller = Self::open(node_id, config, &dir, vfs, seams).await?;
        let rng = Arc::clone(&controller.seams.rng);
        let founded = controller.ask(move |image| found_cluster(image, &*rng)).await;
        founded.map_err(|error| QuorumError::Raft { reason: error.to_string() })?;
        Ok(controller)
    }

    async fn open(
        node_id: i32,
        config: Arc<BrokerConfig>,
        dir: &Path,
        vfs: Arc<dyn Vfs>,
        seams: Seams,
    ) -> Result<Self, QuorumError> {
        let replication = &config.replication;
        let quorum = Quorum::start(node_id, replication, dir, vfs, seams.clone()).await?;
        let quorum = Arc::new(quorum);
        let timeout = Duration::from_millis(replication.session_timeout_ms);
        let sessions = Arc::new(Mutex::new(BrokerSessions::new(timeout)));
        let (questions, asked) = mpsc::channel(QUEUE_SIZE);
        let unclean_elections = Arc::<AtomicU64>::default();
        let decider = Decider::new(
            Arc::clone(&quorum),
            Arc::clone(&seams.clock),
            Arc::clone(&config),
            Arc::clone(&sessions),
            Arc::clone(&unclean_elections),
        );
        drop(seams.spawn.spawn("controller", Box::pin(decider.run(asked))));
        Ok(Self {
            node_id,
            config,
            seams,
            sessions,
            published: Arc::clone(quorum.published()),
            quorum,
            questions,
            producer_ids: Arc::default(),
            unclean_elections,
        })
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

    /// Whether this broker decides.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.quorum.leading_term().is_some()
    }

    /// Waits until the published image has `version`; for ever, if the controller stops before.
    pub async fn wait_for(&self, version: i64) {
        if self.watch().wait_for(|published| *published >= version).await.is_err() {
            std::future::pending::<()>().await;
        }
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

    /// Creates a topic that the broker itself needs, with as many replicas as there can be.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn create_internal_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i16,
        configs: &[(&str, &str)],
    ) -> Result<Result<CreatedTopic, CreateTopicError>, NotLeader> {
        let live = i16::try_from(self.image().live_brokers().count()).unwrap_or(i16::MAX);
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: replicas.min(live.max(1)),
            assignments: Vec::<CreatableReplicaAssignment>::new(),
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).to_owned(),
                    value: Some((*value).to_owned()),
                })
                .collect(),
        };
        let mut created = self.create_topics(vec![topic], false).await?;
        Ok(created.pop().ok_or(NotLeader)?.1)
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
            let mut decision = alter_configs(image, &resources, validate_only);
            let mut altered = image.clone();
            for record in &decision.records {
                altered.replay(record).expect("a decision fits the image it was made on");
            }
            let standing = Standing::new(&altered, &config);
            let partitions = follow_up(&standing, &decision.records);
            decision.records.extend(partitions);
            decision
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

    /// How many leaders this broker, as the one that decides, has elected that need not have every
    /// acknowledged record.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        self.unclean_elections.load(Ordering::Relaxed)
    }

    /// A producer id that nobody has had.
    ///
    /// # Errors
    /// [`ProducerIdError`] when a new block is needed and cannot be had.
    pub async fn next_producer_id(&self) -> Result<i64, ProducerIdError> {
        loop {
            if let Some(id) = self.producer_ids.lock().next() {
                return Ok(id);
            }
            let broker_id = self.node_id;
            let broker_epoch = self.image().broker(broker_id).map_or(-1, |broker| broker.epoch);
            let request = ControlRequest::AllocateProducerIds { broker_id, broker_epoch };
            let ControlResponse::ProducerIds(block) = self.control(request).await? else {
                unreachable!("an answer is to its question");
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
