//! Connections and their memory on `/metrics`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Admission, RequestMemory};

/// What is open and held at the moment, beside its limit.
#[derive(Debug)]
pub(crate) struct ConnectionCollector {
    admission: Admission,
    memory: RequestMemory,
}

impl ConnectionCollector {
    pub(super) fn new(admission: Admission, memory: RequestMemory) -> Self {
        Self { admission, memory }
    }
}

impl Collector for ConnectionCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauges = [
            ("connections", "Open connections", self.admission.open()),
            ("connections_limit", "Connections that may be open", self.admission.limit()),
            ("request_memory_bytes", "Memory held by requests", self.memory.used()),
            ("request_memory_limit_bytes", "Memory requests may hold", self.memory.limit()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::<i64>::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
