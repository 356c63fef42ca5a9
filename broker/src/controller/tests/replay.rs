//! Invariant M2: the state is a function of snapshot and log, whatever the snapshot point.

use flumen_protocol::Uuid;
use flumen_protocol::messages::create_partitions::CreatePartitionsTopic;
use flumen_protocol::messages::create_topics::CreatableTopic;
use proptest::prelude::*;

use crate::config::{BrokerConfig, Promises};
use crate::controller::brokers::{
    BrokerRegistration, begin_leaving, fence_broker, found_cluster, register_broker,
    unfence_broker, unregister_broker,
};
use crate::controller::configs::{Alteration, ResourceName, Step, alter_configs};
use crate::controller::create_partitions::create_partitions;
use crate::controller::create_topics::create_topics;
use crate::controller::delete_topics::{TopicReference, delete_topics};
use crate::controller::elections::{ElectionType, elect_leaders};
use crate::controller::image::MetadataImage;
use crate::controller::producer_ids::allocate_producer_ids;
use crate::controller::records::MetadataRecord;
use crate::controller::standing::Standing;
use crate::controller::testing::{Sequence, registration, replay_all};

/// A request, drawn at random.
#[derive(Debug, Clone)]
enum Request {
    Found,
    Register { broker: i32, incarnation: u8, is_known: bool, was_clean: bool },
    Enter { broker: i32 },
    Fence { broker: i32 },
    Leave { broker: i32 },
    Unregister { broker: i32 },
    Create { topic: u8, partitions: i32, replicas: i16 },
    Delete { topic: u8 },
    Extend { topic: u8, count: i32 },
    Alter { kind: i8, name: u8, setting: u8, value: u8, operation: i8 },
    Elect { is_preferred: bool },
    ProducerIds,
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        1 => Just(Request::Found),
        4 => (1..4_i32, any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
            |(broker, incarnation, is_known, was_clean)| {
                Request::Register { broker, incarnation, is_known, was_clean }
            }
        ),
        6 => (1..4_i32).prop_map(|broker| Request::Enter { broker }),
        2 => (1..4_i32).prop_map(|broker| Request::Fence { broker }),
        1 => (1..4_i32).prop_map(|broker| Request::Leave { broker }),
        1 => (1..4_i32).prop_map(|broker| Request::Unregister { broker }),
        6 => (0..5_u8, -1..4_i32, -1..4_i16).prop_map(|(topic, partitions, replicas)| {
            Request::Create { topic, partitions, replicas }
        }),
        2 => (0..5_u8).prop_map(|topic| Request::Delete { topic }),
        2 => (0..5_u8, 0..8_i32).prop_map(|(topic, count)| Request::Extend { topic, count }),
        4 => (0..4_usize, 0..5_u8, 0..3_u8, any::<u8>(), 0..4_i8).prop_map(
            |(kind, name, setting, value, operation)| {
                let kind = [2, 4, 16, 32][kind];
                Request::Alter { kind, name, setting, value, operation }
            }
        ),
        1 => any::<bool>().prop_map(|is_preferred| Request::Elect { is_preferred }),
        1 => Just(Request::ProducerIds),
    ]
}

fn decide(image: &MetadataImage, request: &Request, rng: &Sequence) -> Vec<MetadataRecord> {
    let config = BrokerConfig::default();
    let standing = || Standing::new(image, &config);
    let name = |topic: &u8| format!("topic.{topic}");
    match request {
        Request::Found => found_cluster(image, rng).records,
        Request::Register { broker, incarnation, is_known, was_clean } => {
            let known = image.broker(*broker).map(|broker| broker.epoch);
            let registration = BrokerRegistration {
                rack: (incarnation % 2 == 0).then(|| "rack".to_owned()),
                previous_epoch: known.filter(|_| *is_known),
                was_clean: *was_clean,
                promises: Promises {
                    min_in_sync: [None, Some(1), Some(2)][usize::from(incarnation % 3)],
                    ..Promises::default()
                },
                ..registration(*broker, *incarnation)
            };
            register_broker(standing(), &registration, false).records
        }
        Request::Enter { broker } => {
            let broker = image.broker(*broker);
            broker.map_or_else(Vec::new, |broker| unfence_broker(standing(), broker))
        }
        Request::Fence { broker } => {
            let epoch = image.broker(*broker).map_or(-1, |broker| broker.epoch);
            fence_broker(standing(), *broker, epoch).records
        }
        Request::Leave { broker } => {
            let broker = image.broker(*broker).filter(|broker| !broker.fenced);
            broker.map_or_else(Vec::new, |broker| begin_leaving(standing(), broker))
        }
        Request::Unregister { broker } => unregister_broker(standing(), *broker, false).records,
        Request::Create { topic, partitions, replicas } => {
            let topic = CreatableTopic {
                name: name(topic),
                num_partitions: *partitions,
                replication_factor: *replicas,
                ..Default::default()
            };
            create_topics(image, &[topic], false, &config, rng).records
        }
        Request::Delete { topic } => {
            let topic = TopicReference { name: Some(name(topic)), id: Uuid::ZERO };
            delete_topics(image, &[topic]).records
        }
        Request::Extend { topic, count } => {
            let topic =
                CreatePartitionsTopic { name: name(topic), count: *count, assignments: None };
            create_partitions(image, &[topic], false, 100_000).records
        }
        Request::Alter { kind, name: n, setting, value, operation } => {
            let resource = match kind {
                2 => name(n),
                4 if *n == 0 => String::new(),
                _ => n.to_string(),
            };
            let settings = match kind {
                2 => ["retention.ms", "segment.ms", "cleanup.policy"],
                4 => ["log.retention.ms", "message.max.bytes", "a.tool"],
                16 => ["interval.ms", "metrics", "match"],
                _ => ["share.auto.offset.reset", "share.isolation.level", "nope"],
            };
            let step = Step {
                name: settings[usize::from(*setting)].to_owned(),
                operation: *operation,
                value: Some((u32::from(*value) * 1000).to_string()),
            };
            let resource = ResourceName { kind: *kind, name: resource };
            alter_configs(&standing(), &[(resource, Alteration::Steps(vec![step]))], false).records
        }
        Request::Elect { is_preferred } => {
            let election =
                if *is_preferred { ElectionType::Preferred } else { ElectionType::Unclean };
            elect_leaders(&standing(), election, None).records
        }
        Request::ProducerIds => {
            let epoch = image.broker(1).map_or(-1, |broker| broker.epoch);
            allocate_producer_ids(image, 1, epoch).records
        }
    }
}

/// As records travel: through the bytes of the log.
fn through_bytes(records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let bytes = rmp_serde::to_vec(records).unwrap();
    rmp_serde::from_slice(&bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_image_is_its_snapshot_and_the_log_after_it(
        requests in prop::collection::vec(request(), 1..40),
        snapshot_at in any::<prop::sample::Index>(),
    ) {
        let rng = Sequence::default();
        let mut image = MetadataImage::default();
        let mut log = Vec::new();
        for request in &requests {
            // Whatever is decided fits the image it was decided on, all of it.
            let records = decide(&image, request, &rng);
            replay_all(&mut image, &records);
            log.extend(records);
        }

        let at = snapshot_at.index(log.len() + 1);
        let mut before = MetadataImage::default();
        replay_all(&mut before, &log[..at]);
        let mut restored = MetadataImage::default();
        replay_all(&mut restored, &through_bytes(&before.to_records()));
        prop_assert_eq!(&restored, &before);
        replay_all(&mut restored, &through_bytes(&log[at..]));
        prop_assert_eq!(restored, image);
    }
}
