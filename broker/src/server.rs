//! One broker: how its parts are put together, in which order they start, and in which they stop.
//!
//! Start: bind, so that a taken port fails before anything is touched · lock the data directory ·
//! controller · register · logs · tasks · be let into service · accept. Stop: let others take over ·
//! accept no more · drain connections · stop tasks · flush and close logs · mark the shutdown as clean
//! · controller.
//!
//! **Invariant:** a client is not answered before every log it could ask for is open.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Listener, Seams};
use flumen_protocol::Uuid;
use flumen_storage::log_dir::{Identity, LogDirError};
use flumen_storage::vfs::{RealDisk, Vfs};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::api::Context;
use crate::api::forward::ForwardHandler;
use crate::api::replica_fetch::ReplicaSessions;
use crate::config::{BrokerConfig, Endpoint, NamedListener};
use crate::controller::{
    BrokerEndpoint, CONSUMER_OFFSETS, Controller, ControllerCollector, MetadataImage,
    OpenController, QuorumError, QuorumPeers, RegisterBrokerError,
};
use crate::fetch_session::{FetchSessionCollector, FetchSessions};
use crate::group::{Groups, LedPartition};
use crate::http;
use crate::lag::LagCollector;
use crate::lifecycle::{Introduction, JoinError, Member, look_after, take_over};
use crate::metrics::Metrics;
use crate::net::{Acceptor, Admission, RequestMemory};
use crate::partition::runtime::{Keeper, blocking};
use crate::partition::{
    DataDir, Fetchers, PartitionCollector, PartitionCoordinatorLog, Partitions, Proposer,
    run_in_sync,
};
use crate::peer::{
    ControlHandler, ControlRoute, PeerAcceptor, PeerClient, PeerKind, PeerLimits, PeerServices,
    ReplicaRoute,
};
use crate::supervision::Tasks;

/// How long a stop waits for connections, which give up by themselves a little earlier.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// How often it is looked whether the disk still works.
const DISK_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Requests in memory where neither the settings nor the system name a bound.
const REQUEST_BYTES_DEFAULT: usize = 1 << 30;

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({setting})")]
    Bind {
        /// The address.
        address: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// One listener is served for now.
    #[error("listeners names {count} addresses, and exactly one can be served")]
    SeveralListeners {
        /// How many.
        count: usize,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] LogDirError),
    /// The data directory belongs to another broker.
    #[error(
        "{path} holds the data of node {found}, and node.id is {expected}; use its own directory \
         (log.dirs) for each broker", path = path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node it belongs to.
        found: i32,
        /// This node.
        expected: i32,
    },
    /// The metadata cannot be read or agreed on.
    #[error(transparent)]
    Controller(#[from] QuorumError),
    /// What the broker needs in order to run has failed while it started.
    #[error("the broker cannot go on: {reason}")]
    Failed {
        /// What has failed.
        reason: String,
    },
    /// The cluster does not let this broker in.
    #[error(transparent)]
    Refused(#[from] RegisterBrokerError),
    /// The data directory is not that of the metadata in it.
    #[error("{path} holds the data of cluster {found}, and its metadata is that of {expected}",
        path = path.display())]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster it belongs to.
        found: String,
        /// The cluster of the metadata.
        expected: String,
    },
    /// A part of the start ended in a failed assertion.
    #[error("a part of the start ended in a failed assertion")]
    Panicked,
}

/// A running broker. Dropping it without [`Broker::shutdown`] is like a crash.
#[derive(Debug)]
pub struct Broker {
    ctx: Arc<Context>,
    keeper: Arc<Keeper>,
    member: Arc<Member>,
    fetchers: Arc<Fetchers>,
    services: PeerServices,
    addr: SocketAddr,
    http_addr: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    connections: mpsc::Receiver<()>,
    tasks: Tasks,
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Refused(error) => Self::Refused(error),
            JoinError::DataDir(error) => Self::DataDir(error),
        }
    }
}

