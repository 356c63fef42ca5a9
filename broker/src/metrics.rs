//! What is counted, and the registry that `/metrics` prints.
//!
//! Counters of an API are made once at the start and found by its key, so that counting a request
//! takes a few atomic additions. What can be asked for at any time (sizes of logs, lag of groups)
//! is not counted here but collected when the page is read.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flumen_protocol::{ApiKey, ErrorCode};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::api::SERVED;

/// Upper ends of the buckets of request times, in seconds.
const TIMES: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabel {
    api: &'static str,
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The counters of one broker.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// By API key; no entry for what is not served.
    apis: Vec<Option<ApiMetrics>>,
    errors: Family<ErrorLabel, Counter>,
    denied: Family<ReasonLabel, Counter>,
    closed: Family<ReasonLabel, Counter>,
    pub(crate) accept_errors: Counter,
    pub(crate) replication: ReplicationCounters,
}

/// What replication has done. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplicationCounters {
    bytes_out: Counter,
    bytes_in: Counter,
    throttled_out: Counter,
    throttled_in: Counter,
    shrinks: Counter,
    expansions: Counter,
    fetch_failures: Counter,
}

impl ReplicationCounters {
    fn register(&self, registry: &mut Registry) {
        let counters = [
            ("replication_bytes_out", "Bytes of records sent to followers", &self.bytes_out),
            ("replication_bytes_in", "Bytes of records copied from leaders", &self.bytes_in),
            (
                "replication_throttled_bytes_out",
                "Bytes of records sent to followers at the throttled rate",
                &self.throttled_out,
            ),
            (
                "replication_throttled_bytes_in",
                "Bytes of records copied from leaders at the throttled rate",
                &self.throttled_in,
            ),
            ("in_sync_shrinks", "In-sync sets led here that lost a member", &self.shrinks),
            ("in_sync_expansions", "In-sync sets led here that won a member", &self.expansions),
            (
                "replica_fetch_failures",
                "Fetches from leaders that were not answered as expected",
                &self.fetch_failures,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }

    pub(crate) fn on_sent(&self, size: usize) {
        self.bytes_out.inc_by(count(size));
    }

    pub(crate) fn on_copied(&self, size: usize) {
        self.bytes_in.inc_by(count(size));
    }

    pub(crate) fn on_throttled_sent(&self, size: usize) {
        self.throttled_out.inc_by(count(size));
    }

    pub(crate) fn on_throttled_copied(&self, size: usize) {
        self.throttled_in.inc_by(count(size));
    }

    pub(crate) fn on_shrink(&self) {
        self.shrinks.inc();
    }

    pub(crate) fn on_expansion(&self) {
        self.expansions.inc();
    }

    pub(crate) fn on_fetch_failure(&self) {
        self.fetch_failures.inc();
    }
}

#[derive(Debug, Clone)]
struct ApiMetrics {
    requests: Counter,
    refused: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All counters at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("flumen");
        let requests = Family::<ApiLabel, Counter>::default();
        let refused = Family::<ApiLabel, Counter>::default();
        let request_bytes = Family::<ApiLabel, Counter>::default();
        let response_bytes = Family::<ApiLabel, Counter>::default();
        let seconds =
            Family::<ApiLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
                Histogram::new(TIMES)
            });
        let errors = Family::default();
        let denied = Family::default();
        let closed = Family::default();
        let accept_errors = Counter::default();
        registry.register("requests", "Requests by API", requests.clone());
        registry.register(
            "requests_refused",
            "Requests that could not be decoded, by API",
            refused.clone(),
        );
        registry.register("request_bytes", "Bytes of requests by API", request_bytes.clone());
        registry.register("response_bytes", "Bytes of responses by API", response_bytes.clone());
        registry.register_with_unit(
            "request_time",
            "From the arrival of a request to its answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register("errors", "Error codes in responses by API", errors.clone());
        registry.register("connections_refused", "Connections refused by a limit", denied.clone());
        registry.register("connections_closed", "Connections closed by reason", closed.clone());
        registry.register("accept_errors", "Failures to accept", accept_errors.clone());
        let replication = ReplicationCounters::default();
        replication.register(&mut registry);
        let of = |api: &ApiKey| {
            let label = ApiLabel { api: api.name() };
            ApiMetrics {
                requests: requests.get_or_create_owned(&label),
                refused: refused.get_or_create_owned(&label),
                request_bytes: request_bytes.get_or_create_owned(&label),
                response_bytes: response_bytes.get_or_create_owned(&label),
                seconds: seconds.get_or_create_owned(&label),
            }
        };
        let mut apis = Vec::new();
        for api in SERVED {
            let slot = slot(*api);
            if apis.len() <= slot {
                apis.resize_with(slot + 1, || None);
            }
            apis[slot] = Some(of(api));
        }
        let registry = Mutex::new(registry);
        Self { registry, apis, errors, denied, closed, accept_errors, replication }
    }

