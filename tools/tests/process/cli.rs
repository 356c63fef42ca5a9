//! The command line: what it prints for people and for programs, and how it exits.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::broker_process::{BrokerProcess, FLUMEN, flumen};

#[test]
fn exit_codes_tell_failures_apart() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let cases: &[(&[&str], i32, &str)] = &[
        (&["topic", "create", "codes"], 0, "codes created"),
        (&["topic", "create", "codes"], 1, "TOPIC_ALREADY_EXISTS"),
        (&["topic", "create", "codes", "--if-not-exists"], 0, ""),
        (&["topic", "create", "a/b"], 2, "INVALID_TOPIC_EXCEPTION"),
        (&["topic", "create", "few", "-p", "0"], 2, "0 is not in 1.."),
        (&["topic", "create", "many", "-r", "3"], 2, "INVALID_REPLICATION_FACTOR"),
        (&["topic", "describe", "missing"], 3, "missing does not exist"),
        (&["topic", "delete", "missing"], 3, "UNKNOWN_TOPIC_OR_PARTITION"),
        (&["topic", "alter", "codes", "--set", "no.such=1"], 2, "no.such"),
        (&["topic", "alter", "codes"], 2, "--set"),
        (&["topic", "trim", "codes"], 2, "--all"),
        (&["topic", "trim", "codes", "--all", "-p", "7"], 3, "no partition 7"),
        (&["group", "describe", "missing"], 3, "missing"),
        (&["group", "delete", "missing"], 3, "GROUP_ID_NOT_FOUND"),
        (&["group", "seek", "none", "--to", "start"], 2, "--topic"),
        (&["group", "seek", "none", "--to", "somewhere"], 2, "allowed is start, end"),
        (&["produce", "missing"], 3, "missing does not exist"),
        (&["consume", "missing", "-o", "start", "-n", "1"], 3, "missing does not exist"),
        (&["consume", "codes", "-f", "%q"], 2, "unknown field %q"),
        (&["log", "dump", "/no/such/place"], 3, "/no/such/place"),
        (&["cluster", "health"], 0, ""),
        (&["frobnicate"], 2, "unrecognized subcommand"),
    ];
    for (arguments, code, said) in cases {
        let output = flumen(&broker.bootstrap(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {output:?}");
        assert!(stderr.contains(said), "{arguments:?} said: {stderr}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_named_with_a_remedy() {
    let output = flumen("127.0.0.1:1", &["topic", "list"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("127.0.0.1:1") && said.contains("flumen broker"), "{said}");
}

#[test]
fn benches_count_every_record() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let figures = |arguments: &[&str]| {
        let output = flumen(&broker.bootstrap(), &[arguments, &["--output", "json"]].concat());
        succeed(&output);
        json(&output)
    };
    let unbatched = ["-X", "batch.size=1", "-X", "linger.ms=0"];
    let produced = figures(&[&["bench", "produce", "-n", "300"], &unbatched[..]].concat());
    assert_eq!(produced["acknowledged"]["count"], 300);
    assert_eq!(figures(&["bench", "consume", "-n", "300"])["records"], 300);
    for pace in [&[][..], &["--rate", "1000"]] {
        let latency = [&["bench", "latency", "--topic", "one", "-n", "200"], pace].concat();
        let latency = figures(&latency);
        assert_eq!(latency["acknowledged"]["count"], 200, "{latency}");
        assert_eq!(latency["consumed"]["count"], 200, "{latency}");
    }
    let output = flumen(&broker.bootstrap(), &["bench", "produce", "-X", "linger.ms"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_consumed_as_json_can_be_produced_again() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let bootstrap = broker.bootstrap();
    for topic in ["source", "copy"] {
        succeed(&flumen(&bootstrap, &["topic", "create", topic]));
    }
    let input = "k1:v1\nk2:\nno key\nk3:Größe\n";
    succeed(&fed(
        &bootstrap,
        &["produce", "source", "-k", ":", "-Z", "-H", "h=x"],
        input.as_bytes(),
    ));
    fed(&bootstrap, &["produce", "source"], b"\xff\xfe\n");
    let consume = |topic| {
        let arguments = ["consume", topic, "-o", "start", "-n", "5", "--json"];
        let output = flumen(&bootstrap, &arguments);
        succeed(&output);
        output.stdout
    };
    let first = consume("source");
    succeed(&fed(&bootstrap, &["produce", "copy", "--json"], &first));
    let (first, second) = (lines(&first), lines(&consume("copy")));
    for (record, copy) in first.iter().zip(&second) {
        for field in ["offset", "timestamp", "key", "value", "value_base64", "headers"] {
            assert_eq!(record[field], copy[field], "{record} {copy}");
        }
    }
    assert_eq!(first[1]["value"], Value::Null);
    assert_eq!(first[2]["key"], Value::Null);
    assert_eq!(first[4]["value_base64"], "//4=");
    assert_eq!(first[0]["headers"][0]["name"], "h");
}

#[test]
fn places_and_formats_choose_what_is_printed() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let bootstrap = broker.bootstrap();
    succeed(&flumen(&bootstrap, &["topic", "create", "places"]));
    succeed(&fed(&bootstrap, &["produce", "places"], b"a\nb\nc\nd\n"));
    let cases: &[(&[&str], &str)] = &[
        (&["-o", "start", "-n", "2"], "a\nb\n"),
        (&["-o", "+1", "-n", "2"], "b\nc\n"),
        (&["-o", "-1"], "d\n"),
        (&["-o", "2"], "c\nd\n"),
        (&["-o", "start"], "a\nb\nc\nd\n"),
        (&["-o", "@-1h", "-n", "1"], "a\n"),
        (&["-o", "end"], ""),
        (&["-o", "start", "-f", "%p/%o=%v;"], "0/0=a;0/1=b;0/2=c;0/3=d;"),
    ];
    for (arguments, expected) in cases {
        let output = flumen(&bootstrap, &[&["consume", "places"], *arguments].concat());
        succeed(&output);
        assert_eq!(String::from_utf8_lossy(&output.stdout), *expected, "{arguments:?}");
    }
}

#[test]
fn groups_remember_are_moved_and_are_deleted() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let bootstrap = broker.bootstrap();
    succeed(&flumen(&bootstrap, &["topic", "create", "shared"]));
    succeed(&fed(&bootstrap, &["produce", "shared"], b"a\nb\nc\nd\n"));
    let taken = |count: &str| {
        let output =
            flumen(&bootstrap, &["consume", "shared", "-g", "team", "-o", "start", "-n", count]);
        succeed(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(taken("1"), "a\n");
    assert_eq!(taken("2"), "b\nc\n");
    let described = json(&flumen(&bootstrap, &["group", "describe", "team", "--output", "json"]));
    assert_eq!(described[0]["lag"], 1, "{described}");
    assert_eq!(described[0]["state"], "Empty", "{described}");
    assert_eq!(described[0]["offsets"][0]["committed_offset"], 3, "{described}");
    let moved = flumen(&bootstrap, &["group", "seek", "team", "--to", "+1", "--output", "json"]);
    assert_eq!(json(&moved)[0]["to"], 1);
    assert_eq!(taken("1"), "b\n");
    let listed = json(&flumen(&bootstrap, &["group", "list", "--output", "json"]));
    assert_eq!(listed[0]["group"], "team", "{listed}");
    succeed(&flumen(&bootstrap, &["group", "delete", "team"]));
    assert_eq!(json(&flumen(&bootstrap, &["group", "list", "--output", "json"])), json_list());
}

#[test]
fn a_stopped_broker_s_files_can_be_read() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let bootstrap = broker.bootstrap();
    succeed(&flumen(&bootstrap, &["topic", "create", "files"]));
    succeed(&fed(&bootstrap, &["produce", "files", "-z", "zstd"], b"a\nb\n"));
    assert_eq!(broker.stop(), Some(0));

    let partition = data.path().join("files-0");
    let path = partition.to_str().unwrap();
    let dumped = flumen("", &["log", "dump", path, "--records", "--output", "json"]);
    succeed(&dumped);
    let values: Vec<_> = lines(&dumped.stdout).iter().map(|line| line["value"].clone()).collect();
    assert_eq!(values, ["a", "b"]);
    succeed(&flumen("", &["log", "verify", data.path().to_str().unwrap()]));

    let log = partition.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let verified = flumen("", &["log", "verify", path, "--output", "json"]);
    assert_eq!(verified.status.code(), Some(1));
    let verdicts: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(verdicts[0]["damage"].as_str().unwrap().contains("checksum"), "{verdicts}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let data = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(data.path());
    let bootstrap = broker.bootstrap();
    succeed(&flumen(&bootstrap, &["topic", "create", "piped"]));
    let long: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    succeed(&fed(&bootstrap, &["produce", "piped"], long.as_bytes()));
    let line = format!("{FLUMEN} consume piped -o start -b {bootstrap} | head -n 1");
    let piped = Command::new("bash").args(["-o", "pipefail", "-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "line 0\n");
    assert!(piped.status.success() && piped.stderr.is_empty(), "{piped:?}");
}

/// Runs `flumen` with something on stdin.
fn fed(bootstrap: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(FLUMEN)
        .args(arguments)
        .env("FLUMEN_BOOTSTRAP", bootstrap)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn succeed(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn json(output: &Output) -> Value {
    succeed(output);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn json_list() -> Value {
    Value::Array(Vec::new())
}

fn lines(output: &[u8]) -> Vec<Value> {
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}
