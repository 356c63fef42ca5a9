//! The seams on the real machine: TCP sockets, the system's clocks, random bytes and tokio tasks.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::seams::{
    BoxFuture, Clock, Listener, Net, ReadHalf, Rng, Seams, Spawn, TaskHandle, Transport, WriteHalf,
};

impl Seams {
    /// The seams of a process on a real machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            net: Arc::new(TcpNet),
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            spawn: Arc::new(TokioSpawn),
        }
    }
}

#[derive(Debug)]
struct TcpNet;

impl Net for TcpNet {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(TcpAcceptor(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Transport>> {
        Box::pin(async move { halves(TcpStream::connect(address).await?) })
    }
}

#[derive(Debug)]
struct TcpAcceptor(TcpListener);

impl Listener for TcpAcceptor {
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async move { halves(self.0.accept().await?.0) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn halves(stream: TcpStream) -> io::Result<Transport> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let (read, write) = stream.into_split();
    Ok((Box::new(TcpRead(read)), Box::new(TcpWrite(write)), peer))
}

#[derive(Debug)]
struct TcpRead(OwnedReadHalf);

impl AsyncRead for TcpRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl ReadHalf for TcpRead {}

#[derive(Debug)]
struct TcpWrite(OwnedWriteHalf);

impl AsyncWrite for TcpWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl WriteHalf for TcpWrite {
    fn poll_send_file(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        position: u64,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        let stream: &TcpStream = self.0.as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            let sent = stream.try_io(Interest::WRITABLE, || {
                let mut from = position;
                Ok(rustix::fs::sendfile(stream.as_fd(), file, Some(&mut from), size)?)
            });
            match sent {
                // Readiness was stale: the next poll registers for the real one.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// The one place that reads the system's clocks.
#[derive(Debug)]
struct SystemClock {
    origin: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this is the Clock seam itself")]
impl SystemClock {
    fn new() -> Self {
        Self { origin: Instant::now() }
    }

    fn since_epoch() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        i64::try_from(Self::since_epoch().as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[derive(Debug)]
struct SystemRng;

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            match rustix::rand::getrandom(&mut bytes[filled..], flags) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => panic!("the system gives no random bytes: {e}"),
            }
        }
        u64::from_ne_bytes(bytes)
    }
}

#[derive(Debug)]
struct TokioSpawn;

#[expect(clippy::disallowed_methods, reason = "this is the Spawn seam itself")]
impl Spawn for TokioSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        tokio::spawn(future)
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        drop(tokio::task::spawn_blocking(work));
    }
}
