//! The handle of a connection: typed requests in, typed responses out.
//!
//! Encoding and decoding happen here, in the caller's task; the connection's own task (`link`) moves
//! bytes only. Versions are negotiated by that task and published as a [`Session`], one per
//! established connection: a frame that was encoded for one session is never sent on the next.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::{ApiKey, DecodeError, FrameWriter, Message, Reader, Request, Segment};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::ConnectionError;
use super::link;
use super::seams::Seams;
use crate::retry::BackoffConfig;
use crate::versions::ApiVersions;

/// How many commands may wait for the connection's task.
const QUEUE_LENGTH: usize = 64;

/// How to make and keep one connection.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Sent with each request; brokers log it and count by it.
    pub client_id: Option<String>,
    /// How long connecting, version negotiation included, may take.
    pub connect_timeout: Duration,
    /// How long a request may wait for its answer if its [`Call`] does not say.
    pub request_timeout: Duration,
    /// The number of requests that may be unanswered at once; further ones wait in the queue.
    pub in_flight_max: usize,
    /// The pause between failed attempts to connect.
    pub reconnect_backoff: BackoffConfig,
    /// The largest response that is accepted, in bytes.
    pub receive_bytes_max: usize,
}

/// What may differ from request to request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call {
    /// How long to wait for the answer; by default the connection's request timeout.
    pub timeout: Option<Duration>,
    /// The highest version to use even if the broker serves higher ones.
    pub version_max: Option<i16>,
}

impl Call {
    /// Waits that long for the answer.
    #[must_use]
    pub fn timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..Self::default() }
    }

    /// Uses no higher version than that.
    #[must_use]
    pub fn version_max(self, version_max: i16) -> Self {
        Self { version_max: Some(version_max), ..self }
    }
}

/// One established connection: its number, and what the broker on it serves.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) versions: ApiVersions,
}

/// What a handle asks of the connection's task.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect if need be, and tell the session.
    Open(oneshot::Sender<Result<Arc<Session>, ConnectionError>>),
    Send(Outgoing),
}

/// An encoded request.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) session: u64,
    pub(super) api: ApiKey,
    pub(super) correlation_id: i32,
    pub(super) segments: Vec<Bytes>,
    pub(super) timeout: Duration,
    /// Whether the broker answers; without an answer the reply comes when all bytes are written.
    pub(super) is_answered: bool,
    pub(super) reply: oneshot::Sender<Result<Bytes, ConnectionError>>,
}

/// A connection to one address that is made when needed and made again when lost.
///
/// Cheap to clone; the task behind it ends when the last clone is dropped. Requests are sent in the
/// order in which [`start`](Self::start) returns, and answered in that order.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    session: watch::Receiver<Option<Arc<Session>>>,
}

#[derive(Debug)]
struct Shared {
    address: Arc<str>,
    options: ConnectionOptions,
    correlation_id: AtomicI32,
}

impl Connection {
    /// Prepares a connection to `host:port`; nothing is sent before the first request.
    #[must_use]
    pub fn new(address: &str, options: ConnectionOptions, seams: &Seams) -> Self {
        let address: Arc<str> = address.into();
        let (commands, inbox) = mpsc::channel(QUEUE_LENGTH);
        let (announce, session) = watch::channel(None);
        let task = link::run(Arc::clone(&address), options.clone(), seams.clone(), inbox, announce);
        drop(seams.spawn.spawn("connection", Box::pin(task)));
        let shared = Shared { address, options, correlation_id: AtomicI32::new(0) };
        Self { shared: Arc::new(shared), commands, session }
    }

    /// The `host:port` this connects to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Sends a request and waits for the response.
    ///
    /// # Cancel safety
    /// Once the future was polled the request may have been sent; dropping the future then only
    /// loses the response.
    pub async fn send<R: Request + Sync>(
        &self,
        request: &R,
        call: Call,
    ) -> Result<R::Response, ConnectionError> {
        self.start(call, |_| request).await?.await
    }

    /// Sends a request that depends on the version both sides speak, and waits for the response.
    pub async fn send_with<R: Request>(
        &self,
        call: Call,
        build: impl FnOnce(i16) -> R + Send,
    ) -> Result<R::Response, ConnectionError> {
        self.start(call, move |version| Owned(build(version))).await?.await
    }

    /// Puts a request in line, and returns a future of the response.
    ///
    /// `build` makes or lends the request for the version both sides speak. Requests started one
    /// after the other are sent in that order.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the request was not sent.
    pub async fn start<R: Request, B: AsRequest<R>>(
        &self,
        call: Call,
        build: impl FnOnce(i16) -> B + Send,
    ) -> Result<Pending<R::Response>, ConnectionError> {
        self.submit(call, build, true).await
    }

