//! The way to one listener of a broker: others are told the door's address, and what they say goes
//! over the links of the [`Network`].
//!
//! A door is open while the broker listens and closed while its process is gone, so that connecting
//! is refused then, as it would be without a door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::TaskHandle;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::carry;
use crate::network::{Network, Node};
use crate::origin::Processes;
use crate::seams::seams;

/// How often a broker that starts is asked whether it listens.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// Who may come to a door.
#[derive(Debug, Clone)]
pub(crate) enum Visitors {
    /// Clients only.
    Clients,
    /// Brokers, known by their processes.
    Brokers(Arc<Processes>),
}

/// A door; see the module.
#[derive(Debug)]
pub(crate) struct Door {
    way: Arc<Way>,
    task: Mutex<Option<TaskHandle>>,
}

/// From where to where.
#[derive(Debug)]
struct Way {
    port: u16,
    listener_port: u16,
    to: Node,
    visitors: Visitors,
    network: Arc<Network>,
}

impl Door {
    /// A closed door at `port` to the listener of `to` at `listener_port`.
    pub(crate) fn new(
        (port, listener_port): (u16, u16),
        to: Node,
        visitors: Visitors,
        network: &Arc<Network>,
    ) -> Self {
        let way = Way { port, listener_port, to, visitors, network: Arc::clone(network) };
        Self { way: Arc::new(way), task: Mutex::new(None) }
    }

    /// The address that others are told.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.way.port)
    }

    /// Opens the door as soon as the broker listens.
    pub(crate) fn open(&self) {
        let running = Arc::clone(&self.way).run();
        let task = seams().spawn.spawn("door", Box::pin(running));
        assert!(self.task.lock().replace(task).is_none(), "a door is opened once");
    }

    /// Closes the door; connections that came in stay.
    pub(crate) async fn close(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            let ended = task.await;
            assert!(ended.is_err_and(|error| error.is_cancelled()), "a door does not fail");
        }
    }
}

impl Way {
    async fn run(self: Arc<Self>) {
        while self.connect().await.is_none() {
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        loop {
            let (socket, from) = listener.accept().await.unwrap();
            let passing = Arc::clone(&self).let_in(socket, from);
            // It ends with its connection.
            drop(seams().spawn.spawn("connection through a door", Box::pin(passing)));
        }
    }

    async fn let_in(self: Arc<Self>, near: TcpStream, from: SocketAddr) {
        let from = match &self.visitors {
            Visitors::Clients => Some(Node::Clients),
            Visitors::Brokers(processes) => processes.owner(from),
        };
        let (Some(from), Some(far)) = (from, self.connect().await) else {
            // Whoever came is gone, or the broker is: either way nobody is at the other end.
            return near.set_zero_linger().unwrap();
        };
        for socket in [&near, &far] {
            socket.set_nodelay(true).unwrap();
        }
        let there = self.network.link(from, self.to);
        let back = self.network.link(self.to, from);
        carry(near, far, there, back).await;
    }

    async fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.listener_port)).await.ok()
    }
}
