//! How a consumer behaves.

use std::time::Duration;

use flumen_client::admin::Isolation;
use flumen_client::properties::{Properties, invalid};
use flumen_client::{ClientConfig, ConfigError};

use crate::assignor::Assignor;

/// Where to begin when there is no committed offset, or the position is not in the log any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record there is.
    Earliest,
    /// At the end: with what is written from now on.
    #[default]
    Latest,
    /// Nowhere: reading fails, and the program has to seek.
    None,
    /// At the first record that is no older than this (KIP-1106).
    ByDuration(Duration),
}

/// Settings of a consumer. Names in parentheses are Kafka's; defaults are given with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The group to commit offsets for, and to join on subscribing (`group.id`, none).
    pub group_id: Option<String>,
    /// A name that lets a restarted member keep its partitions (`group.instance.id`, none).
    pub group_instance_id: Option<String>,
    /// Where to begin without a committed offset (`auto.offset.reset`, latest).
    pub auto_offset_reset: OffsetReset,
    /// Whether offsets of delivered records are committed in the background
    /// (`enable.auto.commit`, yes).
    pub auto_commit: bool,
    /// How often that happens (`auto.commit.interval.ms`, 5 s).
    pub auto_commit_interval: Duration,
    /// Whether asking for the next record counts the last one as processed (no Kafka name, yes). If
    /// not, only what is stored explicitly is committed.
    pub auto_store: bool,
    /// After this long without a heartbeat the group goes on without the member
    /// (`session.timeout.ms`, 45 s).
    pub session_timeout: Duration,
    /// How often heartbeats are sent (`heartbeat.interval.ms`, 3 s).
    pub heartbeat_interval: Duration,
    /// After this long without asking for records the member leaves the group
    /// (`max.poll.interval.ms`, 5 min).
    pub max_poll_interval: Duration,
    /// How the leader of the group spreads partitions, by preference
    /// (`partition.assignment.strategy`, range).
    pub assignors: Vec<Assignor>,
    /// Bytes a broker waits for before it answers a fetch (`fetch.min.bytes`, 1).
    pub fetch_min_bytes: i32,
    /// How long it waits for them (`fetch.max.wait.ms`, 500 ms).
    pub fetch_max_wait: Duration,
    /// Bytes of one answer, of all partitions (`fetch.max.bytes`, 50 MiB).
    pub fetch_max_bytes: i32,
    /// Bytes of one answer, of one partition (`max.partition.fetch.bytes`, 1 MiB).
    pub max_partition_fetch_bytes: i32,
    /// Bytes fetched ahead of the program, about (no Kafka name, 32 MiB).
    pub prefetch_bytes: usize,
    /// Records that one call of `poll_batch` gives at most (`max.poll.records`, 500).
    pub max_poll_records: usize,
    /// Whether checksums are compared (`check.crcs`, yes).
    pub check_crcs: bool,
    /// Bytes a batch may expand to (no Kafka name, 256 MiB).
    pub decompressed_bytes_max: usize,
    /// Which records of transactions are given (`isolation.level`, read_uncommitted).
    pub isolation: Isolation,
    /// Where the program runs, in terms of the brokers' `broker.rack`: a leader may name a replica
    /// there to read from, KIP-392 (`client.rack`, none).
    pub client_rack: Option<String>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_id: None,
            group_instance_id: None,
            auto_offset_reset: OffsetReset::Latest,
            auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            auto_store: true,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            assignors: vec![Assignor::Range],
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 50 * 1024 * 1024,
            max_partition_fetch_bytes: 1024 * 1024,
            prefetch_bytes: 32 * 1024 * 1024,
            max_poll_records: 500,
            check_crcs: true,
            decompressed_bytes_max: 256 * 1024 * 1024,
            isolation: Isolation::ReadUncommitted,
            client_rack: None,
        }
    }
}

/// The properties that [`ConsumerConfig::from_properties`] reads.
pub const PROPERTIES: &[&str] = &[
    "group.id",
    "group.instance.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
    "fetch.min.bytes",
    "fetch.max.wait.ms",
    "fetch.max.bytes",
    "max.partition.fetch.bytes",
    "max.poll.records",
    "check.crcs",
    "isolation.level",
    "client.rack",
];

impl ConsumerConfig {
    /// The defaults for a member of a group.
    #[must_use]
    pub fn group(group_id: impl Into<String>) -> Self {
        Self { group_id: Some(group_id.into()), ..Self::default() }
    }

