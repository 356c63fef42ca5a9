//! `flumen bench`: how fast a cluster takes records, gives them out, and how long that takes.
//!
//! The load comes from our own clients on this machine: what it costs is part of what is measured.

mod consume;
mod figures;
mod latency;
mod payload;
mod produce;

use clap::Subcommand;
use flumen_client::Client;
use flumen_client::admin::NewTopic;
use flumen_protocol::ErrorCode;

use crate::cluster_flags::CommonFlags;

/// The topic that is used where none is named.
const TOPIC: &str = "flumen-bench";

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Produces as fast as possible, or at a rate, and shows rates and times to acknowledgement
    #[command(after_help = "Examples:
  flumen bench produce
  flumen bench produce --records 5000000 --size 200 -z lz4 --partitions 6
  flumen bench produce --rate 10000 --duration 30 --output json")]
    Produce(produce::ProduceBench),
    /// Reads a topic from its start as fast as possible
    Consume(consume::ConsumeBench),
    /// Sends records one at a time, and shows how long until they are acknowledged and consumed
    Latency(latency::LatencyBench),
}

pub(crate) async fn run(command: &BenchCommand, flags: &CommonFlags) -> anyhow::Result<()> {
    match command {
        BenchCommand::Produce(arguments) => produce::run(arguments, flags).await,
        BenchCommand::Consume(arguments) => consume::run(arguments, flags).await,
        BenchCommand::Latency(arguments) => latency::run(arguments, flags).await,
    }
}

/// Creates a topic unless it is there already.
async fn ensure_topic(client: &Client, name: &str, partitions: i32) -> anyhow::Result<()> {
    match client.admin().create_topic(&NewTopic::new(name, partitions)).await {
        Ok(_) => Ok(()),
        Err(error) if error.kafka_code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
