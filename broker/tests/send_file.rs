//! The two ways of record data to a socket give the same bytes: `sendfile`, and read and write.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use flumen_client::connection::{BoxFuture, Listener, Net, ReadHalf, Seams, Transport, WriteHalf};
use flumen_protocol::ErrorCode;
use support::{Node, batch, config, fetch_request};
use tokio::io::AsyncWrite;

/// Real sockets that count what `sendfile` sent, and can do without it.
#[derive(Debug)]
struct Watched {
    real: Arc<dyn Net>,
    sends_files: bool,
    sent: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct WatchedListener {
    real: Box<dyn Listener>,
    sends_files: bool,
    sent: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct WatchedWrite {
    real: Box<dyn WriteHalf>,
    sends_files: bool,
    sent: Arc<AtomicUsize>,
}

impl Net for Watched {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let real = self.real.bind(address).await?;
            let (sends_files, sent) = (self.sends_files, Arc::clone(&self.sent));
            Ok(Box::new(WatchedListener { real, sends_files, sent }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Transport>> {
        self.real.connect(address)
    }
}

impl Listener for WatchedListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async move {
            let (read, real, peer): (Box<dyn ReadHalf>, _, _) = self.real.accept().await?;
            let (sends_files, sent) = (self.sends_files, Arc::clone(&self.sent));
            let write = Box::new(WatchedWrite { real, sends_files, sent });
            Ok((read, write as Box<dyn WriteHalf>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.real.local_addr()
    }
}

impl AsyncWrite for WatchedWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.real).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.real).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.real).poll_shutdown(cx)
    }
}

impl WriteHalf for WatchedWrite {
    fn poll_send_file(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        file: std::os::fd::BorrowedFd<'_>,
        position: u64,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.sends_files {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        }
        let sent = Pin::new(&mut *self.real).poll_send_file(cx, file, position, size);
        if let Poll::Ready(Ok(count)) = sent {
            self.sent.fetch_add(count, Ordering::SeqCst);
        }
        sent
    }
}

fn start(dir: &std::path::Path, sends_files: bool) -> (Node, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let real = Seams::real();
    let net = Watched { real: Arc::clone(&real.net), sends_files, sent: Arc::clone(&sent) };
    (Node::start_on(config(dir, &[]), Seams { net: Arc::new(net), ..real }), sent)
}

/// Whole response frames, for fetches from many places of the log.
fn frames(node: &Node) -> Vec<Bytes> {
    let mut client = node.client();
    let mut frames = Vec::new();
    for offset in [0, 1, 2, 5, 17, 39] {
        for version in [4, 11, 12] {
            client.send(version, &fetch_request("t", 0, offset));
            frames.push(client.receive_frame().unwrap());
        }
    }
    frames
}

#[test]
fn both_ways_to_the_socket_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (node, sent) = start(dir.path(), true);
    // Several segments, batches below and above the size that is copied in any case.
    node.create_topic("t", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "900000")]);
    let mut client = node.client();
    for number in 0..40_u32 {
        let size = [10, 5_000, 200_000, 700_000][usize::try_from(number % 4).unwrap()];
        let mut state = number + 1;
        let value: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(size)
        .collect();
        assert_eq!(client.produce("t", 0, batch(&[value])).0, ErrorCode::None);
    }
    let by_send_file = frames(&node);
    let total: usize = by_send_file.iter().map(Bytes::len).sum();
    assert!(sent.load(Ordering::SeqCst) > total / 2, "sendfile was hardly used");
    node.stop();

    let (node, sent) = start(dir.path(), false);
    let by_copying = frames(&node);
    assert_eq!(sent.load(Ordering::SeqCst), 0);
    assert_eq!(by_send_file.len(), by_copying.len());
    for (index, (one, other)) in by_send_file.iter().zip(&by_copying).enumerate() {
        assert_eq!(one.len(), other.len(), "response {index}");
        assert!(one == other, "response {index} differs");
    }
    node.stop();
}
