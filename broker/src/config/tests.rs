//! The configuration as a person meets it: files, variables, arguments and what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::table::AREAS;
use super::*;

fn file(text: &str) -> ConfigSources {
    ConfigSources::new().file_text(Path::new("broker.toml"), text)
}

fn refused(sources: ConfigSources) -> String {
    sources.build().expect_err("it must be refused").to_string()
}

#[test]
fn every_default_passes_its_own_check_and_no_name_stands_twice() {
    let mut seen = BTreeSet::new();
    for definition in AREAS.iter().flat_map(|(_, area)| area.iter()) {
        assert!(seen.insert((definition.scope, definition.name)), "{} twice", definition.name);
        if let Some(default) = definition.default {
            assert_eq!(
                definition.check(default).as_deref(),
                Ok(default),
                "default of {}",
                definition.name
            );
        }
        if let Some(broker) = definition.broker_default {
            let broker = find(Scope::Broker, broker)
                .unwrap_or_else(|| panic!("{} defaults to {broker}", definition.name));
            // The broker lists the assignors, a group takes one.
            if definition.name != "streams.assignor.name" {
                assert_eq!(broker.kind, definition.kind, "{}", definition.name);
            }
        }
    }
}

#[test]
fn a_topic_without_settings_gets_the_defaults_of_its_own_definitions() {
    let settings = Settings::default();
    for definition in definitions(Scope::Topic) {
        assert_eq!(
            Some(inherited_topic_value(definition, &settings, 1).as_str()),
            definition.default,
            "{}",
            definition.name
        );
    }
}

#[test]
fn the_documentation_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    if std::env::var_os("FLUMEN_WRITE_DOCS").is_some() {
        std::fs::write(&path, settings_page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    let should_be = settings_page();
    let differs = page.lines().zip(should_be.lines()).find(|(is, should)| is != should);
    assert!(page == should_be, "run this with FLUMEN_WRITE_DOCS=1 and commit: {differs:?}");
}

#[test]
fn the_shipped_files_pass_the_strict_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/broker.toml");
    let config = ConfigSources::new().file(&path).check().unwrap();
    assert_eq!(config, BrokerConfig { settings: config.settings.clone(), ..Default::default() });
}