    /// Reads Kafka's consumer properties.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let text = |name| properties.value(name).map(str::to_owned);
        let mut config = Self {
            group_id: text("group.id"),
            group_instance_id: text("group.instance.id"),
            // Empty is Kafka's default, and means none.
            client_rack: text("client.rack").filter(|rack| !rack.is_empty()),
            ..Self::default()
        };
        if let Some(reset) = properties.value("auto.offset.reset") {
            config.auto_offset_reset = reset_from(reset)?;
        }
        if let Some(strategy) = properties.value("partition.assignment.strategy") {
            config.assignors = assignors_from(strategy)?;
        }
        if let Some(level) = properties.value("isolation.level") {
            config.isolation = match level {
                "read_uncommitted" => Isolation::ReadUncommitted,
                "read_committed" => Isolation::ReadCommitted,
                other => {
                    let allowed = "read_uncommitted or read_committed";
                    return Err(invalid("isolation.level", other, allowed));
                }
            };
        }
        let (yes_no, bytes) = ("true or false", "a number of bytes from 0 to 2147483647");
        properties.apply("enable.auto.commit", &mut config.auto_commit, yes_no)?;
        properties.apply_ms("auto.commit.interval.ms", &mut config.auto_commit_interval)?;
        properties.apply_ms("session.timeout.ms", &mut config.session_timeout)?;
        properties.apply_ms("heartbeat.interval.ms", &mut config.heartbeat_interval)?;
        properties.apply_ms("max.poll.interval.ms", &mut config.max_poll_interval)?;
        properties.apply("fetch.min.bytes", &mut config.fetch_min_bytes, bytes)?;
        properties.apply_ms("fetch.max.wait.ms", &mut config.fetch_max_wait)?;
        properties.apply("fetch.max.bytes", &mut config.fetch_max_bytes, bytes)?;
        let partition_bytes = &mut config.max_partition_fetch_bytes;
        properties.apply("max.partition.fetch.bytes", partition_bytes, bytes)?;
        properties.apply("max.poll.records", &mut config.max_poll_records, "a number from 1")?;
        properties.apply("check.crcs", &mut config.check_crcs, yes_no)?;
        config.validated()
    }

    /// Checks what types cannot.
    pub fn validated(self) -> Result<Self, ConfigError> {
        if self.group_id.as_deref() == Some("") {
            return Err(invalid("group.id", "", "any text but an empty one"));
        }
        if self.max_poll_records == 0 {
            return Err(invalid("max.poll.records", "0", "a number from 1"));
        }
        if self.heartbeat_interval >= self.session_timeout {
            return Err(ConfigError::Conflict {
                name: "heartbeat.interval.ms",
                value: self.heartbeat_interval.as_millis().to_string(),
                reason: "must be below session.timeout.ms, best a third of it",
            });
        }
        if self.assignors.is_empty() {
            return Err(invalid("partition.assignment.strategy", "", "range, roundrobin"));
        }
        Ok(self)
    }

    /// Warns of properties that neither clients nor consumers know.
    pub fn warn_of_unknown(properties: &Properties) {
        ClientConfig::warn_of_unknown(properties, &[flumen_client::config::PROPERTIES, PROPERTIES]);
    }
}

fn reset_from(value: &str) -> Result<OffsetReset, ConfigError> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "earliest" => OffsetReset::Earliest,
        "latest" => OffsetReset::Latest,
        "none" => OffsetReset::None,
        lower => {
            let duration = lower.strip_prefix("by_duration:").and_then(iso_duration);
            let allowed = "earliest, latest, none or by_duration:PnDTnHnMnS";
            let duration = duration.ok_or_else(|| invalid("auto.offset.reset", value, allowed))?;
            OffsetReset::ByDuration(duration)
        }
    })
}

/// Reads a duration such as `p1dt2h30m` or `pt5.5s`, in lower case.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('p')?;
    let (days, time) = text.split_once('t').unwrap_or((text, ""));
    let mut total = Duration::ZERO;
    let mut has_parts = false;
    for (part, units) in [(days, &[('d', 86400)][..]), (time, &[('h', 3600), ('m', 60), ('s', 1)])]
    {
        let mut rest = part;
        for (unit, seconds) in units {
            if let Some((number, after)) = rest.split_once(*unit) {
                let number: f64 = number.parse().ok().filter(|number| *number >= 0.0)?;
                total += Duration::try_from_secs_f64(number * f64::from(*seconds)).ok()?;
                rest = after;
                has_parts = true;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    has_parts.then_some(total)
}

fn assignors_from(list: &str) -> Result<Vec<Assignor>, ConfigError> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let assignors = names.map(|name| {
        Assignor::from_name(name).ok_or_else(|| {
            let allowed = "a list of range and roundrobin, or Kafka's classes of these";
            invalid("partition.assignment.strategy", name, allowed)
        })
    });
    assignors.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<ConsumerConfig, String> {
        let properties: Properties = pairs.iter().copied().collect();
        ConsumerConfig::from_properties(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn kafkas_names_are_understood() {
        let config = check(&[
            ("group.id", "g"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            (
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.RoundRobinAssignor,range",
            ),
        ])
        .unwrap();
        assert_eq!(config.group_id.as_deref(), Some("g"));
        assert_eq!(config.auto_offset_reset, OffsetReset::Earliest);
        assert_eq!(config.isolation, Isolation::ReadCommitted);
        assert_eq!(config.assignors, [Assignor::RoundRobin, Assignor::Range]);
        assert_eq!(check(&[]).unwrap(), ConsumerConfig::default());
    }

    #[test]
    fn durations_are_iso_8601() {
        let cases = [
            ("by_duration:P1D", Some(86_400_000)),
            ("by_duration:PT1H30M", Some(5_400_000)),
            ("by_duration:PT0.5S", Some(500)),
            ("by_duration:P1DT1S", Some(86_401_000)),
            ("by_duration:1h", None),
            ("by_duration:P", None),
            ("by_duration:PT-1S", None),
        ];
        for (value, expected) in cases {
            let expected = expected.map(|ms| OffsetReset::ByDuration(Duration::from_millis(ms)));
            assert_eq!(reset_from(value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let cases = [
            (&[("auto.offset.reset", "first")][..], "earliest, latest, none"),
            (&[("group.id", "")], "group.id"),
            (&[("session.timeout.ms", "3000")], "below session.timeout.ms"),
            (&[("partition.assignment.strategy", "sticky")], "range and roundrobin"),
            (&[("max.poll.records", "0")], "max.poll.records"),
        ];
        for (pairs, expected) in cases {
            let error = check(pairs).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        }
    }
}
