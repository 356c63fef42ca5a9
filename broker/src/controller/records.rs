//! What the metadata log consists of.
//!
//! Every change of cluster metadata is one of these records. Each is stored as a MessagePack array
//! `[type, version, body]`, the body as an array of its fields in the order written here. A field
//! is therefore never moved, removed or given another meaning; a change makes a new version of the
//! record. A reader that meets a type or version it does not know refuses it: half-understood
//! metadata would be worse than a broker that does not start.

use std::fmt;

use flumen_protocol::Uuid;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::uuid_bytes::{list as uuid_list, one as uuid};
use crate::config::Promises;

/// Declares the record types: their number, version, name and body.
macro_rules! records {
    ($($(#[$doc:meta])* $number:literal, $version:literal => $name:ident($body:ty);)*) => {
        /// One change of cluster metadata.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum MetadataRecord {
            $($(#[$doc])* $name($body),)*
        }

        $(impl From<$body> for MetadataRecord {
            fn from(body: $body) -> Self {
                Self::$name(body)
            }
        })*

        impl Serialize for MetadataRecord {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut tuple = serializer.serialize_tuple(3)?;
                match self {
                    $(Self::$name(body) => {
                        tuple.serialize_element::<u16>(&$number)?;
                        tuple.serialize_element::<u16>(&$version)?;
                        tuple.serialize_element(body)?;
                    })*
                }
                tuple.end()
            }
        }

        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = MetadataRecord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a metadata record of type, version and body")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                let number: u16 = part(&mut parts)?;
                let version: u16 = part(&mut parts)?;
                match (number, version) {
                    $(($number, $version) => part(&mut parts).map(MetadataRecord::$name),)*
                    _ => Err(A::Error::custom(UnknownRecord { number, version })),
                }
            }
        }
    };
}

records! {
    /// The cluster got its id.
    1, 1 => Cluster(ClusterRecord);
    /// A broker started, or started again.
    2, 3 => RegisterBroker(RegisterBrokerRecord);
    /// A broker is now in service, or no longer, or about to leave.
    3, 2 => FenceBroker(FenceBrokerRecord);
    /// A broker left for good.
    4, 1 => UnregisterBroker(UnregisterBrokerRecord);
    /// A topic was created; its partitions follow.
    5, 1 => Topic(TopicRecord);
    /// A partition was created.
    6, 2 => Partition(PartitionRecord);
    /// Leader, in-sync set or replicas of a partition changed.
    7, 2 => PartitionChange(PartitionChangeRecord);
    /// A topic was deleted with all its partitions and settings.
    8, 1 => RemoveTopic(RemoveTopicRecord);
    /// A setting was set or removed.
    9, 1 => Config(ConfigRecord);
    /// A block of producer ids was handed out.
    10, 1 => ProducerIds(ProducerIdsRecord);
}

/// A record that this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "metadata record type {number} version {version} is unknown: a newer Flumen wrote it, and this \
     one cannot read the metadata of this cluster"
)]
pub struct UnknownRecord {
    /// The type.
    pub number: u16,
    /// The version.
    pub version: u16,
}

struct RecordVisitor;

impl<'de> Deserialize<'de> for MetadataRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(3, RecordVisitor)
    }
}

fn part<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(parts: &mut A) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::custom("a metadata record is cut short"))
}

/// See [`MetadataRecord::Cluster`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// The id, as clients see it.
    pub cluster_id: String,
    /// No broker epoch from here on was given to anybody. Not 0 in a snapshot only, which no longer
    /// has the records of brokers that left.
    pub next_broker_epoch: i64,
}

/// See [`MetadataRecord::RegisterBroker`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// Unique in the cluster and larger than every one before.
    pub epoch: i64,
    /// Chosen at random by the broker when it started.
    #[serde(with = "uuid")]
    pub incarnation_id: Uuid,
    /// Its log directories.
    #[serde(with = "uuid_list")]
    pub directories: Vec<Uuid>,
    /// What clients are told, by listener name.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Whether it is not yet in service.
    pub fenced: bool,
    /// Whether it is about to leave. Set in a snapshot only.
    pub is_leaving: bool,
    /// The epoch in which it was last in service, if what it holds is still from there.
    pub served_epoch: Option<i64>,
    /// What its file promises.
    pub promises: Promises,
}

/// One address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerEndpoint {
    /// The name of the listener.
    pub listener: String,
    /// The host that clients connect to.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// See [`MetadataRecord::FenceBroker`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// Which start of it is meant.
    pub epoch: i64,
    /// `true`: out of service.
    pub fenced: bool,
    /// `true`: it hands over what it leads and stops then.
    pub is_leaving: bool,
}

/// See [`MetadataRecord::UnregisterBroker`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnregisterBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// Which start of it is meant.
    pub epoch: i64,
}

/// See [`MetadataRecord::Topic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Never used for another topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
    /// Free again once the topic is deleted.
    pub name: String,
}

/// See [`MetadataRecord::Partition`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// The topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
    /// Partitions of a topic are created in order, without gaps.
    pub partition_index: i32,
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The directory of each replica, zero while it has not chosen one.
    #[serde(with = "uuid_list")]
    pub directories: Vec<Uuid>,
    /// The replicas that have every acknowledged record.
    pub in_sync: Vec<i32>,
    /// Replicas that left the in-sync set and still have every acknowledged record (KIP-966).
    pub eligible: Vec<i32>,
    /// The leader, if there is one.
    pub leader: Option<i32>,
    /// Grows with every election.
    pub leader_epoch: i32,
    /// Grows with every change.
    pub partition_epoch: i32,
    /// The replicas that a reassignment adds.
    pub adding: Vec<i32>,
    /// The replicas that a reassignment takes away once it is done.
    pub removing: Vec<i32>,
    /// While nobody leads: who was the last that did.
    pub last_known_leader: Option<i32>,
}

