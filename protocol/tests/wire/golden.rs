//! Bytes that Apache Kafka's own classes wrote, with values that name their field.
//!
//! `golden/messages.txt` has them, and says which program wrote it.

use std::collections::BTreeSet;

use bytes::Bytes;
use flumen_protocol::messages::api_versions::ApiVersionsResponse;
use flumen_protocol::messages::fetch::FetchResponse;
use flumen_protocol::{ApiKey, Message};

use crate::dispatch::Kind;
use crate::encoder::{self, ByName};

const TABLE: &str = include_str!("../golden/messages.txt");

struct Golden {
    kind: Kind,
    version: i16,
    bytes: Bytes,
    default_bytes: Bytes,
}

fn table() -> impl Iterator<Item = Golden> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [name, version, bytes, default_bytes] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("four columns, not {line}");
        };
        let kind = Kind::from_name(name).unwrap_or_else(|| panic!("no message {name}"));
        let version = version.parse().unwrap();
        Golden { kind, version, bytes: from_hex(bytes), default_bytes: from_hex(default_bytes) }
    })
}

fn from_hex(hex: &str) -> Bytes {
    if hex == "-" {
        return Bytes::new();
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_api_is_in_the_table_with_its_first_and_last_version() {
    let present: BTreeSet<_> =
        table().map(|golden| (golden.kind.schema().name(), golden.version)).collect();
    for kind in Kind::of_all_apis() {
        let schema = kind.schema();
        for version in [schema.versions.min, schema.versions.max] {
            assert!(present.contains(&(schema.name(), version)), "{kind:?} {version}");
        }
    }
}

#[test]
fn what_java_wrote_is_read_and_written_the_same() {
    for Golden { kind, version, bytes, .. } in table() {
        let again = kind.reencode(bytes.clone(), version);
        let again = again.unwrap_or_else(|error| panic!("{kind:?} {version}: {error}"));
        assert_eq!(again, bytes, "{kind:?} {version}");
    }
}

/// The values tell the fields apart, so two fields of one type cannot have changed places.
#[test]
fn each_value_stands_in_the_field_that_it_names() {
    for Golden { kind, version, bytes, .. } in table() {
        let expected = encoder::encode(kind.schema(), version, &mut ByName);
        assert_eq!(bytes, expected, "{kind:?} {version}");
    }
}

#[test]
fn a_message_that_nobody_filled_is_the_same_as_in_java() {
    for Golden { kind, version, default_bytes, .. } in table() {
        assert_eq!(kind.default_bytes(version), default_bytes, "{kind:?} {version}");
    }
}

fn golden(kind: Kind, version: i16) -> Bytes {
    let found = table().find(|golden| golden.kind == kind && golden.version == version);
    found.expect("the table has it").bytes
}

#[test]
fn fields_have_the_values_of_their_names() {
    let bytes = golden(Kind::Response(ApiKey::Fetch), 18);
    let response = FetchResponse::from_bytes(bytes, 18).unwrap();
    assert_eq!(response.node_endpoints[1].host, "host");
    let partition = &response.responses[1].partitions[0];
    assert_eq!(partition.records.as_ref().unwrap().as_bytes().unwrap(), "records");
    assert_ne!(partition.current_leader.leader_id, partition.current_leader.leader_epoch);

    let bytes = golden(Kind::Response(ApiKey::ApiVersions), 0);
    let response = ApiVersionsResponse::from_bytes(bytes, 0).unwrap();
    assert_eq!(response.api_keys.len(), 2);
    assert_eq!(response.throttle_time_ms, 0);
}
