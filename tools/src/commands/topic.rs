//! `flumen topic`: creates, lists, describes, changes and deletes topics.

mod describe;
mod replicas;
mod spread;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use flumen_client::admin::{ConfigChange, ConfigResource, NewTopic, Outcomes};
use flumen_client::cluster::Topic;
use flumen_client::{Admin, TopicPartition};
use flumen_protocol::ErrorCode;
use serde::Serialize;

use crate::cluster_flags::CommonFlags;
use crate::commands::name_value;
use crate::exit::Usage;
use crate::output::{Output, Row};

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Creates topics
    #[command(after_help = "Examples:
  flumen topic create orders --partitions 6
  flumen topic create state --config cleanup.policy=compact --if-not-exists")]
    Create(Create),
    /// Lists topics
    #[command(visible_alias = "ls")]
    List(List),
    /// Shows partitions, offsets and settings of topics
    Describe(Describe),
    /// Changes settings of a topic, or where its replicas are
    #[command(after_help = "Examples:
  flumen topic alter orders --set retention.ms=86400000
  flumen topic alter orders --delete retention.ms
  flumen topic alter orders --brokers 1,2,4
  flumen topic alter orders --replication-factor 3
  flumen topic alter orders --assign 0=2,3,1 --assign 1=3,1,2")]
    Alter(Alter),
    /// Deletes topics and all their records
    Delete(Delete),
    /// Raises the number of partitions; keys may move to other partitions
    AddPartitions(AddPartitions),
    /// Deletes the oldest records
    #[command(after_help = "Examples:
  flumen topic trim orders --before 1000 --partition 0
  flumen topic trim orders --all")]
    Trim(Trim),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Number of partitions [default: the broker's num.partitions]
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Number of copies [default: the broker's default.replication.factor]
    #[arg(short, long, value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic; may be given several times
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = name_value)]
    configs: Vec<(String, String)>,
    /// Leave a topic that exists as it is, instead of failing
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether the topics could be created
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Show internal topics too
    #[arg(short, long)]
    internal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Show every setting, not only those that differ from the defaults
    #[arg(short, long)]
    all_configs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Alter {
    /// The topic
    topic: String,
    /// A setting to change; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_value)]
    changed: Vec<(String, String)>,
    /// A setting to put back to the broker's default
    #[arg(long = "delete", value_name = "NAME")]
    deleted: Vec<String>,
    #[command(flatten)]
    moves: replicas::Moves,
    /// Only check whether the change would be accepted; of moves, show what would go where
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AddPartitions {
    /// The topic
    topic: String,
    /// The number of partitions it shall have
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    to: i32,
}

#[derive(Debug, Args)]
pub(crate) struct Trim {
    /// The topic
    topic: String,
    /// Delete the records in front of this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,
    /// Delete all records
    #[arg(long, conflicts_with = "before", required_unless_present = "before")]
    all: bool,
    /// Only in this partition [default: in all]
    #[arg(short, long)]
    partition: Option<i32>,
}

pub(crate) async fn run(command: &TopicCommand, flags: &CommonFlags) -> anyhow::Result<()> {
    let admin = flags.connect().await?.admin();
    let output = flags.output();
    match command {
        TopicCommand::Create(arguments) => create(&admin, arguments, output).await,
        TopicCommand::List(arguments) => list(&admin, arguments, output).await,
        TopicCommand::Describe(arguments) => describe::run(&admin, arguments, output).await,
        TopicCommand::Alter(arguments) => alter(&admin, arguments, output).await,
        TopicCommand::Delete(arguments) => {
            let names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
            report("deleted", admin.delete_topics(&names).await?, output)
        }
        TopicCommand::AddPartitions(arguments) => {
            admin.add_partitions(&arguments.topic, arguments.to).await?;
            output.done(&format!("{} has {} partitions", arguments.topic, arguments.to));
            Ok(())
        }
        TopicCommand::Trim(arguments) => trim(&admin, arguments, output).await,
    }
}

async fn create(admin: &Admin, arguments: &Create, output: Output) -> anyhow::Result<()> {
    let topics: Vec<NewTopic> = arguments
        .names
        .iter()
        .map(|name| NewTopic {
            name: name.clone(),
            partitions: arguments.partitions,
            replication_factor: arguments.replication_factor,
            assignments: Vec::new(),
            configs: arguments.configs.iter().cloned().collect(),
        })
        .collect();
    let mut outcomes = admin.create_topics(&topics, arguments.dry_run).await?;
    if arguments.if_not_exists {
        outcomes.retain(|(_, outcome)| {
            let code = outcome.as_ref().err().and_then(flumen_client::Error::kafka_code);
            code != Some(ErrorCode::TopicAlreadyExists)
        });
    }
    report(if arguments.dry_run { "could be created" } else { "created" }, outcomes, output)
}

/// Says what became of each topic; the first failure decides the exit code.
fn report<T>(done: &str, outcomes: Outcomes<T>, output: Output) -> anyhow::Result<()> {
    let mut first_failure = None;
    for (name, outcome) in outcomes {
        match outcome {
            Ok(_) => output.done(&format!("{name} {done}")),
            Err(error) if first_failure.is_none() => {
                first_failure = Some(anyhow::Error::new(error).context(name));
            }
            Err(error) => eprintln!("flumen: {name}: {error}"),
        }
    }
    first_failure.map_or(Ok(()), Err)
}

#[derive(Debug, Serialize)]
struct TopicSummary {
    name: String,
    id: String,
    partitions: usize,
    replication_factor: usize,
    is_internal: bool,
}

impl TopicSummary {
    fn new(topic: &Topic) -> Self {
        Self {
            name: topic.name.to_string(),
            id: topic.id.to_string(),
            partitions: topic.partitions.len(),
            replication_factor: topic.partitions.first().map_or(0, |first| first.replicas.len()),
            is_internal: topic.is_internal,
        }
    }

    fn row(&self) -> Row {
        vec![self.name.clone(), self.partitions.to_string(), self.replication_factor.to_string()]
    }
}

async fn list(admin: &Admin, arguments: &List, output: Output) -> anyhow::Result<()> {
    let topics = admin.list_topics().await?;
    let summaries: Vec<_> = topics
        .iter()
        .filter(|topic| arguments.internal || !topic.is_internal)
        .map(|topic| TopicSummary::new(topic))
        .collect();
    output.list(&["TOPIC", "PARTITIONS", "REPLICAS"], &summaries, TopicSummary::row)?;
    Ok(())
}

async fn alter(admin: &Admin, arguments: &Alter, output: Output) -> anyhow::Result<()> {
    let changed = arguments.changed.iter().map(|(name, value)| ConfigChange::set(name, value));
    let deleted = arguments.deleted.iter().map(ConfigChange::delete);
    let changes: Vec<_> = changed.chain(deleted).collect();
    if changes.is_empty() && !arguments.moves.is_asked_for() {
        let options = "--set, --delete, --brokers, --replication-factor or --assign";
        return Err(Usage(format!("nothing to change: give {options}")).into());
    }
    if !changes.is_empty() {
        let topic = ConfigResource::Topic(arguments.topic.clone());
        admin.alter_configs(&topic, &changes, arguments.dry_run).await?;
        let done = if arguments.dry_run { "would be changed" } else { "changed" };
        output.done(&format!("{} {done}", arguments.topic));
    }
    if arguments.moves.is_asked_for() {
        let Alter { topic, moves, dry_run, .. } = arguments;
        replicas::move_them(admin, topic, moves, *dry_run, output).await?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Trimmed {
    partition: i32,
    log_start_offset: i64,
}

async fn trim(admin: &Admin, arguments: &Trim, output: Output) -> anyhow::Result<()> {
    let topic = admin.describe_topic(&arguments.topic).await?;
    // The wire's word for the high watermark.
    let before = arguments.before.unwrap_or(-1);
    let partitions: BTreeMap<_, _> = topic
        .partitions
        .iter()
        .filter(|partition| arguments.partition.is_none_or(|only| only == partition.index))
        .map(|partition| (TopicPartition::new(topic.name.clone(), partition.index), before))
        .collect();
    if partitions.is_empty() {
        let (topic, partition) = (&arguments.topic, arguments.partition.unwrap_or_default());
        return Err(crate::exit::NotFound(format!("{topic} has no partition {partition}")).into());
    }
    let mut trimmed = Vec::new();
    for (partition, outcome) in admin.delete_records(partitions).await {
        let log_start_offset =
            outcome.map_err(|error| anyhow::Error::new(error).context(partition.to_string()))?;
        trimmed.push(Trimmed { partition: partition.partition, log_start_offset });
    }
    let row = |trimmed: &Trimmed| {
        vec![trimmed.partition.to_string(), trimmed.log_start_offset.to_string()]
    };
    output.list(&["PARTITION", "LOG START"], &trimmed, row)?;
    Ok(())
}
