//! A broker inside the test, on a directory of its own.

#[path = "../../../tools/tests/chaos/ports.rs"]
mod ports;

use flumen_broker::Broker;
use flumen_broker::config::BrokerConfig;
use tempfile::TempDir;

/// A broker and its data.
#[derive(Debug)]
pub(crate) struct Node {
    directory: TempDir,
    port: u16,
    broker: Option<Broker>,
}

impl Node {
    /// Starts a broker on an empty directory and a port that is free, also when it starts again.
    pub(crate) async fn start() -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), ports::free_port());
        let broker = start(&directory, port).await;
        Self { directory, port, broker: Some(broker) }
    }

    /// The address for clients.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops the broker and starts it again on the same directory and port.
    #[allow(dead_code, reason = "each test file is a crate of its own, and not all restart")]
    pub(crate) async fn restart(&mut self) {
        self.broker.take().expect("it runs").shutdown().await;
        self.broker = Some(start(&self.directory, self.port).await);
    }

    /// Stops the broker.
    pub(crate) async fn stop(mut self) {
        self.broker.take().expect("it runs").shutdown().await;
    }
}

async fn start(directory: &TempDir, port: u16) -> Broker {
    let listeners = format!("127.0.0.1:{port}");
    let settings = [
        ("log.dirs", directory.path().to_str().expect("temporary paths are plain")),
        ("listeners", listeners.as_str()),
        ("http.listener", ""),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let config = BrokerConfig::with(settings).unwrap();
    Broker::start(config).await.unwrap()
}
