//! Error codes and API versions against the tables that Apache Kafka's own classes hold.
//!
//! `golden/tables.txt` has them, and says which program wrote it.

use flumen_protocol::{ApiKey, ErrorCode};

/// The rows of one kind, without the word that names the kind.
fn rows(kind: &str) -> Vec<&'static str> {
    let rows = include_str!("../golden/tables.txt").lines();
    rows.filter_map(|row| row.split_once(' ').filter(|(word, _)| *word == kind))
        .map(|(_, rest)| rest)
        .collect()
}

#[test]
fn error_codes_are_those_of_kafka() {
    let ours: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|error| format!("{} {} {}", error.code(), error.name(), error.is_retriable()))
        .collect();
    assert_eq!(ours, rows("error"));
}

#[test]
fn api_versions_are_those_of_kafka() {
    let ours: Vec<String> = ApiKey::ALL
        .iter()
        .map(|api| {
            let (versions, stable) = (api.versions(), api.advertised_versions());
            let (first, last) = (versions.start(), versions.end());
            format!("{} {} {first} {last} {}", api.key(), api.name(), stable.end())
        })
        .collect();
    // What share coordinators and brokers ask each other is on the brokers' listeners too.
    let between_brokers = ["83 ", "84 ", "85 ", "86 ", "87 "];
    let kafkas: Vec<&str> = rows("api")
        .into_iter()
        .filter(|row| !between_brokers.iter().any(|key| row.starts_with(key)))
        .collect();
    assert_eq!(ours, kafkas);
}