    /// Puts a request in line that the broker does not answer (Produce with `acks=0`).
    ///
    /// The returned future completes with the default response when all bytes are handed to the
    /// network.
    pub async fn start_unanswered<R: Request, B: AsRequest<R>>(
        &self,
        call: Call,
        build: impl FnOnce(i16) -> B + Send,
    ) -> Result<Pending<R::Response>, ConnectionError> {
        self.submit(call, build, false).await
    }

    async fn submit<R: Request, B: AsRequest<R>>(
        &self,
        call: Call,
        build: impl FnOnce(i16) -> B + Send,
        is_answered: bool,
    ) -> Result<Pending<R::Response>, ConnectionError> {
        let permit = self.commands.reserve().await.map_err(|_closed| self.closed())?;
        // The permit is not held while connecting: the task could not take the command then.
        let known = self.session.borrow().clone();
        let (session, permit) = match known {
            Some(session) => (session, permit),
            None => {
                drop(permit);
                let session = self.open().await?;
                (session, self.commands.reserve().await.map_err(|_closed| self.closed())?)
            }
        };
        let version = session.versions.pick::<R>(&self.shared.address, call.version_max)?;
        let request = build(version);
        let correlation_id = self.shared.correlation_id.fetch_add(1, Ordering::Relaxed);
        let segments = self.encode(request.as_request(), version, correlation_id)?;
        let (reply, response) = oneshot::channel();
        permit.send(Command::Send(Outgoing {
            session: session.number,
            api: R::API_KEY,
            correlation_id,
            segments,
            timeout: call.timeout.unwrap_or(self.shared.options.request_timeout),
            is_answered,
            reply,
        }));
        Ok(Pending {
            response,
            api: R::API_KEY,
            version,
            is_answered,
            address: Arc::clone(&self.shared.address),
            message: PhantomData,
        })
    }

    /// Connects if need be, without sending a request.
    async fn open(&self) -> Result<Arc<Session>, ConnectionError> {
        let (reply, session) = oneshot::channel();
        self.commands.send(Command::Open(reply)).await.map_err(|_closed| self.closed())?;
        session.await.map_err(|_closed| self.closed())?
    }

    fn encode<R: Request>(
        &self,
        request: &R,
        version: i16,
        correlation_id: i32,
    ) -> Result<Vec<Bytes>, ConnectionError> {
        encode_request(request, version, correlation_id, self.shared.options.client_id.as_deref())
    }

    fn closed(&self) -> ConnectionError {
        ConnectionError::Closed { address: Arc::clone(&self.shared.address) }
    }
}

/// Writes header and request as the parts of one frame.
pub(super) fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Vec<Bytes>, ConnectionError> {
    let mut writer = FrameWriter::new();
    let header = RequestHeader {
        api_key: R::API_KEY.key(),
        api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
    };
    header.encode(&mut writer)?;
    request.encode(&mut writer, version)?;
    let segments = writer.finish()?.into_segments().into_iter();
    Ok(segments
        .map(|segment| match segment {
            Segment::Bytes(bytes) => bytes,
            Segment::File(_) => unreachable!("clients send what they have in memory"),
        })
        .collect())
}

/// Reads the header and the body of a response.
pub(super) fn decode_response<M: Message>(
    frame: Bytes,
    api: ApiKey,
    version: i16,
) -> Result<M, DecodeError> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, api.key(), version)?;
    M::decode(&mut reader, version)
}

/// What [`Connection::start`] takes: a request that is lent.
pub trait AsRequest<R> {
    /// The request itself.
    fn as_request(&self) -> &R;
}

impl<R> AsRequest<R> for &R {
    fn as_request(&self) -> &R {
        self
    }
}

/// A request that was made for the occasion.
#[derive(Debug)]
pub(crate) struct Owned<R>(pub(crate) R);

impl<R> AsRequest<R> for Owned<R> {
    fn as_request(&self) -> &R {
        &self.0
    }
}

/// The response that is on its way. Dropping it abandons the response, not the request.
#[derive(Debug)]
#[must_use = "the response, and with it every error, comes from awaiting this"]
pub struct Pending<M> {
    response: oneshot::Receiver<Result<Bytes, ConnectionError>>,
    api: ApiKey,
    version: i16,
    is_answered: bool,
    address: Arc<str>,
    message: PhantomData<fn() -> M>,
}

impl<M> Pending<M> {
    /// The version the request was sent with.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }
}

impl<M: Message> Future for Pending<M> {
    type Output = Result<M, ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let frame = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return Poll::Ready(Err(error)),
            Err(_gone) => {
                let address = Arc::clone(&self.address);
                return Poll::Ready(Err(ConnectionError::Closed { address }));
            }
        };
        if !self.is_answered {
            return Poll::Ready(Ok(M::default()));
        }
        Poll::Ready(decode_response(frame, self.api, self.version).map_err(Into::into))
    }
}
