//! `flumen cluster`: what the cluster is made of, and how it is.

mod health;
mod quorum;

use clap::Subcommand;
use flumen_client::Admin;
use flumen_client::cluster::Broker;
use serde::Serialize;

use self::quorum::QuorumChange;
use crate::cluster_flags::CommonFlags;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows the brokers
    Info,
    /// Says what is wrong, if anything; exits with 1 then
    Health,
    /// Shows the metadata quorum, or changes who votes in it
    #[command(after_help = "Examples:
  flumen cluster quorum
  flumen cluster quorum add 4
  flumen cluster quorum remove 2
  flumen cluster quorum remove 2 --forget")]
    Quorum {
        #[command(subcommand)]
        change: Option<QuorumChange>,
    },
}

pub(crate) async fn run(command: &ClusterCommand, flags: &CommonFlags) -> anyhow::Result<()> {
    let admin = flags.connect().await?.admin();
    let output = flags.output();
    match command {
        ClusterCommand::Info => info(&admin, output).await,
        ClusterCommand::Health => health::run(&admin, output).await,
        ClusterCommand::Quorum { change: None } => quorum::show(&admin, output).await,
        ClusterCommand::Quorum { change: Some(change) } => {
            quorum::change(&admin, change, output).await
        }
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
    is_in_service: bool,
}

impl BrokerInfo {
    fn new(broker: Broker, is_in_service: bool) -> Self {
        let Broker { id, host, port, rack } = broker;
        Self { id, host, port, rack, is_in_service }
    }
}

async fn info(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let description = admin.describe_cluster().await?;
    let in_service = description.brokers.into_iter().map(|broker| BrokerInfo::new(broker, true));
    let fenced = description.fenced.into_iter().map(|broker| BrokerInfo::new(broker, false));
    let mut brokers: Vec<BrokerInfo> = in_service.chain(fenced).collect();
    brokers.sort_by_key(|broker| broker.id);
    let info = ClusterInfo {
        cluster_id: description.cluster_id,
        controller_id: description.controller_id,
        brokers,
    };
    let controller = info.controller_id.map_or("-".to_owned(), |id| id.to_string());
    output.thing(&info, &[("cluster", info.cluster_id.clone()), ("controller", controller)])?;
    if !output.is_json() {
        println!();
        let row = |broker: &BrokerInfo| {
            let address = format!("{}:{}", broker.host, broker.port);
            let state = if broker.is_in_service { "in service" } else { "out of service" };
            let rack = broker.rack.clone().unwrap_or_else(|| "-".into());
            vec![broker.id.to_string(), address, rack, state.to_owned()]
        };
        output.list(&["BROKER", "ADDRESS", "RACK", "STATE"], &info.brokers, row)?;
    }
    Ok(())
}
