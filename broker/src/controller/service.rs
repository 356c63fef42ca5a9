//! The controller as other brokers see it: it answers what they ask, if it leads.

use std::collections::BTreeSet;
use std::sync::Arc;

use flumen_client::connection::BoxFuture;
use tracing::warn;

use super::alter_partitions::alter_partitions;
use super::brokers::{
    BrokerRegistration, RegisterBrokerError, UnregisterBrokerError, fence_broker, register_broker,
    unregister_broker,
};
use super::control::{
    BrokerHeartbeat, Control, ControlRequest, ControlResponse, HeartbeatAnswer, StaleBroker, Wants,
};
use super::handle::Controller;
use super::heartbeats::{Readiness, heartbeat};
use super::image::MetadataImage;
use super::lost_replicas::lose_replicas;
use super::producer_ids::allocate_producer_ids;
use super::quorum::NotLeader;
use super::standing::Standing;

impl Control for Controller {
    fn ask(&self, request: ControlRequest) -> BoxFuture<'_, Result<ControlResponse, NotLeader>> {
        Box::pin(self.control(request))
    }
}

impl Controller {
    /// Answers the question of a broker.
    ///
    /// # Errors
    /// [`NotLeader`]: another decides, or nobody does. Nothing is known of the outcome then.
    pub async fn control(&self, request: ControlRequest) -> Result<ControlResponse, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader);
        }
        Ok(match request {
            ControlRequest::Register(broker) => {
                ControlResponse::Registered(self.on_register(broker).await?)
            }
            ControlRequest::Heartbeat(beat) => {
                ControlResponse::Heartbeat(self.on_heartbeat(beat).await?)
            }
            ControlRequest::AlterPartitions(request) => {
                let (config, heard) = (Arc::clone(&self.config), self.heard());
                let decide = move |image: &MetadataImage| {
                    alter_partitions(Standing::new(image, &config).heard(&heard), &request)
                };
                ControlResponse::AlteredPartitions(self.ask(decide).await?)
            }
            ControlRequest::LoseReplicas(lost) => {
                let (config, heard) = (Arc::clone(&self.config), self.heard());
                let decide = move |image: &MetadataImage| {
                    lose_replicas(Standing::new(image, &config).heard(&heard), &lost)
                };
                ControlResponse::LostReplicas(self.ask(decide).await?)
            }
            ControlRequest::AllocateProducerIds { broker_id, broker_epoch } => {
                let decide = move |image: &MetadataImage| {
                    allocate_producer_ids(image, broker_id, broker_epoch)
                };
                ControlResponse::ProducerIds(self.ask(decide).await?)
            }
        })
    }

    /// Takes a start of a broker out of service that is known to be dead. Whether it is the registered
    /// one.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn fence_broker(&self, broker_id: i32, epoch: i64) -> Result<bool, NotLeader> {
        let (config, sessions) = (Arc::clone(&self.config), Arc::clone(&self.sessions));
        let now = self.seams.clock.monotonic();
        self.ask(move |image| {
            let heard = {
                let mut sessions = sessions.lock();
                if sessions.is_alive(now, broker_id, epoch) {
                    sessions.on_gone(broker_id);
                }
                sessions.heard(now)
            };
            fence_broker(Standing::new(image, &config).heard(&heard), broker_id, epoch)
        })
        .await
    }

    /// Removes a broker for good that does not run.
    ///
    /// # Errors
    /// [`NotLeader`] when nothing was decided.
    pub async fn unregister_broker(
        &self,
        broker_id: i32,
    ) -> Result<Result<(), UnregisterBrokerError>, NotLeader> {
        let (config, sessions) = (Arc::clone(&self.config), Arc::clone(&self.sessions));
        let now = self.seams.clock.monotonic();
        let removed = self.ask(move |image| {
            let mut sessions = sessions.lock();
            let registered = image.broker(broker_id);
            let is_alive =
                registered.is_some_and(|known| sessions.is_alive(now, broker_id, known.epoch));
            let heard = sessions.heard(now);
            let standing = Standing::new(image, &config).heard(&heard);
            let decision = unregister_broker(standing, broker_id, is_alive);
            if decision.answer.is_ok() {
                sessions.on_gone(broker_id);
            }
            decision
        });
        let removed = removed.await?;
        if removed.is_ok()
            && let Err(error) = self.forget_member(broker_id).await
        {
            // It costs an attempt to reach it now and then, until it is removed once more.
            warn!(broker_id, %error, "the metadata quorum still counts with a removed broker");
        }
        Ok(removed)
    }

    fn heard(&self) -> BTreeSet<i32> {
        self.sessions.lock().heard(self.seams.clock.monotonic())
    }

    async fn on_register(
        &self,
        broker: BrokerRegistration,
    ) -> Result<Result<i64, RegisterBrokerError>, NotLeader> {
        let (config, sessions) = (Arc::clone(&self.config), Arc::clone(&self.sessions));
        let (now, own_id) = (self.seams.clock.monotonic(), self.node_id);
        self.ask(move |image| {
            let mut sessions = sessions.lock();
            let broker_id = broker.broker_id;
            // This process holds the lock of its own directory: an earlier start of it is dead.
            let is_alive = broker_id != own_id
                && image
                    .broker(broker_id)
                    .is_some_and(|known| sessions.is_alive(now, broker_id, known.epoch));
            let heard = sessions.heard(now);
            let standing = Standing::new(image, &config).heard(&heard);
            let decision = register_broker(standing, &broker, is_alive);
            if let Ok(epoch) = decision.answer {
                sessions.on_heartbeat(now, broker_id, epoch, -1);
            }
            decision
        })
        .await
    }

    async fn on_heartbeat(
        &self,
        beat: BrokerHeartbeat,
    ) -> Result<Result<HeartbeatAnswer, StaleBroker>, NotLeader> {
        let BrokerHeartbeat { broker_id, epoch, metadata_version, wants } = beat;
        let now = self.seams.clock.monotonic();
        let published = self.image();
        let is_registered = move |image: &MetadataImage| {
            image.broker(broker_id).is_some_and(|broker| broker.epoch == epoch)
        };
        // It counts from when it arrives: deciding may wait for a slow disk.
        if is_registered(&published) {
            let term = self.quorum.leading_term();
            let mut sessions = self.sessions.lock();
            sessions.on_heartbeat(now, broker_id, epoch, metadata_version);
            let is_noted = term.is_some_and(|term| sessions.is_of(term));
            let may_serve = published.is_active(broker_id) && wants == Wants::Service;
            if is_noted && may_serve {
                // Nothing is to be decided, and so nothing waited for.
                return Ok(Ok(HeartbeatAnswer { is_fenced: false, may_stop: false }));
            }
        }
        let (config, sessions) = (Arc::clone(&self.config), Arc::clone(&self.sessions));
        let version = published.version();
        self.ask(move |image| {
            let mut sessions = sessions.lock();
            let mut readiness = Readiness { may_serve: false, may_leave: false };
            if is_registered(image) {
                sessions.on_heartbeat(now, broker_id, epoch, metadata_version);
                // What was published before the heartbeat came has the registration, or the handing
                // over; otherwise the next heartbeat will do.
                let known = published.broker(broker_id).filter(|broker| broker.epoch == epoch);
                readiness.may_serve = known.is_some()
                    && wants == Wants::Service
                    && sessions.may_serve(broker_id, version);
                let others = image.live_brokers().map(|broker| broker.id);
                readiness.may_leave = known.is_some_and(|broker| broker.is_leaving)
                    && sessions.may_leave(broker_id, version, others);
            }
            let heard = sessions.heard(now);
            let decision = heartbeat(Standing::new(image, &config).heard(&heard), &beat, readiness);
            if decision.answer.is_ok_and(|answer| answer.may_stop) {
                // The next start of it may come at once.
                sessions.on_gone(broker_id);
            }
            decision
        })
        .await
    }
}
