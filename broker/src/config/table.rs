//! The whole table of settings, and look-ups in it.

use super::definition::{Definition, Scope};
use super::{client_metrics, group, limits, listener, log, producer, replication, topic};

/// Every area of the configuration, with its title in the documentation.
pub(super) const AREAS: &[(&str, &[Definition])] = &[
    ("Listeners", listener::DEFINITIONS),
    ("Logs", log::DEFINITIONS),
    ("Replication and metadata", replication::DEFINITIONS),
    ("Groups", group::DEFINITIONS),
    ("Producers", producer::DEFINITIONS),
    ("Limits", limits::DEFINITIONS),
    ("Topics", topic::DEFINITIONS),
    ("Settings of a group", group::GROUP_DEFINITIONS),
    ("Client metrics subscriptions", client_metrics::DEFINITIONS),
];

/// Every definition of `scope`, in the order of the documentation.
pub fn definitions(scope: Scope) -> impl Iterator<Item = &'static Definition> {
    AREAS.iter().flat_map(|(_, area)| area.iter()).filter(move |d| d.scope == scope)
}

/// The definition of `name` in `scope`.
#[must_use]
pub fn find(scope: Scope, name: &str) -> Option<&'static Definition> {
    definitions(scope).find(|definition| definition.name == name)
}

/// The broker setting `name`.
pub(super) fn broker(name: &str) -> Option<&'static Definition> {
    find(Scope::Broker, name)
}

/// The broker setting `name`, which the code itself names.
pub(super) fn known_broker(name: &str) -> &'static Definition {
    broker(name).expect("the code names settings of the table only")
}

/// The broker setting whose name is most similar to `name`, for "did you mean".
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    definitions(Scope::Broker)
        .map(|definition| (distance(name, definition.name), definition.name))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
