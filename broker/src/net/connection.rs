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
use std::sync::atomic::AtomicBool;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, ReadHalf, Transport, WriteHalf};
use flumen_protocol::header::RequestHeader;
use flumen_protocol::{ApiKey, DecodeError, Frame, Reader};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::input::{FrameError, Input};
use super::memory::{Lease, RequestMemory};
use super::output::{Output, size_in_memory};
use super::patience::{BUFFER_KEPT, FIRST_REQUEST_TIME_MAX, LOOK_INTERVAL, Overdue, Standing};
use crate::api::{self, Call, Context, Refusal, Reply};

/// Response bytes in memory at which a connection is not read from until its peer takes some.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Response bytes in memory that a connection may hold without their being counted for all.
const OUTPUT_BYTES_FREE: usize = 16 * 1024;

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
    #[error(transparent)]
    Overdue(#[from] Overdue),
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
    /// Bytes of the answer that are counted as ready.
    counted: usize,
    /// What the decoded request may take while it is worked on.
    work: Lease,
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
    memory: RequestMemory,
    /// What the answers in memory take.
    answers: Lease,
    /// What the next request may take once it is decoded.
    work: Lease,
    pending: VecDeque<Pending>,
    /// Bytes in memory of answers in the queue.
    ready_bytes: usize,
    /// The last request in the queue lets no other start.
    is_held: bool,
    has_had_request: bool,
    opened: Duration,
    last_traffic: Duration,
    request_since: Option<Duration>,
    untaken_since: Option<Duration>,
    starved_since: Option<Duration>,
    /// It asks for memory again soon.
    is_retrying: bool,
    timer: Pin<Box<Sleep>>,
    /// The timer goes off soon enough for a connection that holds memory.
    is_looked_at: bool,
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
            memory: memory.clone(),
            answers: memory.lease(),
            work: memory.lease(),
            pending: VecDeque::new(),
            ready_bytes: 0,
            is_held: false,
            has_had_request: false,
            opened: now,
            last_traffic: now,
            request_since: None,
            untaken_since: None,
            starved_since: None,
            is_retrying: false,
            timer: Box::pin(tokio::time::sleep(FIRST_REQUEST_TIME_MAX)),
            is_looked_at: true,
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
        let mut released = self.release_answers(cx)?;
        released |= self.send(cx)?;
        if self.is_stopping {
            let is_done =
                self.output.is_empty() && self.pending.iter().all(|p| waits_for_others(p.api));
            return if is_done { Err(Closed::Stopping) } else { Ok(released) };
        }
        if self.work.is_refused() {
            self.starve();
            return Ok(released);
        }
        if self.may_start() && self.input.has_frame() {
            return Ok(true);
        }
        if self.held_bytes() == 0 && self.memory.is_overdrawn() {
            self.starve();
            return Ok(released);
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
            && self.may_answer()
    }

    /// While memory is used up, only who holds no answers may ask for more: one who takes them gets
    /// on, and one who does not costs no more than it does.
    fn may_answer(&self) -> bool {
        match self.held_bytes() {
            0 => !self.memory.is_overdrawn(),
            held => held < OUTPUT_BYTES_MAX && !self.memory.is_used_up(),
        }
    }

    /// Bytes of answers in memory.
    fn held_bytes(&self) -> usize {
        self.ready_bytes + self.output.bytes_in_memory()
    }

    /// Behind a request that holds others back, reading goes on as long as no whole request has
    /// arrived: that is how a client that has left is noticed.
    fn may_read(&self) -> bool {
        self.may_start() || (self.is_held && !self.input.has_frame())
    }

    fn start_requests(&mut self, cx: &mut TaskContext<'_>) -> Result<(), Closed> {
        while self.may_start() {
            let decoded_size = self.input.decoded_size();
            if decoded_size > 0 && !self.work.grow_to(decoded_size) {
                break;
            }
            let Some(frame) = self.input.next_frame()? else { break };
            let mut work = std::mem::replace(&mut self.work, self.memory.lease());
            let size = frame.len();
            let mut reader = Reader::new(frame);
            let header = RequestHeader::decode(&mut reader).map_err(Closed::Header)?;
            let Some(api) = ApiKey::from_key(header.api_key) else {
                let (key, version) = (header.api_key, header.api_version);
                return Err(Closed::UnknownApi { key, version });
            };
            let received = self.ctx.seams.clock.monotonic();
            self.request_since = (!self.input.is_empty()).then_some(received);
            self.starved_since = None;
            let call = Call {
                api,
                version: header.api_version,
                correlation_id: header.correlation_id,
                client_id: header.client_id,
                peer: self.peer,
                received,
                is_passed_on: false,
                is_undecided: AtomicBool::default(),
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
                Reply::Ready(frame) => {
                    work.release();
                    Answer::Ready(frame)
                }
                Reply::Waiting { answer, lets_others_start } => {
                    self.is_held = !lets_others_start;
                    Answer::Waiting(answer)
                }
            };
            let counted = answer.size_in_memory();
            self.ready_bytes += counted;
            self.pending.push_back(Pending { api, received, answer, counted, work });
        }
        Ok(())
    }

    /// Moves answers from the front of the queue to the output; says whether there were any.
    fn release_answers(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        let mut released = false;
        while self.output.bytes_in_memory() < OUTPUT_BYTES_MAX
            && let Some(front) = self.pending.front_mut()
        {
            if front.poll(cx)?.is_pending() {
                break;
            }
            if let Some(Pending { api, received, answer: Answer::Ready(frame), counted, .. }) =
                self.pending.pop_front()
            {
                self.ready_bytes -= counted;
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
            if let Some(back) = self.pending.back_mut().filter(|_| !self.is_held) {
                self.ready_bytes -= back.counted;
                back.counted = back.answer.size_in_memory();
                self.ready_bytes += back.counted;
            }
        }
        Ok(released)
    }

    /// Sends what can be sent; says whether answers have now a place that they had not before.
    fn send(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        let was_full = self.output.bytes_in_memory() >= OUTPUT_BYTES_MAX;
        let sent = match self.output.poll_send(cx, &mut *self.write) {
            Poll::Ready(Ok(sent)) => sent,
            Poll::Ready(Err(e)) => return Err(Closed::Sending(e)),
            Poll::Pending => 0,
        };
        if sent > 0 {
            self.last_traffic = self.ctx.seams.clock.monotonic();
        }
        if self.output.is_empty() {
            self.untaken_since = None;
        } else if sent > 0 || self.untaken_since.is_none() {
            self.untaken_since = Some(self.ctx.seams.clock.monotonic());
        }
        let held = self.held_bytes();
        if held > OUTPUT_BYTES_FREE {
            self.answers.set(held);
        } else if self.answers.size() > 0 {
            self.answers.release();
        }
        Ok(was_full && sent > 0)
    }

    fn elapsed(&self, since: Duration) -> Duration {
        self.ctx.seams.clock.monotonic().saturating_sub(since)
    }

    /// Reads once; says whether anything came.
    fn read(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Closed> {
        let Some(room) = self.input.room() else {
            self.starve();
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
        self.request_since.get_or_insert(self.last_traffic);
        Ok(true)
    }

    /// Waits for memory.
    fn starve(&mut self) {
        let now = self.ctx.seams.clock.monotonic();
        self.starved_since.get_or_insert(now);
        self.is_retrying = true;
    }

    /// Ends a connection whose time is over, and sees that it is looked at again in time.
    ///
    /// The timer is not moved on every request: when it fires early it is set anew.
    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Closed> {
        if !self.is_looked_at && self.holds_memory() && !self.is_stopping {
            self.is_looked_at = true;
            self.set_timer(LOOK_INTERVAL);
        }
        while std::mem::take(&mut self.is_retrying) || self.timer.as_mut().poll(cx).is_ready() {
            if self.is_stopping {
                return Poll::Ready(Closed::Stopping);
            }
            let now = self.ctx.seams.clock.monotonic();
            if self.input.is_grown() && now.saturating_sub(self.last_traffic) >= BUFFER_KEPT {
                self.input.shrink();
            }
            if !self.may_start() || self.starved_since.is_some() {
                // It is not read from: the time that passes is not the client's.
                self.request_since = self.request_since.map(|_| now);
            }
            match self.standing(now).judge() {
                Ok(next) => {
                    self.is_looked_at = next <= LOOK_INTERVAL;
                    self.set_timer(next.max(Duration::from_millis(1)));
                }
                Err(overdue) => return Poll::Ready(overdue.into()),
            }
        }
        Poll::Pending
    }

    fn standing(&self, now: Duration) -> Standing {
        let since = |time: Duration| now.saturating_sub(time);
        let limits = &self.ctx.config.limits;
        Standing {
            stranger_for: (!self.has_had_request).then(|| since(self.opened)),
            request_for: self.request_since.map(since).zip(self.input.partial_size()),
            untaken_for: self.untaken_since.map(since),
            starved_for: self.starved_since.map(since),
            quiet_for: since(self.last_traffic),
            idle_max: Duration::from_millis(limits.connections_idle_ms_max),
            is_memory_short: self.memory.is_short(),
            holds_memory: self.holds_memory(),
        }
    }

    fn holds_memory(&self) -> bool {
        self.input.is_grown() || !self.input.is_empty() || !self.output.is_empty()
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

impl Answer {
    fn size_in_memory(&self) -> usize {
        match self {
            Self::Ready(frame) => size_in_memory(frame),
            Self::Waiting(_) => 0,
        }
    }
}

impl Pending {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Result<Poll<()>, Closed> {
        let Answer::Waiting(answer) = &mut self.answer else { return Ok(Poll::Ready(())) };
        match answer.as_mut().poll(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(refusal)) => Err(Closed::Request(self.api, refusal)),
            Poll::Ready(Ok(frame)) => {
                self.work.release();
                self.answer = Answer::Ready(frame);
                Ok(Poll::Ready(()))
            }
        }
    }
}
