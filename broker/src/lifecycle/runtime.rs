//! The tasks by which a broker joins the cluster, stays in it, and leaves.

use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Clock, Seams};
use flumen_protocol::Uuid;
use flumen_storage::log_dir::{Identity, LogDirError};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::disk_watch::{DiskWatch, Look};
use crate::config::BrokerConfig;
use crate::controller::{
    BrokerEndpoint, BrokerHeartbeat, BrokerRegistration, Control, ControlRequest, ControlResponse,
    Controller, HeartbeatAnswer, LostReplicas, MetadataImage, NotLeader, RegisterBrokerError,
    StaleBroker, Wants,
};
use crate::partition::{DataDir, Partitions, Reconciled};
use crate::peer::{PeerAddress, PeerClient};

/// How long a start goes on asking to be let in. An earlier start of the same broker that was
/// killed may be taken for alive until its session ends.
const REGISTRATION_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a stop waits for others to take over.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a broker answers after others have taken over.
const SENDING_ON_TIME: Duration = Duration::from_millis(300);

/// How long it may take a process to die and its machine to say that nobody listens.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);

/// Between two attempts to reach a controller, and between heartbeats that something waits for.
const PAUSE: Duration = Duration::from_millis(50);

/// Between heartbeats of a broker that is stopped and waits until it may.
const LEAVING_PAUSE: Duration = Duration::from_millis(10);

/// Why a broker does not become a member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// Another start with its id is alive.
    #[error(transparent)]
    Refused(#[from] RegisterBrokerError),
    /// The epoch cannot be written down.
    #[error(transparent)]
    DataDir(#[from] LogDirError),
}

/// What a broker tells of itself when it registers.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    /// Whose data its directory holds, with the epoch of its last start.
    pub(crate) identity: Identity,
    /// Where clients and peers reach it.
    pub(crate) endpoints: Vec<BrokerEndpoint>,
    /// Whether its last stop was in order.
    pub(crate) was_clean: bool,
}

/// A broker that is registered.
#[derive(Debug)]
pub(crate) struct Member {
    config: Arc<BrokerConfig>,
    seams: Seams,
    controller: Controller,
    control: Arc<dyn Control>,
    epoch: i64,
    /// Whether the broker is being stopped.
    leaving: watch::Sender<bool>,
    /// Whether the others can do without it.
    may_stop: watch::Sender<bool>,
}

impl Member {
    /// Registers this start of the broker, notes its epoch on disk, and waits until its own metadata
    /// has it.
    ///
    /// # Errors
    /// [`JoinError`]; the cluster may be left with the registration of a broker that is not there,
    /// which its session ends.
    pub(crate) async fn join(
        config: Arc<BrokerConfig>,
        seams: Seams,
        controller: Controller,
        control: Arc<dyn Control>,
        data_dir: &DataDir,
        introduction: Introduction,
    ) -> Result<Self, JoinError> {
        let Introduction { identity, endpoints, was_clean } = introduction;
        let registration = BrokerRegistration {
            broker_id: config.node_id,
            incarnation_id: Uuid::from_bytes(seams.rng.next_bytes16()),
            directories: vec![identity.directory_id],
            endpoints,
            rack: config.listener.rack.clone(),
            previous_epoch: identity.broker_epoch,
            was_clean,
            promises: config.settings.promises(),
        };
        let epoch = register(&*control, &*seams.clock, &registration).await?;
        // Before anything is written in this epoch.
        data_dir.log_dir().write_identity(&Identity { broker_epoch: Some(epoch), ..identity })?;
        let (leaving, may_stop) = (watch::Sender::new(false), watch::Sender::new(false));
        let member = Self { config, seams, controller, control, epoch, leaving, may_stop };
        member
            .until(|image| {
                image.broker(registration.broker_id).is_some_and(|broker| broker.epoch >= epoch)
            })
            .await;
        Ok(member)
    }

    /// Waits until this broker is in service.
    pub(crate) async fn in_service(&self) {
        self.until(|image| self.is_in_service(image)).await;
    }

    /// The epoch of this start.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }

    fn is_in_service(&self, image: &MetadataImage) -> bool {
        let own = image.broker(self.config.node_id);
        own.is_some_and(|broker| broker.epoch == self.epoch && !broker.fenced)
    }

    async fn until(&self, holds: impl Fn(&MetadataImage) -> bool) {
        let mut versions = self.controller.watch();
        while !holds(&self.controller.image()) {
            if versions.changed().await.is_err() {
                // There will be no newer metadata: the broker is stopping.
                return;
            }
        }
    }

    /// Says again and again that this broker is alive.
    ///
    /// Ends when another start of this broker has taken its place: then it must stop.
    pub(crate) async fn run(
        self: Arc<Self>,
        data_dir: Arc<DataDir>,
        partitions: Arc<Partitions>,
        reconciled: Reconciled,
    ) {
        let settings = &self.config.replication;
        let mut disk = DiskWatch::new(Duration::from_millis(settings.sync_timeout_ms));
        let interval = Duration::from_millis(settings.heartbeat_interval_ms);
        let mut leaving = self.leaving.subscribe();
        let mut was_overdue = false;
        let mut lost = 0;
        loop {
            let is_overdue = disk.look(self.seams.clock.monotonic(), look_at(&data_dir))
                || data_dir.has_failed();
            if is_overdue && !was_overdue {
                warn!("the disk does not answer: others are asked to take over");
            }
            was_overdue = is_overdue;
            let is_leaving = *leaving.borrow_and_update();
            let has_told = self.tell_lost(&partitions, &mut lost).await;
            let wants = match () {
                () if is_leaving => Wants::Leave,
                // It would be given what it has lost to lead.
                () if !has_told && !self.is_in_service(&self.controller.image()) => Wants::Fence,
                () if is_overdue && self.has_others() => Wants::Fence,
                () => Wants::Service,
            };
            let (told, version) = (self.controller.leader(), reconciled.version());
            let Ok(answer) = self.heartbeat(version, wants).await else {
                return warn!("another start of this broker has taken its place");
            };
            self.may_stop.send_replace(answer.is_some_and(|answer| answer.may_stop));
            let is_settled = answer.is_some_and(|answer| !answer.is_fenced);
            let pause = match () {
                () if is_leaving => LEAVING_PAUSE,
                () if is_settled => interval,
                () => PAUSE,
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = leaving.changed() => {}
                // Until a new leader has heard of this broker, it counts on it for nothing.
                () = self.controller.another_leader(told) => {}
                () = self.another_leaves(&reconciled, version) => {}
            }
        }
    }

    /// Waits until this broker knows of another that is leaving, in metadata after `version`: that one
    /// stops when it has heard from all.
    async fn another_leaves(&self, reconciled: &Reconciled, mut version: i64) {
        loop {
            reconciled.after(version).await;
            version = reconciled.version();
            let image = self.controller.image();
            let mut others = image.live_brokers().filter(|broker| broker.id != self.config.node_id);
            if others.any(|broker| broker.is_leaving) {
                return;
            }
        }
    }

    /// Tells the controller of replicas that this broker cannot use and others have as well. Whether it
    /// knows of all. `known` is how many there were before.
    async fn tell_lost(&self, partitions: &Partitions, known: &mut usize) -> bool {
        let broker_id = self.config.node_id;
        let lost = partitions.lost(&self.controller.image(), broker_id);
        let count = lost.len();
        if std::mem::replace(known, count) != count && count > 0 {
            warn!(count, "others are asked to lead what this broker cannot use");
        }
        if lost.is_empty() {
            return true;
        }
        let lost = LostReplicas { broker_id, broker_epoch: self.epoch, partitions: lost };
        // What becomes of it is in the metadata.
        self.control.ask(ControlRequest::LoseReplicas(lost)).await.is_ok()
    }

    /// Whether anybody could take over.
    fn has_others(&self) -> bool {
        self.controller.image().live_brokers().any(|broker| broker.id != self.config.node_id)
    }

