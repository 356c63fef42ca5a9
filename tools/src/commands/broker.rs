//! `flumen broker`: one broker in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use flumen_broker::config::{BrokerConfig, ConfigSources};
use flumen_broker::{Broker, StartError};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

/// How long a start that is no longer wanted may go on.
const EARLY_STOP_TIME_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flumen broker
  flumen broker --config config/broker.toml --data-dir /var/lib/flumen
  flumen broker --listen 127.0.0.1:0 --set auto.create.topics.enable=true

Every setting can also be given as an environment variable: num.partitions is
FLUMEN_NUM_PARTITIONS. docs/settings.md lists them all. Arguments win over the environment,
the environment over the file.")]
pub(crate) struct BrokerFlags {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to keep everything [default: ./flumen-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where Kafka clients connect [default: 127.0.0.1:9092]; port 0 means any free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where /metrics and /health are [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// Where other brokers connect; not opened without this or controller.quorum.voters
    #[arg(long, value_name = "HOST:PORT")]
    peer: Option<String>,
    /// A setting; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Only check the settings; unknown ones are errors then
    #[arg(long)]
    check_config: bool,
}

pub(crate) async fn run(flags: &BrokerFlags) -> anyhow::Result<()> {
    let sources = sources(flags, std::env::vars());
    if flags.check_config {
        sources.check()?;
        eprintln!("the settings are right");
        return Ok(());
    }
    for warning in sources.warnings() {
        warn!("{warning}");
    }
    serve(sources.build()?).await
}

/// Collects the settings: the file, the environment over it, the arguments over both.
fn sources(
    flags: &BrokerFlags,
    environment: impl IntoIterator<Item = (String, String)>,
) -> ConfigSources {
    let mut sources = ConfigSources::new();
    if let Some(file) = &flags.config {
        sources = sources.file(file);
    }
    sources = sources.environment(environment);
    let listeners = flags.listen.as_ref().map(|address| format!("PLAINTEXT://{address}"));
    let data_dir = flags.data_dir.as_ref().map(|dir| dir.display().to_string());
    let named = [
        ("log.dirs", &data_dir),
        ("listeners", &listeners),
        ("http.listener", &flags.http),
        ("peer.listener", &flags.peer),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            sources = sources.argument(name, value);
        }
    }
    flags.settings.iter().fold(sources, |sources, pair| sources.argument_pair(pair))
}

/// Serves until a signal says stop.
async fn serve(config: BrokerConfig) -> anyhow::Result<()> {
    // Before anything is opened, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_file_limit();
    let mut start = Box::pin(Broker::start(config));
    let started = tokio::select! {
        biased;
        started = &mut start => Some(started),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let Some(started) = started else { return stop_early(start).await };
    let mut broker = started?;
    println!("{}", ready_line(broker.addr(), broker.http_addr()));
    tokio::select! {
        biased;
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("interrupted: stopping"),
        reason = broker.failed() => {
            // What can be saved is saved; the exit code tells that this was no clean stop.
            broker.shutdown().await;
            bail!("the broker failed: {reason}");
        }
    }
    broker.shutdown().await;
    Ok(())
}

/// Stops a broker that has not started: in order if it still comes to that. A voter of a new cluster would
/// wait for the others for ever.
async fn stop_early(start: impl Future<Output = Result<Broker, StartError>>) -> anyhow::Result<()> {
    info!("stopping before the start is over");
    if let Ok(started) = timeout(EARLY_STOP_TIME_MAX, start).await {
        started?.shutdown().await;
    }
    Ok(())
}

/// Takes all the files that the system lets the process open, as a JVM does: many systems give 1,024 to
/// a process that does not ask.
fn raise_file_limit() {
    let mut files = getrlimit(Resource::Nofile);
    if files.current == files.maximum {
        return;
    }
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        warn!(%error, "the limit of open files stays as it is (ulimit -n)");
    }
}

/// The one line on stdout, which scripts wait for.
fn ready_line(kafka: SocketAddr, http: Option<SocketAddr>) -> String {
    let http = http.map_or(String::new(), |http| format!(", health and metrics on http://{http}"));
    let bootstrap = if kafka.port() == 9092 { String::new() } else { format!(" -b {kafka}") };
    format!("flumen ready on {kafka}{http}; next: flumen topic create greetings{bootstrap}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_can_be_typed_on() {
        let http = Some("127.0.0.1:9644".parse().unwrap());
        assert_eq!(
            ready_line("127.0.0.1:9092".parse().unwrap(), http),
            "flumen ready on 127.0.0.1:9092, health and metrics on http://127.0.0.1:9644; \
             next: flumen topic create greetings"
        );
        assert_eq!(
            ready_line("127.0.0.1:4000".parse().unwrap(), None),
            "flumen ready on 127.0.0.1:4000; next: flumen topic create greetings -b 127.0.0.1:4000"
        );
    }

    #[test]
    fn arguments_win_over_the_environment() {
        let flags = BrokerFlags {
            config: None,
            data_dir: Some("/data".into()),
            listen: Some("127.0.0.1:0".to_owned()),
            http: None,
            peer: None,
            settings: vec!["num.partitions=5".to_owned()],
            check_config: false,
        };
        let environment = [
            ("FLUMEN_NUM_PARTITIONS".to_owned(), "3".to_owned()),
            ("FLUMEN_LOG_DIRS".to_owned(), "/elsewhere".to_owned()),
        ];
        let config = sources(&flags, environment).build().unwrap();
        assert_eq!(config.data_dir(), std::path::Path::new("/data"));
        assert_eq!(config.log.num_partitions, 5);
    }
}
