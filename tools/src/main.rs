//! The `flumen` binary: the broker and every command-line tool.
//!
//! It parses the command line, runs one command and turns its outcome into an exit code. What a
//! command does is in `commands/<noun>.rs`; how results look is in `output.rs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool prints")]

mod base64;
mod cluster_flags;
mod commands;
mod exit;
mod offset_place;
mod output;
mod record_format;
mod record_json;
mod segment_scan;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flumen_broker::controller::QUORUM_LOG_FILTER;
use tracing_subscriber::EnvFilter;

use cluster_flags::CommonFlags;
use commands::{bench, broker, cluster, consume, dev, group, log, produce, topic};

/// A message broker that speaks Kafka's protocol, and the tools for it
#[derive(Debug, Parser)]
#[command(name = "flumen", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start here:
  flumen broker                              a broker on 127.0.0.1:9092
  flumen topic create greetings              then, in another terminal
  echo hello | flumen produce greetings
  flumen consume greetings -o start

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 denied.")]
struct CommandLine {
    #[command(flatten)]
    flags: CommonFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a broker in the foreground
    Broker(broker::BrokerFlags),
    /// Runs a local cluster in the foreground, which creates topics as they are named
    Dev(dev::Dev),
    /// Creates, lists, describes, changes and deletes topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Produces records from stdin or a file, one a line
    Produce(produce::Produce),
    /// Prints records
    Consume(consume::Consume),
    /// Lists, describes, moves and deletes consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Shows what the cluster is made of, and how it is
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Looks at the files of a partition, without a broker
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Measures how fast the cluster is
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match run(&command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

fn run(command_line: &CommandLine) -> anyhow::Result<()> {
    let flags = &command_line.flags;
    let default_log = match &command_line.command {
        Command::Broker(_) | Command::Dev(_) => "info",
        _ => "warn",
    };
    start_logging(flags, default_log)?;
    if let Command::Log(command) = &command_line.command {
        return log::run(command, flags.output());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &command_line.command {
            Command::Broker(flags) => broker::run(flags).await,
            Command::Dev(flags) => dev::run(flags).await,
            Command::Topic(command) => topic::run(command, flags).await,
            Command::Produce(arguments) => produce::run(arguments, flags).await,
            Command::Consume(arguments) => consume::run(arguments, flags).await,
            Command::Bench(command) => bench::run(command, flags).await,
            Command::Group(command) => group::run(command, flags).await,
            Command::Cluster(command) => cluster::run(command, flags).await,
            Command::Log(_) => unreachable!("it needs no runtime and was run above"),
        }
    })
}

/// Logs to stderr: what `--log` asks for, or else what suits the command.
fn start_logging(flags: &CommonFlags, default: &str) -> anyhow::Result<()> {
    let asked = flags.log.as_deref().unwrap_or(default);
    // Of two directives for the same target the later one counts.
    let filter = EnvFilter::try_new(format!("{QUORUM_LOG_FILTER},{asked}"))
        .map_err(|error| exit::Usage(format!("--log {asked}: {error}")))?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    log.with_ansi(colours).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it takes to type a command of the page is a cluster; that the command exists is known here.
    #[test]
    fn the_commands_of_the_operations_page_exist() {
        let page = include_str!("../../docs/operations.md");
        let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("flumen ")).collect();
        assert!(commands.len() > 10, "{commands:?}");
        for command in commands {
            let parsed = CommandLine::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}
