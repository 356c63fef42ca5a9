//! The network seam on simulated links.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Listener, Net, ReadHalf, Transport, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

use crate::network::{Cut, Network, Reach};

/// How long after a connection request that was not answered the next is sent.
const CONNECT_AGAIN: Duration = Duration::from_millis(200);

/// How long it takes to hear that nobody listens.
const REFUSAL: Duration = Duration::from_millis(1);

/// Connections of one simulated host.
#[derive(Debug)]
pub struct SimulatedNet {
    host: String,
    network: Arc<Network>,
}

impl SimulatedNet {
    /// The network as the host of that name sees it.
    #[must_use]
    pub fn new(host: &str, network: Arc<Network>) -> Self {
        Self { host: host.to_owned(), network }
    }

    /// Connects as a real host does: it asks again while nobody answers.
    async fn connect_to(&self, address: &str) -> io::Result<Transport> {
        let (host, _) = host_and_port(address)?;
        loop {
            match self.network.reach(&self.host, host) {
                Reach::Open => {}
                Reach::Refused => {
                    tokio::time::sleep(REFUSAL).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Reach::Silent => {
                    tokio::time::sleep(CONNECT_AGAIN).await;
                    continue;
                }
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return halves(stream, self.network.connected(&self.host, host)),
                // The simulator's word for a request that was lost as well.
                Err(_) if self.network.reach(&self.host, host) != Reach::Open => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Net for SimulatedNet {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            // A simulated host has one address, whatever name the configuration gives it.
            let (_, port) = host_and_port(address)?;
            let listener = TcpListener::bind(("0.0.0.0", port)).await?;
            let (host, network) = (self.host.clone(), Arc::clone(&self.network));
            Ok(Box::new(SimulatedListener { listener, host, network }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Transport>> {
        Box::pin(self.connect_to(address))
    }
}

fn host_and_port(address: &str) -> io::Result<(&str, u16)> {
    address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an address is HOST:PORT"))
}

struct SimulatedListener {
    listener: TcpListener,
    host: String,
    network: Arc<Network>,
}

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedListener").field(&self.listener.local_addr()).finish()
    }
}

impl Listener for SimulatedListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            let peer = turmoil::reverse_lookup(peer.ip()).unwrap_or_default();
            halves(stream, self.network.connected(&peer, &self.host))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn halves(stream: TcpStream, cut: Arc<Cut>) -> io::Result<Transport> {
    let peer = stream.peer_addr()?;
    let (read, write) = stream.into_split();
    let read = SimulatedRead { read, cut: Arc::clone(&cut) };
    Ok((Box::new(read), Box::new(SimulatedWrite { write, cut }), peer))
}

#[derive(Debug)]
struct SimulatedRead {
    read: OwnedReadHalf,
    cut: Arc<Cut>,
}

impl AsyncRead for SimulatedRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.check(cx)?;
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl ReadHalf for SimulatedRead {}

/// Keeps the default of [`WriteHalf::poll_send_file`]: nothing here has a file descriptor.
#[derive(Debug)]
struct SimulatedWrite {
    write: OwnedWriteHalf,
    cut: Arc<Cut>,
}

impl AsyncWrite for SimulatedWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cut.check(cx)?;
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check(cx)?;
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

impl WriteHalf for SimulatedWrite {}
