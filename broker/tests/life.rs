//! Start, stop, and what a broker owns meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_broker::{Broker, StartError};
use flumen_client::connection::{BoxFuture, Seams, Spawn, TaskHandle};
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use flumen_storage::log_dir::LogDirError;
use flumen_storage::vfs::RealDisk;
use support::{Node, batch, config};

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn start_error(config: BrokerConfig) -> StartError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Broker::start_on(config, Seams::real(), Arc::new(RealDisk));
    runtime.block_on(started).unwrap_err()
}

fn directories(dir: &Path, part: &str) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.contains(part)).collect()
}

#[test]
fn a_deleted_topic_leaves_nothing_to_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut client = node.client();
    for round in 0..3 {
        node.create_topic("gone", 2, &[]);
        assert_eq!(client.produce("gone", 1, batch(&["a", "b"])), (ErrorCode::None, 0), "{round}");
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: Some("gone".to_owned()), ..Default::default() }],
            timeout_ms: 5000,
            ..Default::default()
        };
        assert_eq!(client.call(6, &request).responses[0].error_code, 0);
        let (error, _) = client.produce("gone", 1, batch(&["late"]));
        assert_eq!(error, ErrorCode::UnknownTopicOrPartition);
    }
    node.stop();
    // What a stop has interrupted is removed by the next start.
    Node::start(dir.path()).stop();
    assert_eq!(directories(dir.path(), "gone"), [""; 0]);
}

/// Tasks of one name begin late, as they may on a busy machine.
#[derive(Debug)]
struct Late {
    name: &'static str,
    by: Duration,
    inner: Arc<dyn Spawn>,
}

impl Spawn for Late {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        let by = if name == self.name { self.by } else { Duration::ZERO };
        let late = async move {
            tokio::time::sleep(by).await;
            future.await;
        };
        self.inner.spawn(name, Box::pin(late))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.inner.blocking(work);
    }
}

#[test]
fn metadata_that_changes_before_it_is_followed_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("led", 1, &[]);
    node.stop();
    // The broker comes into service, and is made the leader, before the task begins that brings its
    // partitions in line with the metadata.
    let mut seams = Seams::real();
    let inner = Arc::clone(&seams.spawn);
    seams.spawn = Arc::new(Late { name: "reconcile", by: Duration::from_millis(500), inner });
    let node = Node::start_on(config(dir.path(), &[]), seams);
    assert_eq!(node.client().produce("led", 0, batch(&["a"])), (ErrorCode::None, 0));
    node.stop();
}

#[test]
fn the_marker_of_a_clean_shutdown_is_there_only_after_one() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join(".kafka_cleanshutdown");
    let node = Node::start(dir.path());
    assert!(!marker.exists());
    node.stop();
    assert!(marker.exists());
    let node = Node::start(dir.path());
    assert!(!marker.exists());
    drop(node);
    assert!(!marker.exists());
}

#[test]
fn what_stops_a_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let locked = start_error(config(dir.path(), &[]));
    assert!(matches!(locked, StartError::DataDir(LogDirError::Locked { .. })), "{locked}");

    let elsewhere = tempfile::tempdir().unwrap();
    let address = format!("PLAINTEXT://{}", node.addr());
    let taken = BrokerConfig::with([
        ("log.dirs", elsewhere.path().to_str().unwrap()),
        ("listeners", address.as_str()),
        ("http.listener", ""),
    ]);
    let taken = start_error(taken.unwrap());
    assert!(matches!(taken, StartError::Bind { setting: "listeners", .. }), "{taken}");
    assert_eq!(directories(elsewhere.path(), ""), [""; 0], "nothing was touched");
    node.stop();

    let other = start_error(config(dir.path(), &[("node.id", "7")]));
    assert!(matches!(other, StartError::OtherNode { found: 1, expected: 7, .. }), "{other}");
}

#[test]
fn health_and_metrics_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("log.dirs", dir.path().to_str().unwrap())];
    let own = [("listeners", "PLAINTEXT://127.0.0.1:0"), ("http.listener", "127.0.0.1:0")];
    let settings = BrokerConfig::with(settings.into_iter().chain(own)).unwrap();
    let node = Node::start_on(settings, Seams::real());
    node.create_topic("t", 1, &[]);
    node.client().produce("t", 0, batch(&["a"]));
    let get = |path: &str| {
        let mut stream = TcpStream::connect(node.broker().http_addr().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health").starts_with("HTTP/1.1 200"));
    let page = get("/metrics");
    for line in [
        "flumen_requests_total{api=\"Produce\"} 1",
        "flumen_log_end_offset{topic=\"t\",partition=\"0\"} 1",
        "flumen_partitions_offline 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    assert!(get("/nothing").starts_with("HTTP/1.1 404"));
    node.stop();
}

/// Tasks of one name end as soon as they have begun, in a failed assertion or without a word.
#[derive(Debug)]
struct Ending {
    name: &'static str,
    panics: bool,
    inner: Arc<dyn Spawn>,
}

impl Spawn for Ending {
    fn spawn(&self, name: &'static str, mut future: BoxFuture<'static, ()>) -> TaskHandle {
        let (is_meant, panics) = (name == self.name, self.panics);
        let ending = async move {
            if is_meant {
                assert!(futures_util::poll!(&mut future).is_pending());
                assert!(!panics, "planted");
            } else {
                future.await;
            }
        };
        self.inner.spawn(name, Box::pin(ending))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.inner.blocking(work);
    }
}

fn ending(name: &'static str, panics: bool) -> Seams {
    let real = Seams::real();
    let spawn = Arc::new(Ending { name, panics, inner: Arc::clone(&real.spawn) });
    Seams { spawn, ..real }
}

#[test]
fn a_start_ends_with_the_task_that_it_waits_for() {
    for panics in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let started =
            Broker::start_on(config(dir.path(), &[]), ending("member", panics), Arc::new(RealDisk));
        let started = runtime.block_on(async { tokio::time::timeout(PATIENCE, started).await });
        let error = started.expect("it waits for ever").unwrap_err();
        assert!(matches!(error, StartError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("\"member\""), "{error}");
    }
}

/// Nobody else looks after a coordinator: its groups would wait for ever.
#[test]
fn a_broker_without_one_of_its_parts_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start_on(config(dir.path(), &[]), ending("coordinator", true));
    node.create_topic("__consumer_offsets", 1, &[]);
    let reason = node.failed(PATIENCE).expect("nothing is said");
    assert!(reason.contains("\"coordinator\""), "{reason}");
    node.stop();
}
