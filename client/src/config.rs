//! What all clients share: where the cluster is, and how patient to be.

use std::time::Duration;

use tracing::warn;

use crate::connection::{ConnectionOptions, Seams};
use crate::error::ConfigError;
use crate::properties::{Properties, invalid};
use crate::retry::BackoffConfig;

/// Settings of connections, metadata and retries. Names in parentheses are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// `host:port` of some brokers of the cluster (`bootstrap.servers`).
    pub bootstrap: Vec<String>,
    /// Sent with each request, for the broker's logs and quotas (`client.id`, "flumen").
    pub client_id: String,
    /// How long a request waits for its answer (`request.timeout.ms`, 30 s).
    pub request_timeout: Duration,
    /// How long an operation with all its retries may take (`default.api.timeout.ms`, 60 s).
    pub api_timeout: Duration,
    /// How long connecting may take (`socket.connection.setup.timeout.ms`, 10 s).
    pub connect_timeout: Duration,
    /// Pauses between retries (`retry.backoff.ms`, 100 ms, and `retry.backoff.max.ms`, 1 s).
    pub retry_backoff: BackoffConfig,
    /// Pauses between attempts to connect (`reconnect.backoff.ms`, 50 ms, and
    /// `reconnect.backoff.max.ms`, 1 s).
    pub reconnect_backoff: BackoffConfig,
    /// After this time metadata is asked for again even without need (`metadata.max.age.ms`, 5 min).
    pub metadata_max_age: Duration,
    /// Unanswered requests on one connection (no Kafka name, 16).
    pub in_flight_max: usize,
    /// The largest response accepted, in bytes (no Kafka name, 256 MiB).
    pub receive_bytes_max: usize,
    /// Whether asking for the metadata of a missing topic may create it, if the broker does that
    /// (`allow.auto.create.topics`, no; producers say yes by themselves, as Kafka's do).
    pub allow_auto_create_topics: bool,
}

impl ClientConfig {
    /// The defaults for the cluster at these comma-separated `host:port` addresses.
    #[must_use]
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: split_list(bootstrap),
            client_id: "flumen".into(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_backoff: BackoffConfig {
                initial: Duration::from_millis(100),
                max: Duration::from_secs(1),
            },
            reconnect_backoff: BackoffConfig {
                initial: Duration::from_millis(50),
                max: Duration::from_secs(1),
            },
            metadata_max_age: Duration::from_secs(300),
            in_flight_max: 16,
            receive_bytes_max: 256 * 1024 * 1024,
            allow_auto_create_topics: false,
        }
    }

    /// Reads Kafka's client properties.
    ///
    /// # Errors
    /// A value is not allowed, or asks for something that is not there: any `security.protocol`
    /// but `PLAINTEXT`.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let mut config = Self::new(properties.value("bootstrap.servers").unwrap_or(""));
        properties.apply("client.id", &mut config.client_id, "any text")?;
        properties.apply_ms("request.timeout.ms", &mut config.request_timeout)?;
        properties.apply_ms("default.api.timeout.ms", &mut config.api_timeout)?;
        properties.apply_ms("socket.connection.setup.timeout.ms", &mut config.connect_timeout)?;
        properties.apply_ms("retry.backoff.ms", &mut config.retry_backoff.initial)?;
        properties.apply_ms("retry.backoff.max.ms", &mut config.retry_backoff.max)?;
        properties.apply_ms("reconnect.backoff.ms", &mut config.reconnect_backoff.initial)?;
        properties.apply_ms("reconnect.backoff.max.ms", &mut config.reconnect_backoff.max)?;
        properties.apply_ms("metadata.max.age.ms", &mut config.metadata_max_age)?;
        let auto_create = &mut config.allow_auto_create_topics;
        properties.apply("allow.auto.create.topics", auto_create, "true or false")?;
        if let Some(protocol) = properties.value("security.protocol")
            && !protocol.eq_ignore_ascii_case("PLAINTEXT")
        {
            return Err(invalid("security.protocol", protocol, "PLAINTEXT"));
        }
        config.validated()
    }

    /// Checks what types cannot.
    pub fn validated(self) -> Result<Self, ConfigError> {
        if self.bootstrap.is_empty() {
            return Err(ConfigError::Missing { name: "bootstrap.servers" });
        }
        for address in &self.bootstrap {
            let port = address.rsplit_once(':').and_then(|(host, port)| {
                (!host.is_empty()).then(|| port.parse::<u16>().ok()).flatten()
            });
            if port.is_none_or(|port| port == 0) {
                return Err(invalid(
                    "bootstrap.servers",
                    address,
                    "host:port, separated by commas",
                ));
            }
        }
        if self.in_flight_max == 0 {
            return Err(invalid("in_flight_max", "0", "a number from 1"));
        }
        Ok(self)
    }

    /// Warns of properties that none of the given names cover, as a typing error would be.
    pub fn warn_of_unknown(properties: &Properties, known: &[&[&str]]) {
        for name in properties.names() {
            if !known.iter().any(|names| names.contains(&name)) {
                warn!(name, "this setting is not known and has no effect");
            }
        }
    }

    pub(crate) fn connection_options(&self) -> ConnectionOptions {
        ConnectionOptions {
            client_id: Some(self.client_id.clone()),
            connect_timeout: self.connect_timeout,
            request_timeout: self.request_timeout,
            in_flight_max: self.in_flight_max,
            reconnect_backoff: self.reconnect_backoff,
            receive_bytes_max: self.receive_bytes_max,
        }
    }
}

