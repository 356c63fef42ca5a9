//! Three brokers as three processes: asked each for what only one of them decides, stopped in order,
//! killed and taken out for good. Nothing that was acknowledged is missing, and operators are told
//! once of each loss, and at the end what one broker alone cannot do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::broker_process::{BrokerProcess, FLUMEN, flumen};
use crate::ports::free_port;

/// How often something is asked again that takes the cluster a moment.
const ATTEMPTS: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

struct Cluster {
    folder: tempfile::TempDir,
    /// Listener and peer listener of each broker.
    ports: BTreeMap<i32, (u16, u16)>,
    running: BTreeMap<i32, BrokerProcess>,
}

impl Cluster {
    fn start() -> Self {
        let ports = (1..=3).map(|id| (id, (free_port(), free_port()))).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, ports, running: BTreeMap::new() };
        // None is ready before all have founded the cluster.
        let this = &cluster;
        let started = std::thread::scope(|scope| {
            let start = |id| scope.spawn(move || (id, this.process(id)));
            [1, 2, 3].map(start).map(|thread| thread.join().unwrap())
        });
        cluster.running = started.into_iter().collect();
        cluster
    }

    fn process(&self, id: i32) -> BrokerProcess {
        let (port, peer_port) = self.ports[&id];
        let voters: Vec<_> =
            self.ports.iter().map(|(id, (_, peer))| format!("{id}@127.0.0.1:{peer}")).collect();
        let data: PathBuf = self.folder.path().join(id.to_string());
        let peer = format!("127.0.0.1:{peer_port}");
        let node_id = format!("node.id={id}");
        let voters = format!("controller.quorum.voters={}", voters.join(","));
        // Members of groups come one at a time, and few groups are enough.
        let [at_once, few] =
            ["group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=3"];
        let settings = [&node_id, &voters, at_once, few].map(|setting| ["--set", setting]);
        let arguments = [&["--peer", &peer][..], settings.as_flattened()].concat();
        BrokerProcess::start_on(&data, port, &arguments)
    }

    fn bootstrap(&self, id: i32) -> String {
        format!("127.0.0.1:{}", self.ports[&id].0)
    }

    /// Asks through one broker.
    fn ask(&self, id: i32, arguments: &[&str]) -> Output {
        flumen(&self.bootstrap(id), arguments)
    }

    /// Asks through one broker, which must do it.
    fn done(&self, id: i32, arguments: &[&str]) -> String {
        let output = self.ask(id, arguments);
        assert!(output.status.success(), "{arguments:?} through {id}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks until it is done.
    fn until(&self, id: i32, arguments: &[&str]) {
        for _ in 0..ATTEMPTS {
            if self.ask(id, arguments).status.success() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("{arguments:?} through {id}: {:?}", self.ask(id, arguments));
    }

    /// Where the metadata quorum stands, as one broker says.
    fn quorum(&self, id: i32) -> Value {
        let shown = self.done(id, &["cluster", "quorum", "--output", "json"]);
        serde_json::from_str(&shown).unwrap()
    }

    /// Who leads the quorum, once the broker asked knows of one that runs.
    fn leader(&self, id: i32) -> i32 {
        for _ in 0..ATTEMPTS {
            let leader = self.quorum(id)["leader_id"].as_i64().and_then(|id| id.try_into().ok());
            if let Some(leader) = leader.filter(|leader| self.running.contains_key(leader)) {
                return leader;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("through {id}: {}", self.quorum(id));
    }

    /// What is wrong, as pairs of a kind and a place, once these kinds are among it.
    fn health_with(&self, id: i32, kinds: &[&str]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            let output = self.ask(id, &["cluster", "health", "--output", "json"]);
            // Nothing at all, where the broker did not answer in time.
            let health: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let complaints = health["complaints"].as_array().into_iter().flatten();
            let text = |complaint: &Value, field| complaint[field].as_str().unwrap().to_owned();
            found = complaints.map(|one| (text(one, "kind"), text(one, "about"))).collect();
            if kinds.iter().all(|kind| found.iter().any(|(of, _)| of == kind)) {
                return found;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("through {id}: {found:?}");
    }

    fn voters(&self, id: i32) -> BTreeSet<i64> {
        let quorum = self.quorum(id);
        let members = quorum["replicas"].as_array().unwrap().iter();
        let voters = members.filter(|member| member["role"] == "voter");
        voters.map(|voter| voter["id"].as_i64().unwrap()).collect()
    }

    /// What a group has not read of a topic.
    fn consume(&self, through: i32, topic: &str, group: &str) -> Vec<String> {
        let read = self.done(through, &["consume", topic, "-g", group]);
        read.lines().map(str::to_owned).collect()
    }

    /// A group that lives on `coordinator`, and has read all of a topic.
    fn group_at(&self, coordinator: i32, through: i32, topic: &str) -> String {
        let mut names = (0..ATTEMPTS).map(|number| format!("group-{number}"));
        let lives_there = |name: &String| {
            assert!(!self.consume(through, topic, name).is_empty());
            let shown = self.done(through, &["group", "describe", name, "--output", "json"]);
            let shown: Value = serde_json::from_str(&shown).unwrap();
            shown[0]["coordinator"].as_i64() == Some(coordinator.into())
        };
        names.find(lives_there).unwrap()
    }

    /// Writes lines, each of which is acknowledged by all in sync.
    fn produce(&self, id: i32, topic: &str, lines: &[String]) {
        let mut process = Command::new(FLUMEN)
            .args(["produce", topic])
            .env("FLUMEN_BOOTSTRAP", self.bootstrap(id))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "through {id}: {output:?}");
    }
}

#[test]
fn three_brokers_are_one() {
    let mut cluster = Cluster::start();
    let mut written = Vec::new();
    let mut write = |cluster: &Cluster, through: i32, name: &str| {
        let lines: Vec<_> = (0..20).map(|number| format!("{name}-{number}")).collect();
        cluster.produce(through, "t1", &lines);
        written.extend(lines);
    };
    // Whoever is asked, the leader decides, and whoever was asked knows of it at once.
    for id in 1..=3 {
        let topic = format!("t{id}");
        cluster.done(id, &["topic", "create", &topic, "-p", "3", "-r", "3"]);
        cluster.done(id, &["topic", "describe", &topic]);
        write(&cluster, id, &format!("whole-{id}"));
    }
    cluster.until(1, &["cluster", "health"]);

    // A vote can be taken and given again while all run, through whoever is asked.
    let voter = cluster.leader(1) % 3 + 1;
    cluster.until(voter, &["cluster", "quorum", "remove", &voter.to_string()]);
    assert_eq!(cluster.voters(voter).len(), 2);
    cluster.until(voter, &["cluster", "quorum", "add", &voter.to_string()]);
    assert_eq!(cluster.voters(voter), BTreeSet::from([1, 2, 3]));

    // One that is stopped in order hands over: it ends well, and others go on, with its groups as well.
    let stopped = cluster.leader(1);
    let left = stopped % 3 + 1;
    let group = cluster.group_at(stopped, left, "t1");
    assert_eq!(cluster.running.remove(&stopped).unwrap().stop(), Some(0));
    write(&cluster, left, "stopped");
    let unread = cluster.consume(left, "t1", &group);
    assert!(
        unread.len() == 20 && unread.iter().all(|line| line.starts_with("stopped")),
        "{unread:?}"
    );
    let leader = cluster.leader(left);
    assert_ne!(leader, stopped);
    let process = cluster.process(stopped);
    cluster.running.insert(stopped, process);
    cluster.until(left, &["cluster", "health"]);

    // One that is killed is missed at once.
    let killed = leader;
    let [a, b] = [killed % 3 + 1, (killed + 1) % 3 + 1];
    cluster.running.remove(&killed).unwrap().kill();
    write(&cluster, a, "killed");
    let read = cluster.done(b, &["consume", "t1", "-o", "start", "-n", &written.len().to_string()]);
    let mut read: Vec<_> = read.lines().map(str::to_owned).collect();
    read.sort();
    written.sort();
    assert_eq!(read, written);

    // It does not come back. Of those that are left one does not lead, and is asked to forget it.
    let follower = if cluster.leader(a) == a { b } else { a };
    let brokers = format!("{a},{b}");
    for topic in ["t1", "t2", "t3", "__consumer_offsets"] {
        let arguments =
            ["topic", "alter", topic, "--replication-factor", "2", "--brokers", &brokers];
        cluster.until(follower, &arguments);
    }
    let forget = ["cluster", "quorum", "remove", &killed.to_string(), "--forget"];
    cluster.until(follower, &forget);
    let quorum = cluster.quorum(follower);
    let members = quorum["replicas"].as_array().unwrap().iter();
    let ids: BTreeSet<_> = members.map(|member| member["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([i64::from(a), i64::from(b)]), "{quorum}");

    // The one that saw all of it tells it in a line for each.
    let witness = [1, 2, 3].into_iter().find(|id| ![stopped, killed].contains(id)).unwrap();
    let log = cluster.running.remove(&witness).unwrap().kill_and_hear();
    let count = |words: &str, id: i32| {
        let id = format!("node_id={id} ");
        log.lines().filter(|line| line.contains(words) && line.contains(&id)).count()
    };
    for id in [stopped, killed] {
        let lost = count("a broker cannot be reached", id);
        let back = count("a broker can be reached again", id);
        // One more where it was started later, or answers late; who came back soon may not have been
        // missed.
        assert!(lost <= 5, "{id} was lost {lost} times:\n{log}");
        let returned = if id == killed { lost.checked_sub(1) } else { Some(lost) };
        assert_eq!(Some(back), returned, "{id} was lost {lost} times:\n{log}");
    }
    assert!(!log.contains("openraft"), "{log}");

    // The last one can decide nothing alone, and tells what that means for every partition.
    let health = cluster.health_with(stopped, &["quorum", "unanswered"]);
    for topic in ["t1", "t2", "t3"] {
        for partition in 0..3 {
            let about = format!("{topic}-{partition}");
            let told = health.iter().find(|(_, place)| *place == about);
            let kind = told.map(|(kind, _)| kind.as_str());
            let kinds = ["no_leader", "below_min_in_sync", "under_replicated"];
            assert!(kind.is_some_and(|kind| kinds.contains(&kind)), "{about}: {health:?}");
        }
    }
}
