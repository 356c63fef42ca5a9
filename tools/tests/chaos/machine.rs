//! One broker: its data, its doors, and its process, which is started, stopped, killed and frozen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::disk::{Disk, Hung};
use crate::door::{Door, Visitors};
use crate::network::{Network, Node};
use crate::origin::Processes;
use crate::ports::free_port;
use crate::story::OUR_SETTINGS;

/// How long a broker may take to be ready.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a broker may take to stop when it is asked to.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// How often a process is asked how it is.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// A broker; see the module. Its process is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: i32,
    disk: Disk,
    /// What it printed in all its lives.
    log: PathBuf,
    listener_port: u16,
    peer_port: u16,
    clients: Door,
    peers: Door,
    /// Where in the log its present life begins.
    life_begins: usize,
    processes: Arc<Processes>,
    process: Option<Child>,
    /// There while its disk takes no writes.
    hung: Option<Hung>,
}

impl Machine {
    /// A machine whose broker is not started yet.
    pub(crate) fn new(
        id: i32,
        disk: Disk,
        folder: &Path,
        network: &Arc<Network>,
        processes: &Arc<Processes>,
    ) -> Self {
        let (listener_port, peer_port) = (free_port(), free_port());
        let brokers = Visitors::Brokers(Arc::clone(processes));
        let door =
            |port, visitors| Door::new((free_port(), port), Node::Broker(id), visitors, network);
        Self {
            id,
            disk,
            log: folder.join(format!("broker-{id}.log")),
            listener_port,
            peer_port,
            clients: door(listener_port, Visitors::Clients),
            peers: door(peer_port, brokers),
            life_begins: 0,
            processes: Arc::clone(processes),
            process: None,
            hung: None,
        }
    }

    /// Where clients connect.
    pub(crate) fn client_address(&self) -> String {
        self.clients.address()
    }

    /// Where other brokers connect.
    pub(crate) fn peer_address(&self) -> String {
        self.peers.address()
    }

    /// Whether its process is there, frozen or not.
    pub(crate) fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the broker, in a cluster of these voters or alone, and opens the doors when it listens.
    pub(crate) fn start(&mut self, voters: Option<&str>) {
        assert!(self.process.is_none(), "broker {} runs already", self.id);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        self.life_begins = usize::try_from(log.metadata().unwrap().len()).unwrap();
        let listen = |port| format!("127.0.0.1:{port}");
        let mut settings = vec![
            format!("node.id={}", self.id),
            format!("advertised.listeners=PLAINTEXT://{}", self.client_address()),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        settings.extend(voters.map(|voters| format!("controller.quorum.voters={voters}")));
        let mut command = self.disk.command(env!("CARGO_BIN_EXE_flumen"));
        command.arg("broker").arg("--data-dir").arg(self.disk.data());
        command.args(["--listen", &listen(self.listener_port), "--http", "127.0.0.1:0"]);
        command.args(["--peer", &listen(self.peer_port)]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        for name in OUR_SETTINGS {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        self.processes.add(process.id(), Node::Broker(self.id));
        self.process = Some(process);
        self.clients.open();
        self.peers.open();
    }

    /// Waits until the broker serves.
    pub(crate) async fn ready(&mut self) {
        let waiting = async {
            while !self.is_ready() {
                if let Some(status) = self.ended() {
                    panic!(
                        "broker {} does not start ({status}):\n{}",
                        self.id,
                        self.last_words(40)
                    );
                }
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
        };
        let ready = tokio::time::timeout(START_TIME_MAX, waiting).await;
        ready.unwrap_or_else(|_| {
            panic!("broker {} is not ready in time:\n{}", self.id, self.last_words(40))
        });
    }

    /// Whether it has said in this life that it is ready.
    fn is_ready(&self) -> bool {
        let text = fs::read(&self.log).unwrap_or_default();
        let life = text.get(self.life_begins..).unwrap_or_default();
        String::from_utf8_lossy(life).lines().any(|line| line.starts_with("flumen ready"))
    }

    /// Kills the process; the page cache stays.
    pub(crate) async fn kill(&mut self) {
        let process = self.process.as_mut().expect("only what runs is killed");
        process.kill().unwrap();
        self.gone().await;
    }

    /// Takes away the power: what was not synced is gone.
    pub(crate) async fn lose_power(&mut self) {
        // While it is frozen it can neither sync nor tell anybody that it has.
        self.freeze();
        let kept = self.disk.keep();
        self.kill().await;
        kept.put_back();
    }

    /// Asks the broker to stop and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let waiting = async {
            loop {
                if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
        };
        let stopped = tokio::time::timeout(STOP_TIME_MAX, waiting).await;
        let status = stopped.unwrap_or_else(|_| panic!("broker {} does not stop", self.id));
        self.gone().await;
        status
    }

    /// Freezes the process: it keeps its connections and says nothing.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process run on; one that is not frozen does not mind.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets the disk take no writes.
    pub(crate) fn hang_disk(&mut self) {
        let process = self.process.as_ref().expect("only what runs has its disk mounted");
        self.hung = Some(self.disk.hang(process.id()));
    }

    /// Lets the disk take writes again.
    pub(crate) fn wake_disk(&mut self) {
        self.hung = None;
    }

    /// Whether the process has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().unwrap()
    }

    /// The last lines that it printed.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("only what runs hears signals");
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// Waits for the end of the process and closes its doors.
    async fn gone(&mut self) {
        let mut process = self.process.take().expect("it was there");
        process.wait().unwrap();
        self.clients.close().await;
        self.peers.close().await;
        self.disk.released().await;
        self.processes.remove(process.id());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.wake_disk();
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
