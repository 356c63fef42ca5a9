//! Brokers that talk over loopback, and what strangers say to the peer listener.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flumen_client::connection::{BoxFuture, Seams};
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use flumen_protocol::messages::envelope::EnvelopeRequest;
use flumen_protocol::messages::fetch::{FetchRequest, ReplicaState};
use flumen_protocol::messages::metadata::MetadataRequest;
use flumen_protocol::{ErrorCode, FrameWriter, Message, Reader, Request};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::*;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// Says who asked, and what.
struct Echo;

impl PeerHandler for Echo {
    fn handle(
        self: Arc<Self>,
        from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            let mut answer = BytesMut::new();
            answer.put_i32(from);
            answer.put_slice(&body);
            Ok(answer.freeze())
        })
    }
}

/// Answers when it is told to.
struct Held(Arc<Notify>);

impl PeerHandler for Held {
    fn handle(
        self: Arc<Self>,
        _from: i32,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            self.0.notified().await;
            Ok(body)
        })
    }
}

/// A broker as far as its peers see it.
struct Node {
    services: PeerServices,
    client: PeerClient,
    address: PeerAddress,
    stop: watch::Sender<bool>,
}

impl Node {
    async fn start(node_id: i32) -> Self {
        Self::start_within(node_id, PeerLimits::default()).await
    }

    async fn start_within(node_id: i32, limits: PeerLimits) -> Self {
        let seams = Seams::real();
        let listener = seams.net.bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let services = PeerServices::new(node_id);
        services.set_cluster(CLUSTER);
        let client = PeerClient::new(node_id, seams.clone());
        client.set_cluster(CLUSTER);
        let (stop, stopping) = watch::channel(false);
        let acceptor = PeerAcceptor::new(services.clone(), seams.clone(), stopping, limits);
        drop(seams.spawn.spawn("accept", Box::pin(acceptor.run(listener))));
        Self { services, client, address: PeerAddress { node_id, address }, stop }
    }

    async fn ask(&self, to: &PeerAddress, body: &[u8]) -> Result<Bytes, PeerError> {
        self.client.ask(to, Lane::Control, PeerKind::Control, body, PATIENCE).await
    }

    async fn stranger(&self) -> TcpStream {
        TcpStream::connect(&self.address.address).await.unwrap()
    }

    /// Whether the broker still answers those who talk sense.
    async fn is_well(&self) -> bool {
        self.ask(&self.address, b"?").await.is_ok()
    }
}

fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let mut writer = FrameWriter::new();
    let api_key = R::API_KEY.key();
    let header =
        RequestHeader { api_key, api_version: version, correlation_id: 7, client_id: None };
    header.encode(&mut writer).unwrap();
    request.encode(&mut writer, version).unwrap();
    writer.finish().unwrap().read().unwrap().to_vec()
}

fn envelope(head: &message::Head) -> EnvelopeRequest {
    EnvelopeRequest {
        request_data: message::encode(head, b"body"),
        request_principal: None,
        client_host_address: Bytes::new(),
    }
}

/// Waits until the broker closes the connection, whatever it says before.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn brokers_ask_each_other() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    for node in [&one, &two] {
        node.services.register(PeerKind::Control, Arc::new(Echo));
    }
    assert_eq!(&one.ask(&two.address, b"body").await.unwrap()[..], b"\0\0\0\x01body");
    assert_eq!(&two.ask(&one.address, b"").await.unwrap()[..], b"\0\0\0\x02");
    let large = vec![7; 5 << 20];
    assert_eq!(one.ask(&two.address, &large).await.unwrap().len(), 4 + large.len());
}

