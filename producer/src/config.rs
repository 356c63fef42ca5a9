//! How a producer behaves.

use std::time::Duration;

use flumen_client::properties::{Properties, invalid};
use flumen_client::{ClientConfig, ConfigError};
use flumen_protocol::records::compression::{Codec, Compression};

use crate::partitioner::Spread;

/// Whose word a record waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Acks {
    /// Nobody's: the record counts as delivered when it is handed to the network.
    None,
    /// The leader's.
    Leader,
    /// That of all replicas in sync.
    #[default]
    All,
}

impl Acks {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Settings of a producer. Names in parentheses are Kafka's; defaults are given with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// Whose word a record waits for (`acks`, all).
    pub acks: Acks,
    /// Whether brokers drop what retries send twice (`enable.idempotence`, yes). Needs `acks=all`.
    pub idempotence: bool,
    /// How batches are compressed (`compression.type`, none; `compression.gzip.level` and so on).
    pub compression: Codec,
    /// The size in bytes at which a batch is sent without further waiting (`batch.size`, 64 KiB;
    /// Kafka's own is 16 KiB).
    pub batch_size: usize,
    /// How long a batch waits for more records (`linger.ms`, 5 ms).
    pub linger: Duration,
    /// The largest request, and so the largest record, in bytes (`max.request.size`, 1 MiB).
    pub request_size_max: usize,
    /// The bytes of all records that are taken and not yet delivered (`buffer.memory`, 32 MiB).
    pub buffer_memory: usize,
    /// How long taking a record may wait for room or metadata (`max.block.ms`, 60 s).
    pub block_max: Duration,
    /// How long a record may wait for its delivery, retries included (`delivery.timeout.ms`, 2 min).
    pub delivery_timeout: Duration,
    /// Unanswered requests per broker (`max.in.flight.requests.per.connection`, 5, with idempotence
    /// at most that).
    pub in_flight_max: usize,
    /// How records without keys are spread over partitions (no Kafka name, sticky).
    pub spread: Spread,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotence: true,
            compression: Codec::default(),
            batch_size: 64 * 1024,
            linger: Duration::from_millis(5),
            request_size_max: 1024 * 1024,
            buffer_memory: 32 * 1024 * 1024,
            block_max: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            in_flight_max: IDEMPOTENT_IN_FLIGHT_MAX,
            spread: Spread::Sticky,
        }
    }
}

/// Brokers remember the last five batches of a producer, so that many may be retried.
const IDEMPOTENT_IN_FLIGHT_MAX: usize = 5;

/// The properties that [`ProducerConfig::from_properties`] reads.
pub const PROPERTIES: &[&str] = &[
    "acks",
    "enable.idempotence",
    "compression.type",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "batch.size",
    "linger.ms",
    "max.request.size",
    "buffer.memory",
    "max.block.ms",
    "delivery.timeout.ms",
    "max.in.flight.requests.per.connection",
    "partitioner.class",
];