/// The properties that [`ClientConfig::from_properties`] reads.
pub const PROPERTIES: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "request.timeout.ms",
    "default.api.timeout.ms",
    "socket.connection.setup.timeout.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "metadata.max.age.ms",
    "allow.auto.create.topics",
    "security.protocol",
];

fn split_list(list: &str) -> Vec<String> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Collects settings and connects.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before connect"]
pub struct ClientBuilder {
    pub(crate) config: ClientConfig,
    pub(crate) seams: Option<Seams>,
}

impl ClientBuilder {
    /// Starts from a whole configuration.
    pub fn from_config(config: ClientConfig) -> Self {
        Self { config, seams: None }
    }

    /// Starts from Kafka's client properties.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        Ok(Self::from_config(ClientConfig::from_properties(properties)?))
    }

    /// Names the client in the broker's logs.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.config.client_id = client_id.into();
        self
    }

    /// Sets how long one request waits for its answer.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// Sets how long connecting may take, the first time with all its retries.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Sets how long an operation may take with all its retries.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.config.api_timeout = timeout;
        self
    }

    /// Lets brokers that create missing topics do so when their metadata is asked for.
    pub fn allow_auto_create_topics(mut self, allowed: bool) -> Self {
        self.config.allow_auto_create_topics = allowed;
        self
    }

    /// Runs on other seams than the real machine's, as a simulation does.
    pub fn seams(mut self, seams: Seams) -> Self {
        self.seams = Some(seams);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<ClientConfig, String> {
        let properties: Properties = pairs.iter().copied().collect();
        ClientConfig::from_properties(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn kafkas_names_are_understood() {
        let config = check(&[
            ("bootstrap.servers", "a:1, b:2,"),
            ("client.id", "me"),
            ("request.timeout.ms", "1500"),
        ])
        .unwrap();
        assert_eq!(config.bootstrap, ["a:1", "b:2"]);
        assert_eq!(config.client_id, "me");
        assert_eq!(config.request_timeout, Duration::from_millis(1500));
    }

    #[test]
    fn wrong_settings_are_named() {
        let cases = [
            (&[][..], "bootstrap.servers is not set"),
            (&[("bootstrap.servers", "host")], "\"host\": allowed is host:port"),
            (&[("bootstrap.servers", "h:0")], "\"h:0\""),
            (
                &[("bootstrap.servers", "h:1"), ("retry.backoff.ms", "-1")],
                "retry.backoff.ms = \"-1\"",
            ),
            (&[("bootstrap.servers", "h:1"), ("security.protocol", "SSL")], "allowed is PLAINTEXT"),
        ];
        for (pairs, expected) in cases {
            let error = check(pairs).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        }
    }
}