#[tokio::test]
async fn whoever_is_asked_in_error_says_so() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    assert_eq!(one.ask(&two.address, b"").await, Err(PeerFault::NotReady.into()));
    two.services.register(PeerKind::Control, Arc::new(Echo));

    let moved = PeerAddress { node_id: 3, ..two.address.clone() };
    assert_eq!(one.ask(&moved, b"").await, Err(PeerFault::OtherNode.into()));
    one.client.set_cluster("another");
    assert_eq!(one.ask(&two.address, b"").await, Err(PeerFault::OtherCluster.into()));
    one.client.set_cluster(CLUSTER);
    assert!(one.ask(&two.address, b"").await.is_ok());

    two.services.close();
    assert_eq!(one.ask(&two.address, b"").await, Err(PeerFault::NotReady.into()));
}

#[tokio::test]
async fn a_broker_that_is_gone_is_told_from_one_that_is_slow() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    let held = Arc::new(Notify::new());
    two.services.register(PeerKind::Control, Arc::new(Held(Arc::clone(&held))));
    let short = Duration::from_millis(50);
    let asked = one.client.ask(&two.address, Lane::Control, PeerKind::Control, b"", short);
    assert_eq!(asked.await, Err(PeerError::TimedOut));

    let gone = PeerAddress { node_id: 2, address: "127.0.0.1:1".to_owned() };
    assert_eq!(one.ask(&gone, b"").await, Err(PeerError::Refused));
}

#[tokio::test]
async fn a_process_that_dies_while_it_is_asked_after_is_found_gone() {
    let one = Node::start(1).await;
    let dying = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = PeerAddress { node_id: 2, address: dying.local_addr().unwrap().to_string() };
    let death = async {
        for _ in 0..2 {
            drop(dying.accept().await.unwrap());
        }
        drop(dying);
    };
    let ((), is_gone) = tokio::join!(death, one.client.is_gone(&address, PATIENCE));
    assert!(is_gone);
}

#[tokio::test]
async fn a_connection_that_was_forgotten_on_the_way_hides_no_death() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    let way = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = PeerAddress { node_id: 2, address: way.local_addr().unwrap().to_string() };
    let asked = Notify::new();
    let carrying = async {
        let (mut near, _) = way.accept().await.unwrap();
        let mut far = two.stranger().await;
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = asked.notified() => {}
        }
        (near, far)
    };
    let asking = async {
        let is_gone = one.client.is_gone(&address, PATIENCE).await;
        asked.notify_one();
        is_gone
    };
    let (forgotten, is_gone) = tokio::join!(carrying, asking);
    assert!(!is_gone);
    drop(way);
    assert!(one.client.is_gone(&address, PATIENCE).await);
    drop(forgotten);
}

#[tokio::test]
async fn a_slow_answer_holds_up_no_other_lane() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    let held = Arc::new(Notify::new());
    two.services.register(PeerKind::Forward, Arc::new(Held(Arc::clone(&held))));
    two.services.register(PeerKind::Control, Arc::new(Echo));
    let slow = one.client.ask(&two.address, Lane::Forward(0), PeerKind::Forward, b"slow", PATIENCE);
    let quick = async {
        let answer = one.ask(&two.address, b"").await;
        held.notify_one();
        answer
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(quick.is_ok());
    assert_eq!(&slow.unwrap()[..], b"slow");
}