impl Broker {
    /// Starts a broker on this machine.
    ///
    /// # Errors
    /// [`StartError`] names what is in the way.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        Self::start_on(config, Seams::real(), Arc::new(RealDisk)).await
    }

    /// Starts a broker on given seams and a given disk.
    ///
    /// # Errors
    /// [`StartError`] names what is in the way.
    pub async fn start_on(
        config: BrokerConfig,
        seams: Seams,
        vfs: Arc<dyn Vfs>,
    ) -> Result<Self, StartError> {
        let config = Arc::new(within_descriptors(config));
        let [listener] = config.listener.listeners.as_slice() else {
            return Err(StartError::SeveralListeners { count: config.listener.listeners.len() });
        };
        let acceptor = bind(&seams, &listener.endpoint, "listeners").await?;
        let addr = acceptor.local_addr().map_err(bind_error(&listener.endpoint, "listeners"))?;
        let http = match &config.listener.http {
            Some(endpoint) => Some(bind(&seams, endpoint, "http.listener").await?),
            None => None,
        };
        let peer_listener = match &config.listener.peer {
            Some(endpoint) => Some(bind(&seams, endpoint, "peer.listener").await?),
            None => None,
        };
        let http_addr = http.as_ref().and_then(|listener| listener.local_addr().ok());

        let opened = {
            let (seams, config) = (seams.clone(), Arc::clone(&config));
            blocking(&*seams.spawn.clone(), move || open_data_dir(vfs, &config, &seams)).await
        };
        let (data_dir, identity, was_clean) = opened.ok_or(StartError::Panicked)??;
        let vfs = Arc::clone(data_dir.vfs());
        let (stop, stopping) = watch::channel(false);
        let mut tasks = Tasks::new(&seams);
        let services = PeerServices::new(config.node_id);
        let peers = PeerClient::new(config.node_id, seams.clone());
        let reach = peer_listener.as_ref().and_then(|listener| {
            let addr = peer_address(&config, listener.local_addr().ok()?)?;
            Some(QuorumPeers { transport: Arc::new(peers.clone()), addr })
        });
        let opened = OpenController::open(Arc::clone(&config), vfs, tasks.seams().clone(), reach)?;
        services.register(PeerKind::Quorum, Arc::clone(opened.service()) as _);
        if let Some(listener) = peer_listener {
            let accepting = PeerAcceptor::new(
                services.clone(),
                seams.clone(),
                stopping.clone(),
                PeerLimits::default(),
            );
            tasks.start("peer accept", Box::pin(accepting.run(listener)));
        }
        let controller = unless(tasks.ended(), opened.start()).await??;
        let cluster_id = controller.image().cluster_id().to_owned();
        services.set_cluster(&cluster_id);
        peers.set_cluster(&cluster_id);
        services.register(PeerKind::Control, Arc::new(ControlHandler(controller.clone())));
        services.on_lost({
            let (controller, peers) = (controller.clone(), peers.clone());
            let spawn = Arc::clone(&tasks.seams().spawn);
            move |broker_id| {
                let look = look_after(controller.clone(), peers.clone(), broker_id);
                drop(spawn.spawn("look after", Box::pin(look)));
            }
        });
        let take_over = take_over(config.node_id, controller.clone(), peers.clone());
        tasks.start("take over", Box::pin(take_over));
        let control = ControlRoute::new(controller.clone(), peers.clone());
        let identity = confirm_identity(identity, &data_dir, &config, &controller, &seams)?;
        let introduction =
            Introduction { identity, endpoints: endpoints(&config, addr), was_clean };
        let member = Member::join(
            Arc::clone(&config),
            seams.clone(),
            controller.clone(),
            Arc::new(control.clone()),
            &data_dir,
            introduction,
        );
        let member = Arc::new(unless(either(controller.failed(), tasks.ended()), member).await??);

        let partitions = Arc::new(Partitions::default());
        let keeper = Arc::new(Keeper::new(
            Arc::clone(&config),
            seams.clone(),
            Arc::clone(&data_dir),
            Arc::clone(&partitions),
            was_clean,
        ));
        let group_config = Arc::new(config.group.clone());
        let groups = Arc::new(Groups::new(group_config, tasks.seams().clone()));
        // From before the image is looked at, so that no change after it is missed, however late the
        // task that follows them begins.
        let versions = controller.watch();
        let image = controller.image();
        keeper.remove_leftovers(&image).await?;
        keeper.reconcile(&image).await;
        follow_groups(&groups, &partitions, &image, &seams);
        keeper.announce(image.version());

        let sessions = FetchSessions::new(config.limits.fetch_sessions_max);
        let fetch_sessions = Arc::new(Mutex::new(sessions));
        let metrics = Arc::new(Metrics::new());
        let ctx = Arc::new(Context {
            listener_name: listener.name.clone(),
            config: Arc::clone(&config),
            seams: seams.clone(),
            metrics: Arc::clone(&metrics),
            controller,
            control,
            partitions,
            groups,
            data_dir,
            reconciled: keeper.reconciled(),
            fetch_sessions: Arc::clone(&fetch_sessions),
            replica_sessions: ReplicaSessions::default(),
            caught_up: Arc::default(),
        });

        let proposer = Proposer::new(
            config.node_id,
            member.epoch(),
            ctx.controller.clone(),
            Arc::new(ctx.control.clone()),
        );
        let lag_max = Duration::from_millis(config.replication.lag_time_max_ms);
        let route = ReplicaRoute::new(ctx.controller.clone(), peers);
        let fetchers = Arc::new(Fetchers::new(
            config.node_id,
            member.epoch(),
            Arc::new(route),
            Arc::clone(&ctx.data_dir),
            metrics.replication.clone(),
            tasks.seams().clone(),
        ));
        services.register(PeerKind::Forward, Arc::new(ForwardHandler(Arc::clone(&ctx))));
        services.serve_fetches(&ctx);
        fetchers.assign(&ctx.partitions);

        let (alive, connections) = mpsc::channel(1);
        let accepting = Acceptor {
            ctx: Arc::clone(&ctx),
            admission: Admission::new(&config.limits),
            memory: RequestMemory::new(request_bytes_max(&config)),
            stop: stopping.clone(),
            complaints: Arc::default(),
            alive,
        };
        metrics.register(Box::new(ControllerCollector::new(ctx.controller.clone())));
        metrics.register(Box::new(PartitionCollector::new(&ctx.partitions)));
        metrics.register(Box::new(accepting.collector()));
        let clock = &seams.clock;
        metrics.register(Box::new(LagCollector::new(&ctx.groups, &ctx.partitions, clock)));
        metrics.register(Box::new(FetchSessionCollector::new(fetch_sessions)));

        let followed = Arc::clone(&fetchers);
        tasks.start(
            "reconcile",
            Box::pin(follow_metadata(versions, Arc::clone(&ctx), Arc::clone(&keeper), followed)),
        );
        tasks.start(
            "in-sync sets",
            Box::pin(run_in_sync(
                Arc::clone(&ctx.partitions),
                Arc::clone(&ctx.caught_up),
                Arc::new(proposer),
                metrics.replication.clone(),
                Arc::clone(&seams.clock),
                lag_max,
            )),
        );
        let (data_dir, partitions) = (Arc::clone(&ctx.data_dir), Arc::clone(&ctx.partitions));
        let run = Arc::clone(&member).run(data_dir, partitions, keeper.reconciled());
        tasks.start("member", Box::pin(run));
        unless(either(cannot_go_on(&ctx), tasks.ended()), member.in_service()).await?;
        ctx.catch_up().await;
        tasks.start("accept", Box::pin(accepting.run(acceptor)));
        tasks.start("retention", Box::pin(Arc::clone(&keeper).run_retention()));
        tasks.start("cleaner", Box::pin(Arc::clone(&keeper).run_cleaner()));
        tasks.start("checkpoints", Box::pin(Arc::clone(&keeper).run_checkpoints()));
        tasks.start("high watermarks", Box::pin(Arc::clone(&keeper).run_high_watermarks()));
        if let Some(listener) = http {
            tasks.start("http", Box::pin(http::serve(listener, Arc::clone(&ctx), stopping)));
        }
        info!(%addr, node_id = config.node_id, "the broker serves");
        Ok(Self {
            ctx,
            keeper,
            member,
            fetchers,
            services,
            addr,
            http_addr,
            stop,
            connections,
            tasks,
        })
    }

    /// The address that clients connect to, with the port that was chosen.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of `/metrics` and `/health`, if they are served.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// The parts of the broker.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.ctx
    }

    /// Waits until the broker cannot go on, and says why: its metadata is lost, its disk has failed, or
    /// one of its tasks has ended. Whoever runs it should stop it then, and not call that a success.
    pub async fn failed(&mut self) -> String {
        either(cannot_go_on(&self.ctx), self.tasks.ended()).await
    }

    /// Stops in order, so that the next start is quick.
    pub async fn shutdown(mut self) {
        // While clients are still served, so that they are sent to whoever takes over.
        self.member.leave().await;
        self.ctx.controller.hand_over().await;
        // Members that wait for others would keep their connections open: they are sent on. This comes
        // first, so that a connection that hears of the stop has the answer to send.
        self.ctx.groups.close();
        self.stop.send_replace(true);
        let drained = tokio::time::timeout(DRAIN_TIME_MAX, self.connections.recv()).await;
        if drained.is_err() {
            warn!("connections were cut off with answers outstanding");
        }
        self.tasks.stop();
        self.fetchers.stop();
        Arc::clone(&self.keeper).shut_down().await;
        self.ctx.controller.shutdown().await;
        self.services.close();
        info!(addr = %self.addr, "the broker has stopped");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.services.close();
        // Connections end by themselves once they hear of it.
        self.stop.send_replace(true);
        self.fetchers.stop();
    }
}

