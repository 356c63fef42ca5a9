//! What strangers may take, measured on a broker of its own each: every figure of docs/limits.md.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_protocol::messages::api_versions::ApiVersionsRequest;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use flumen_protocol::messages::find_coordinator::FindCoordinatorRequest;
use flumen_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use flumen_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use flumen_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen_protocol::records::compression::Compression;
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_protocol::{ErrorCode, Records};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::broker_process::BrokerProcess;
use crate::stranger::{Stranger, frame};
use crate::undisturbed::Undisturbed;

const MEBIBYTE: u64 = 1 << 20;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a client that is not held up by others may wait on a busy machine; one that is waits longer.
const UNDISTURBED_MAX: Duration = Duration::from_secs(10);

fn start(settings: &[&str]) -> (tempfile::TempDir, BrokerProcess) {
    let data = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    let broker = BrokerProcess::start_on(data.path(), 0, &arguments);
    (data, broker)
}

fn create_topics(broker: &BrokerProcess, names: &[String], partitions: i32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(&broker.bootstrap()).connect().await.unwrap();
        for name in names {
            client.admin().create_topic(&NewTopic::new(name, partitions)).await.unwrap();
        }
    });
}

/// A stranger of the network 127.2, and whether the broker serves it.
fn visitor(broker: &BrokerProcess, net: u8, host: u8) -> Option<Stranger> {
    let mut stranger = Stranger::from(Ipv4Addr::new(127, 2, net, host), broker);
    stranger.ask(0, &ApiVersionsRequest::default()).is_ok().then_some(stranger)
}

/// A stranger that has shown that it speaks the protocol.
fn known(broker: &BrokerProcess) -> Stranger {
    let mut stranger = Stranger::new(broker);
    stranger.ask(0, &ApiVersionsRequest::default()).unwrap();
    stranger
}

/// Lets this process and those it starts open so many files (`ulimit -n`), if the system permits it.
fn allow_files(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let raised =
            Rlimit { current: Some(limit.maximum.map_or(count, |most| most.min(count))), ..limit };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "what a client would wait is measured")]
fn now() -> Instant {
    Instant::now()
}

/// The address of the http listener.
fn http(broker: &BrokerProcess) -> &str {
    broker.ready_line.split("http://").nth(1).unwrap().split(';').next().unwrap()
}

