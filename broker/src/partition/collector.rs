//! The partitions on `/metrics`: what can be asked for at any time is not counted, but read.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{PartitionStatus, Partitions, ReplicationStatus};

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    topic: String,
    partition: i32,
}

/// Sizes and ends of all partitions of a broker.
#[derive(Debug)]
pub(crate) struct PartitionCollector {
    partitions: Arc<Partitions>,
}

impl PartitionCollector {
    pub(crate) fn new(partitions: &Arc<Partitions>) -> Self {
        Self { partitions: Arc::clone(partitions) }
    }
}

/// A gauge of each partition.
type Gauge = (&'static str, &'static str, fn(&PartitionStatus) -> i64);

const GAUGES: [Gauge; 4] = [
    ("log_size_bytes", "Bytes of all segments", |status| {
        i64::try_from(status.size).unwrap_or(i64::MAX)
    }),
    ("log_start_offset", "Where the log starts", |status| status.log_start_offset),
    ("high_watermark", "Where what consumers see ends", |status| status.high_watermark),
    ("log_end_offset", "Where the log ends", |status| status.log_end_offset),
];

/// Something that is wrong with partitions that are led here.
type Condition = (&'static str, &'static str, fn(&ReplicationStatus) -> bool);

const CONDITIONS: [Condition; 2] = [
    ("partitions_under_replicated", "Partitions led here with replicas out of sync", |status| {
        status.in_sync < status.replicas
    }),
    ("partitions_under_min_in_sync", "Partitions led here that refuse acks=all", |status| {
        status.in_sync < status.min_in_sync
    }),
];

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Collector for PartitionCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let partitions: Vec<_> = self
            .partitions
            .all()
            .iter()
            .map(|partition| {
                let (topic, partition, status) =
                    (partition.topic().to_string(), partition.index(), partition.status());
                (Label { topic, partition }, status)
            })
            .collect();
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (label, status) in &partitions {
                let gauge = ConstGauge::<i64>::new(value(status));
                gauge.encode(family.encode_family(label)?)?;
            }
        }
        let partitions = self.partitions.all();
        let led: Vec<_> =
            partitions.iter().filter_map(|partition| partition.replication()).collect();
        let mut gauge = |name, help, value| {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::<i64>::new(value).encode(gauge)
        };
        gauge("partitions", "Replicas on this broker", count(partitions.len()))?;
        gauge("partitions_led", "Partitions that this broker leads", count(led.len()))?;
        for (name, help, is_so) in CONDITIONS {
            gauge(name, help, count(led.iter().filter(|status| is_so(status)).count()))?;
        }
        let lag_max = led.iter().map(|status| status.lag_max).max().unwrap_or(0);
        gauge("replica_lag_records_max", "Records that the slowest follower lacks", lag_max)?;
        let offline = i64::try_from(self.partitions.offline_count()).unwrap_or(i64::MAX);
        let help = "Partitions whose log cannot be used";
        let encoder =
            encoder.encode_descriptor("partitions_offline", help, None, MetricType::Gauge)?;
        ConstGauge::<i64>::new(offline).encode(encoder)
    }
}
