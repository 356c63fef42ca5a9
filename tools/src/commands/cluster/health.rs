//! `flumen cluster health`: everything that is not as it should be, and why.
//!
//! [`diagnose`] judges; it is pure. The rest collects what it needs, and never waits long for a
//! broker: that one does not answer is what somebody wants to hear who asks for health.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use anyhow::bail;
use flumen_client::admin::{
    ClusterDescription, ConfigResource, LogDir, PartitionReplicas, Quorum, QuorumReplica,
    Reassignment,
};
use flumen_client::{Admin, Error, TopicPartition};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::join;
use tokio::time::timeout;

use crate::output::Output;

/// How long a broker may take to answer one question.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// About so many topics is asked at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// How far behind the leader of the quorum a voter's last word may be, in milliseconds.
const SILENCE_MAX_MS: i64 = 10_000;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Complaint {
    about: String,
    kind: Kind,
    problem: String,
}

/// What is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    NoController,
    Quorum,
    OutOfService,
    Unanswered,
    Directory,
    NoLeader,
    BelowMinInSync,
    UnderReplicated,
}

#[derive(Debug, Serialize)]
struct Health {
    is_healthy: bool,
    complaints: Vec<Complaint>,
}

pub(super) async fn run(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let complaints = diagnose(&collect(admin).await?);
    let health = Health { is_healthy: complaints.is_empty(), complaints };
    if output.is_json() {
        output.thing(&health, &[])?;
    } else if health.is_healthy {
        println!("healthy");
    } else {
        let row = |found: &Complaint| vec![found.about.clone(), found.problem.clone()];
        output.list(&["WHERE", "PROBLEM"], &health.complaints, row)?;
    }
    match health.complaints.len() {
        0 => Ok(()),
        1 => bail!("1 problem"),
        count => bail!("{count} problems"),
    }
}

type Partitions = BTreeMap<TopicPartition, PartitionReplicas>;
type Moves = BTreeMap<TopicPartition, Reassignment>;

/// What is known of the cluster.
#[derive(Debug)]
struct Findings {
    cluster: ClusterDescription,
    /// The quorum, or why it cannot be told.
    quorum: Result<Quorum, String>,
    partitions: Partitions,
    moves: Moves,
    /// What `min.insync.replicas` is, for topics that lack replicas; absent where nothing was set.
    min_in_sync: BTreeMap<String, usize>,
    /// The directories of the brokers in service, or why they cannot be told.
    directories: BTreeMap<i32, Result<Vec<LogDir>, String>>,
}

async fn collect(admin: &Admin) -> anyhow::Result<Findings> {
    let cluster = admin.describe_cluster().await?;
    let directories = cluster
        .brokers
        .iter()
        .map(|broker| async { (broker.id, soon(admin.describe_log_dirs(broker.id)).await) });
    // All at once: the time that one does not answer is waited for once.
    let (quorum, directories, replicas) =
        join!(soon(admin.describe_quorum()), join_all(directories), replicas(admin));
    let directories: BTreeMap<_, _> = directories.into_iter().collect();
    let (mut partitions, moves) = replicas?;
    if !is_led(&quorum) {
        let is_silent = |id: &i32| matches!(directories.get(id), Some(Err(_)));
        partitions.values_mut().for_each(|partition| leave_out(partition, is_silent));
    }
    let min_in_sync = min_in_sync(admin, &partitions).await?;
    Ok(Findings { cluster, quorum, partitions, moves, min_in_sync, directories })
}

/// The replicas, and which of them a move was filling at any time meanwhile: one that ends between two
/// questions leaves nobody missing.
async fn replicas(admin: &Admin) -> Result<(Partitions, Moves), Error> {
    let moves = || soon(admin.list_reassignments(None));
    let (partitions, before) = join!(admin.describe_replicas(&[]), moves());
    // Where nobody can tell, that is complained of as the quorum's.
    let Ok(mut found) = before else { return Ok((partitions?, BTreeMap::new())) };
    let partitions = admin.describe_replicas(&[]).await?;
    found.extend(moves().await.unwrap_or_default());
    Ok((partitions, found))
}

/// Whether anybody decides on metadata.
fn is_led(quorum: &Result<Quorum, String>) -> bool {
    quorum.as_ref().is_ok_and(|quorum| quorum.voters.iter().any(|one| one.id == quorum.leader_id))
}

/// Takes brokers out of what is known of a partition, as the controller would if there were one.
fn leave_out(partition: &mut PartitionReplicas, is_silent: impl Fn(&i32) -> bool) {
    let PartitionReplicas { leader, replicas, in_sync, offline, .. } = partition;
    *leader = leader.filter(|id| !is_silent(id));
    if leader.is_some() {
        in_sync.retain(|id| !is_silent(id));
    }
    let silent = replicas.iter().filter(|id| is_silent(id) && !offline.contains(id));
    offline.extend(silent.copied().collect::<Vec<_>>());
}

