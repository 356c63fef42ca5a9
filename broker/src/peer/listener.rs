//! Accepts connections of other brokers and serves each in a task of its own.
//!
//! A broker asks one thing after the other on each connection, so serving is a plain loop. Brokers are
//! few, but others may find the port. So connections and what they hold are bounded, buffers grow
//! with what arrived, and whoever sends nonsense, stops in the middle or does not say which broker of
//! the cluster it is, is cut off.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flumen_client::connection::{Listener, ReadHalf, Seams, Transport};
use flumen_protocol::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::service::{Broken, PEER_FRAME_BYTES_MAX, PeerServices};
use crate::net::{Output, PanicGuard};

/// How much is made room for at once.
const READ_BYTES: usize = 64 * 1024;

/// How long accepting pauses after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// What strangers and brokers together may take of this broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerLimits {
    /// Connections at once. A broker has about twenty to each other.
    pub(crate) connections_max: usize,
    /// Bytes of large requests that are being received or answered, of all connections.
    pub(crate) bytes_max: u32,
    /// Until a connection has said for which broker of this cluster it is.
    pub(crate) introduction_time_max: Duration,
    /// Until the rest of a request has come, or an answer was taken.
    pub(crate) transfer_time_max: Duration,
    /// Without a request. Whoever comes later connects again.
    pub(crate) idle_time_max: Duration,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            connections_max: 2_000,
            bytes_max: 256 << 20,
            introduction_time_max: Duration::from_secs(10),
            transfer_time_max: Duration::from_secs(30),
            idle_time_max: Duration::from_secs(600),
        }
    }
}

/// Accepts for as long as the broker runs.
#[derive(Debug, Clone)]
pub(crate) struct PeerAcceptor {
    services: PeerServices,
    seams: Seams,
    stop: watch::Receiver<bool>,
    limits: PeerLimits,
    /// A permit for each connection.
    connections: Arc<Semaphore>,
    /// A permit for each byte of large requests.
    bytes: Arc<Semaphore>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the other broker closed it")]
    ByPeer,
    #[error(transparent)]
    Network(#[from] io::Error),
    #[error("a message of {0} bytes was announced")]
    Size(i32),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("it has not said for which broker of this cluster it is")]
    Stranger,
    #[error("the rest of a request did not come")]
    Unfinished,
    #[error("its answer was not taken")]
    NotTaken,
    #[error("there was no request for a long time")]
    Idle,
    #[error("the broker is stopping")]
    Stopping,
}

/// A connection, as far as it was read.
struct Inbound {
    read: Box<dyn ReadHalf>,
    input: BytesMut,
}

