//! What the broker remembers of idempotent producers.

use super::definition::{Definition, Kind};
use super::settings::Settings;
use super::validator::Valid;

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "producer.id.expiration.ms",
        Kind::Int,
        "86400000",
        "How long a partition remembers a producer that no longer writes to it.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic(),
    Definition::broker(
        "producer.id.expiration.check.interval.ms",
        Kind::Int,
        "600000",
        "How often forgotten producers are looked for.",
    )
    .valid(Valid::AtLeast(1))
    .no_effect_yet(),
];

/// Idempotent producers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// How long an idle producer is remembered.
    pub id_expiration_ms: i64,
    /// How often idle producers are looked for.
    pub id_expiration_check_interval_ms: i64,
}

impl ProducerConfig {
    pub(super) fn resolve(settings: &Settings) -> Self {
        Self {
            id_expiration_ms: settings.number("producer.id.expiration.ms"),
            id_expiration_check_interval_ms: settings
                .number("producer.id.expiration.check.interval.ms"),
        }
    }
}
