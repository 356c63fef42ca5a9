//! One client connection: one task that reads, starts requests, and answers in order.
//!
//! The task is a single future without inner tasks, so that a quick request costs no hop between
//! threads. A turn of it starts every request that has arrived and may start, moves answers that
//! are ready from the front of the queue to the output, sends, and reads more. Only the answer in
//! front is polled: an answer behind it could not leave anyway, and by the time its turn comes it
//! is usually there without ever having registered a waker.
//!
//! A request whose answer has no second stage holds back later requests of its connection, as in
//! Kafka. Produce and Fetch do not: their first stage has settled their order.
//!
//! **Invariant:** answers leave in the order of their requests.
//! **Invariant:** what waits is bounded in number and in bytes; past the bound nothing is read.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, ReadHalf, Transport, WriteHalf};
use flumen_protocol::header::RequestHeader;
use flumen_protocol::{ApiKey, DecodeError, Frame, Reader};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::input::{FrameError, Input};
use super::memory::RequestMemory;
use super::output::Output;
use crate::api::{self, Call, Context, Refusal, Reply};

/// How long a stranger may take until its first request is complete.
const FIRST_REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a connection may wait for memory to read the rest of a request.
const STARVED_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a connection that waits for memory asks again.
const STARVED_RETRY: Duration = Duration::from_millis(10);

/// After this time without traffic a large receiving buffer is given back.
const BUFFER_KEPT: Duration = Duration::from_secs(5);

/// Response bytes in memory at which a connection is not read from until its peer takes some.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// How long a stopping broker gives a connection to take the answers that are due.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Turns taken before other tasks get the thread.
const TURNS_MAX: usize = 32;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("the client closed it")]
    ByPeer,
    #[error("the client closed it in the middle of a request")]
    InsideRequest,
    #[error("no request came within {0:?}")]
    NoFirstRequest(Duration),
    #[error("there was no traffic for {0:?}")]
    Idle(Duration),
    #[error("no memory was left for its request for {0:?}")]
    Starved(Duration),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the request header cannot be decoded: {0}")]
    Header(DecodeError),
    #[error("{1} ({0})")]
    Request(ApiKey, Refusal),
    #[error("api key {key} version {version} is not known")]
    UnknownApi { key: i16, version: i16 },
    #[error("reading failed: {0}")]
    Reading(io::Error),
    #[error("sending failed: {0}")]
    Sending(io::Error),
    #[error("the broker is stopping")]
    Stopping,
}

/// An answer in its place in the queue.
struct Pending {
    api: ApiKey,
    received: Duration,
    answer: Answer,
}