#[tokio::test]
async fn requests_of_clients_and_frames_without_end_are_cut_off() {
    let node = Node::start(1).await;
    node.services.register(PeerKind::Control, Arc::new(Echo));
    let metadata = frame(12, &MetadataRequest::default());
    let too_large = [0x7f, 0xff, 0xff, 0xff];
    let negative = [0xff; 4];
    for bytes in [&metadata[..], &too_large, &negative, &[0, 0, 0, 0], &[0, 0, 0, 2, 0, 58]] {
        let mut stranger = node.stranger().await;
        stranger.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut stranger).await, "{bytes:?}");
    }
    assert!(node.is_well().await);
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_refused_by_name() {
    let node = Node::start(1).await;
    let mut frame = frame(4, &ApiVersionsRequest::default());
    // The version, behind length and key.
    frame[6..8].copy_from_slice(&99_i16.to_be_bytes());
    let mut stranger = node.stranger().await;
    stranger.write_all(&frame).await.unwrap();
    let size = timeout(PATIENCE, stranger.read_i32()).await.unwrap().unwrap();
    let mut answer = vec![0; usize::try_from(size).unwrap()];
    stranger.read_exact(&mut answer).await.unwrap();
    let mut reader = Reader::new(answer.into());
    ResponseHeader::decode(&mut reader, 18, 0).unwrap();
    let answer = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(ErrorCode::from_code(answer.error_code), ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn a_fetch_before_there_are_partitions_is_sent_away() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    let fetch = |replica_id| FetchRequest {
        replica_state: ReplicaState { replica_id, replica_epoch: 1 },
        ..Default::default()
    };
    let asked = async |replica_id| {
        let answer = one.client.fetch(&two.address, 0, fetch(replica_id), PATIENCE).await?;
        Ok::<_, PeerError>(ErrorCode::from_code(answer.error_code))
    };
    assert_eq!(asked(1).await, Ok(ErrorCode::NotLeaderOrFollower));
    // Nor does one get anything who is not a broker, or one of another cluster.
    assert_eq!(asked(-1).await, Ok(ErrorCode::InvalidRequest));
    one.client.set_cluster("another");
    assert_eq!(asked(1).await, Err(PeerFault::OtherCluster.into()));
}

#[tokio::test]
async fn whoever_does_not_say_who_it_is_is_sent_away() {
    let introduction_time_max = Duration::from_millis(1500);
    let limits = PeerLimits { introduction_time_max, ..PeerLimits::default() };
    let node = Node::start_within(1, limits).await;
    node.services.register(PeerKind::Control, Arc::new(Echo));
    // Neither silence nor a part of a message nor a question that anybody may ask keeps a connection.
    let versions = frame(4, &ApiVersionsRequest::default());
    for bytes in [&b""[..], &versions[..3], &versions] {
        let mut stranger = node.stranger().await;
        stranger.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut stranger).await, "{bytes:?}");
    }
    // A message for another broker is answered, but it is no introduction.
    let head = message::Head::new(PeerKind::Control, 2, 9, Some(CLUSTER.to_owned()));
    let mut stranger = node.stranger().await;
    stranger.write_all(&frame(0, &envelope(&head))).await.unwrap();
    assert!(is_closed(&mut stranger).await);
    // A broker of the cluster stays.
    assert!(node.is_well().await);
    let idle = async {
        tokio::time::sleep(2 * introduction_time_max).await;
        node.is_well().await
    };
    assert!(idle.await);
    assert_eq!(node.client.connection_count(), 1);
}

#[tokio::test]
async fn one_that_stops_in_the_middle_is_cut_off() {
    let transfer_time_max = Duration::from_secs(1);
    let limits = PeerLimits { transfer_time_max, ..PeerLimits::default() };
    let node = Node::start_within(1, limits).await;
    node.services.register(PeerKind::Control, Arc::new(Echo));
    let head = message::Head::new(PeerKind::Control, 2, 1, Some(CLUSTER.to_owned()));
    let whole = frame(0, &envelope(&head));
    let mut broker = node.stranger().await;
    broker.write_all(&whole).await.unwrap();
    broker.write_all(&whole[..whole.len() - 1]).await.unwrap();
    assert!(is_closed(&mut broker).await);
    assert!(node.is_well().await);
}

#[tokio::test]
async fn connections_and_what_they_hold_are_bounded() {
    let limits = PeerLimits { connections_max: 2, bytes_max: 1 << 20, ..PeerLimits::default() };
    let limits = PeerLimits { transfer_time_max: Duration::from_secs(1), ..limits };
    let node = Node::start_within(1, limits).await;
    node.services.register(PeerKind::Control, Arc::new(Echo));
    assert!(node.is_well().await);
    // The room is taken by a request that never ends; when it is given up, the next one has it.
    let mut greedy = node.stranger().await;
    greedy.write_all(&(1_i32 << 20).to_be_bytes()).await.unwrap();
    let mut third = node.stranger().await;
    assert!(is_closed(&mut third).await);
    assert!(is_closed(&mut greedy).await);
    let large = vec![7; 900 << 10];
    assert!(node.ask(&node.address, &large).await.is_ok());
}