async fn soon<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match timeout(ANSWER_TIME_MAX, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs())),
    }
}

async fn min_in_sync(
    admin: &Admin,
    partitions: &Partitions,
) -> anyhow::Result<BTreeMap<String, usize>> {
    let lacking = partitions.iter().filter(|(_, of)| of.in_sync.len() < of.replicas.len());
    let topics: BTreeSet<String> = lacking.map(|(place, _)| place.topic.to_string()).collect();
    let set = |topic: String| async move {
        let configs = admin.describe_configs(&ConfigResource::Topic(topic.clone())).await?;
        let value = configs.get("min.insync.replicas").and_then(|entry| entry.value.as_deref());
        let number = value.and_then(|value| value.parse().ok());
        Ok(number.map(|number| (topic, number)))
    };
    let answers = stream::iter(topics).map(set).buffer_unordered(QUESTIONS_AT_ONCE);
    let answers: Vec<_> = answers.try_collect().await.map_err(|error: Error| error)?;
    Ok(answers.into_iter().flatten().collect())
}

fn diagnose(findings: &Findings) -> Vec<Complaint> {
    let cluster = &findings.cluster;
    let mut complaints = Vec::new();
    if cluster.controller_id.is_none() {
        complaints.push(complaint("cluster", Kind::NoController, "no controller is known"));
    }
    complaints.extend(quorum_complaints(&findings.quorum));
    for broker in &cluster.fenced {
        let problem = format!("out of service; it should be at {}", broker.address());
        let about = format!("broker {}", broker.id);
        complaints.push(complaint(about, Kind::OutOfService, problem));
    }
    for (broker, directories) in &findings.directories {
        match directories {
            Ok(directories) => complaints.extend(directories.iter().filter_map(dir_complaint)),
            Err(error) => {
                complaints.push(complaint(format!("broker {broker}"), Kind::Unanswered, error));
            }
        }
    }
    for (place, partition) in &findings.partitions {
        let set = findings.min_in_sync.get(&*place.topic).copied();
        let adding = findings.moves.get(place).map_or(&[][..], |moved| &moved.adding);
        let judged = partition_problem(partition, adding, set, is_led(&findings.quorum));
        if let Some((kind, problem)) = judged {
            complaints.push(complaint(place.to_string(), kind, problem));
        }
    }
    complaints
}

fn complaint(about: impl Into<String>, kind: Kind, problem: impl Display) -> Complaint {
    Complaint { about: about.into(), kind, problem: problem.to_string() }
}

fn quorum_complaints(quorum: &Result<Quorum, String>) -> Vec<Complaint> {
    let about = "metadata quorum";
    let quorum = match quorum {
        Ok(quorum) => quorum,
        Err(error) => return vec![complaint(about, Kind::Quorum, error)],
    };
    let Some(leader) = quorum.voters.iter().find(|voter| voter.id == quorum.leader_id) else {
        let problem = "no leader: metadata cannot change until most voters are up";
        return vec![complaint(about, Kind::Quorum, problem)];
    };
    let silence = |voter: &QuorumReplica| {
        let id = voter.id;
        // It follows with another directory than that with which it votes.
        if quorum.observers.iter().any(|follower| follower.id == id) {
            return Some(format!(
                "voter {id} has lost its log and does not vote until \
                 `flumen cluster quorum remove {id}` and `flumen cluster quorum add {id}`"
            ));
        }
        let silent_ms = leader.last_fetch_timestamp? - voter.last_fetch_timestamp.unwrap_or(0);
        (silent_ms > SILENCE_MAX_MS).then(|| match voter.last_fetch_timestamp {
            Some(_) => format!("voter {id} was last heard of {} s ago", silent_ms / 1000),
            None => format!("voter {id} was not heard of since {} leads", leader.id),
        })
    };
    let silent = quorum.voters.iter().filter_map(silence);
    silent.map(|problem| complaint(about, Kind::Quorum, problem)).collect()
}

fn dir_complaint(dir: &LogDir) -> Option<Complaint> {
    dir.error.as_ref().map(|error| complaint(dir.path.clone(), Kind::Directory, error))
}

