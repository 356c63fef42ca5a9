//! Passes requests that only the leader of the metadata quorum can decide on to it.
//!
//! A client may ask any broker. The whole request travels to the leader, which answers it as if it
//! had come there; what it answers rests on metadata that this broker may not have yet, so the client
//! is answered when it has. While nobody leads, this goes on trying for about as long as clients wait;
//! then the handler here says that there is no controller.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flumen_client::connection::BoxFuture;
use flumen_protocol::header::ResponseHeader;
use flumen_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicResult, CreateTopicsRequest,
};
use flumen_protocol::{ApiKey, ErrorCode, Frame, FrameWriter, Message, Reader, Request};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Call, Context, Refusal, Reply, create_topics, is_decided_by_leader, start};
use crate::clock::within;
use crate::controller::NotLeader;
use crate::peer::{NotForwarded, PeerFault, PeerHandler};

/// How long a request of a client waits for an answer, whoever leads meanwhile. Kafka has a minute for it,
/// and its clients half a minute: they are answered before that is over, and can ask again.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(25);

/// How long this broker waits for what it needs itself, with a client that waits for something else.
const OWN_TIME_MAX: Duration = Duration::from_secs(5);

/// How long this broker waits for the metadata that an answer rests on.
const METADATA_TIME_MAX: Duration = Duration::from_secs(5);

/// After this time without an answer from a leader there is none: even the election that follows on one that
/// froze is over sooner as a rule.
const ELECTION_TIME_MAX: Duration = Duration::from_secs(4);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What a request is, without its body, which follows.
#[derive(Debug, Serialize, Deserialize)]
struct Forwarded {
    key: i16,
    version: i16,
    correlation_id: i32,
    client_id: Option<String>,
    peer: SocketAddr,
}

/// Has the leader answer a request, whose `body` was not read yet; `None` if this broker has to.
pub(super) async fn forward(ctx: &Context, call: &Call, mut body: Reader) -> Option<Frame> {
    if ctx.controller.is_leader() {
        return None;
    }
    let body = body.read_slice(body.remaining()).ok()?;
    pass_on(ctx, call, &body, end(call)).await.map(Frame::from_encoded)
}

/// Until when somebody who decides is waited for.
fn end(call: &Call) -> Duration {
    call.received
        + match call.api {
            _ if call.is_passed_on => Duration::ZERO,
            // Where nobody leads, that is the answer.
            ApiKey::DescribeQuorum => ELECTION_TIME_MAX,
            _ => ANSWER_TIME_MAX,
        }
}

/// Whether to begin anew, after a pause: this broker was to decide, and does not any more.
pub(super) async fn is_to_be_repeated(ctx: &Context, call: &Call) -> Result<bool, Refusal> {
    let is_undecided = call.is_undecided.swap(false, Ordering::Relaxed);
    if is_undecided && call.is_passed_on {
        return Err(Refusal::Undecided);
    }
    if !is_undecided || ctx.seams.clock.monotonic() >= end(call) {
        return Ok(false);
    }
    sleep(PAUSE).await;
    Ok(true)
}

async fn pass_on(ctx: &Context, call: &Call, body: &Bytes, end: Duration) -> Option<Bytes> {
    let head = Forwarded {
        key: call.api.key(),
        version: call.version,
        correlation_id: call.correlation_id,
        client_id: call.client_id.clone(),
        peer: call.peer,
    };
    let message = encode(&head, body);
    let mut answer = loop {
        let time_left = end.saturating_sub(ctx.seams.clock.monotonic());
        if ctx.controller.is_leader() || time_left.is_zero() {
            return None;
        }
        let asked = ctx.control.forward(&message, time_left).await;
        // An election may be under way, or this broker has not heard of its outcome. What was decided
        // and not answered is decided twice then, as in Kafka: the second time finds it done.
        match asked {
            Ok(answer) => break answer,
            Err(NotForwarded) => sleep(PAUSE).await,
        }
    };
    let version = answer.try_get_i64().ok()?;
    within(METADATA_TIME_MAX, ctx.controller.wait_for(version)).await;
    ctx.catch_up().await;
    Some(answer)
}

