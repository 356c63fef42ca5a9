//! A connection against peers that do not behave like the brokers of today.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::time::Duration;

use flumen_client::connection::{Call, Connection, ConnectionError, ConnectionOptions, Seams};
use flumen_client::retry::BackoffConfig;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use flumen_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use flumen_protocol::{ErrorCode, FrameWriter, Message, Reader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

fn options() -> ConnectionOptions {
    ConnectionOptions {
        client_id: Some("test".into()),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        in_flight_max: 5,
        reconnect_backoff: BackoffConfig {
            initial: Duration::from_millis(10),
            max: Duration::from_millis(20),
        },
        receive_bytes_max: 1 << 20,
    }
}

/// Runs a connection and its peer together until the connection's side is done.
async fn with_peer<P, C, T>(
    peer: impl FnOnce(TcpStream) -> P,
    client: impl FnOnce(Connection) -> C,
) -> T
where
    P: Future<Output = ()>,
    C: Future<Output = T>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connection = Connection::new(&address, options(), &Seams::real());
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        peer(stream).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        outcome = client(connection) => outcome,
        () = serving => unreachable!("the peer waits for ever"),
    }
}

async fn read_request(stream: &mut TcpStream) -> RequestHeader {
    let size = usize::try_from(stream.read_i32().await.unwrap()).unwrap();
    let mut frame = vec![0; size];
    stream.read_exact(&mut frame).await.unwrap();
    RequestHeader::decode(&mut Reader::new(frame.into())).unwrap()
}

async fn answer<M: Message>(
    stream: &mut TcpStream,
    request: &RequestHeader,
    message: &M,
    version: i16,
) {
    let mut writer = FrameWriter::new();
    let header = ResponseHeader { correlation_id: request.correlation_id };
    header.encode(&mut writer, request.api_key, version);
    message.encode(&mut writer, version).unwrap();
    let frame = writer.finish().unwrap().read().unwrap();
    stream.write_all(&frame).await.unwrap();
}

fn serves(code: ErrorCode, ranges: &[(i16, i16, i16)]) -> ApiVersionsResponse {
    let api_keys = ranges.iter().map(|(api_key, min_version, max_version)| ApiVersion {
        api_key: *api_key,
        min_version: *min_version,
        max_version: *max_version,
    });
    ApiVersionsResponse {
        error_code: code.code(),
        api_keys: api_keys.collect(),
        ..ApiVersionsResponse::default()
    }
}

#[tokio::test]
async fn a_broker_of_old_is_asked_again_in_version_0() {
    let peer = |mut stream: TcpStream| async move {
        let first = read_request(&mut stream).await;
        assert_eq!((first.api_key, first.api_version), (API_VERSIONS, 4));
        let refusal = serves(ErrorCode::UnsupportedVersion, &[(API_VERSIONS, 0, 1)]);
        answer(&mut stream, &first, &refusal, 0).await;

        let second = read_request(&mut stream).await;
        assert_eq!((second.api_key, second.api_version), (API_VERSIONS, 0));
        answer(&mut stream, &second, &serves(ErrorCode::None, &[(METADATA, 0, 1)]), 0).await;

        let question = read_request(&mut stream).await;
        assert_eq!((question.api_key, question.api_version), (METADATA, 1));
        let metadata = MetadataResponse { controller_id: 7, ..MetadataResponse::default() };
        answer(&mut stream, &question, &metadata, 1).await;
    };
    let response = with_peer(peer, |connection| async move {
        connection.send(&MetadataRequest::default(), Call::default()).await
    });
    assert_eq!(response.await.unwrap().controller_id, 7);
}

#[tokio::test]
async fn an_api_that_is_not_served_is_not_asked_for() {
    let peer = |mut stream: TcpStream| async move {
        let first = read_request(&mut stream).await;
        answer(&mut stream, &first, &serves(ErrorCode::None, &[(METADATA, 90, 99)]), 4).await;
    };
    let refused = with_peer(peer, |connection| async move {
        connection.send(&MetadataRequest::default(), Call::default()).await
    });
    let error = refused.await.unwrap_err();
    assert!(matches!(error, ConnectionError::UnsupportedVersion { client_max: 13, .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_recognised() {
    let peer = |mut stream: TcpStream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let error = with_peer(peer, |connection| async move {
        connection.send(&MetadataRequest::default(), Call::default()).await.unwrap_err()
    });
    assert!(error.await.to_string().ends_with("is it a Kafka port?"));
}

#[tokio::test]
async fn a_silent_broker_times_out_and_takes_the_connection_with_it() {
    let peer = |mut stream: TcpStream| async move {
        let first = read_request(&mut stream).await;
        answer(&mut stream, &first, &serves(ErrorCode::None, &[(METADATA, 0, 13)]), 4).await;
        std::future::pending::<()>().await;
    };
    let call = Call::timeout(Duration::from_millis(100));
    let patient = Call::timeout(Duration::from_secs(60));
    let (silent, other) = with_peer(peer, |connection| async move {
        let request = MetadataRequest::default();
        tokio::join!(connection.send(&request, call), connection.send(&request, patient))
    })
    .await;
    assert!(matches!(silent, Err(ConnectionError::TimedOut { .. })));
    assert!(matches!(other, Err(ConnectionError::Lost { possibly_received: true, .. })));
}

#[tokio::test]
async fn an_answer_out_of_turn_ends_the_connection() {
    let peer = |mut stream: TcpStream| async move {
        let first = read_request(&mut stream).await;
        answer(&mut stream, &first, &serves(ErrorCode::None, &[(METADATA, 0, 13)]), 4).await;
        let mut question = read_request(&mut stream).await;
        question.correlation_id += 1;
        answer(&mut stream, &question, &MetadataResponse::default(), 13).await;
    };
    let error = with_peer(peer, |connection| async move {
        connection.send(&MetadataRequest::default(), Call::default()).await.unwrap_err()
    });
    assert!(matches!(error.await, ConnectionError::OutOfTurn { .. }));
}