/// The worst that is wrong with a partition; `adding` are replicas that a move fills, and `is_led` says
/// whether somebody decides on metadata.
fn partition_problem(
    partition: &PartitionReplicas,
    adding: &[i32],
    min_in_sync_set: Option<usize>,
    is_led: bool,
) -> Option<(Kind, String)> {
    let PartitionReplicas { leader, replicas, in_sync, offline, .. } = partition;
    if leader.is_none() {
        return Some((Kind::NoLeader, format!("no leader: {}", why_leaderless(partition, is_led))));
    }
    let expected = replicas.iter().filter(|id| in_sync.contains(id) || !adding.contains(id));
    let count = expected.clone().count();
    let missing = expected.filter(|id| !in_sync.contains(id));
    let missing: Vec<String> = missing
        .map(|id| {
            let state = if offline.contains(id) { "out of service" } else { "catching up" };
            format!("{id} ({state})")
        })
        .collect();
    let needed = min_in_sync_set.unwrap_or(if count >= 3 { 2 } else { 1 }).min(count);
    let state = format!("{} of {count} replicas are in sync", count - missing.len());
    let missing = missing.join(", ");
    if in_sync.len() < needed {
        let problem = format!(
            "{state}, fewer than min.insync.replicas ({needed}), so acks=all fails; \
             missing: {missing}"
        );
        return Some((Kind::BelowMinInSync, problem));
    }
    (!missing.is_empty()).then(|| (Kind::UnderReplicated, format!("{state}; missing: {missing}")))
}

