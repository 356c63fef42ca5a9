//! Connections within one process and one thread: the seams of a broker whose clients are an input.
//!
//! Time is tokio's, which stands still while anybody has work, so that no wait takes long.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use flumen_client::connection::{
    BoxFuture, Clock, Listener, Net, ReadHalf, Rng, Seams, Spawn, TaskHandle, Transport, WriteHalf,
};
use tokio::io::{
    AsyncRead, AsyncWrite, DuplexStream, ReadBuf, ReadHalf as Reading, WriteHalf as Writing,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::Instant;

/// Bytes on their way in each direction before the sender waits.
const PIPE_SIZE: usize = 64 * 1024;

/// A network of one listener.
#[derive(Debug, Clone, Default)]
pub struct MemoryNet {
    listener: Arc<Mutex<Option<mpsc::UnboundedSender<Transport>>>>,
    dialled: Arc<AtomicU64>,
}

impl MemoryNet {
    /// Everything a broker needs, with this network. To be called in the runtime. Brokers that start
    /// one after the other on the same disk need other dice each time.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock seam itself, in virtual time")]
    pub fn seams(&self, dice: u64) -> Seams {
        Seams {
            net: Arc::new(self.clone()),
            clock: Arc::new(StandingClock { origin: Instant::now() }),
            rng: Arc::new(Counter(AtomicU64::new(dice << 32 | 1))),
            spawn: Arc::new(Inline),
        }
    }

    /// Connects, each time from another address.
    pub fn dial(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE_SIZE);
        let number = self.dialled.fetch_add(1, Ordering::Relaxed);
        let [.., a, b, c] = number.to_be_bytes();
        let peer = SocketAddr::from((Ipv4Addr::new(10, a, b, c), 4711));
        let (read, write) = tokio::io::split(theirs);
        let transport: Transport = (Box::new(PipeRead(read)), Box::new(PipeWrite(write)), peer);
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = listener.as_ref().is_some_and(|listener| listener.send(transport).is_ok());
        assert!(sent, "the broker listens");
        ours
    }
}

impl Net for MemoryNet {
    fn bind<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let listener: Box<dyn Listener> = Box::new(Acceptor(AsyncMutex::new(receiver)));
        Box::pin(std::future::ready(Ok(listener)))
    }

    fn connect<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, io::Result<Transport>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

#[derive(Debug)]
struct Acceptor(AsyncMutex<mpsc::UnboundedReceiver<Transport>>);

impl Listener for Acceptor {
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async move {
            let mut receiver = self.0.lock().await;
            receiver.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)))
    }
}

#[derive(Debug)]
struct PipeRead(Reading<DuplexStream>);

impl AsyncRead for PipeRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl ReadHalf for PipeRead {}

#[derive(Debug)]
struct PipeWrite(Writing<DuplexStream>);

impl AsyncWrite for PipeWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl WriteHalf for PipeWrite {}

#[derive(Debug)]
struct StandingClock {
    origin: Instant,
}

impl Clock for StandingClock {
    fn wall_ms(&self) -> i64 {
        let since_ms = i64::try_from(self.monotonic().as_millis()).expect("runs are short");
        crate::log_files::NOW_MS + since_ms
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// The same numbers in every run, others for every start.
#[derive(Debug)]
struct Counter(AtomicU64);

impl Rng for Counter {
    fn next_u64(&self) -> u64 {
        let mixed = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }
}

/// Blocking work is done where it is asked for: the disk is in memory.
#[derive(Debug)]
struct Inline;

#[expect(clippy::disallowed_methods, reason = "this is the Spawn seam itself")]
impl Spawn for Inline {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        tokio::spawn(future)
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}
