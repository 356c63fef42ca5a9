//! The task behind a connection: connects, negotiates versions, moves frames, and starts over.
//!
//! One task reads, writes and watches deadlines, and never waits for one of them alone: a broker
//! that stops reading until its answers are taken must not stop us from taking them. What was lost
//! with a connection is reported to whoever asked; nothing is sent twice from here.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use flumen_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use flumen_protocol::{ApiKey, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;
use tracing::{debug, trace};

use super::error::ConnectionError;
use super::flight::Flight;
use super::handle::{
    Command, ConnectionOptions, Outgoing, Session, decode_response, encode_request,
};
use super::seams::{ReadHalf, Seams, WriteHalf};
use crate::retry::Backoff;
use crate::versions::ApiVersions;

/// Bytes to make room for when reading.
const READ_SIZE: usize = 64 * 1024;

/// Unwritten bytes above which no further request is taken from the queue.
const OUTBOUND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Parts handed to one vectored write.
const SLICES_MAX: usize = 32;

/// The version of ApiVersions that is tried first; brokers that do not know it say so in version 0.
const API_VERSIONS_FIRST: i16 = 4;

type Reply = oneshot::Sender<Result<Bytes, ConnectionError>>;

/// Serves the handles of one connection until the last is gone.
pub(super) async fn run(
    address: Arc<str>,
    options: ConnectionOptions,
    seams: Seams,
    commands: mpsc::Receiver<Command>,
    announce: watch::Sender<Option<Arc<Session>>>,
) {
    let backoff = Backoff::new(options.reconnect_backoff);
    let mut keeper =
        Keeper { address, options, seams, commands, announce, backoff, established: 0 };
    while let Some(command) = keeper.commands.recv().await {
        keeper.serve(command).await;
    }
}

/// Keeps the connection: what outlives a single established one.
struct Keeper {
    address: Arc<str>,
    options: ConnectionOptions,
    seams: Seams,
    commands: mpsc::Receiver<Command>,
    announce: watch::Sender<Option<Arc<Session>>>,
    backoff: Backoff,
    established: u64,
}

impl Keeper {
    /// Connects for the sake of `command`, and serves until the connection is lost.
    async fn serve(&mut self, command: Command) {
        let opening = match command {
            Command::Open(reply) => reply,
            Command::Send(stale) => {
                // Encoded for a connection that is gone: the handle encodes anew.
                let lost = self.lost(false);
                answer(stale.reply, Err(lost));
                return;
            }
        };
        match self.connect().await {
            Ok((link, session)) => {
                self.backoff.reset();
                self.announce.send_replace(Some(Arc::clone(&session)));
                answer(opening, Ok(session));
                let reason = link.run(self).await;
                self.announce.send_replace(None);
                debug!(address = %self.address, reason = %reason, "connection ended");
            }
            Err(error) => {
                debug!(address = %self.address, error = %error, "connecting failed");
                answer(opening, Err(error.clone()));
                // Whoever waited for this attempt learns its outcome; later callers start another.
                while let Ok(waiting) = self.commands.try_recv() {
                    match waiting {
                        Command::Open(reply) => answer(reply, Err(error.clone())),
                        Command::Send(outgoing) => answer(outgoing.reply, Err(self.lost(false))),
                    }
                }
                tokio::time::sleep(self.backoff.next(&*self.seams.rng)).await;
            }
        }
    }

    async fn connect(&mut self) -> Result<(Link, Arc<Session>), ConnectionError> {
        let refused = |source: io::Error| ConnectionError::Connect {
            address: Arc::clone(&self.address),
            source: Arc::new(source),
        };
        let attempt = async {
            let transport = self.seams.net.connect(&self.address).await;
            let (read, write, _) = transport.map_err(refused)?;
            let mut link = Link::new(read, write);
            let versions = self.negotiate(&mut link).await?;
            Ok((link, versions))
        };
        let (link, versions) = tokio::time::timeout(self.options.connect_timeout, attempt)
            .await
            .unwrap_or_else(|_elapsed| Err(refused(io::ErrorKind::TimedOut.into())))?;
        self.established += 1;
        trace!(address = %self.address, "connected");
        Ok((link, Arc::new(Session { number: self.established, versions })))
    }

