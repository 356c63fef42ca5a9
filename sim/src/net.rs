//! The network seam on simulated links.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use flumen_client::connection::{BoxFuture, Listener, Net, ReadHalf, Transport, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

/// Connections of the simulated host on whose behalf the caller runs.
#[derive(Debug)]
pub struct SimulatedNet;

impl Net for SimulatedNet {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            // A simulated host has one address, whatever name the configuration gives it.
            let listener = TcpListener::bind(("0.0.0.0", port(address)?)).await?;
            Ok(Box::new(SimulatedListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Transport>> {
        Box::pin(async move { halves(TcpStream::connect(address).await?) })
    }
}

fn port(address: &str) -> io::Result<u16> {
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an address is HOST:PORT"))
}

struct SimulatedListener(TcpListener);

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedListener").field(&self.0.local_addr()).finish()
    }
}

impl Listener for SimulatedListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async move { halves(self.0.accept().await?.0) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn halves(stream: TcpStream) -> io::Result<Transport> {
    let peer = stream.peer_addr()?;
    let (read, write) = stream.into_split();
    Ok((Box::new(SimulatedRead(read)), Box::new(SimulatedWrite(write)), peer))
}

#[derive(Debug)]
struct SimulatedRead(OwnedReadHalf);

impl AsyncRead for SimulatedRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl ReadHalf for SimulatedRead {}

/// Keeps the default of [`WriteHalf::poll_send_file`]: nothing here has a file descriptor.
#[derive(Debug)]
struct SimulatedWrite(OwnedWriteHalf);

impl AsyncWrite for SimulatedWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl WriteHalf for SimulatedWrite {}