/// A value on `/metrics`; 0 before there is one.
fn metric(broker: &BrokerProcess, name: &str) -> u64 {
    let mut stream = TcpStream::connect(http(broker)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

fn closed(broker: &BrokerProcess, reason: &str) -> u64 {
    metric(broker, &format!("flumen_connections_closed_total{{reason=\"{reason}\"}}"))
}

#[test]
fn connections_are_limited_in_all_and_per_address() {
    let (_data, broker) = start(&["max.connections=60", "max.connections.per.ip=20"]);
    let fill = |net| -> Vec<_> { (0..20).map_while(|_| visitor(&broker, 0, net)).collect() };
    let groups: Vec<_> = (1..=3).map(fill).collect();
    assert!(groups.iter().all(|group| group.len() == 20));
    assert!(visitor(&broker, 0, 1).is_none(), "21 from one address");
    assert!(visitor(&broker, 0, 4).is_none(), "61 in all");
    drop(groups);
    let mut back = Vec::new();
    wait_until("all places are free again", || {
        back.extend(visitor(&broker, 0, 5));
        back.len() == 20
    });
}

/// With the default, for which the broker needs 4,000 files, and this process a thousand.
#[test]
fn a_thousand_connections_of_one_address_are_served_and_no_more() {
    allow_files(4_000);
    let (_data, broker) = start(&[]);
    let mut visitors = Vec::new();
    visitors.extend((0..1_000).map_while(|_| visitor(&broker, 7, 1)));
    assert_eq!(visitors.len(), 1_000);
    assert!(visitor(&broker, 7, 1).is_none(), "1,001 from one address");
    assert!(visitor(&broker, 7, 2).is_some(), "the first from another");
    visitors.pop();
    wait_until("a place is free again", || visitor(&broker, 7, 1).is_some());
}

/// Connections to the http listener take files as well, and the logs need those.
#[test]
fn connections_for_http_are_limited() {
    let (_data, broker) = start(&[]);
    let connect = || {
        let mut stream = TcpStream::connect(http(&broker)).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        assert_eq!(&answer, b"HTTP/1.1 200");
        Some(stream)
    };
    let mut visitors: Vec<TcpStream> = (0..100).map_while(|_| connect()).collect();
    assert_eq!(visitors.len(), 100);
    assert!(connect().is_none(), "101 at once");
    visitors.pop();
    wait_until("a place is free again", || connect().is_some());
}

#[test]
fn requests_are_limited_in_size() {
    // A 128th of it is 4 MiB.
    let (_data, broker) = start(&["queued.max.request.bytes=536870912"]);
    let announce = |stranger: &mut Stranger, size: usize, key: i16| {
        let size = i32::try_from(size).unwrap().to_be_bytes();
        stranger.send(&[&size[..], &key.to_be_bytes()].concat()).unwrap();
    };
    let mut stranger = Stranger::new(&broker);
    announce(&mut stranger, 64 * 1024 + 1, 18);
    assert!(stranger.is_closed(), "more than 64 KiB before the first request");
    for (key, limit) in [(0, 16 << 20), (3, 4 << 20)] {
        let mut stranger = known(&broker);
        announce(&mut stranger, limit + 1, key);
        assert!(stranger.is_closed(), "api {key}: more than {limit}");
        // Of the right size it is waited for.
        let mut stranger = known(&broker);
        announce(&mut stranger, limit, key);
        stranger.set_patience(Duration::from_millis(300));
        assert!(!stranger.is_closed(), "api {key}: {limit}");
    }
}

/// What decoding may take is there before it begins, and free again after the answer.
#[test]
fn large_requests_wait_for_the_memory_to_decode_them() {
    // Just below 8 MiB, which are the most with this much memory: two of them need more than all.
    const SIZE: usize = 8_320_000;
    let (_data, broker) =
        start(&["queued.max.request.bytes=1073741824", "group.initial.rebalance.delay.ms=300000"]);
    create_topics(&broker, &["t".to_owned()], 1);
    let used = || metric(&broker, "flumen_request_memory_bytes");
    let mut committer = known(&broker);
    coordinator(&mut committer);
    let commit = large_commit(SIZE);
    let is_answered = |answer: OffsetCommitResponse| {
        let codes = answer.topics[0].partitions.iter().map(|partition| partition.error_code);
        codes.eq((0..SIZE / COMMITTED_BYTES).map(|index| if index == 0 { 0 } else { 3 }))
    };
    assert!(is_answered(committer.ask(9, &commit).unwrap()));

    let mut joiner = known(&broker);
    let mut joining = join("group-0");
    joining.protocols[0].metadata = vec![0; SIZE].into();
    joiner.send(&frame(3, &joining)).unwrap();
    let decoded = 64 * u64::try_from(SIZE).unwrap();
    wait_until("one joins", || used() > decoded);
    committer.send(&frame(9, &commit)).unwrap();
    committer.set_patience(Duration::from_millis(300));
    assert!(committer.read_frame().is_err(), "there is no memory for both");
    assert!(used() < 2 * decoded);
    drop(joiner);
    committer.set_patience(PATIENCE);
    committer.read_frame().unwrap();
    assert!(is_answered(committer.ask(9, &commit).unwrap()));
    wait_until("no memory is kept", || used() < 64 * MEBIBYTE);
}

#[test]
fn strangers_and_slow_senders_are_given_up_and_disturb_nobody() {
    let (_data, broker) = start(&[]);
    let client = Undisturbed::start(&broker.bootstrap());
    let began = now();
    let _silent = Stranger::new(&broker);
    let mut half = Stranger::new(&broker);
    half.send(&frame(0, &ApiVersionsRequest::default())[..7]).unwrap();

    let mut senders: Vec<_> = (1..=200).map(|host| visitor(&broker, 3, host).unwrap()).collect();
    // A request of a megabyte, a byte a second.
    let announced = [&(1_i32 << 20).to_be_bytes()[..], &0_i16.to_be_bytes()].concat();
    for sender in &mut senders {
        sender.send(&announced).unwrap();
    }
    wait_until("strangers are closed", || closed(&broker, "no_first_request") == 2);
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    wait_until("slow senders are closed", || {
        for sender in &mut senders {
            let _ = sender.send(&[0]);
        }
        std::thread::sleep(Duration::from_millis(980));
        closed(&broker, "slow_request") == 200
    });
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
    let latency = client.stop();
    assert!(latency.p99 < UNDISTURBED_MAX, "{latency:?}");
}

#[test]
fn slow_readers_cost_what_all_answers_may_and_are_closed_when_others_need_it() {
    let (_data, broker) = start(&["queued.max.request.bytes=33554432"]);
    create_topics(&broker, &["wide".to_owned()], 4_000);
    let client = Undisturbed::start(&broker.bootstrap());
    let before = broker.resident_bytes();
    // Each asks for more than a hundred megabytes, and reads none of it.
    let burst = frame(9, &MetadataRequest { topics: None, ..Default::default() }).repeat(1_000);
    let mut readers: Vec<_> = (1..=100).map(|host| visitor(&broker, 4, host).unwrap()).collect();
    for reader in &mut readers {
        reader.set_insistence(Duration::from_millis(1));
        let _ = reader.send(&burst);
    }
    // Until what is left of them fits into the memory there is.
    wait_until("slow readers are closed", || {
        closed(&broker, "slow_reader") + closed(&broker, "no_memory") >= 50
    });
    let grown = broker.peak_resident_bytes().saturating_sub(before);
    assert!(grown < 120 * MEBIBYTE, "{} MiB for 32 MiB of answers", grown / MEBIBYTE);
    assert!(client.is_well());
    let latency = client.stop();
    assert!(latency.max < 2 * UNDISTURBED_MAX, "{latency:?}");
}

#[test]
fn memory_that_slow_senders_hold_goes_to_those_who_wait_for_it() {
    let (_data, broker) = start(&["queued.max.request.bytes=4194304"]);
    create_topics(&broker, &["t".to_owned()], 1);
    let part = [&(3_i32 << 20).to_be_bytes()[..], &[0; 2_500_000]].concat();
    let mut holders: Vec<_> = (1..=3).map(|host| visitor(&broker, 5, host).unwrap()).collect();
    for holder in &mut holders {
        holder.set_insistence(Duration::from_millis(200));
        let _ = holder.send(&part);
    }
    // Where each of them has its turn before, it waits longer than the broker lets it, and comes again.
    let request = produce("t", batch(Compression::None, &vec![7; 900_000]));
    let mut produced = None;
    wait_until("others have memory", || {
        produced = known(&broker).ask(9, &request).ok();
        produced.is_some()
    });
    assert_eq!(produced.unwrap().responses[0].partition_responses[0].error_code, 0);
    wait_until("slow senders are closed", || {
        closed(&broker, "slow_request") + closed(&broker, "no_memory") > 0
    });
}

#[test]
fn ten_thousand_connections_come_and_go_without_a_trace() {
    let (_data, broker) = start(&[]);
    let come_and_go = |count: u32| {
        for number in 0..count {
            let host = u8::try_from(1 + number % 250).unwrap();
            drop(Stranger::from(Ipv4Addr::new(127, 2, 6, host), &broker));
        }
        wait_until("all are gone", || metric(&broker, "flumen_connections") == 0);
    };
    come_and_go(1_000);
    let (files, memory) = (broker.open_files(), broker.resident_bytes());
    come_and_go(10_000);
    wait_until("no files stay open", || broker.open_files() <= files);
    let grown = broker.resident_bytes().saturating_sub(memory);
    assert!(grown < 16 * MEBIBYTE, "{grown} bytes stay");
}

#[test]
fn requests_in_flight_are_limited_per_connection() {
    let (_data, broker) = start(&["max.in.flight.requests.per.connection=50"]);
    create_topics(&broker, &["t".to_owned()], 1);
    let mut waiting = known(&broker);
    let request = fetch(&["t".to_owned()], 60_000);
    waiting.send(&frame(12, &request).repeat(80)).unwrap();
    let started = || metric(&broker, "flumen_requests_total{api=\"Fetch\"}");
    wait_until("fifty are started", || started() == 50);
    let produced = known(&broker).ask(9, &produce("t", batch(Compression::None, b"v"))).unwrap();
    assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    for _ in 0..80 {
        waiting.read_frame().unwrap();
    }
    assert_eq!(started(), 80);
}

#[test]
fn who_asks_for_everything_gets_it_within_bounds() {
    let (_data, broker) = start(&[]);
    let names: Vec<String> = (0..1_000).map(|number| format!("topic-{number}")).collect();
    create_topics(&broker, &names, 1);
    let mut stranger = known(&broker);
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(stranger.ask(9, &all).unwrap().topics.len(), 1_000);

    let before = broker.resident_bytes();
    let sessions = (0..1_100).filter(|_| {
        let answer = stranger.ask(12, &fetch(&names[..500], 0)).unwrap();
        answer.session_id != 0
    });
    // On a slow machine the first ones are old by then, and make room.
    assert!(sessions.count() >= 1_000);
    let kept = metric(&broker, "flumen_fetch_sessions");
    assert_eq!(kept, 1_000, "1,000 sessions, of 500 partitions each on average");
    let for_sessions = broker.resident_bytes().saturating_sub(before);
    assert!(for_sessions < 300 * MEBIBYTE, "{} MiB", for_sessions / MEBIBYTE);

    let before = broker.resident_bytes();
    coordinator(&mut stranger);
    for number in 0..10_000 {
        let answer = stranger.ask(9, &join(&format!("group-{}", number % 3_000))).unwrap();
        assert_eq!(answer.error_code, ErrorCode::MemberIdRequired.code());
    }
    let for_members = broker.resident_bytes().saturating_sub(before);
    assert!(for_members < 64 * MEBIBYTE, "{} MiB", for_members / MEBIBYTE);
}

#[test]
fn bombs_and_wide_requests_stay_within_bounds() {
    let (_data, broker) = start(&["max.decompressed.message.bytes=8388608"]);
    create_topics(&broker, &["t".to_owned()], 1);
    let mut stranger = known(&broker);
    let before = broker.peak_resident_bytes();
    let zeros = vec![0; 9 << 20];
    for codec in &Compression::ALL[1..] {
        let answer = stranger.ask(9, &produce("t", batch(*codec, &zeros))).unwrap();
        let outcome = &answer.responses[0].partition_responses[0];
        assert_ne!(outcome.error_code, 0, "{codec}");
        let message = outcome.error_message.as_deref().unwrap_or_default();
        assert!(message.contains("more than 8388608 bytes"), "{codec}: {message}");
    }
    let grown = broker.peak_resident_bytes() - before;
    assert!(grown < 32 * MEBIBYTE, "bombs: {} MiB", grown / MEBIBYTE);

    // However often a resource is named, it is described a hundred times more at most.
    let resource = DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".to_owned(),
        ..Default::default()
    };
    let resources = vec![resource; 500_000];
    let request = DescribeConfigsRequest { resources, ..Default::default() };
    assert_eq!(stranger.ask(4, &request).unwrap().results.len(), 101);
    // The most elements that a request can hold.
    let name = |number: u32| MetadataRequestTopic {
        name: Some(format!("{number:x}")),
        ..Default::default()
    };
    let topics = Some((0..450_000).map(name).collect());
    let request = MetadataRequest { topics, ..Default::default() };
    assert_eq!(stranger.ask(9, &request).unwrap().topics.len(), 450_000);
    let grown = broker.peak_resident_bytes() - before;
    assert!(grown < 400 * MEBIBYTE, "wide requests: {} MiB", grown / MEBIBYTE);
}

/// Waits until the broker coordinates groups.
fn coordinator(stranger: &mut Stranger) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["group-0".to_owned()],
        ..Default::default()
    };
    wait_until("there is a coordinator", || {
        stranger.ask(4, &request).unwrap().coordinators[0].error_code == 0
    });
    // Enough names to reach every partition that groups live on.
    for number in 0..500 {
        wait_until("groups are loaded", || {
            let answer = stranger.ask(9, &join(&format!("group-{number}"))).unwrap();
            answer.error_code == ErrorCode::MemberIdRequired.code()
        });
    }
}

