//! Decides on brokers that come and go.
//!
//! A start of a broker gets an epoch that no other start in the cluster has or had. What a broker
//! did under an older epoch can thus be told from what it does now.

use flumen_client::connection::Rng;
use flumen_protocol::Uuid;

use super::create_topics::random_uuid;
use super::decision::Decision;
use super::image::MetadataImage;
use super::records::{
    BrokerEndpoint, ClusterRecord, MetadataRecord, NewLeader, PartitionChangeRecord,
    RegisterBrokerRecord,
};

/// A broker that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its node id.
    pub broker_id: i32,
    /// Chosen at random at this start.
    pub incarnation_id: Uuid,
    /// Its log directories.
    pub directories: Vec<Uuid>,
    /// What clients are told, by listener name.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
}

/// Why a broker is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterBrokerError {
    /// Another start of the same id is alive.
    #[error("another broker is registered with the id {broker_id} and still alive")]
    Duplicate {
        /// The id.
        broker_id: i32,
    },
}

/// Decides on the registration of a broker and gives its epoch.
///
/// `is_alive` says whether the start that is registered now has been heard of recently; a second
/// one beside it would take its place and its partitions.
pub(super) fn register_broker(
    image: &MetadataImage,
    broker: &BrokerRegistration,
    is_alive: bool,
) -> Decision<Result<i64, RegisterBrokerError>> {
    if let Some(registered) = image.broker(broker.broker_id) {
        if registered.incarnation_id == broker.incarnation_id {
            return Decision::answer(Ok(registered.epoch));
        }
        if is_alive && !registered.fenced {
            let broker_id = broker.broker_id;
            return Decision::answer(Err(RegisterBrokerError::Duplicate { broker_id }));
        }
    }
    let epoch = image.next_broker_epoch();
    let registration = RegisterBrokerRecord {
        broker_id: broker.broker_id,
        epoch,
        incarnation_id: broker.incarnation_id,
        directories: broker.directories.clone(),
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        fenced: false,
    };
    let mut records = vec![registration.into()];
    records.extend(lead_again(image, broker.broker_id));
    Decision { records, answer: Ok(epoch) }
}

/// Elects the broker anew wherever it led, or where nobody leads and it may.
///
/// What it holds may end earlier than before it stopped. A new leader epoch lets consumers and
/// followers that had read further find out.
fn lead_again(image: &MetadataImage, broker_id: i32) -> impl Iterator<Item = MetadataRecord> {
    image.topics().flat_map(move |topic| {
        topic
            .indexed_partitions()
            .filter(move |(_, partition)| match partition.leader {
                Some(leader) => leader == broker_id,
                None => {
                    partition.in_sync.contains(&broker_id)
                        || partition.eligible.contains(&broker_id)
                }
            })
            .map(move |(partition_index, partition)| {
                let in_sync = if partition.in_sync.contains(&broker_id) {
                    None
                } else {
                    Some(vec![broker_id])
                };
                PartitionChangeRecord {
                    topic_id: topic.id,
                    partition_index,
                    leader: NewLeader::Broker(broker_id),
                    in_sync,
                    eligible: None,
                }
                .into()
            })
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