/// See [`MetadataRecord::PartitionChange`]. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionChangeRecord {
    /// The topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
    /// The partition.
    pub partition_index: i32,
    /// The outcome of an election, if there was one.
    pub leader: NewLeader,
    /// The new in-sync set.
    pub in_sync: Option<Vec<i32>>,
    /// The new eligible replicas.
    pub eligible: Option<Vec<i32>>,
    /// The new replicas.
    pub assignment: Option<Assignment>,
}

impl PartitionChangeRecord {
    /// A change that only raises the epoch of the partition.
    #[must_use]
    pub fn of(topic_id: Uuid, partition_index: i32) -> Self {
        let (leader, in_sync, eligible, assignment) = (NewLeader::Same, None, None, None);
        Self { topic_id, partition_index, leader, in_sync, eligible, assignment }
    }
}

/// Where a partition is, and where a reassignment moves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The directory of each replica, zero while it has not chosen one.
    #[serde(with = "uuid_list")]
    pub directories: Vec<Uuid>,
    /// Those of the replicas that are new.
    pub adding: Vec<i32>,
    /// Those of the replicas that go once the new ones are in sync.
    pub removing: Vec<i32>,
}

/// Whether a change elects a leader. Every election raises the leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewLeader {
    /// No election: leader and epoch stay.
    Same,
    /// Nobody can lead.
    Nobody,
    /// This broker leads.
    Broker(i32),
}

/// See [`MetadataRecord::RemoveTopic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveTopicRecord {
    /// The topic.
    #[serde(with = "uuid")]
    pub topic_id: Uuid,
}

/// See [`MetadataRecord::Config`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRecord {
    /// What the setting belongs to.
    pub resource: ConfigResource,
    /// The setting.
    pub name: String,
    /// The value; `None` removes it.
    pub value: Option<String>,
}

/// Something that has settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConfigResource {
    /// One topic.
    Topic(String),
    /// One broker.
    Broker(i32),
    /// All brokers.
    Cluster,
    /// One group.
    Group(String),
    /// One subscription to client metrics.
    ClientMetrics(String),
}

/// See [`MetadataRecord::ProducerIds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdsRecord {
    /// The broker that got the block.
    pub broker_id: i32,
    /// Which start of it.
    pub broker_epoch: i64,
    /// The first id that was not handed out.
    pub next_producer_id: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Uuid {
        Uuid::from_bytes([byte; 16])
    }

    #[test]
    fn every_record_survives_the_log() {
        let records: Vec<MetadataRecord> = vec![
            ClusterRecord { cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".to_owned(), next_broker_epoch: 3 }
                .into(),
            RegisterBrokerRecord {
                broker_id: 1,
                epoch: 7,
                incarnation_id: id(200),
                directories: vec![id(1), Uuid::ZERO],
                endpoints: vec![BrokerEndpoint {
                    listener: "PLAINTEXT".to_owned(),
                    host: "::1".to_owned(),
                    port: 65_535,
                }],
                rack: None,
                fenced: true,
                is_leaving: true,
                served_epoch: Some(5),
                promises: Promises { min_in_sync: Some(2), ..Promises::default() },
            }
            .into(),
            FenceBrokerRecord { broker_id: 1, epoch: 7, fenced: false, is_leaving: true }.into(),
            UnregisterBrokerRecord { broker_id: 1, epoch: 7 }.into(),
            TopicRecord { topic_id: id(3), name: "orders".to_owned() }.into(),
            PartitionRecord {
                topic_id: id(3),
                partition_index: 0,
                replicas: vec![1, 2],
                directories: vec![id(1), Uuid::ZERO],
                in_sync: vec![1],
                eligible: vec![2],
                leader: Some(1),
                leader_epoch: 4,
                partition_epoch: 9,
                adding: vec![2],
                removing: vec![1],
                last_known_leader: Some(1),
            }
            .into(),
            PartitionChangeRecord {
                topic_id: id(3),
                partition_index: 0,
                leader: NewLeader::Nobody,
                in_sync: None,
                eligible: Some(vec![]),
                assignment: Some(Assignment {
                    replicas: vec![1, 2],
                    directories: vec![id(1), Uuid::ZERO],
                    adding: vec![2],
                    removing: vec![],
                }),
            }
            .into(),
            PartitionChangeRecord::of(id(3), 0).into(),
            RemoveTopicRecord { topic_id: id(3) }.into(),
            ConfigRecord {
                resource: ConfigResource::Cluster,
                name: "log.durability".to_owned(),
                value: None,
            }
            .into(),
            ProducerIdsRecord { broker_id: 1, broker_epoch: 7, next_producer_id: i64::MAX }.into(),
        ];
        for record in records {
            let bytes = rmp_serde::to_vec(&record).unwrap();
            assert_eq!(rmp_serde::from_slice::<MetadataRecord>(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn records_of_a_newer_version_are_refused_by_name() {
        let check = |number: u16, version: u16| {
            let bytes = rmp_serde::to_vec(&(number, version, ("x",))).unwrap();
            let error = rmp_serde::from_slice::<MetadataRecord>(&bytes).unwrap_err().to_string();
            assert!(error.contains(&UnknownRecord { number, version }.to_string()), "{error}");
        };
        check(11, 1);
        check(1, 2);
        check(7, 1);
        check(0, 0);
    }

    #[test]
    fn damaged_records_are_errors() {
        let record = MetadataRecord::from(RemoveTopicRecord { topic_id: id(3) });
        let bytes = rmp_serde::to_vec(&record).unwrap();
        for length in 0..bytes.len() {
            assert!(rmp_serde::from_slice::<MetadataRecord>(&bytes[..length]).is_err());
        }
    }
}
