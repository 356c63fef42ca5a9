//! Subscriptions to client metrics (KIP-714): kept and described, and not acted on yet.

use super::definition::{Definition, Kind};
use super::validator::Valid;

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::client_metrics(
        "metrics",
        Kind::List,
        "",
        "The names, or starts of names, of the metrics that clients send; * for all.",
    )
    .no_effect_yet(),
    Definition::client_metrics("interval.ms", Kind::Int, "300000", "How often clients send them.")
        .valid(Valid::Between(100, 3_600_000))
        .no_effect_yet(),
    Definition::client_metrics(
        "match",
        Kind::List,
        "",
        "Which clients send them, as name=pattern pairs.",
    )
    .no_effect_yet(),
];
