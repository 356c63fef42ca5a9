//! The lag of groups on `/metrics`: what is committed (`group/`) beside what is there
//! (`partition/`). Measured when the page is read.

use std::fmt;
use std::sync::Arc;

use flumen_client::connection::Clock;
use flumen_protocol::records::Batches;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::group::{Groups, LagSource};
use crate::partition::{Isolation, Partitions};

/// Decompressed bytes looked at to find the timestamp of one record; past it the batch's counts.
const DECOMPRESSED_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    group: String,
    topic: String,
    partition: i32,
}

/// The lag of every group that this broker coordinates, in every partition that it leads.
#[derive(Debug)]
pub(crate) struct LagCollector {
    groups: Arc<Groups>,
    partitions: Arc<Partitions>,
    clock: Arc<dyn Clock>,
}

impl LagCollector {
    pub(crate) fn new(
        groups: &Arc<Groups>,
        partitions: &Arc<Partitions>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let (groups, partitions) = (Arc::clone(groups), Arc::clone(partitions));
        Self { groups, partitions, clock: Arc::clone(clock) }
    }
}

impl Collector for LagCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let lags = self.groups.lag(&*self.partitions, self.clock.wall_ms());
        let label = |lag: &crate::group::GroupLag| Label {
            group: lag.group_id.clone(),
            topic: lag.topic.clone(),
            partition: lag.partition,
        };
        let (name, help) = ("group_lag_records", "Records between commit and high watermark");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for lag in &lags {
            ConstGauge::<i64>::new(lag.lag_records).encode(family.encode_family(&label(lag))?)?;
        }
        let (name, help) = ("group_lag", "Age of the first record after the commit");
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for lag in &lags {
            ConstGauge::<f64>::new(lag.lag_seconds).encode(family.encode_family(&label(lag))?)?;
        }
        Ok(())
    }
}

impl LagSource for Partitions {
    fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.get(topic, partition)?.high_watermark())
    }

    fn log_start_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        Some(self.get(topic, partition)?.log_start_offset())
    }

    fn timestamp_ms_at(&self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        let partition = self.get(topic, partition)?;
        let read = partition.read(offset, 1, true, Isolation::ReadUncommitted).ok()?;
        let batch = Batches::new(read.plan.segments.first()?.read().ok()?).next()?.ok()?;
        let newest = batch.header().max_timestamp;
        let Ok(mut records) = batch.records(DECOMPRESSED_BYTES_MAX) else { return Some(newest) };
        let found = records.find(|record| record.as_ref().map_or(true, |r| r.offset >= offset));
        Some(found.and_then(Result::ok).map_or(newest, |record| record.timestamp))
    }
}