/// Waits until the broker has lost what it cannot run without, and says what that is: without metadata it
/// does not know what it leads, and where nothing can be made durable any more, what has several replicas
/// is better served by another broker, and what has not needs somebody to look.
async fn cannot_go_on(ctx: &Context) -> String {
    let disk_failed = async {
        while !ctx.data_dir.has_failed() {
            tokio::time::sleep(DISK_LOOK_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        reason = ctx.controller.failed() => reason,
        () = disk_failed => "the disk of the logs has failed".to_owned(),
    }
}

/// Waits for the first of two reasons to stop; of two at once the first is closer to the cause.
async fn either(
    first: impl Future<Output = String>,
    second: impl Future<Output = String>,
) -> String {
    tokio::select! {
        biased;
        reason = first => reason,
        reason = second => reason,
    }
}

/// A part of the start, which would wait for ever once what it needs has failed.
async fn unless<T>(
    failed: impl Future<Output = String>,
    part: impl Future<Output = T>,
) -> Result<T, StartError> {
    tokio::select! {
        biased;
        reason = failed => Err(StartError::Failed { reason }),
        done = part => Ok(done),
    }
}

async fn bind(
    seams: &Seams,
    endpoint: &Endpoint,
    setting: &'static str,
) -> Result<Box<dyn Listener>, StartError> {
    let address = endpoint.bind_address();
    seams.net.bind(&address).await.map_err(bind_error(endpoint, setting))
}

fn bind_error(endpoint: &Endpoint, setting: &'static str) -> impl FnOnce(io::Error) -> StartError {
    let address = endpoint.bind_address();
    move |source| StartError::Bind { address, setting, source }
}

/// Opens and locks the data directory, and makes sure that it is this broker's.
fn open_data_dir(
    vfs: Arc<dyn Vfs>,
    config: &BrokerConfig,
    seams: &Seams,
) -> Result<(Arc<DataDir>, Option<Identity>, bool), StartError> {
    let data_dir = DataDir::open(vfs, config.data_dir(), seams)?;
    let identity = data_dir.log_dir().identity()?;
    if let Some(found) = identity.as_ref().filter(|found| found.node_id != config.node_id) {
        return Err(StartError::OtherNode {
            path: data_dir.path().to_owned(),
            found: found.node_id,
            expected: config.node_id,
        });
    }
    // From here on the data changes: a crash must not look like a clean shutdown.
    let was_clean = data_dir.take_last_shutdown()?;
    Ok((Arc::new(data_dir), identity, was_clean))
}

/// Compares whose data the directory holds with the metadata in it; a new directory gets an id.
fn confirm_identity(
    identity: Option<Identity>,
    data_dir: &DataDir,
    config: &BrokerConfig,
    controller: &Controller,
    seams: &Seams,
) -> Result<Identity, StartError> {
    let cluster_id = controller.image().cluster_id().to_owned();
    match identity {
        Some(found) if found.cluster_id == cluster_id => Ok(found),
        Some(found) => Err(StartError::OtherCluster {
            path: data_dir.path().to_owned(),
            found: found.cluster_id,
            expected: cluster_id,
        }),
        None => {
            let directory_id = Uuid::from_bytes(seams.rng.next_bytes16());
            let (node_id, broker_epoch) = (config.node_id, None);
            let identity = Identity { cluster_id, node_id, directory_id, broker_epoch };
            data_dir.log_dir().write_identity(&identity)?;
            Ok(identity)
        }
    }
}

/// What other brokers are told of the peer listener: what the voters are told where this is one of
/// them, else the address that is bound.
fn peer_address(config: &BrokerConfig, bound: SocketAddr) -> Option<String> {
    let voter = config.replication.voters.iter().find(|voter| voter.node_id == config.node_id);
    if let Some(voter) = voter {
        return Some(voter.endpoint.to_string());
    }
    let host = &config.listener.peer.as_ref()?.host;
    Some(Endpoint { host: host.clone(), port: bound.port() }.to_string())
}

/// Where this broker is, for the cluster to tell.
fn endpoints(config: &BrokerConfig, addr: SocketAddr) -> Vec<BrokerEndpoint> {
    let advertised = |listener: &NamedListener| {
        let endpoint = config.listener.advertised(&listener.name, addr.port())?;
        let Endpoint { host, port } = endpoint;
        Some(BrokerEndpoint { listener: listener.name.clone(), host, port })
    };
    config.listener.listeners.iter().filter_map(advertised).collect()
}

/// Brings the partitions in line with the metadata whenever it changes.
async fn follow_metadata(
    mut versions: watch::Receiver<i64>,
    ctx: Arc<Context>,
    keeper: Arc<Keeper>,
    fetchers: Arc<Fetchers>,
) {
    // Goes on beside: where the offsets topic takes no writes, that must not hold up other topics.
    let mut forgetting = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            changed = versions.changed() => {
                if changed.is_err() {
                    return;
                }
                versions.mark_unchanged();
                let image = ctx.controller.image();
                let deleted = keeper.reconcile(&image).await;
                fetchers.assign(&ctx.partitions);
                ctx.replica_sessions.reconcile(&ctx.controller);
                follow_groups(&ctx.groups, &ctx.partitions, &image, &ctx.seams);
                keeper.announce(image.version());
                for topic in deleted {
                    let groups = &ctx.groups;
                    let forget =
                        async move { groups.on_topic_deleted(&topic.name, topic.id).await };
                    forgetting.push(forget);
                }
            }
            Some(()) = forgetting.next() => {}
        }
    }
}