    /// Adds what is asked for only when the page is read.
    pub(crate) fn register(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// The page, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// A collector failed to print its values.
    pub fn page(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }

    fn api(&self, api: ApiKey) -> Option<&ApiMetrics> {
        self.apis.get(slot(api))?.as_ref()
    }

    pub(crate) fn on_request(&self, api: ApiKey, size: usize) {
        if let Some(metrics) = self.api(api) {
            metrics.requests.inc();
            metrics.request_bytes.inc_by(count(size));
        }
    }

    pub(crate) fn on_refusal(&self, api: ApiKey) {
        if let Some(metrics) = self.api(api) {
            metrics.refused.inc();
        }
    }

    pub(crate) fn on_response(&self, api: ApiKey, size: usize, time: Duration) {
        if let Some(metrics) = self.api(api) {
            metrics.response_bytes.inc_by(count(size));
            metrics.seconds.observe(time.as_secs_f64());
        }
    }

    /// Counts an error code inside a response; no error is not counted.
    pub(crate) fn on_error(&self, api: ApiKey, error: ErrorCode) {
        if !error.is_none() {
            let label = ErrorLabel { api: api.name(), error: error.name() };
            self.errors.get_or_create(&label).inc();
        }
    }

    pub(crate) fn on_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn on_closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ReasonLabel { reason }).inc();
    }
}

fn slot(api: ApiKey) -> usize {
    usize::try_from(api.key()).expect("api keys are not negative")
}

fn count(size: usize) -> u64 {
    u64::try_from(size).expect("a size fits in 64 bits")
}

/// Lets at most one warning of a kind through per second, so that no client can fill the log.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    /// The next second, counted from one, in which a warning may pass.
    next: AtomicU64,
}

impl Warnings {
    pub(crate) fn admit(&self, now: Duration) -> bool {
        let second = now.as_secs() + 1;
        self.next.fetch_max(second + 1, Ordering::Relaxed) <= second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_what_was_counted() {
        let metrics = Metrics::new();
        metrics.on_request(ApiKey::ApiVersions, 30);
        metrics.on_response(ApiKey::ApiVersions, 400, Duration::from_millis(2));
        metrics.on_error(ApiKey::ApiVersions, ErrorCode::None);
        metrics.on_error(ApiKey::ApiVersions, ErrorCode::UnsupportedVersion);
        let page = metrics.page().unwrap();
        for line in [
            "flumen_requests_total{api=\"ApiVersions\"} 1",
            "flumen_request_bytes_total{api=\"ApiVersions\"} 30",
            "flumen_request_time_seconds_count{api=\"ApiVersions\"} 1",
            "flumen_errors_total{api=\"ApiVersions\",error=\"UNSUPPORTED_VERSION\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("NONE"));
    }

    #[test]
    fn one_warning_passes_per_second() {
        let warnings = Warnings::default();
        let passed: Vec<_> = [0, 10, 900, 1000, 1999, 2000, 9000]
            .map(|ms| warnings.admit(Duration::from_millis(ms)))
            .into();
        assert_eq!(passed, [true, false, false, true, false, true, true]);
    }
}
