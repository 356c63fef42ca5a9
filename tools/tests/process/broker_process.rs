//! A `flumen broker` as a process of its own: started, asked, stopped, killed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The binary under test.
pub(crate) const FLUMEN: &str = env!("CARGO_BIN_EXE_flumen");

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running broker; it is killed when this is dropped, and what it said is shown if the test fails.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// The line it printed when it was ready.
    pub(crate) ready_line: String,
    /// The port of the Kafka listener.
    pub(crate) port: u16,
}

impl BrokerProcess {
    /// Starts a broker on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_on(data, 0, &[])
    }

    /// Starts a broker on a port, with further arguments.
    pub(crate) fn start_on(data: &Path, port: u16, arguments: &[&str]) -> Self {
        let mut child = command(data, port)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        // A pipe that nobody reads would stop the broker once it is full.
        let log = std::thread::Builder::new()
            .spawn(move || {
                let mut text = String::new();
                let _ = stderr.read_to_string(&mut text);
                text
            })
            .unwrap();
        let ready_line = first_line(stdout);
        if !ready_line.starts_with("flumen ready") {
            let _ = child.kill();
            let log = log.join().unwrap();
            panic!("no ready line but {ready_line:?}; the broker said:\n{log}");
        }
        let port = port_in(&ready_line);
        Self { child, log: Some(log), ready_line, port }
    }

    /// Where clients connect.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had so far.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.kibibytes("VmHWM") * 1024
    }

    /// The memory that it has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.kibibytes("VmRSS") * 1024
    }

    fn kibibytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Kills the broker as a power cut to the process would, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the broker with SIGTERM; gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).unwrap();
        wait(&mut self.child).code()
    }

    /// Kills the broker and gives what it has said.
    pub(crate) fn kill_and_hear(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Whether it runs still.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for BrokerProcess {
    #[expect(clippy::print_stderr, reason = "shown with a test that fails")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take().filter(|_| std::thread::panicking()) {
            let log = log.join().unwrap_or_default();
            eprintln!("the broker on port {} said:\n{log}", self.port);
        }
    }
}

/// `flumen broker` on a data directory and a port, before it is started.
pub(crate) fn command(data: &Path, port: u16) -> Command {
    let mut command = Command::new(FLUMEN);
    command
        .arg("broker")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", &format!("127.0.0.1:{port}"), "--http", "127.0.0.1:0"])
        .args(["--set", "group.initial.rebalance.delay.ms=0"])
        .stdin(Stdio::null());
    command
}

/// Runs `flumen` with these arguments to its end.
pub(crate) fn flumen(bootstrap: &str, arguments: &[&str]) -> Output {
    Command::new(FLUMEN)
        .args(arguments)
        .env("FLUMEN_BOOTSTRAP", bootstrap)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn first_line(stdout: impl Read + Send + 'static) -> String {
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = send.send(line);
            // What follows is read so that the broker never waits for us.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        })
        .unwrap();
    receive.recv_timeout(PATIENCE).unwrap_or_default()
}

/// The first port in the ready line.
fn port_in(line: &str) -> u16 {
    let digits = line.split("127.0.0.1:").nth(1).unwrap_or_default();
    let end = digits.find(|found: char| !found.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_else(|_| panic!("no port in {line:?}"))
}

pub(crate) fn wait(child: &mut Child) -> std::process::ExitStatus {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(waited < PATIENCE, "the broker did not stop within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
        waited += Duration::from_millis(20);
    }
}