fn join(group_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group_id.to_owned(),
        session_timeout_ms: 1_800_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".to_owned(),
            metadata: Bytes::from_static(&[0; 100]),
        }],
        ..Default::default()
    }
}

/// Bytes of metadata beside each offset of a large commit.
const COMMITTED_BYTES: usize = 4_000;

/// A commit of about so many bytes for partitions of the topic `t`.
fn large_commit(size: usize) -> OffsetCommitRequest {
    let partition = |index: usize| OffsetCommitRequestPartition {
        partition_index: index.try_into().unwrap(),
        committed_metadata: Some("m".repeat(COMMITTED_BYTES)),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: "group-1".to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".to_owned(),
            partitions: (0..size / COMMITTED_BYTES).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch(topics: &[String], max_wait_ms: i32) -> FetchRequest {
    let topic = |name: &String| FetchTopic {
        topic: name.clone(),
        partitions: vec![FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() }],
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        session_epoch: if max_wait_ms == 0 { 0 } else { -1 },
        topics: topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

fn batch(codec: Compression, value: &[u8]) -> Bytes {
    let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append(1_700_000_000_000, None, Some(value), &[]);
    builder.build()
}

fn produce(topic: &str, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: 0, records: Some(Records::from(records)) };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![data],
        ..Default::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// The page names the test of every figure, and no other.
#[test]
fn the_page_of_limits_names_tests_that_exist() {
    let page = include_str!("../../../docs/limits.md");
    let own = [include_str!("limits.rs"), include_str!("mutated.rs")].concat();
    let is_test = |word: &str| {
        let is_name = word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_name && word.matches('_').count() >= 3 && !word.starts_with("flumen_")
    };
    let named: Vec<&str> = page.split('`').filter(|word| is_test(word)).collect();
    for name in &named {
        assert!(own.contains(&format!("fn {name}()")), "{name} is no test");
    }
    assert!(named.len() >= 10, "{named:?}");
}