    /// Asks what the broker serves, in our version and, if it does not know that, in version 0.
    async fn negotiate(&self, link: &mut Link) -> Result<ApiVersions, ConnectionError> {
        let mut version = API_VERSIONS_FIRST;
        loop {
            let request = match version {
                0 => ApiVersionsRequest::default(),
                _ => ApiVersionsRequest {
                    client_software_name: "flumen".into(),
                    client_software_version: env!("CARGO_PKG_VERSION").into(),
                    ..ApiVersionsRequest::default()
                },
            };
            let client_id = self.options.client_id.as_deref();
            for segment in encode_request(&request, version, -1, client_id)? {
                link.write.write_all(&segment).await.map_err(|_lost| self.lost(false))?;
            }
            let frame = self.read_one(link).await?;
            // An unknown version is answered with error 35 in version 0, whatever was asked.
            let has_version =
                frame.get(4..6) != Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
            let answered = if has_version { version } else { 0 };
            let response: ApiVersionsResponse =
                decode_response(frame, ApiKey::ApiVersions, answered)?;
            match ErrorCode::from_code(response.error_code) {
                ErrorCode::None => return Ok(ApiVersions::from(&response)),
                ErrorCode::UnsupportedVersion if version > 0 => version = 0,
                code => {
                    let address = Arc::clone(&self.address);
                    return Err(ConnectionError::Refused { address, code });
                }
            }
        }
    }

    async fn read_one(&self, link: &mut Link) -> Result<Bytes, ConnectionError> {
        loop {
            if let Some(frame) = self.next_frame(&mut link.inbound)? {
                return Ok(frame);
            }
            match link.read.read_buf(&mut link.inbound).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(self.lost(false)),
            }
        }
    }

    /// Cuts the next whole frame from the bytes read, without its length prefix.
    fn next_frame(&self, inbound: &mut BytesMut) -> Result<Option<Bytes>, ConnectionError> {
        let Some(prefix) = inbound.first_chunk::<4>() else {
            inbound.reserve(READ_SIZE);
            return Ok(None);
        };
        let announced = i32::from_be_bytes(*prefix);
        let limit = self.options.receive_bytes_max;
        let size = usize::try_from(announced).ok().filter(|size| (4..=limit).contains(size));
        let Some(size) = size else {
            let address = Arc::clone(&self.address);
            return Err(ConnectionError::FrameSize { address, size: announced, limit });
        };
        if inbound.len() < 4 + size {
            // Room for the rest of this frame at once, so that a large one is not moved again.
            inbound.reserve((4 + size - inbound.len()).max(READ_SIZE));
            return Ok(None);
        }
        inbound.advance(4);
        Ok(Some(inbound.split_to(size).freeze()))
    }

    fn lost(&self, possibly_received: bool) -> ConnectionError {
        ConnectionError::Lost { address: Arc::clone(&self.address), possibly_received }
    }
}

/// A request whose answer is awaited.
struct Asked {
    api: ApiKey,
    timeout: Duration,
    reply: Reply,
}

/// One established connection.
struct Link {
    read: Box<dyn ReadHalf>,
    write: Box<dyn WriteHalf>,
    inbound: BytesMut,
    outbound: VecDeque<Bytes>,
    outbound_size: usize,
    /// Bytes ever queued and ever written, to tell when a request without answer has left.
    queued: u64,
    written: u64,
    flight: Flight<Asked>,
    unanswered: VecDeque<(u64, Reply)>,
}

impl Link {
    fn new(read: Box<dyn ReadHalf>, write: Box<dyn WriteHalf>) -> Self {
        Self {
            read,
            write,
            inbound: BytesMut::with_capacity(READ_SIZE),
            outbound: VecDeque::new(),
            outbound_size: 0,
            queued: 0,
            written: 0,
            flight: Flight::new(),
            unanswered: VecDeque::new(),
        }
    }

    /// Moves frames until the connection ends, and tells everyone who still waited.
    async fn run(mut self, keeper: &mut Keeper) -> ConnectionError {
        let reason = self.exchange(keeper).await;
        for flying in self.flight.drain() {
            let now = keeper.seams.clock.monotonic();
            let error = match &reason {
                ConnectionError::TimedOut { .. } if flying.deadline <= now => {
                    ConnectionError::TimedOut {
                        address: Arc::clone(&keeper.address),
                        api: flying.request.api,
                        after: flying.request.timeout,
                    }
                }
                ConnectionError::FrameSize { .. } | ConnectionError::OutOfTurn { .. } => {
                    reason.clone()
                }
                _ => keeper.lost(true),
            };
            answer(flying.request.reply, Err(error));
        }
        for (_, reply) in self.unanswered.drain(..) {
            answer(reply, Err(keeper.lost(true)));
        }
        reason
    }

