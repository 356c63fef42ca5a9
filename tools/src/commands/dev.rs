//! `flumen dev`: a local cluster in the foreground, each broker a process of its own.
//!
//! A broker that is a process can be killed, to see what clients make of it. Topics are created as
//! they are named.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::exit::Usage;

/// How far above the Kafka listeners the HTTP listeners are.
const HTTP_ABOVE: u16 = 200;

/// How long a broker may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flumen dev
  flumen dev --base-port 19092 --data-dir /tmp/flumen-dev")]
pub(crate) struct Dev {
    /// How many brokers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    brokers: u16,
    /// Where the brokers keep everything, a folder for each
    #[arg(long, value_name = "DIR", default_value = "./flumen-data/dev")]
    data_dir: PathBuf,
    /// The Kafka port of the first broker; HTTP is 200 above
    #[arg(long, value_name = "PORT", default_value_t = 9092, value_parser = clap::value_parser!(u16).range(1..=60000))]
    base_port: u16,
    /// A setting of the brokers; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

pub(crate) async fn run(flags: &Dev) -> anyhow::Result<()> {
    if flags.brokers > 1 {
        let brokers = flags.brokers;
        let text = format!("--brokers {brokers}: clusters are not there yet, only --brokers 1 is");
        return Err(Usage(text).into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut node = Node::start(flags, 0).await?;
    println!("{}", ready_line(flags.base_port, flags.brokers));
    eprintln!("broker 1 is process {}; Ctrl-C stops it", node.id());
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        status = node.child.wait() => bail!("broker 1 ended by itself: {}", status?),
    }
    node.stop().await
}

/// One broker of the cluster.
#[derive(Debug)]
struct Node {
    child: Child,
}

impl Node {
    /// Starts the broker with this index and waits until it is ready.
    async fn start(flags: &Dev, index: u16) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding the flumen binary")?;
        let mut child = command(&program, flags, index)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().expect("its stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        match lines.next_line().await? {
            Some(line) if line.starts_with("flumen ready") => Ok(Self { child }),
            _ => bail!("broker {} did not start: {}", index + 1, child.wait().await?),
        }
    }

    fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Asks the broker to stop, as Ctrl-C did already where a terminal sent it to both of us.
    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let id = rustix::process::Pid::from_raw(id).context("the broker has no process id")?;
            // An error means that it has stopped by itself meanwhile.
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                anyhow::ensure!(status.success(), "the broker ended with {status}");
                Ok(())
            }
            Err(_elapsed) => {
                self.child.kill().await?;
                bail!("the broker did not stop within {STOP_TIMEOUT:?} and was killed")
            }
        }
    }
}

fn command(program: &Path, flags: &Dev, index: u16) -> Command {
    let port = flags.base_port + index;
    let node = index + 1;
    let mut command = Command::new(program);
    command
        .arg("broker")
        .arg("--data-dir")
        .arg(flags.data_dir.join(format!("broker-{node}")))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--http", &format!("127.0.0.1:{}", port + HTTP_ABOVE)])
        .args(["--set", &format!("node.id={node}")])
        .args(["--set", "auto.create.topics.enable=true"])
        .args(flags.settings.iter().flat_map(|setting| ["--set", setting]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
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
