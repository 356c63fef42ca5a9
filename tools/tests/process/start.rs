//! Starting and stopping: the ready line, ports, data directories that are in use, wrong settings.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::broker_process::{BrokerProcess, FLUMEN, command, flumen, wait};
use crate::ports::free_port;

#[test]
fn the_ready_line_names_the_port_and_what_to_type_next() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    assert_ne!(broker.port, 0);
    let (_, next) = broker.ready_line.split_once("next: ").expect("what to type next");
    let words: Vec<&str> = next.split_whitespace().collect();
    assert_eq!(words[0], "flumen");
    // What it says can be typed as it is.
    let typed = std::process::Command::new(FLUMEN).args(&words[1..]).output().unwrap();
    assert!(typed.status.success(), "{next}: {typed:?}");
    assert_eq!(broker.stop(), Some(0), "SIGTERM is a clean stop");
}

#[test]
fn a_second_start_finds_what_the_first_left() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    succeed(&flumen(&broker.bootstrap(), &["topic", "create", "kept", "--partitions", "2"]));
    let identity = cluster_id(&broker);
    assert_eq!(broker.stop(), Some(0));
    let broker = BrokerProcess::start(data.path());
    assert_eq!(cluster_id(&broker), identity);
    let listed = flumen(&broker.bootstrap(), &["topic", "list"]);
    assert_eq!(text(&listed.stdout), "TOPIC\tPARTITIONS\tREPLICAS\nkept\t2\t1\n");
}

#[test]
fn a_data_directory_serves_one_broker_only() {
    let data = tempfile::tempdir().unwrap();
    let mut first = BrokerProcess::start(data.path());
    let second = command(data.path(), 0).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(text(&second.stderr).contains(data.path().to_str().unwrap()), "{second:?}");
    assert!(first.is_running());
    succeed(&flumen(&first.bootstrap(), &["topic", "create", "still-here"]));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let data = tempfile::tempdir().unwrap();
    let refused = command(data.path(), port).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused.stderr).contains(&port.to_string()), "{refused:?}");
}

#[test]
fn a_voter_that_waits_for_the_others_can_be_stopped() {
    let data = tempfile::tempdir().unwrap();
    let [own, other] = [free_port(), free_port()];
    let peer = format!("127.0.0.1:{own}");
    let voters = format!("controller.quorum.voters=1@{peer},2@127.0.0.1:{other}");
    let mut broker = command(data.path(), 0)
        .args(["--peer", &peer, "--set", &voters])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(broker.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("a cluster is founded when all")));
    kill_process(Pid::from_child(&broker), Signal::TERM).unwrap();
    assert_eq!(wait(&mut broker).code(), Some(0), "{:?}", log.collect::<Vec<_>>());
}

#[test]
fn a_wrong_setting_stops_the_start() {
    let cases = [
        (&["--set", "num.partitions=none"][..], &["num.partitions", "none"][..]),
        (&["--set", "num.partitionz=1"], &["num.partitionz", "num.partitions"]),
        (&["--set", "num.partitions"], &["num.partitions", "name=value"]),
        (&["--listen", "0.0.0.0:0"], &["advertised.listeners"]),
        (&["--config", "/no/such/file.toml"], &["/no/such/file.toml"]),
    ];
    for (arguments, named) in cases {
        let data = tempfile::tempdir().unwrap();
        let mut start = std::process::Command::new(FLUMEN);
        start.arg("broker").arg("--data-dir").arg(data.path()).args(arguments);
        let refused = start.output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {refused:?}");
        for word in named {
            assert!(text(&refused.stderr).contains(word), "{arguments:?}: {refused:?}");
        }
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
}

#[test]
fn configurations_can_be_checked_without_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        let mut check = std::process::Command::new(FLUMEN);
        check.args(["broker", "--check-config", "--config"]).arg(path).output().unwrap()
    };
    succeed(&check("good.toml", "\"num.partitions\" = 3\n"));
    assert_eq!(check("wrong.toml", "\"num.partitions\" = 0\n").status.code(), Some(2));
    let unknown = check("unknown.toml", "\"num.partitionz\" = 3\n");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("num.partitions"), "{unknown:?}");
    assert_eq!(check("torn.toml", "num.partitions =\n").status.code(), Some(2));
}

/// Not a promise of speed, which benches measure, but a start that hangs for seconds is a fault.
#[test]
fn a_start_on_an_empty_directory_takes_no_seconds() {
    let data = tempfile::tempdir().unwrap();
    let clock = flumen_client::connection::Seams::real().clock;
    let began = clock.monotonic();
    let broker = BrokerProcess::start(data.path());
    let took = clock.monotonic() - began;
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    println!("ready after {took:?}; {resident}");
    assert!(took < Duration::from_secs(30), "ready after {took:?}");
}

fn cluster_id(broker: &BrokerProcess) -> String {
    let shown = flumen(&broker.bootstrap(), &["cluster", "info", "--output", "json"]);
    succeed(&shown);
    let info: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    info["cluster_id"].as_str().unwrap().to_owned()
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
