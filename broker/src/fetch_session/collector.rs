//! Fetch sessions on `/metrics`.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::FetchSessions;

/// How many sessions there are, and how many had to go.
#[derive(Debug)]
pub(crate) struct FetchSessionCollector(Arc<Mutex<FetchSessions>>);

impl FetchSessionCollector {
    pub(crate) fn new(sessions: Arc<Mutex<FetchSessions>>) -> Self {
        Self(sessions)
    }
}

impl Collector for FetchSessionCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (open, evicted) = {
            let sessions = self.0.lock();
            (i64::try_from(sessions.len()).unwrap_or(i64::MAX), sessions.evicted())
        };
        let help = "Incremental fetch sessions";
        let gauge = encoder.encode_descriptor("fetch_sessions", help, None, MetricType::Gauge)?;
        ConstGauge::<i64>::new(open).encode(gauge)?;
        let (name, help) = ("fetch_sessions_evicted", "Sessions that made room for others");
        let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::<u64>::new(evicted).encode(counter)
    }
}
