//! Decides on brokers that come and go.
//!
//! A start of a broker gets an epoch that no other start in the cluster has or had. What a broker
//! did under an older epoch can thus be told from what it does now.

use flumen_client::connection::Rng;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::configs::follow_up;
use super::create_topics::random_uuid;
use super::decision::Decision;
use super::image::{BrokerImage, MetadataImage};
use super::partition_change::changes;
use super::records::{
    BrokerEndpoint, ClusterRecord, FenceBrokerRecord, MetadataRecord, RegisterBrokerRecord,
    UnregisterBrokerRecord,
};
use super::standing::Standing;
use super::uuid_bytes::{list as uuid_list, one as uuid};
use crate::config::Promises;

/// A broker that starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerRegistration {
    /// Its node id.
    pub broker_id: i32,
    /// Chosen at random at this start.
    #[serde(with = "uuid")]
    pub incarnation_id: Uuid,
    /// Its log directories.
    #[serde(with = "uuid_list")]
    pub directories: Vec<Uuid>,
    /// What clients are told, by listener name.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
    /// The epoch that is noted in its directory: that of an earlier start, if there was one.
    pub previous_epoch: Option<i64>,
    /// Whether it closed its logs in order when it last stopped.
    pub was_clean: bool,
    /// What its file promises.
    pub promises: Promises,
}

/// Why a broker is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RegisterBrokerError {
    /// Another start of the same id is alive.
    #[error("another broker is registered with the id {broker_id} and still alive")]
    Duplicate {
        /// The id.
        broker_id: i32,
    },
}

/// Decides on the registration of a broker and gives its epoch. It is fenced until it asks for
/// service.
///
/// `is_alive` says whether the start that is registered now may be alive, for all that was heard of it;
/// a second one beside it would take its place and its partitions (M3).
pub(super) fn register_broker(
    standing: Standing<'_>,
    broker: &BrokerRegistration,
    is_alive: bool,
) -> Decision<Result<i64, RegisterBrokerError>> {
    let broker_id = broker.broker_id;
    let image = standing.image;
    let registered = image.broker(broker_id);
    if let Some(registered) = registered {
        if registered.incarnation_id == broker.incarnation_id {
            return Decision::answer(Ok(registered.epoch));
        }
        if is_alive && !is_over(registered, broker) {
            return Decision::answer(Err(RegisterBrokerError::Duplicate { broker_id }));
        }
    }
    let is_same_disk = registered.is_some_and(|registered| is_same_disk(registered, broker))
        || is_planted(Bug::NewDisksCount);
    let standing = standing.with(broker_id, false);
    let mut records = changes(&standing, |partition, rules, change| {
        let holds = |set: &[i32]| set.contains(&broker_id);
        let is_last =
            partition.in_sync.iter().chain(&partition.eligible).all(|id| *id == broker_id);
        let has_lost = !is_same_disk || (rules.is_page_cache && !broker.was_clean && !is_last);
        match holds(&partition.in_sync) || holds(&partition.eligible) {
            _ if is_planted(Bug::StartsKeepLeading) => None,
            true if has_lost => Some(change.exclude(broker_id)),
            true => Some(change),
            false => None,
        }
    });
    let epoch = match registered {
        Some(registered) if is_planted(Bug::StartsShareAnEpoch) => registered.epoch,
        _ => image.next_broker_epoch(),
    };
    let registration = RegisterBrokerRecord {
        broker_id,
        epoch,
        incarnation_id: broker.incarnation_id,
        directories: broker.directories.clone(),
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        fenced: true,
        is_leaving: false,
        served_epoch: registered.filter(|_| is_same_disk).and_then(|broker| broker.served_epoch),
        promises: broker.promises,
    };
    // Last, so that whoever finds the registration finds what it made necessary as well.
    let registration = [registration.into()];
    records.extend(follow_up(&standing, &records, &registration));
    records.extend(registration);
    Decision { records, answer: Ok(epoch) }
}

/// Whether the registered start is over though it was heard of a moment ago: it has left, or the one that
/// comes after it holds its directory.
///
/// A start notes its epoch in its directory and has that locked for as long as it lives, so nobody
/// else comes with this epoch. Of a copy of the directory that was made meanwhile this is not true. It takes
/// the place of the original once and notes an epoch that the original does not know, which is
/// then refused for as long as the copy lives.
fn is_over(registered: &BrokerImage, broker: &BrokerRegistration) -> bool {
    let holds_its_directory = registered.directories == broker.directories
        && broker.previous_epoch == Some(registered.epoch);
    registered.has_left() || holds_its_directory
}