/// Why nobody leads, and what would help.
fn why_leaderless(partition: &PartitionReplicas, is_led: bool) -> String {
    let PartitionReplicas { replicas, in_sync, eligible, offline, last_known_leader, .. } =
        partition;
    let complete = |id: &&i32| in_sync.contains(id) || eligible.contains(id);
    let (complete, others): (Vec<i32>, Vec<i32>) = replicas.iter().partition(complete);
    if complete.iter().any(|id| !offline.contains(id)) {
        let why = if is_led { "is under way" } else { "needs the metadata quorum" };
        return format!("an election {why}");
    }
    let others: Vec<i32> = others.into_iter().filter(|id| !offline.contains(id)).collect();
    let mut why = match (complete.as_slice(), last_known_leader) {
        ([], Some(last)) => format!("broker {last}, which led last, is out of service"),
        ([], None) => "no replica is known to have all records".to_owned(),
        ([one], _) => format!("only broker {one} has all records, and it is out of service"),
        (several, _) => {
            format!("only brokers {} have all records, and all are out of service", ids(several))
        }
    };
    if !others.is_empty() {
        why.push_str(&format!("; {} may lack records", ids(&others)));
    }
    why
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use flumen_client::cluster::Broker;

    use super::*;

    fn partition(replicas: &[i32], in_sync: &[i32], offline: &[i32]) -> PartitionReplicas {
        PartitionReplicas {
            leader: in_sync.iter().copied().find(|id| !offline.contains(id)),
            replicas: replicas.to_vec(),
            in_sync: in_sync.to_vec(),
            eligible: Vec::new(),
            last_known_leader: None,
            offline: offline.to_vec(),
        }
    }

    fn problem(partition: &PartitionReplicas) -> Option<(Kind, String)> {
        partition_problem(partition, &[], None, true)
    }

    #[test]
    fn the_worst_of_a_partition_is_said_with_its_reason() {
        assert_eq!(problem(&partition(&[1, 2, 3], &[3, 1, 2], &[])), None);
        let check = |partition: PartitionReplicas, kind, text: &str| {
            assert_eq!(problem(&partition), Some((kind, text.to_owned())));
        };
        check(
            partition(&[1, 2, 3], &[1, 2], &[3]),
            Kind::UnderReplicated,
            "2 of 3 replicas are in sync; missing: 3 (out of service)",
        );
        check(
            partition(&[1, 2, 3], &[1], &[3]),
            Kind::BelowMinInSync,
            "1 of 3 replicas are in sync, fewer than min.insync.replicas (2), so acks=all \
             fails; missing: 2 (catching up), 3 (out of service)",
        );
        check(
            partition(&[1, 2, 3], &[1], &[1, 2]),
            Kind::NoLeader,
            "no leader: only broker 1 has all records, and it is out of service; 3 may lack records",
        );
        let eligible = vec![2, 3];
        check(
            PartitionReplicas { eligible, ..partition(&[1, 2, 3], &[], &[1, 2, 3]) },
            Kind::NoLeader,
            "no leader: only brokers 2, 3 have all records, and all are out of service",
        );
        check(
            PartitionReplicas { last_known_leader: Some(1), ..partition(&[1, 2], &[], &[1, 2]) },
            Kind::NoLeader,
            "no leader: broker 1, which led last, is out of service",
        );
        check(
            PartitionReplicas { leader: None, ..partition(&[1, 2], &[1, 2], &[1]) },
            Kind::NoLeader,
            "no leader: an election is under way",
        );
    }

    #[test]
    fn replicas_that_a_move_adds_are_not_missed() {
        let moving = partition(&[4, 1, 2], &[1, 2], &[]);
        assert_eq!(partition_problem(&moving, &[4], None, true), None);
        assert!(partition_problem(&moving, &[], None, true).is_some());
        // Full by now, and counted.
        let moved = partition(&[4, 1, 2], &[1, 4], &[]);
        let (_, problem) = partition_problem(&moved, &[4], None, true).unwrap();
        assert_eq!(problem, "2 of 3 replicas are in sync; missing: 2 (catching up)");
    }

    #[test]
    fn who_is_silent_is_left_out_when_nobody_else_can_see_to_it() {
        let left_out = |silent: &[i32]| {
            let mut whole = partition(&[1, 2, 3], &[1, 2, 3], &[]);
            leave_out(&mut whole, |id| silent.contains(id));
            partition_problem(&whole, &[], None, false)
        };
        let (kind, problem) = left_out(&[2, 3]).unwrap();
        assert_eq!(kind, Kind::BelowMinInSync);
        assert!(problem.ends_with("missing: 2 (out of service), 3 (out of service)"), "{problem}");
        let nobody = "no leader: an election needs the metadata quorum".to_owned();
        assert_eq!(left_out(&[1, 3]), Some((Kind::NoLeader, nobody)));
        assert_eq!(left_out(&[]), None);
    }

    #[test]
    fn what_was_set_counts_and_no_more_than_there_are() {
        let two_of_three = partition(&[1, 2, 3], &[1, 2], &[]);
        let kind = |set| partition_problem(&two_of_three, &[], set, true).map(|(kind, _)| kind);
        assert_eq!(kind(Some(3)), Some(Kind::BelowMinInSync));
        assert_eq!(kind(Some(1)), Some(Kind::UnderReplicated));
        let one = partition(&[1], &[1], &[]);
        assert_eq!(partition_problem(&one, &[], Some(2), true), None);
    }

    fn replica(id: i32, heard_ms: Option<i64>) -> QuorumReplica {
        QuorumReplica {
            id,
            directory_id: flumen_protocol::Uuid::ZERO,
            log_end_offset: 7,
            last_fetch_timestamp: heard_ms,
            last_caught_up_timestamp: heard_ms,
        }
    }

    #[test]
    fn a_voter_that_is_silent_is_told_of_and_so_is_a_quorum_without_leader() {
        let quorum = Quorum {
            leader_id: 1,
            leader_epoch: 3,
            high_watermark: 7,
            voters: vec![replica(1, Some(50_000)), replica(2, Some(20_000)), replica(3, None)],
            observers: vec![replica(4, None)],
            listeners: BTreeMap::new(),
        };
        let problems = |quorum: &Result<Quorum, String>| -> Vec<String> {
            quorum_complaints(quorum).into_iter().map(|complaint| complaint.problem).collect()
        };
        let silent =
            ["voter 2 was last heard of 30 s ago", "voter 3 was not heard of since 1 leads"];
        assert_eq!(problems(&Ok(quorum.clone())), silent);
        let mut withheld = quorum.clone();
        withheld.observers.push(replica(3, Some(50_000)));
        assert_eq!(
            problems(&Ok(withheld))[1],
            "voter 3 has lost its log and does not vote until `flumen cluster quorum remove 3` and \
             `flumen cluster quorum add 3`"
        );
        let leaderless = Ok(Quorum { leader_id: -1, ..quorum });
        assert!(problems(&leaderless)[0].starts_with("no leader"));
        assert_eq!(problems(&Err("no answer".to_owned())), ["no answer"]);
    }

    #[test]
    fn brokers_out_of_service_and_silent_ones_are_named() {
        let broker = |id| Broker { id, host: "h".to_owned(), port: 9092, rack: None };
        let findings = Findings {
            cluster: ClusterDescription {
                cluster_id: "c".to_owned(),
                controller_id: None,
                brokers: vec![broker(1)],
                fenced: vec![broker(2)],
            },
            quorum: Err("no answer".to_owned()),
            partitions: BTreeMap::new(),
            moves: BTreeMap::new(),
            min_in_sync: BTreeMap::new(),
            directories: BTreeMap::from([(1, Err("no answer".to_owned()))]),
        };
        let complaints = diagnose(&findings);
        let kinds: Vec<_> = complaints.iter().map(|complaint| complaint.kind).collect();
        let expected = [Kind::NoController, Kind::Quorum, Kind::OutOfService, Kind::Unanswered];
        assert_eq!(kinds, expected);
        assert_eq!(complaints[2].problem, "out of service; it should be at h:9092");
    }
}