enum Answer {
    Ready(Frame),
    Waiting(BoxFuture<'static, Result<Frame, Refusal>>),
}

/// The state of one connection.
pub(super) struct Connection {
    ctx: Arc<Context>,
    peer: SocketAddr,
    read: Box<dyn ReadHalf>,
    write: Box<dyn WriteHalf>,
    input: Input,
    output: Output,
    pending: VecDeque<Pending>,
    /// The last request in the queue lets no other start.
    is_held: bool,
    has_had_request: bool,
    last_traffic: Duration,
    starved_since: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    stopping: BoxFuture<'static, ()>,
    is_stopping: bool,
}

impl Connection {
    pub(super) fn new(
        ctx: Arc<Context>,
        (read, write, peer): Transport,
        memory: &RequestMemory,
        mut stop: watch::Receiver<bool>,
    ) -> Self {
        let now = ctx.seams.clock.monotonic();
        let stopping = Box::pin(async move {
            // A sender that is gone means the same: the broker is no more.
            drop(stop.wait_for(|is_stopping| *is_stopping).await);
        });
        Self {
            ctx,
            peer,
            read,
            write,
            input: Input::new(memory),
            output: Output::default(),
            pending: VecDeque::new(),
            is_held: false,
            has_had_request: false,
            last_traffic: now,
            starved_since: None,
            timer: Box::pin(tokio::time::sleep(FIRST_REQUEST_TIME_MAX)),
            stopping,
            is_stopping: false,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(mut self) -> Closed {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Closed> {
        if !self.is_stopping && self.stopping.as_mut().poll(cx).is_ready() {
            self.is_stopping = true;
            self.set_timer(DRAIN_TIME_MAX);
        }
        for _ in 0..TURNS_MAX {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return self.poll_timer(cx),
                Err(closed) => return Poll::Ready(closed),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; says whether another turn may find more.
    fn turn(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        self.start_requests(cx)?;
        let released = self.release_answers(cx)?;
        match self.output.poll_send(cx, &mut *self.write) {
            Poll::Ready(Ok(0)) | Poll::Pending => {}
            Poll::Ready(Ok(_)) => self.last_traffic = self.ctx.seams.clock.monotonic(),
            Poll::Ready(Err(e)) => return Err(Closed::Sending(e)),
        }
        if self.is_stopping {
            let is_done =
                self.output.is_empty() && self.pending.iter().all(|p| waits_for_others(p.api));
            return if is_done { Err(Closed::Stopping) } else { Ok(released) };
        }
        if self.may_start() && self.input.has_frame() {
            return Ok(true);
        }
        if !self.may_read() {
            return Ok(released);
        }
        Ok(self.read(cx)? || released)
    }

    fn may_start(&self) -> bool {
        !self.is_held
            && !self.is_stopping
            && self.pending.len() < self.ctx.config.limits.in_flight_requests_max
            && self.output.bytes_in_memory() < OUTPUT_BYTES_MAX
    }

    /// Behind a request that holds others back, reading goes on as long as no whole request has
    /// arrived: that is how a client that has left is noticed.
    fn may_read(&self) -> bool {
        self.may_start() || (self.is_held && !self.input.has_frame())
    }

    fn start_requests(&mut self, cx: &mut TaskContext<'_>) -> Result<(), Closed> {
        while self.may_start() {
            let Some(frame) = self.input.next_frame()? else { break };
            let size = frame.len();
            let mut reader = Reader::new(frame);
            let header = RequestHeader::decode(&mut reader).map_err(Closed::Header)?;
            let Some(api) = ApiKey::from_key(header.api_key) else {
                let (key, version) = (header.api_key, header.api_version);
                return Err(Closed::UnknownApi { key, version });
            };
            let received = self.ctx.seams.clock.monotonic();
            let call = Call {
                api,
                version: header.api_version,
                correlation_id: header.correlation_id,
                client_id: header.client_id,
                peer: self.peer,
                received,
            };
            self.ctx.metrics.on_request(api, size);
            let reply = api::start(&self.ctx, call, &mut reader, cx).map_err(|refusal| {
                self.ctx.metrics.on_refusal(api);
                Closed::Request(api, refusal)
            })?;
            if !self.has_had_request {
                self.has_had_request = true;
                self.input.trust(self.ctx.config.limits.request_bytes_max);
            }
            let answer = match reply {
                Reply::Nothing => {
                    self.ctx.metrics.on_response(api, 0, self.elapsed(received));
                    continue;
                }
                Reply::Ready(frame) => Answer::Ready(frame),
                Reply::Waiting { answer, lets_others_start } => {
                    self.is_held = !lets_others_start;
                    Answer::Waiting(answer)
                }
            };
            self.pending.push_back(Pending { api, received, answer });
        }
        Ok(())
    }

    /// Moves answers from the front of the queue to the output; says whether there were any.
    fn release_answers(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        let mut released = false;
        while let Some(front) = self.pending.front_mut() {
            if front.poll(cx)?.is_pending() {
                break;
            }
            if let Some(Pending { api, received, answer: Answer::Ready(frame) }) =
                self.pending.pop_front()
            {
                self.ctx.metrics.on_response(api, frame.size(), self.elapsed(received));
                self.output.push(frame);
            }
            released = true;
        }
        // A request that holds others back is the last in the queue. It is driven even behind
        // answers that still wait, or its work would not begin before they are gone.
        if self.is_held {
            self.is_held = match self.pending.back_mut() {
                Some(back) => back.poll(cx)?.is_pending(),
                None => false,
            };
            released |= !self.is_held;
        }
        Ok(released)
    }

    fn elapsed(&self, since: Duration) -> Duration {
        self.ctx.seams.clock.monotonic().saturating_sub(since)
    }

    /// Reads once; says whether anything came.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        let Some(room) = self.input.room() else {
            let now = self.ctx.seams.clock.monotonic();
            self.starved_since.get_or_insert(now);
            return Ok(false);
        };
        self.starved_since = None;
        let count = match pin!(self.read.read_buf(room)).poll(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(e)) => return Err(Closed::Reading(e)),
            Poll::Ready(Ok(count)) => count,
        };
        if count == 0 {
            let is_between = self.input.is_empty();
            return Err(if is_between { Closed::ByPeer } else { Closed::InsideRequest });
        }
        self.last_traffic = self.ctx.seams.clock.monotonic();
        Ok(true)
    }

    /// Ends a connection whose time is over, and sees that it is looked at again in time.
    ///
    /// The timer is not moved on every request: when it fires early it is set anew.
    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Closed> {
        while self.starved_since.is_some() || self.timer.as_mut().poll(cx).is_ready() {
            if self.is_stopping {
                return Poll::Ready(Closed::Stopping);
            }
            let now = self.ctx.seams.clock.monotonic();
            let idle_max = Duration::from_millis(self.ctx.config.limits.connections_idle_ms_max);
            let quiet = now.saturating_sub(self.last_traffic);
            let mut next = idle_max.saturating_sub(quiet);
            if let Some(since) = self.starved_since {
                if now.saturating_sub(since) > STARVED_TIME_MAX {
                    return Poll::Ready(Closed::Starved(STARVED_TIME_MAX));
                }
                self.starved_since = None;
                next = STARVED_RETRY;
            } else if !self.has_had_request {
                return Poll::Ready(Closed::NoFirstRequest(FIRST_REQUEST_TIME_MAX));
            } else if next.is_zero() && self.pending.is_empty() {
                return Poll::Ready(Closed::Idle(idle_max));
            } else if self.input.is_grown() {
                if quiet >= BUFFER_KEPT {
                    self.input.shrink();
                } else {
                    next = next.min(BUFFER_KEPT.saturating_sub(quiet));
                }
            }
            self.set_timer(next.max(Duration::from_millis(1)));
        }
        Poll::Pending
    }

    fn set_timer(&mut self, time: Duration) {
        #[expect(clippy::disallowed_methods, reason = "tokio's own timers run on its clock")]
        let deadline = tokio::time::Instant::now() + time;
        self.timer.as_mut().reset(deadline);
    }
}

/// Whether an answer may take as long as others like: a stopping broker does not wait for it.
fn waits_for_others(api: ApiKey) -> bool {
    matches!(api, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup)
}

impl Pending {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Result<Poll<()>, Closed> {
        let Answer::Waiting(answer) = &mut self.answer else { return Ok(Poll::Ready(())) };
        match answer.as_mut().poll(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(refusal)) => Err(Closed::Request(self.api, refusal)),
            Poll::Ready(Ok(frame)) => {
                self.answer = Answer::Ready(frame);
                Ok(Poll::Ready(()))
            }
        }
    }
}
