//! `flumen dev`: a local cluster in the foreground, each broker a process of its own.
//!
//! A broker that is a process can be killed, to see what clients make of it. Topics are created as
//! they are named.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::future::{Either, join_all, select, select_all, try_join_all};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// How far above the Kafka listeners the peer listeners are.
const PEER_ABOVE: u16 = 100;

/// How far above the Kafka listeners the HTTP listeners are.
const HTTP_ABOVE: u16 = 200;

/// More voters make every change of metadata dearer, and five may lose two.
const VOTERS_MAX: u16 = 5;

/// How long a broker may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flumen dev
  flumen dev --brokers 3
  flumen dev --base-port 19092 --data-dir /tmp/flumen-dev")]
pub(crate) struct Dev {
    /// How many brokers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    brokers: u16,
    /// Where the brokers keep everything, a folder for each
    #[arg(long, value_name = "DIR", default_value = "./flumen-data/dev")]
    data_dir: PathBuf,
    /// The Kafka port of the first broker; peers are 100 above, HTTP 200
    #[arg(long, value_name = "PORT", default_value_t = 9092, value_parser = clap::value_parser!(u16).range(1..=60000))]
    base_port: u16,
    /// A setting of the brokers; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

pub(crate) async fn run(flags: &Dev) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = pin!(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let mut nodes = Vec::new();
    for number in 1..=flags.brokers {
        nodes.push(Node::start(flags, number)?);
    }
    // A cluster is founded by all of its voters, so that none is ready before the last: they start at
    // once.
    let is_ready = {
        let all_ready = pin!(try_join_all(nodes.iter_mut().map(Node::ready)));
        match select(&mut stop, all_ready).await {
            Either::Left(_) => false,
            Either::Right((ready, _)) => ready.map(|_| true)?,
        }
    };
    if is_ready {
        println!("{}", ready_line(flags.base_port, flags.brokers));
        watch(flags, &mut nodes, stop).await?;
    }
    stop_all(&mut nodes).await
}

/// Tells which brokers end, until `stop` or until none is left.
async fn watch(
    flags: &Dev,
    nodes: &mut Vec<Node>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<()> {
    for node in &*nodes {
        eprintln!("broker {} is process {}", node.number, node.id());
    }
    eprintln!("Ctrl-C stops {}", if nodes.len() == 1 { "it" } else { "them" });
    loop {
        let ended = select_all(nodes.iter_mut().map(|node| Box::pin(node.child.wait())));
        let (status, place) = match select(stop.as_mut(), ended).await {
            Either::Left(_) => return Ok(()),
            Either::Right(((status, place, _), _)) => (status?, place),
        };
        let number = nodes.remove(place).number;
        if nodes.is_empty() {
            bail!("broker {number} ended by itself: {status}");
        }
        // The point of a process for each broker: the others go on, and it may come back.
        eprintln!("broker {number} ended: {status}; this starts it again:");
        eprintln!("  flumen {}", shell_words(&arguments(flags, number)));
    }
}

/// Asks every broker to stop before it waits for any of them: each needs the others to hand over to.
async fn stop_all(nodes: &mut [Node]) -> anyhow::Result<()> {
    for node in &*nodes {
        node.ask_to_stop();
    }
    let stopped = join_all(nodes.iter_mut().map(Node::stopped)).await;
    stopped.into_iter().collect()
}

/// One broker of the cluster.
#[derive(Debug)]
struct Node {
    number: u16,
    child: Child,
}

impl Node {
    /// Starts the broker with this number.
    fn start(flags: &Dev, number: u16) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding the flumen binary")?;
        let child = Command::new(&program)
            .args(arguments(flags, number))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { number, child })
    }

