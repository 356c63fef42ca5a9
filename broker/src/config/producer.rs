//! What the broker remembers of idempotent producers.

use super::definition::{Definition, Kind};
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
