//! Accepts connections of other brokers and serves each in a task of its own.
//!
//! A broker asks one thing after the other on each connection, so serving is a plain loop. Brokers are
//! few and known to each other; what protects the client listener from strangers has no place here,
//! but for this: buffers grow with what arrived, and whoever sends nonsense is cut off.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flumen_client::connection::{Listener, ReadHalf, Seams, Transport};
use flumen_protocol::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::service::{Broken, PEER_FRAME_BYTES_MAX, PeerServices};
use crate::net::Output;

/// How much is made room for at once.
const READ_BYTES: usize = 64 * 1024;

/// How long accepting pauses after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for as long as the broker runs.
#[derive(Debug, Clone)]
pub(crate) struct PeerAcceptor {
    pub(crate) services: PeerServices,
    pub(crate) seams: Seams,
    pub(crate) stop: watch::Receiver<bool>,
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
    #[error("the broker is stopping")]
    Stopping,
}

impl PeerAcceptor {
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
                Ok(transport) => {
                    let connection = self.clone().serve(transport);
                    drop(self.seams.spawn.spawn("peer connection", Box::pin(connection)));
                }
                Err(error) => {
                    warn!(%error, "a broker could not be let in");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, transport: Transport) {
        let peer = transport.2;
        let mut sender = None;
        let ended = self.converse(transport, &mut sender).await;
        if let (Some(sender), Err(Closed::ByPeer | Closed::Network(_))) = (sender, &ended) {
            self.services.lost(sender);
        }
        match ended {
            Err(reason @ (Closed::Size(_) | Closed::Broken(_))) => {
                info!(%peer, %reason, "connection of a broker closed");
            }
            Err(reason) => debug!(%peer, %reason, "connection of a broker closed"),
            Ok(never) => match never {},
        }
    }

    async fn converse(
        &self,
        (mut read, mut write, peer): Transport,
        sender: &mut Option<i32>,
    ) -> Result<Infallible, Closed> {
        let mut stop = self.stop.clone();
        let mut input = BytesMut::new();
        let mut output = Output::default();
        loop {
            let frame = tokio::select! {
                biased;
                _ = stop.wait_for(|is_stopping| *is_stopping) => return Err(Closed::Stopping),
                frame = next_frame(&mut *read, &mut input) => frame?,
            };
            let answer = self.answer(frame, sender, peer, (&mut *read, &mut input)).await?;
            output.push(answer);
            poll_fn(|cx| output.poll_send(cx, &mut *write)).await?;
            while !output.is_empty() {
                poll_fn(|cx| output.poll_send(cx, &mut *write)).await?;
            }
            write.flush().await?;
        }
    }

    /// Answers a request, unless whoever asked goes away: a fetch may wait long for its data.
    async fn answer(
        &self,
        frame: Bytes,
        sender: &mut Option<i32>,
        peer: SocketAddr,
        (read, input): (&mut dyn ReadHalf, &mut BytesMut),
    ) -> Result<Frame, Closed> {
        let answer = self.services.answer(frame, sender, peer, self.seams.clock.monotonic());
        let mut answer = std::pin::pin!(answer);
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
}

/// Reads until a whole frame is there. Cancel safe: what was read stays in `input`.
async fn next_frame(read: &mut dyn ReadHalf, input: &mut BytesMut) -> Result<Bytes, Closed> {
    loop {
        if let Some(prefix) = input.first_chunk::<4>() {
            let announced = i32::from_be_bytes(*prefix);
            let size = usize::try_from(announced).map_err(|_negative| Closed::Size(announced))?;
            if size > PEER_FRAME_BYTES_MAX {
                return Err(Closed::Size(announced));
            }
            if input.len() >= 4 + size {
                input.advance(4);
                return Ok(input.split_to(size).freeze());
            }
        }
        input.reserve(READ_BYTES);
        if read.read_buf(input).await? == 0 {
            return Err(Closed::ByPeer);
        }
    }
}