    /// Waits until the broker is ready.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let stdout = self.child.stdout.take().expect("its stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        match lines.next_line().await? {
            Some(line) if line.starts_with("flumen ready") => Ok(()),
            _ => bail!("broker {} did not start: {}", self.number, self.child.wait().await?),
        }
    }

    fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Asks the broker to stop, as Ctrl-C did already where a terminal sent it to all of us.
    fn ask_to_stop(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            // An error means that it has stopped by itself meanwhile.
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
    }

    /// Waits until the broker has stopped.
    async fn stopped(&mut self) -> anyhow::Result<()> {
        let number = self.number;
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                anyhow::ensure!(status.success(), "broker {number} ended with {status}");
                Ok(())
            }
            Err(_elapsed) => {
                self.child.kill().await?;
                bail!("broker {number} did not stop within {STOP_TIMEOUT:?} and was killed")
            }
        }
    }
}

/// What `flumen` is given to run the broker with this number, counted from 1.
fn arguments(flags: &Dev, number: u16) -> Vec<String> {
    let port = flags.base_port + number - 1;
    let data_dir = flags.data_dir.join(format!("broker-{number}"));
    let mut words = vec!["broker".to_owned()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    option("--data-dir", data_dir.display().to_string());
    option("--listen", format!("127.0.0.1:{port}"));
    option("--http", format!("127.0.0.1:{}", port + HTTP_ABOVE));
    option("--set", format!("node.id={number}"));
    option("--set", "auto.create.topics.enable=true".to_owned());
    if flags.brokers > 1 {
        option("--peer", format!("127.0.0.1:{}", port + PEER_ABOVE));
        option("--set", format!("controller.quorum.voters={}", voters(flags)));
    }
    for setting in &flags.settings {
        option("--set", setting.clone());
    }
    words
}

/// The brokers that vote on metadata: an odd number of them, for one more would only add to those
/// that must not fail.
fn voters(flags: &Dev) -> String {
    let count = flags.brokers.min(VOTERS_MAX);
    let count = if count.is_multiple_of(2) { count - 1 } else { count };
    let voter =
        |number| format!("{number}@127.0.0.1:{}", flags.base_port + number - 1 + PEER_ABOVE);
    (1..=count).map(voter).collect::<Vec<_>>().join(",")
}

/// The words as they are typed in a shell.
fn shell_words(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    let quoted = words.iter().map(|word| match word.chars().all(is_plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn ready_line(base_port: u16, brokers: u16) -> String {
    let listeners: Vec<String> =
        (0..brokers).map(|index| format!("127.0.0.1:{}", base_port + index)).collect();
    let first = &listeners[0];
    let bootstrap = if base_port == 9092 { String::new() } else { format!(" -b {first}") };
    format!(
        "flumen ready on {}; next: echo hello | flumen produce greetings{bootstrap}",
        listeners.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(brokers: u16) -> Dev {
        let (data_dir, settings) = (PathBuf::from("/my data"), vec!["a=b".to_owned()]);
        Dev { brokers, data_dir, base_port: 9092, settings }
    }

    #[test]
    fn a_cluster_has_an_odd_number_of_voters() {
        let count = |brokers| voters(&flags(brokers)).split(',').count();
        assert_eq!([1, 2, 3, 4, 5, 6, 9].map(count), [1, 1, 3, 3, 5, 5, 5]);
        assert_eq!(voters(&flags(2)), "1@127.0.0.1:9192");
    }

    #[test]
    fn a_broker_can_be_started_again_by_hand() {
        assert_eq!(
            shell_words(&arguments(&flags(2), 2)),
            "broker --data-dir '/my data/broker-2' --listen 127.0.0.1:9093 --http 127.0.0.1:9293 \
             --set node.id=2 --set auto.create.topics.enable=true --peer 127.0.0.1:9193 \
             --set controller.quorum.voters=1@127.0.0.1:9192 --set a=b"
        );
        assert_eq!(shell_words(&["it's".to_owned()]), r"'it'\''s'");
    }

    #[test]
    fn the_ready_line_names_every_listener() {
        assert_eq!(
            ready_line(9092, 1),
            "flumen ready on 127.0.0.1:9092; next: echo hello | flumen produce greetings"
        );
        assert_eq!(
            ready_line(4000, 2),
            "flumen ready on 127.0.0.1:4000,127.0.0.1:4001; \
             next: echo hello | flumen produce greetings -b 127.0.0.1:4000"
        );
    }
}
