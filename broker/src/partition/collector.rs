//! The partitions on `/metrics`: what can be asked for at any time is not counted, but read.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{PartitionStatus, Partitions};

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
        let offline = i64::try_from(self.partitions.offline_count()).unwrap_or(i64::MAX);
        let help = "Partitions whose log cannot be used";
        let encoder =
            encoder.encode_descriptor("partitions_offline", help, None, MetricType::Gauge)?;
        ConstGauge::<i64>::new(offline).encode(encoder)
    }
}