/// Hands the partitions of the offsets topic that this broker leads to the group coordinator.
fn follow_groups(groups: &Groups, partitions: &Partitions, image: &MetadataImage, seams: &Seams) {
    let Some(topic) = image.topic(CONSUMER_OFFSETS) else {
        groups.reconcile(0, Vec::new());
        return;
    };
    let led = topic.indexed_partitions().filter_map(|(index, _)| {
        let partition = partitions.get_by_id(topic.id, index)?;
        let (topic_id, leader_epoch) = (topic.id, partition.leader_epoch());
        let log = Arc::new(PartitionCoordinatorLog::new(partition, leader_epoch, seams.clone()));
        Some(LedPartition { index, topic_id, leader_epoch, log })
    });
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    groups.reconcile(count, led.collect());
}

/// Lowers what would use up the files that the process may open: a log that cannot open its next
/// segment is as good as one on a broken disk. A partition has one file for each segment, and
/// connections must leave room for them.
fn within_descriptors(mut config: BrokerConfig) -> BrokerConfig {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let Some(files) = limit.and_then(|files| usize::try_from(files).ok()) else { return config };
    let limits = &mut config.limits;
    for (name, limit, share) in [
        ("max.partitions", &mut limits.partitions_max, files / 2),
        ("max.connections", &mut limits.connections_max, files / 4),
    ] {
        if *limit > share {
            warn!(
                setting = name,
                wanted = *limit,
                taken = share,
                files,
                "too few files (ulimit -n)"
            );
            *limit = share;
        }
    }
    config
}

/// How much memory requests of all connections may hold: as set, or a quarter of the machine's.
fn request_bytes_max(config: &BrokerConfig) -> usize {
    let set = config.limits.queued_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
    set.or_else(|| machine_memory().map(|bytes| bytes / 4)).unwrap_or(REQUEST_BYTES_DEFAULT)
}

fn machine_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}