    async fn exchange(&mut self, keeper: &mut Keeper) -> ConnectionError {
        let mut timer = pin!(tokio::time::sleep(Duration::MAX));
        let mut armed: Option<Duration> = None;
        let mut is_wanted = true;
        let session = keeper.established;
        loop {
            match keeper.next_frame(&mut self.inbound) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.on_frame(keeper, frame) {
                        return error;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => return error,
            }
            if !is_wanted && self.flight.is_empty() && self.outbound.is_empty() {
                return ConnectionError::Closed { address: Arc::clone(&keeper.address) };
            }
            self.arm(keeper, timer.as_mut(), &mut armed);
            let has_room = self.flight.len() < keeper.options.in_flight_max
                && self.outbound_size < OUTBOUND_BYTES_MAX;
            tokio::select! {
                biased;
                read = self.read.read_buf(&mut self.inbound) => match read {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return keeper.lost(true),
                },
                written = write_some(&mut *self.write, &self.outbound),
                    if !self.outbound.is_empty() =>
                {
                    match written {
                        Ok(count @ 1..) => self.on_written(count),
                        Ok(0) | Err(_) => return keeper.lost(true),
                    }
                }
                command = keeper.commands.recv(), if has_room && is_wanted => match command {
                    Some(Command::Send(outgoing)) if outgoing.session == session => {
                        self.enqueue(outgoing, keeper.seams.clock.monotonic());
                    }
                    Some(Command::Send(stale)) => answer(stale.reply, Err(keeper.lost(false))),
                    Some(Command::Open(reply)) => {
                        let session = keeper.announce.borrow().clone();
                        let session = session.ok_or_else(|| keeper.lost(false));
                        answer(reply, session);
                    }
                    None => is_wanted = false,
                },
                () = &mut timer, if armed.is_some() => {
                    armed = None;
                    if let Some(error) = self.expired(keeper) {
                        return error;
                    }
                }
            }
        }
    }

    /// Keeps the timer on the earliest deadline.
    ///
    /// A timer that fires early is harmless and rearmed, so it is only moved to earlier times.
    fn arm(&self, keeper: &Keeper, timer: Pin<&mut Sleep>, armed: &mut Option<Duration>) {
        let Some(deadline) = self.flight.next_deadline() else { return };
        if armed.is_none_or(|at| deadline < at) {
            let wait = deadline.saturating_sub(keeper.seams.clock.monotonic());
            let mut timer = timer;
            timer.set(tokio::time::sleep(wait));
            *armed = Some(deadline);
        }
    }

    fn expired(&self, keeper: &Keeper) -> Option<ConnectionError> {
        let now = keeper.seams.clock.monotonic();
        let deadline = self.flight.next_deadline().filter(|deadline| *deadline <= now)?;
        let address = Arc::clone(&keeper.address);
        let asked = self.flight.find(deadline)?;
        Some(ConnectionError::TimedOut { address, api: asked.api, after: asked.timeout })
    }

    fn enqueue(&mut self, outgoing: Outgoing, now: Duration) {
        for segment in outgoing.segments {
            self.outbound_size += segment.len();
            self.queued += segment.len() as u64;
            self.outbound.push_back(segment);
        }
        if outgoing.is_answered {
            let Outgoing { api, timeout, reply, .. } = outgoing;
            let asked = Asked { api, timeout, reply };
            self.flight.push(outgoing.correlation_id, now + timeout, asked);
        } else {
            self.unanswered.push_back((self.queued, outgoing.reply));
        }
    }

    fn on_written(&mut self, count: usize) {
        self.outbound_size -= count;
        self.written += count as u64;
        let mut left = count;
        while left > 0 {
            let front = self.outbound.front_mut().expect("no more is written than was queued");
            if front.len() > left {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.outbound.pop_front();
        }
        while self.unanswered.front().is_some_and(|(end, _)| *end <= self.written) {
            let (_, reply) = self.unanswered.pop_front().expect("the front was just looked at");
            answer(reply, Ok(Bytes::new()));
        }
    }

    fn on_frame(&mut self, keeper: &Keeper, frame: Bytes) -> Result<(), ConnectionError> {
        let id = *frame.first_chunk::<4>().expect("a frame is at least four bytes long");
        let received = i32::from_be_bytes(id);
        let asked = self.flight.answer(received).map_err(|out_of_turn| {
            let address = Arc::clone(&keeper.address);
            ConnectionError::OutOfTurn { address, received, expected: out_of_turn.expected }
        })?;
        answer(asked.reply, Ok(frame));
        Ok(())
    }
}

/// Writes as much as the network takes. Cancel safe: a write that did not happen took nothing.
async fn write_some(write: &mut dyn WriteHalf, parts: &VecDeque<Bytes>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut count = 0;
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
        count += 1;
    }
    let mut write = write;
    (&mut write).write_vectored(&slices[..count]).await
}

/// Tells whoever asked. Nobody may be there any more, and that is fine.
fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    drop(reply.send(outcome));
}
