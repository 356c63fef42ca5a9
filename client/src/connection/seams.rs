//! The seams between Flumen and the machine: network, clocks, randomness and tasks.
//!
//! Clients and brokers name these traits and nothing behind them, so that one build runs on real
//! sockets ([`Seams::real`]) and, unchanged, inside a simulation that moves time, cuts links and
//! stops nodes. The disk is the storage crate's own seam. This module owns no protocol rule.
//!
//! Timers need no trait: `tokio::time` is virtual in simulation.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// A boxed future, as the object-safe seam traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A running task; dropping the handle leaves the task running, `abort` stops it.
pub type TaskHandle = JoinHandle<()>;

/// The receiving half of a connection.
pub trait ReadHalf: AsyncRead + Send + Sync + Unpin + Debug {}

/// The sending half of a connection.
pub trait WriteHalf: AsyncWrite + Send + Sync + Unpin + Debug {
    /// Sends up to `size` bytes of `file` from `position` without copying them through user space.
    ///
    /// Returns the bytes sent, 0 at the end of the file, and an error of kind
    /// [`io::ErrorKind::Unsupported`] where the transport is no plain socket: the caller then
    /// reads and writes instead.
    fn poll_send_file(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _file: BorrowedFd<'_>,
        _position: u64,
        _size: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Both halves of an established connection, and the peer's address.
pub type Transport = (Box<dyn ReadHalf>, Box<dyn WriteHalf>, SocketAddr);

/// A bound listening socket.
pub trait Listener: Send + Sync + Debug {
    /// Waits for the next connection. Cancel safe: no connection is lost.
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>>;

    /// The bound address, with the port that was chosen when port 0 was asked for.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Makes and accepts connections.
pub trait Net: Send + Sync + Debug {
    /// Binds `host:port`; port 0 asks for any free one.
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Connects to `host:port`. Has no deadline of its own.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Transport>>;
}

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since the Unix epoch. May jump either way.
    fn wall_ms(&self) -> i64;

    /// Time since a fixed point of this process; never goes back.
    fn monotonic(&self) -> Duration;
}

/// A source of randomness that a simulation can seed.
pub trait Rng: Send + Sync + Debug {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;

    /// Sixteen random bytes, for ids.
    fn next_bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next_u64().to_be_bytes());
        bytes
    }
}

/// Starts tasks.
pub trait Spawn: Send + Sync + Debug {
    /// Starts `future` as a task; `name` is for diagnosis.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle;

    /// Runs `work` where it may block on the disk; in simulation it runs inline.
    ///
    /// Must be called from within a runtime. Completion is for `work` itself to announce.
    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>);
}

/// The seams of one node, cheap to clone.
#[derive(Debug, Clone)]
pub struct Seams {
    /// Connections.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Tasks.
    pub spawn: Arc<dyn Spawn>,
}