/// Whether the broker comes with what it had when it was last in service.
///
/// It notes its epoch on the disk before it asks for service. A start that was never in service may
/// not have come to that, and had nothing to lose, so the epochs since the last service are as good.
fn is_same_disk(registered: &BrokerImage, broker: &BrokerRegistration) -> bool {
    let is_known = |previous: i64| {
        previous <= registered.epoch
            && registered.served_epoch.is_none_or(|served| previous >= served)
    };
    let is_first = registered.served_epoch.is_none();
    registered.directories == broker.directories && broker.previous_epoch.map_or(is_first, is_known)
}

/// Decides that a broker is out of service; `None` if that start of it is not registered.
pub(super) fn fence_broker(standing: Standing<'_>, broker_id: i32, epoch: i64) -> Decision<bool> {
    let Some(broker) = standing.image.broker(broker_id).filter(|broker| broker.epoch == epoch)
    else {
        return Decision::answer(false);
    };
    if broker.fenced {
        return Decision::answer(true);
    }
    let standing = standing.with(broker_id, false);
    let mut records = without(&standing, broker_id);
    // Last: if only a part is committed, the broker is still to be fenced.
    let is_leaving = broker.is_leaving;
    records.push(FenceBrokerRecord { broker_id, epoch, fenced: true, is_leaving }.into());
    Decision { records, answer: true }
}

/// Decides that a registered broker is in service.
pub(super) fn unfence_broker(standing: Standing<'_>, broker: &BrokerImage) -> Vec<MetadataRecord> {
    let (broker_id, epoch) = (broker.id, broker.epoch);
    let standing = standing.with(broker_id, true);
    // First: nobody leads who is not in service. What a part leaves undone, the next balancing does.
    let record = FenceBrokerRecord { broker_id, epoch, fenced: false, is_leaving: false };
    let mut records = vec![record.into()];
    records.extend(changes(&standing, |partition, _, change| {
        partition.replicas.contains(&broker_id).then_some(change)
    }));
    records
}

/// Decides that a registered broker hands over what it leads, and leaves the in-sync sets in which
/// others are.
pub(super) fn begin_leaving(standing: Standing<'_>, broker: &BrokerImage) -> Vec<MetadataRecord> {
    let (broker_id, epoch) = (broker.id, broker.epoch);
    let standing = standing.with(broker_id, false);
    let mut records = without(&standing, broker_id);
    records.push(FenceBrokerRecord { broker_id, epoch, fenced: false, is_leaving: true }.into());
    records
}

/// Why a broker is not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnregisterBrokerError {
    /// No such broker.
    #[error("Broker ID {broker_id} is not currently registered")]
    Unknown {
        /// The id.
        broker_id: i32,
    },
    /// It runs.
    #[error("Broker ID {broker_id} is still running, and has to be stopped first")]
    Alive {
        /// The id.
        broker_id: i32,
    },
}

/// Decides that a broker is gone for good; `is_alive` says whether its registered start has been heard
/// of recently.
///
/// Kafka removes a broker that runs as well. It is left with clients that nobody sends to it, and with
/// partitions that nobody leads, until somebody starts it again.
pub(super) fn unregister_broker(
    standing: Standing<'_>,
    broker_id: i32,
    is_alive: bool,
) -> Decision<Result<(), UnregisterBrokerError>> {
    let Some(broker) = standing.image.broker(broker_id) else {
        return Decision::answer(Err(UnregisterBrokerError::Unknown { broker_id }));
    };
    if (is_alive && !broker.has_left()) || !broker.fenced {
        return Decision::answer(Err(UnregisterBrokerError::Alive { broker_id }));
    }
    let epoch = broker.epoch;
    let standing = standing.with(broker_id, false);
    let mut records = without(&standing, broker_id);
    let removal = [UnregisterBrokerRecord { broker_id, epoch }.into()];
    records.extend(follow_up(&standing, &records, &removal));
    records.extend(removal);
    Decision { records, answer: Ok(()) }
}

/// The changes by which a broker leaves what it leads and is in sync in.
fn without(standing: &Standing<'_>, broker_id: i32) -> Vec<MetadataRecord> {
    changes(standing, |partition, _, change| {
        let is_concerned =
            partition.leader == Some(broker_id) || partition.in_sync.contains(&broker_id);
        is_concerned.then_some(change)
    })
}

/// Gives a new cluster its id; an old one keeps its own.
pub(super) fn found_cluster(image: &MetadataImage, rng: &dyn Rng) -> Decision<()> {
    if !image.cluster_id().is_empty() {
        return Decision::answer(());
    }
    let cluster_id = random_uuid(rng).to_string();
    Decision {
        records: vec![ClusterRecord { cluster_id, next_broker_epoch: 0 }.into()],
        answer: (),
    }
}
