//! The cluster on `/metrics`.
//!
//! How the cluster stands only the leader of the quorum says, so that the values of all brokers can be
//! added up.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::handle::Controller;
use super::image::MetadataImage;

/// Who decides, what it has decided, and how the cluster stands.
#[derive(Debug)]
pub(crate) struct ControllerCollector {
    controller: Controller,
}

impl ControllerCollector {
    pub(crate) fn new(controller: Controller) -> Self {
        Self { controller }
    }
}

/// What there is of each kind in a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Census {
    in_service: i64,
    fenced: i64,
    without_leader: i64,
    not_led_by_preferred: i64,
    reassigning: i64,
}

impl Census {
    fn of(image: &MetadataImage) -> Self {
        let mut census = Self::default();
        for broker in image.brokers() {
            *(if broker.fenced { &mut census.fenced } else { &mut census.in_service }) += 1;
        }
        for partition in image.topics().flat_map(|topic| &topic.partitions) {
            let is_preferred = partition.leader == partition.replicas.first().copied();
            census.without_leader += i64::from(partition.leader.is_none());
            census.not_led_by_preferred += i64::from(partition.leader.is_some() && !is_preferred);
            census.reassigning += i64::from(partition.is_reassigning());
        }
        census
    }
}

impl Collector for ControllerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = [
            ("elections", "Leaders elected by this broker", self.controller.elections()),
            (
                "unclean_elections",
                "Of these, leaders that need not have every acknowledged record",
                self.controller.unclean_elections(),
            ),
        ];
        for (name, help, value) in counters {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(counter)?;
        }
        let leads = self.controller.leads_majority();
        let mut gauge = |name, help, value: i64| {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)
        };
        gauge("controller", "Whether this broker leads the metadata quorum", i64::from(leads))?;
        if !leads {
            return Ok(());
        }
        let census = Census::of(&self.controller.image());
        let gauges = [
            ("cluster_brokers_in_service", "Brokers in service", census.in_service),
            ("cluster_brokers_fenced", "Registered brokers out of service", census.fenced),
            (
                "cluster_partitions_without_leader",
                "Partitions that nobody leads",
                census.without_leader,
            ),
            (
                "cluster_partitions_not_led_by_preferred",
                "Partitions led by another than their first replica",
                census.not_led_by_preferred,
            ),
            ("cluster_partitions_reassigning", "Partitions being moved", census.reassigning),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| gauge(name, help, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::records::{FenceBrokerRecord, NewLeader, PartitionChangeRecord};
    use crate::controller::testing::{image_of_partition, replay_all};

    #[test]
    fn everything_is_counted_where_it_belongs() {
        let mut image = image_of_partition(Some(2), &[1, 2]);
        let healthy = Census { in_service: 3, not_led_by_preferred: 1, ..Census::default() };
        assert_eq!(Census::of(&image), healthy);
        let topic_id = image.topic("t").unwrap().id;
        let change = PartitionChangeRecord {
            leader: NewLeader::Nobody,
            ..PartitionChangeRecord::of(topic_id, 0)
        };
        let fenced = FenceBrokerRecord { broker_id: 2, epoch: 2, fenced: true, is_leaving: false };
        replay_all(&mut image, &[fenced.into(), change.into()]);
        let broken = Census { in_service: 2, fenced: 1, without_leader: 1, ..Census::default() };
        assert_eq!(Census::of(&image), broken);
    }
}