impl ProducerConfig {
    /// Reads Kafka's producer properties.
    ///
    /// As with Kafka's producer, idempotence is given up silently where other settings exclude it,
    /// unless it is asked for.
    pub fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(acks) = properties.value("acks") {
            config.acks = match acks {
                "0" => Acks::None,
                "1" => Acks::Leader,
                "all" | "-1" => Acks::All,
                other => return Err(invalid("acks", other, "0, 1 or all")),
            };
        }
        let bytes = "a number of bytes from 1";
        properties.apply("batch.size", &mut config.batch_size, "a number of bytes from 0")?;
        properties.apply_ms("linger.ms", &mut config.linger)?;
        properties.apply("max.request.size", &mut config.request_size_max, bytes)?;
        properties.apply("buffer.memory", &mut config.buffer_memory, bytes)?;
        properties.apply_ms("max.block.ms", &mut config.block_max)?;
        properties.apply_ms("delivery.timeout.ms", &mut config.delivery_timeout)?;
        let in_flight = "max.in.flight.requests.per.connection";
        properties.apply(in_flight, &mut config.in_flight_max, "a number from 1")?;
        config.compression = codec_from(properties)?;
        if let Some(class) = properties.value("partitioner.class") {
            config.spread = match class.rsplit('.').next() {
                Some("RoundRobinPartitioner") => Spread::RoundRobin,
                _ => {
                    let allowed =
                        "nothing, or org.apache.kafka.clients.producer.RoundRobinPartitioner";
                    return Err(invalid("partitioner.class", class, allowed));
                }
            };
        }
        config.idempotence =
            config.acks == Acks::All && config.in_flight_max <= IDEMPOTENT_IN_FLIGHT_MAX;
        properties.apply("enable.idempotence", &mut config.idempotence, "true or false")?;
        config.validated()
    }

    /// Checks what types cannot.
    pub fn validated(self) -> Result<Self, ConfigError> {
        let conflict =
            |name, value: String, reason| Err(ConfigError::Conflict { name, value, reason });
        if self.in_flight_max == 0 {
            let name = "max.in.flight.requests.per.connection";
            return Err(invalid(name, "0", "a number from 1"));
        }
        if self.idempotence && self.acks != Acks::All {
            let acks = self.acks.code().to_string();
            return conflict("acks", acks, "enable.idempotence needs acks=all");
        }
        if self.idempotence && self.in_flight_max > IDEMPOTENT_IN_FLIGHT_MAX {
            let name = "max.in.flight.requests.per.connection";
            let in_flight_max = self.in_flight_max.to_string();
            return conflict(name, in_flight_max, "enable.idempotence allows no more than 5");
        }
        if self.request_size_max == 0 || i32::try_from(self.request_size_max).is_err() {
            let value = self.request_size_max.to_string();
            return Err(invalid("max.request.size", &value, "1 to 2147483647"));
        }
        if self.buffer_memory == 0 || u32::try_from(self.buffer_memory).is_err() {
            let value = self.buffer_memory.to_string();
            return Err(invalid("buffer.memory", &value, "1 to 4294967295"));
        }
        Ok(self)
    }

    /// Warns of properties that neither clients nor producers know.
    pub fn warn_of_unknown(properties: &Properties) {
        ClientConfig::warn_of_unknown(properties, &[flumen_client::config::PROPERTIES, PROPERTIES]);
    }
}

fn codec_from(properties: &Properties) -> Result<Codec, ConfigError> {
    let Some(name) = properties.value("compression.type") else { return Ok(Codec::default()) };
    let compression = Compression::from_name(name)
        .ok_or_else(|| invalid("compression.type", name, "none, gzip, snappy, lz4 or zstd"))?;
    let level_name = match compression {
        Compression::Gzip => Some("compression.gzip.level"),
        Compression::Lz4 => Some("compression.lz4.level"),
        Compression::Zstd => Some("compression.zstd.level"),
        Compression::None | Compression::Snappy => None,
    };
    let mut level = 0;
    let mut codec = Codec::from(compression);
    if let Some(level_name) = level_name.filter(|name| properties.value(name).is_some()) {
        properties.apply(level_name, &mut level, "a whole number")?;
        codec.level = Some(level);
    }
    Ok(codec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<ProducerConfig, String> {
        let properties: Properties = pairs.iter().copied().collect();
        ProducerConfig::from_properties(&properties).map_err(|error| error.to_string())
    }

    #[test]
    fn kafkas_names_are_understood() {
        let config = check(&[
            ("acks", "1"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "9"),
            ("linger.ms", "20"),
        ])
        .unwrap();
        assert_eq!((config.acks, config.idempotence), (Acks::Leader, false));
        assert_eq!(config.compression, Codec { compression: Compression::Zstd, level: Some(9) });
        assert_eq!(config.linger, Duration::from_millis(20));
        assert_eq!(check(&[]).unwrap(), ProducerConfig::default());
    }

    #[test]
    fn wrong_and_contradicting_settings_are_named() {
        let cases = [
            (&[("acks", "2")][..], "acks = \"2\": allowed is 0, 1 or all"),
            (&[("acks", "1"), ("enable.idempotence", "true")], "needs acks=all"),
            (
                &[("max.in.flight.requests.per.connection", "6"), ("enable.idempotence", "true")],
                "no more than 5",
            ),
            (&[("compression.type", "brotli")], "none, gzip"),
            (&[("partitioner.class", "com.example.Mine")], "RoundRobinPartitioner"),
            (&[("buffer.memory", "0")], "buffer.memory"),
        ];
        for (pairs, expected) in cases {
            let error = check(pairs).unwrap_err();
            assert!(error.contains(expected), "{error:?} should contain {expected:?}");
        }
    }
}
