//! Images and randomness for the tests of decisions.

use std::sync::atomic::{AtomicU64, Ordering};

use flumen_client::connection::Rng;
use flumen_protocol::Uuid;

use super::image::MetadataImage;
use super::records::{BrokerEndpoint, MetadataRecord, RegisterBrokerRecord};

/// Numbers that look random and are the same in every run.
#[derive(Debug, Default)]
pub(super) struct Sequence(AtomicU64);

impl Rng for Sequence {
    fn next_u64(&self) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// An image with brokers 1 to `count` in service, in these racks in turn.
pub(super) fn image_of_brokers(count: usize, racks: &[&str]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (index, broker_id) in (1_i32..).take(count).enumerate() {
        let byte = u8::try_from(broker_id).unwrap();
        let record = RegisterBrokerRecord {
            broker_id,
            epoch: i64::from(broker_id),
            incarnation_id: Uuid::from_bytes([byte; 16]),
            directories: vec![Uuid::from_bytes([100 + byte; 16])],
            endpoints: vec![BrokerEndpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 9092,
            }],
            rack: racks.get(index).map(|rack| (*rack).to_owned()),
            fenced: false,
        };
        image.replay(&record.into()).unwrap();
    }
    image
}

/// Replays `records`, which must fit.
pub(super) fn replay_all(image: &mut MetadataImage, records: &[MetadataRecord]) {
    for record in records {
        image.replay(record).unwrap();
    }
}