impl PeerAcceptor {
    pub(crate) fn new(
        services: PeerServices,
        seams: Seams,
        stop: watch::Receiver<bool>,
        limits: PeerLimits,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(limits.connections_max));
        let bytes = usize::try_from(limits.bytes_max).expect("32 bits fit");
        let bytes = Arc::new(Semaphore::new(bytes));
        Self { services, seams, stop, limits, connections, bytes }
    }

    /// Accepts until the broker stops.
    pub(crate) async fn run(self, listener: Box<dyn Listener>) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(transport) => self.admit(transport),
                Err(error) => {
                    warn!(%error, "a broker could not be let in");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, transport: Transport) {
        let peer = transport.2;
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            return debug!(%peer, "connection refused: there are too many of brokers");
        };
        let acceptor = self.clone();
        let serve = async move {
            acceptor.serve(transport).await;
            drop(permit);
        };
        drop(self.seams.spawn.spawn("peer connection", Box::pin(serve)));
    }

    async fn serve(self, transport: Transport) {
        let peer = transport.2;
        let mut sender = None;
        let guard = PanicGuard { peer };
        let ended = self.converse(transport, &mut sender).await;
        drop(guard);
        if let (Some(sender), Err(Closed::ByPeer | Closed::Network(_))) = (sender, &ended) {
            self.services.lost(sender);
        }
        match ended {
            Err(reason @ (Closed::Size(_) | Closed::Broken(_) | Closed::Stranger)) => {
                info!(%peer, %reason, "connection of a broker closed");
            }
            Err(reason) => debug!(%peer, %reason, "connection of a broker closed"),
            Ok(never) => match never {},
        }
    }

    async fn converse(
        &self,
        (read, mut write, peer): Transport,
        sender: &mut Option<i32>,
    ) -> Result<Infallible, Closed> {
        let clock = &*self.seams.clock;
        let introduction_ends = clock.monotonic() + self.limits.introduction_time_max;
        let mut stop = self.stop.clone();
        let mut inbound = Inbound { read, input: BytesMut::new() };
        let mut output = Output::default();
        loop {
            let time_left = match sender {
                Some(_) => self.limits.idle_time_max,
                None => introduction_ends.saturating_sub(clock.monotonic()),
            };
            let is_stranger = sender.is_none();
            let received = self.next_frame(&mut inbound, time_left);
            let (frame, permit) = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return Err(Closed::Stopping),
                received = received => received.map_err(|closed| match closed {
                    Closed::Idle if is_stranger => Closed::Stranger,
                    closed => closed,
                })?,
            };
            let answer = self.answer(frame, sender, peer, &mut inbound).await?;
            drop(permit);
            output.push(answer);
            let sending = async {
                poll_fn(|cx| output.poll_send(cx, &mut *write)).await?;
                while !output.is_empty() {
                    poll_fn(|cx| output.poll_send(cx, &mut *write)).await?;
                }
                write.flush().await
            };
            let sent = timeout(self.limits.transfer_time_max, sending).await;
            sent.map_err(|_elapsed| Closed::NotTaken)??;
        }
    }

    /// Answers a request, unless whoever asked goes away: a fetch may wait long for its data.
    async fn answer(
        &self,
        frame: Bytes,
        sender: &mut Option<i32>,
        peer: SocketAddr,
        inbound: &mut Inbound,
    ) -> Result<Frame, Closed> {
        let answer = self.services.answer(frame, sender, peer, self.seams.clock.monotonic());
        let mut answer = std::pin::pin!(answer);
        let Inbound { read, input } = inbound;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer?),
                received = read.read_buf(input), if input.len() < READ_BYTES => {
                    if received? == 0 {
                        return Err(Closed::ByPeer);
                    }
                }
            }
        }
    }

    /// Reads until a whole frame is there, with the room that it takes.
    async fn next_frame(
        &self,
        inbound: &mut Inbound,
        time_max: Duration,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Closed> {
        // Data may be there already, and then time does not matter.
        let size = timeout(time_max, inbound.frame_size()).await;
        let size = size.map_err(|_elapsed| Closed::Idle)??;
        let rest = async {
            let permit = match u32::try_from(size) {
                Ok(size_u32) if size > READ_BYTES => {
                    let permit = Arc::clone(&self.bytes).acquire_many_owned(size_u32).await;
                    Some(permit.expect("it is never closed"))
                }
                _ => None,
            };
            Ok((inbound.frame(size).await?, permit))
        };
        let rest = timeout(self.limits.transfer_time_max, rest).await;
        rest.map_err(|_elapsed| Closed::Unfinished)?
    }
}

impl Inbound {
    async fn receive(&mut self) -> Result<(), Closed> {
        self.input.reserve(READ_BYTES);
        match self.read.read_buf(&mut self.input).await? {
            0 => Err(Closed::ByPeer),
            _ => Ok(()),
        }
    }

    /// The size that the next frame announces.
    async fn frame_size(&mut self) -> Result<usize, Closed> {
        loop {
            if let Some(prefix) = self.input.first_chunk::<4>() {
                let announced = i32::from_be_bytes(*prefix);
                let size = usize::try_from(announced).ok();
                let size = size.filter(|size| *size <= PEER_FRAME_BYTES_MAX);
                return size.ok_or(Closed::Size(announced));
            }
            self.receive().await?;
        }
    }

    /// The next frame, which has `size` bytes.
    async fn frame(&mut self, size: usize) -> Result<Bytes, Closed> {
        while self.input.len() < 4 + size {
            self.receive().await?;
        }
        self.input.advance(4);
        Ok(self.input.split_to(size).freeze())
    }
}