    /// Sends one heartbeat; no answer if nobody decides at the moment.
    async fn heartbeat(
        &self,
        metadata_version: i64,
        wants: Wants,
    ) -> Result<Option<HeartbeatAnswer>, StaleBroker> {
        let (broker_id, epoch) = (self.config.node_id, self.epoch);
        let heartbeat = BrokerHeartbeat { broker_id, epoch, metadata_version, wants };
        match self.control.ask(ControlRequest::Heartbeat(heartbeat)).await {
            Ok(ControlResponse::Heartbeat(answer)) => answer.map(Some),
            // Whoever will decide, gives every broker a session. An answer to something else comes from
            // a controller that is not ours, which is as good as none.
            Ok(_) | Err(NotLeader) => Ok(None),
        }
    }

    /// Lets others take over what this broker leads, as far as there are others.
    pub(crate) async fn leave(&self) {
        if !self.has_others() {
            return;
        }
        let mut may_stop = self.may_stop.subscribe();
        self.leaving.send_replace(true);
        let left = may_stop.wait_for(|may_stop| *may_stop);
        // What is seen is locked for as long as it is held.
        let has_left = timeout(LEAVING_TIME_MAX, left).await.is_ok();
        if !has_left {
            warn!("the other brokers have not taken over in time");
        }
        // Who asks now is told who leads. From a connection that is closed clients do not learn that, and some
        // ask for metadata only every few seconds then.
        sleep(SENDING_ON_TIME).await;
    }
}

/// Asks until the cluster lets the broker in.
async fn register(
    control: &dyn Control,
    clock: &dyn Clock,
    registration: &BrokerRegistration,
) -> Result<i64, RegisterBrokerError> {
    let began = clock.monotonic();
    let mut is_told = false;
    loop {
        match control.ask(ControlRequest::Register(registration.clone())).await {
            Ok(ControlResponse::Registered(Ok(epoch))) => return Ok(epoch),
            Ok(ControlResponse::Registered(Err(error))) => {
                if clock.monotonic() - began >= REGISTRATION_TIME_MAX {
                    return Err(error);
                }
                if !std::mem::replace(&mut is_told, true) {
                    info!(%error, "waiting until an earlier start of this broker is given up");
                }
            }
            Ok(_) | Err(NotLeader) => {}
        }
        sleep(PAUSE).await;
    }
}

fn look_at(data_dir: &DataDir) -> Look {
    let group_commit = data_dir.group_commit();
    Look { is_running: group_commit.is_running(), rounds: group_commit.statistics().rounds }
}

/// Looks after all brokers whenever this one begins to lead the quorum: connections that broke while
/// nobody led were told to nobody.
pub(crate) async fn take_over(node_id: i32, controller: Controller, peers: PeerClient) {
    let mut has_led = false;
    loop {
        let leads = controller.is_leader();
        if leads && !has_led {
            let image = controller.image();
            let others = image.live_brokers().filter(|broker| broker.id != node_id);
            let looks =
                others.map(|broker| look_after(controller.clone(), peers.clone(), broker.id));
            join_all(looks).await;
        }
        has_led = leads;
        sleep(PAUSE).await;
    }
}

/// Finds out what became of a broker whose connection broke, and says so to the quorum.
///
/// A broken connection is a hint and no proof. That nobody listens where it listened is one: the
/// process is gone, and the leader of the quorum need not wait for its session to end.
pub(crate) async fn look_after(controller: Controller, peers: PeerClient, broker_id: i32) {
    controller.on_peer_lost(broker_id);
    let image = controller.image();
    let Some(broker) = image.broker(broker_id).filter(|broker| !broker.fenced) else { return };
    let Some(address) = controller.member_address(broker_id) else { return };
    if !controller.is_leader() {
        return;
    }
    let address = PeerAddress { node_id: broker_id, address };
    if peers.is_gone(&address, PROBE_TIME_MAX).await {
        info!(broker_id, "the process of a broker is gone, and it goes out of service");
        // A leader that has just begun may not be able to decide yet: this is told again until it can.
        // Another leader will find out by itself.
        while controller.is_leader()
            && controller.fence_broker(broker_id, broker.epoch).await.is_err()
        {
            sleep(PAUSE).await;
        }
    }
}