/// A part of a broker that has a bug.
struct Panics;

impl PeerHandler for Panics {
    fn handle(
        self: Arc<Self>,
        _from: i32,
        _body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, PeerFault>> {
        Box::pin(async { panic!("a bug") })
    }
}

#[tokio::test]
async fn a_failed_assertion_ends_one_connection() {
    let limits = PeerLimits { connections_max: 1, ..PeerLimits::default() };
    let node = Node::start_within(1, limits).await;
    node.services.register(PeerKind::Control, Arc::new(Panics));
    let answer = node.ask(&node.address, b"").await;
    assert!(matches!(answer, Err(PeerError::Unreachable { .. })), "{answer:?}");
    // Its place is free again.
    node.services.register(PeerKind::Control, Arc::new(Echo));
    let well = async {
        while !node.is_well().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, well).await.is_ok());
}

#[tokio::test]
async fn connections_to_where_a_broker_was_are_let_go() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    two.services.register(PeerKind::Control, Arc::new(Echo));
    let before = PeerAddress { address: "127.0.0.1:1".to_owned(), ..two.address.clone() };
    assert_eq!(one.ask(&before, b"").await, Err(PeerError::Refused));
    assert!(one.ask(&two.address, b"").await.is_ok());
    assert_eq!(one.client.connection_count(), 1);
}

#[tokio::test]
async fn no_connection_to_a_process_that_is_gone_is_used_again() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    two.services.register(PeerKind::Control, Arc::new(Echo));
    let lanes = [Lane::Forward(0), Lane::Forward(1), Lane::Control];
    for lane in lanes {
        let asked = one.client.ask(&two.address, lane, PeerKind::Control, b"", PATIENCE);
        assert!(asked.await.is_ok());
    }
    assert_eq!(one.client.connection_count(), lanes.len());
    two.stop.send_replace(true);
    let refused = async {
        while one.ask(&two.address, b"").await != Err(PeerError::Refused) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(one.client.connection_count(), 1, "the one that was refused");
}

#[tokio::test]
async fn a_stopping_broker_lets_its_peers_go() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    two.services.register(PeerKind::Control, Arc::new(Echo));
    assert!(one.ask(&two.address, b"").await.is_ok());
    let mut idle = two.stranger().await;
    two.stop.send_replace(true);
    assert!(is_closed(&mut idle).await);
    let answer = one.ask(&two.address, b"").await;
    let is_gone = matches!(answer, Err(PeerError::Refused | PeerError::Unreachable { .. }));
    assert!(is_gone, "{answer:?}");
}

/// Whatever an envelope holds, there is an answer or the connection ends; nobody else is harmed.
#[tokio::test]
async fn garbage_harms_nobody() {
    let node = Node::start(1).await;
    node.services.register(PeerKind::Control, Arc::new(Echo));
    let head = message::Head::new(PeerKind::Control, 2, 1, Some(CLUSTER.to_owned()));
    let whole = frame(0, &envelope(&head));
    let size = whole.len();
    // The length stays as it is, so that every frame is complete and is looked into.
    let damage = proptest::collection::vec((4..size, any::<u8>()), 1..8);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    for _ in 0..200 {
        let mut frame = whole.clone();
        let places = damage.new_tree(&mut runner).unwrap().current();
        places.into_iter().for_each(|(place, byte)| frame[place] = byte);
        let mut stranger = node.stranger().await;
        stranger.write_all(&frame).await.unwrap();
        stranger.shutdown().await.unwrap();
        assert!(is_closed(&mut stranger).await, "{frame:?}");
    }
    assert!(node.is_well().await);
}