/// Has topics created that this broker itself needs, by whoever leads.
pub(super) async fn create(
    ctx: &Context,
    topics: Vec<CreatableTopic>,
) -> Result<Vec<(String, ErrorCode)>, NotLeader> {
    let request = CreateTopicsRequest {
        topics,
        timeout_ms: i32::try_from(OWN_TIME_MAX.as_millis()).expect("it is short"),
        ..Default::default()
    };
    let version = *ApiKey::CreateTopics.versions().end();
    let call = Call {
        api: ApiKey::CreateTopics,
        version,
        correlation_id: 0,
        client_id: None,
        peer: SocketAddr::from(([127, 0, 0, 1], 0)),
        received: ctx.seams.clock.monotonic(),
        is_passed_on: false,
        is_undecided: AtomicBool::default(),
    };
    let response = match forwarded(ctx, &call, &request).await {
        Some(response) => response,
        None if ctx.controller.is_leader() => create_topics::handle(ctx, &call, request).await,
        None => return Err(NotLeader),
    };
    let outcome =
        |topic: CreatableTopicResult| (topic.name, ErrorCode::from_code(topic.error_code));
    Ok(response.topics.into_iter().map(outcome).collect())
}

async fn forwarded<R: Request>(ctx: &Context, call: &Call, request: &R) -> Option<R::Response> {
    if ctx.controller.is_leader() {
        return None;
    }
    let mut writer = FrameWriter::new();
    request.encode(&mut writer, call.version).ok()?;
    let mut body = writer.finish().ok()?.read().ok()?;
    // The frame's own length.
    body.advance(4);
    let answer = pass_on(ctx, call, &body, call.received + OWN_TIME_MAX).await?;
    if answer.len() < 4 {
        return None;
    }
    let mut reader = Reader::new(answer.slice(4..));
    ResponseHeader::decode(&mut reader, call.api.key(), call.version).ok()?;
    R::Response::decode(&mut reader, call.version).ok()
}

fn encode(head: &Forwarded, body: &Bytes) -> Bytes {
    let head = rmp_serde::to_vec(head).expect("a head has a form in MessagePack");
    let mut message = BytesMut::with_capacity(4 + head.len() + body.len());
    message.put_u32(u32::try_from(head.len()).expect("a client id is shorter than 32 KiB"));
    message.put_slice(&head);
    message.put_slice(body);
    message.freeze()
}

fn decode(mut message: Bytes) -> Option<(Call, Bytes)> {
    let size = usize::try_from(message.try_get_u32().ok()?).ok()?;
    if size > message.len() {
        return None;
    }
    let body = message.split_off(size);
    let head: Forwarded = rmp_serde::from_slice(&message).ok()?;
    let call = Call {
        api: ApiKey::from_key(head.key)?,
        version: head.version,
        correlation_id: head.correlation_id,
        client_id: head.client_id,
        peer: head.peer,
        received: Duration::ZERO,
        is_passed_on: true,
        is_undecided: AtomicBool::default(),
    };
    Some((call, body))
}

/// Answers requests that other brokers pass on, while this broker leads.
#[derive(Debug)]
pub(crate) struct ForwardHandler(pub(crate) Arc<Context>);

impl PeerHandler for ForwardHandler {
    fn handle(
        self: Arc<Self>,
        _from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            let ctx = &self.0;
            let (mut call, body) = decode(body).ok_or(PeerFault::Malformed)?;
            call.received = ctx.seams.clock.monotonic();
            if !is_decided_by_leader(call.api) || !ctx.controller.is_leader() {
                return Err(PeerFault::Unable);
            }
            let mut reader = Reader::new(body);
            let mut call = Some(call);
            let reply = poll_fn(|cx| {
                let call = call.take().expect("it is started once");
                Poll::Ready(start(ctx, call, &mut reader, cx))
            });
            let frame: Frame = match reply.await.map_err(|refusal| fault(&refusal))? {
                Reply::Ready(frame) => frame,
                Reply::Waiting { answer, .. } => answer.await.map_err(|refusal| fault(&refusal))?,
                Reply::Nothing => return Err(PeerFault::Malformed),
            };
            let frame = frame.read().map_err(|_unreadable| PeerFault::Unable)?;
            let mut answer = BytesMut::with_capacity(8 + frame.len());
            answer.put_i64(ctx.controller.image().version());
            answer.put_slice(&frame);
            Ok(answer.freeze())
        })
    }
}

/// What the broker that passed a request on is told when there is no answer to it.
fn fault(refusal: &Refusal) -> PeerFault {
    match refusal {
        Refusal::Undecided => PeerFault::Unable,
        _ => PeerFault::Malformed,
    }
}
