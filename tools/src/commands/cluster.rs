//! `flumen cluster`: what the cluster is made of, and how it is.

use clap::Subcommand;
use flumen_client::Admin;
use flumen_client::admin::{LogDir, QuorumReplica};
use flumen_client::cluster::Topic;
use serde::Serialize;

use crate::cluster_flags::CommonFlags;
use crate::output::{Output, Row};
use crate::record_format::date;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows the brokers
    Info,
    /// Says what is wrong, if anything; exits with 1 then
    Health,
    /// Shows the metadata quorum
    Quorum,
}

pub(crate) async fn run(command: &ClusterCommand, flags: &CommonFlags) -> anyhow::Result<()> {
    let admin = flags.connect().await?.admin();
    let output = flags.output();
    match command {
        ClusterCommand::Info => info(&admin, output).await,
        ClusterCommand::Health => health(&admin, output).await,
        ClusterCommand::Quorum => quorum(&admin, output).await,
    }
}

#[derive(Debug, Serialize)]
struct ClusterInfo {
    cluster_id: String,
    controller_id: Option<i32>,
    brokers: Vec<BrokerInfo>,
}

#[derive(Debug, Serialize)]
struct BrokerInfo {
    id: i32,
    host: String,
    port: i32,
    rack: Option<String>,
}

async fn info(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let description = admin.describe_cluster().await?;
    let info = ClusterInfo {
        cluster_id: description.cluster_id,
        controller_id: description.controller_id,
        brokers: description
            .brokers
            .into_iter()
            .map(|broker| BrokerInfo {
                id: broker.id,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
            })
            .collect(),
    };
    let controller = info.controller_id.map_or("-".to_owned(), |id| id.to_string());
    output.thing(&info, &[("cluster", info.cluster_id.clone()), ("controller", controller)])?;
    if !output.is_json() {
        println!();
        let row = |broker: &BrokerInfo| {
            let address = format!("{}:{}", broker.host, broker.port);
            vec![broker.id.to_string(), address, broker.rack.clone().unwrap_or_else(|| "-".into())]
        };
        output.list(&["BROKER", "ADDRESS", "RACK"], &info.brokers, row)?;
    }
    Ok(())
}

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Complaint {
    about: String,
    problem: String,
}

#[derive(Debug, Serialize)]
struct Health {
    is_healthy: bool,
    complaints: Vec<Complaint>,
}

async fn health(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let cluster = admin.describe_cluster().await?;
    let mut complaints = Vec::new();
    if cluster.controller_id.is_none() {
        complaints.push(complaint("cluster", "no controller is known"));
    }
    for topic in admin.list_topics().await? {
        complaints.extend(topic_complaints(&topic));
    }
    for broker in &cluster.brokers {
        match admin.describe_log_dirs(broker.id).await {
            Ok(dirs) => complaints.extend(dirs.iter().filter_map(dir_complaint)),
            Err(error) => {
                complaints.push(complaint(format!("broker {}", broker.id), error.to_string()));
            }
        }
    }
    let health = Health { is_healthy: complaints.is_empty(), complaints };
    if output.is_json() {
        output.thing(&health, &[])?;
    } else if health.is_healthy {
        println!("healthy");
    } else {
        let row = |found: &Complaint| vec![found.about.clone(), found.problem.clone()];
        output.list(&["WHERE", "PROBLEM"], &health.complaints, row)?;
    }
    anyhow::ensure!(health.is_healthy, "{} problems", health.complaints.len());
    Ok(())
}

fn complaint(about: impl Into<String>, problem: impl Into<String>) -> Complaint {
    Complaint { about: about.into(), problem: problem.into() }
}

fn topic_complaints(topic: &Topic) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for partition in &topic.partitions {
        let about = || format!("{}-{}", topic.name, partition.index);
        if partition.leader.is_none() {
            complaints.push(complaint(about(), "no leader"));
        }
        let missing = partition.replicas.len().saturating_sub(partition.in_sync.len());
        if missing > 0 {
            let replicas = partition.replicas.len();
            let problem = format!("{missing} of {replicas} replicas are out of sync");
            complaints.push(complaint(about(), problem));
        }
    }
    complaints
}

fn dir_complaint(dir: &LogDir) -> Option<Complaint> {
    dir.error.as_ref().map(|error| complaint(dir.path.clone(), error.to_string()))
}

#[derive(Debug, Serialize)]
struct QuorumInfo {
    leader_id: i32,
    leader_epoch: i32,
    high_watermark: i64,
    replicas: Vec<ReplicaInfo>,
}

#[derive(Debug, Serialize)]
struct ReplicaInfo {
    id: i32,
    role: &'static str,
    log_end_offset: i64,
    lag: i64,
    last_fetch_timestamp: Option<i64>,
    last_caught_up_timestamp: Option<i64>,
}

async fn quorum(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let quorum = admin.describe_quorum().await?;
    let replicas = |role, replicas: &[QuorumReplica]| {
        replicas
            .iter()
            .map(|replica| ReplicaInfo {
                id: replica.id,
                role,
                log_end_offset: replica.log_end_offset,
                lag: (quorum.high_watermark - replica.log_end_offset).max(0),
                last_fetch_timestamp: replica.last_fetch_timestamp,
                last_caught_up_timestamp: replica.last_caught_up_timestamp,
            })
            .collect::<Vec<_>>()
    };
    let mut all = replicas("voter", &quorum.voters);
    all.extend(replicas("observer", &quorum.observers));
    let info = QuorumInfo {
        leader_id: quorum.leader_id,
        leader_epoch: quorum.leader_epoch,
        high_watermark: quorum.high_watermark,
        replicas: all,
    };
    output.thing(
        &info,
        &[
            ("leader", info.leader_id.to_string()),
            ("epoch", info.leader_epoch.to_string()),
            ("high watermark", info.high_watermark.to_string()),
        ],
    )?;
    if !output.is_json() {
        println!();
        let columns = ["NODE", "ROLE", "LOG END", "LAG", "CAUGHT UP"];
        output.list(&columns, &info.replicas, replica_row)?;
    }
    Ok(())
}

fn replica_row(replica: &ReplicaInfo) -> Row {
    vec![
        replica.id.to_string(),
        replica.role.to_owned(),
        replica.log_end_offset.to_string(),
        replica.lag.to_string(),
        replica.last_caught_up_timestamp.map_or("-".to_owned(), date),
    ]
}