#[test]
fn later_sources_win() {
    let config = file("\"num.partitions\" = 2\nlog.retention.hours = 3\n\"node.id\" = 7")
        .environment([
            ("FLUMEN_NUM_PARTITIONS".to_owned(), "4".to_owned()),
            ("FLUMEN_LOG_DIRS".to_owned(), "/data/flumen".to_owned()),
            ("FLUMEN_BOOTSTRAP".to_owned(), "elsewhere:9092".to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
        ])
        .argument_pair("num.partitions = 6")
        .check()
        .unwrap();
    assert_eq!(config.log.num_partitions, 6);
    assert_eq!(config.node_id, 7);
    assert_eq!(config.data_dir(), Path::new("/data/flumen"));
    assert_eq!(config.topic(&BTreeMap::new()).retention_ms, Some(3 * 3_600_000));
}

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    let cases = [
        (
            "num.partitions=0",
            "Invalid value 0 for configuration num.partitions: must be at least 1",
        ),
        (
            "num.partitions=many",
            "Invalid value many for configuration num.partitions: must be a 32-bit integer",
        ),
        ("insecure=yes", "Invalid value yes for configuration insecure: must be true or false"),
        (
            "log.durability=disk",
            "Invalid value disk for configuration log.durability: must be one of fsync, page-cache",
        ),
        (
            "log.cleaner.min.cleanable.ratio=1.5",
            "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: must be from 0 to 1",
        ),
        ("log.dirs=/a,/b", "Invalid value /a,/b for configuration log.dirs: must be one directory"),
        (
            "listeners=9092",
            "Invalid value 9092 for configuration listeners: must be NAME://host:port or host:port, several separated by commas",
        ),
        (
            "listeners=127.0.0.1:99999",
            "Invalid value 127.0.0.1:99999 for configuration listeners: must be NAME://host:port or host:port, several separated by commas",
        ),
        (
            "log.retention.hour=5",
            "unknown setting log.retention.hour in the arguments; did you mean log.retention.hours?",
        ),
        ("no-equals-sign", "--set no-equals-sign: must be name=value"),
        (
            "group.min.session.timeout.ms=2000000",
            "group.min.session.timeout.ms = 2000000 must not be above group.max.session.timeout.ms = 1800000",
        ),
    ];
    for (pair, expected) in cases {
        assert_eq!(refused(ConfigSources::new().argument_pair(pair)), expected);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let sources = file("\"num.partitions\" = 0\n\"node.id\" = -1").argument_pair("nonsense=1");
    assert_eq!(refused(sources).lines().count(), 3);
}

#[test]
fn an_unknown_name_in_a_file_warns_and_fails_only_the_strict_check() {
    let text = "\"from.the.future\" = 1";
    let sources = file(text);
    assert_eq!(sources.warnings().len(), 1);
    sources.build().unwrap();
    let message = file(text).check().unwrap_err().to_string();
    assert_eq!(message, "unknown setting from.the.future in broker.toml");
}

#[test]
fn files_that_cannot_be_understood_say_why() {
    assert!(refused(file("listeners = ")).starts_with("the configuration file broker.toml is not"));
    let missing = ConfigSources::new().file(Path::new("/nonexistent/flumen.toml"));
    assert!(refused(missing).starts_with("cannot read the configuration file /nonexistent/"));
    let date = file("\"node.id\" = 1979-05-27");
    assert!(refused(date).contains("node.id in broker.toml must be"));
}

#[test]
fn a_listener_that_others_can_reach_needs_leave() {
    for reachable in ["192.168.0.5:9092", "example.org:9092", "[2001:db8::1]:9092"] {
        let config = BrokerConfig::with([("listeners", reachable)]);
        assert!(config.unwrap_err().to_string().contains("insecure = true"), "{reachable}");
        BrokerConfig::with([("listeners", reachable), ("insecure", "true")]).unwrap();
    }
    for local in ["127.0.0.1:9092", "localhost:0", "[::1]:9092", "127.8.8.8:1"] {
        BrokerConfig::with([("listeners", local)]).unwrap();
    }
    assert!(BrokerConfig::with([("http.listener", "0.0.0.0:9644")]).is_err());
    assert!(BrokerConfig::with([("peer.listener", "0.0.0.0:9192")]).is_err());
}

#[test]
fn a_bind_to_every_interface_needs_an_advertised_address() {
    for wildcard in ["0.0.0.0:9092", "[::]:9092", "PLAINTEXT://:9092"] {
        let base = [("listeners", wildcard), ("insecure", "true")];
        let message = BrokerConfig::with(base).unwrap_err().to_string();
        assert!(message.contains("advertised.listeners"), "{message}");
        let told = base.into_iter().chain([("advertised.listeners", "broker.example:9092")]);
        let config = BrokerConfig::with(told).unwrap();
        let advertised = config.listener.advertised("PLAINTEXT", 9092).unwrap();
        assert_eq!(advertised.to_string(), "broker.example:9092");
        let itself = base.into_iter().chain([("advertised.listeners", "0.0.0.0:9092")]);
        assert!(BrokerConfig::with(itself).is_err());
    }
}

#[test]
fn port_zero_is_advertised_as_the_port_that_was_bound() {
    let config = BrokerConfig::with([("listeners", "127.0.0.1:0")]).unwrap();
    let advertised = config.listener.advertised("PLAINTEXT", 40_123).unwrap();
    assert_eq!(advertised.to_string(), "127.0.0.1:40123");
}

#[test]
fn listener_names_need_a_protocol_that_is_served() {
    let cases = [
        ("SSL://127.0.0.1:9093", "only PLAINTEXT"),
        ("INSIDE://127.0.0.1:9093", "no protocol"),
        ("127.0.0.1:1,127.0.0.1:2", "PLAINTEXT twice"),
    ];
    for (listeners, expected) in cases {
        let message = BrokerConfig::with([("listeners", listeners)]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    BrokerConfig::with([
        ("listeners", "INSIDE://127.0.0.1:9093,PLAINTEXT://127.0.0.1:9092"),
        ("listener.security.protocol.map", "INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
    ])
    .unwrap();
}

#[test]
fn the_peer_listener_opens_with_the_voters() {
    assert_eq!(BrokerConfig::default().listener.peer, None);
    let config =
        BrokerConfig::with([("controller.quorum.voters", "1@127.0.0.1:9192,2@127.0.0.1:9193")])
            .unwrap();
    assert_eq!(config.listener.peer.unwrap().to_string(), "127.0.0.1:9192");
    assert_eq!(config.replication.voters.len(), 2);
    assert_eq!(config.replication.voters[1].node_id, 2);
}

#[test]
fn the_finest_unit_of_retention_wins() {
    type Case = (&'static [(&'static str, &'static str)], Option<i64>);
    let cases: [Case; 5] = [
        (&[], Some(604_800_000)),
        (&[("log.retention.hours", "1")], Some(3_600_000)),
        (&[("log.retention.hours", "1"), ("log.retention.minutes", "2")], Some(120_000)),
        (&[("log.retention.minutes", "2"), ("log.retention.ms", "3")], Some(3)),
        (&[("log.retention.hours", "-1")], None),
    ];
    for (settings, expected) in cases {
        let config = BrokerConfig::with(settings.iter().copied()).unwrap();
        assert_eq!(config.topic(&BTreeMap::new()).retention_ms, expected, "{settings:?}");
    }
}

#[test]
fn a_topic_setting_wins_over_every_layer_of_the_broker() {
    let map = |value: &str| BTreeMap::from([("log.segment.bytes".to_owned(), value.to_owned())]);
    let settings = BrokerConfig::with([("log.segment.bytes", "2000000")]).unwrap().settings;
    let bytes =
        |settings: &Settings| TopicConfig::resolve(&BTreeMap::new(), settings).segment_bytes;
    assert_eq!(bytes(&settings), 2_000_000);
    let settings = settings.with_dynamic(&map("3000000"), &BTreeMap::new());
    assert_eq!(bytes(&settings), 3_000_000);
    let settings = settings.with_dynamic(&map("3000000"), &map("4000000"));
    assert_eq!(bytes(&settings), 4_000_000);
    let own = BTreeMap::from([("segment.bytes".to_owned(), "5000000".to_owned())]);
    assert_eq!(TopicConfig::resolve(&own, &settings).segment_bytes, 5_000_000);
}

#[test]
fn two_of_three_replicas_must_be_in_sync_unless_somebody_chose() {
    let topic = BrokerConfig::default().topic(&BTreeMap::new());
    assert_eq!([1, 2, 3, 5].map(|replicas| topic.min_insync_replicas(replicas)), [1, 1, 2, 2]);
    let chosen = BTreeMap::from([("min.insync.replicas".to_owned(), "3".to_owned())]);
    assert_eq!(BrokerConfig::default().topic(&chosen).min_insync_replicas(3), 3);
}

#[test]
fn topic_values_are_checked_as_kafka_checks_them() {
    let cases = [
        ("cleanup.policy", "compact,delete", true),
        ("cleanup.policy", "", true),
        ("cleanup.policy", "compact,compact", false),
        ("cleanup.policy", "squash", false),
        ("compression.gzip.level", "-1", true),
        ("compression.gzip.level", "0", false),
        ("leader.replication.throttled.replicas", "*", true),
        ("leader.replication.throttled.replicas", "0:1,1:2", true),
        ("leader.replication.throttled.replicas", "0-1", false),
        ("retention.ms", "-2", false),
        ("segment.bytes", "1048575", false),
        ("segment.bytes", " 1048576 ", true),
        ("preallocate", "TRUE", true),
    ];
    for (name, value, allowed) in cases {
        let definition = find(Scope::Topic, name).unwrap();
        assert_eq!(definition.check(value).is_ok(), allowed, "{name}={value}");
    }
}

#[test]
fn durations_of_share_groups_are_iso_8601() {
    let reset = find(Scope::Group, "share.auto.offset.reset").unwrap();
    for good in
        ["latest", "earliest", "by_duration:PT1H30M", "by_duration:P2D", "by_duration:P1DT0.5S"]
    {
        assert!(reset.check(good).is_ok(), "{good}");
    }
    for bad in [
        "none",
        "by_duration:",
        "by_duration:P",
        "by_duration:PT",
        "by_duration:1h",
        "by_duration:PT1S2H",
    ] {
        assert!(reset.check(bad).is_err(), "{bad}");
    }
}
