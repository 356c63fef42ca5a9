//! What is answered on the peer listener, and by whom.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use flumen_protocol::messages::envelope::{EnvelopeRequest, EnvelopeResponse};
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};
use flumen_protocol::{
    ApiKey, DecodeError, EncodeError, ErrorCode, Frame, FrameWriter, Message, Reader,
};
use parking_lot::Mutex;

use super::message::{self, PeerFault, PeerKind};
use crate::api::{Call, Context, Staged, replica_fetch};

/// The largest message between brokers.
pub(crate) const PEER_FRAME_BYTES_MAX: usize = 64 << 20;

/// Answers messages of one kind.
pub(crate) trait PeerHandler: Send + Sync {
    /// Answers a message of the broker `from`.
    fn handle(
        self: Arc<Self>,
        from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>>;
}

/// Everything that answers. Parts of the broker add themselves when they are up; until then whoever
/// asks for them is told to come back. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PeerServices {
    node_id: i32,
    parts: Arc<Mutex<Parts>>,
}

#[derive(Default)]
struct Parts {
    cluster_id: Option<String>,
    handlers: BTreeMap<PeerKind, Arc<dyn PeerHandler>>,
    /// What a fetch needs.
    context: Option<Arc<Context>>,
    /// Hears of brokers whose connections broke.
    on_lost: Option<Arc<dyn Fn(i32) + Send + Sync>>,
}

impl fmt::Debug for PeerServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServices").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// Why a connection between brokers is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the request cannot be decoded: {0}")]
    Malformed(#[from] DecodeError),
    #[error("the response has no encoding: {0}")]
    Encoding(#[from] EncodeError),
    #[error("api key {0} is not for brokers")]
    NotForBrokers(i16),
}

impl PeerServices {
    pub(crate) fn new(node_id: i32) -> Self {
        Self { node_id, parts: Arc::default() }
    }

    /// Refuses messages of other clusters from now on.
    pub(crate) fn set_cluster(&self, cluster_id: &str) {
        self.parts.lock().cluster_id = Some(cluster_id.to_owned());
    }

    /// Has messages of this kind answered.
    pub(crate) fn register(&self, kind: PeerKind, handler: Arc<dyn PeerHandler>) {
        self.parts.lock().handlers.insert(kind, handler);
    }

    /// Has fetches of followers answered.
    pub(crate) fn serve_fetches(&self, context: &Arc<Context>) {
        self.parts.lock().context = Some(Arc::clone(context));
    }

    /// Has `hear` told of every broker that a connection from has ended.
    pub(crate) fn on_lost(&self, hear: impl Fn(i32) + Send + Sync + 'static) {
        self.parts.lock().on_lost = Some(Arc::new(hear));
    }

    /// A connection from the broker has ended.
    pub(super) fn lost(&self, from: i32) {
        let hear = self.parts.lock().on_lost.clone();
        if let Some(hear) = hear {
            hear(from);
        }
    }

    /// Lets go of everything: the broker is stopping.
    pub(crate) fn close(&self) {
        let mut parts = self.parts.lock();
        parts.handlers.clear();
        parts.context = None;
        parts.on_lost = None;
    }

    /// Answers the request in a frame; notes in `sender` which broker it comes from.
    pub(super) async fn answer(
        &self,
        frame: Bytes,
        sender: &mut Option<i32>,
        peer: SocketAddr,
        received: Duration,
    ) -> Result<Frame, Broken> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader)?;
        let version = header.api_version;
        match ApiKey::from_key(header.api_key) {
            Some(ApiKey::ApiVersions) => {
                if ApiKey::ApiVersions.versions().contains(&version) {
                    return encode(&header, version, &served());
                }
                // As to clients (KIP-511): a newer version is answered with the first, and refused.
                let error_code = ErrorCode::UnsupportedVersion.code();
                encode(&header, 0, &ApiVersionsResponse { error_code, ..served() })
            }
            Some(ApiKey::Envelope) => {
                let request = EnvelopeRequest::decode(&mut reader, version)?;
                let answer = self.on_envelope(request.request_data, sender).await;
                let response_data = Some(message::encode_answer(answer));
                encode(&header, version, &EnvelopeResponse { response_data, error_code: 0 })
            }
            Some(ApiKey::Fetch) => {
                let request = FetchRequest::decode(&mut reader, version)?;
                let response = self.on_fetch(&header, request, sender, peer, received).await;
                encode(&header, version, &response)
            }
            _ => Err(Broken::NotForBrokers(header.api_key)),
        }
    }

    async fn on_envelope(
        &self,
        message: Bytes,
        sender: &mut Option<i32>,
    ) -> Result<Bytes, PeerFault> {
        let (head, body) = message::decode(message)?;
        if head.to != self.node_id {
            return Err(PeerFault::OtherNode);
        }
        let handler = {
            let parts = self.parts.lock();
            if let (Some(theirs), Some(ours)) = (&head.cluster_id, &parts.cluster_id)
                && theirs != ours
            {
                return Err(PeerFault::OtherCluster);
            }
            *sender = Some(head.from);
            if head.kind == PeerKind::Probe {
                return Ok(Bytes::new());
            }
            parts.handlers.get(&head.kind).cloned().ok_or(PeerFault::NotReady)?
        };
        handler.handle(head.from, body).await
    }

    async fn on_fetch(
        &self,
        header: &RequestHeader,
        request: FetchRequest,
        sender: &mut Option<i32>,
        peer: SocketAddr,
        received: Duration,
    ) -> FetchResponse {
        let refused =
            |code: ErrorCode| FetchResponse { error_code: code.code(), ..Default::default() };
        let context = {
            let parts = self.parts.lock();
            // Unlike a client, a broker knows where it belongs.
            if parts.cluster_id.is_some() && request.cluster_id != parts.cluster_id {
                return refused(ErrorCode::InconsistentClusterId);
            }
            parts.context.clone()
        };
        if request.replica_state.replica_id < 0 {
            return refused(ErrorCode::InvalidRequest);
        }
        *sender = Some(request.replica_state.replica_id);
        let Some(context) = context else { return refused(ErrorCode::NotLeaderOrFollower) };
        let call = Call {
            api: ApiKey::Fetch,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.clone(),
            peer,
            received,
            is_passed_on: false,
            is_undecided: AtomicBool::default(),
        };
        match replica_fetch::start(&context, &call, request) {
            Staged::Done(response) => response,
            Staged::Waiting(response) => response.await,
            Staged::Nothing | Staged::Close => unreachable!("a fetch is always answered"),
        }
    }
}

fn served() -> ApiVersionsResponse {
    let row = |api: ApiKey| {
        let versions = api.versions();
        ApiVersion {
            api_key: api.key(),
            min_version: *versions.start(),
            max_version: *versions.end(),
        }
    };
    let api_keys = [ApiKey::Fetch, ApiKey::ApiVersions, ApiKey::Envelope].map(row).into();
    ApiVersionsResponse { api_keys, ..Default::default() }
}

fn encode<R: Message>(header: &RequestHeader, version: i16, response: &R) -> Result<Frame, Broken> {
    let mut writer = FrameWriter::new();
    let answered = ResponseHeader { correlation_id: header.correlation_id };
    answered.encode(&mut writer, header.api_key, version);
    response.encode(&mut writer, version)?;
    Ok(writer.finish()?)
}
