//! A broker on a port of its own, and a client that sends whole requests and raw bytes.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

pub(crate) mod pair;
#[path = "../../../tools/tests/chaos/ports.rs"]
pub(crate) mod ports;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use flumen_broker::Broker;
use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use flumen_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_protocol::{ErrorCode, FrameWriter, Message, Reader, Records, Request};
use flumen_storage::vfs::RealDisk;
use tokio::runtime::Runtime;

/// Threads that a broker runs on.
const WORKERS: usize = 2;

/// A broker and the runtime it runs on.
pub(crate) struct Node {
    runtime: Runtime,
    broker: Option<Broker>,
}

pub(crate) fn config(dir: &Path, settings: &[(&'static str, &'static str)]) -> BrokerConfig {
    let dir = dir.to_str().unwrap();
    let own = [("log.dirs", dir), ("listeners", "PLAINTEXT://127.0.0.1:0"), ("http.listener", "")];
    BrokerConfig::with(own.into_iter().chain(settings.iter().copied())).unwrap()
}

impl Node {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_on(config(dir, &[]), Seams::real())
    }

    pub(crate) fn start_on(config: BrokerConfig, seams: Seams) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        let broker = runtime.block_on(Broker::start_on(config, seams, Arc::new(RealDisk)));
        let broker = Some(broker.unwrap());
        Self { runtime, broker }
    }

    /// Lets nothing run on it until the guards are dropped, as if the process were stopped.
    pub(crate) fn freeze(&self) -> [mpsc::Sender<()>; WORKERS] {
        let (begun, begins) = mpsc::channel();
        let guards = [(); WORKERS].map(|()| {
            let (guard, released) = mpsc::channel::<()>();
            let begun = begun.clone();
            drop(self.runtime.spawn(async move {
                begun.send(()).unwrap();
                assert!(released.recv().is_err(), "nothing is sent to it");
            }));
            guard
        });
        begins.iter().take(WORKERS).for_each(drop);
        guards
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.broker().addr()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).to_owned(),
                    value: Some((*value).to_owned()),
                })
                .collect(),
            ..Default::default()
        };
        let ctx = self.broker().context();
        self.runtime.block_on(async {
            let created = ctx.controller.create_topics(vec![topic], false).await.unwrap();
            created.into_iter().for_each(|(_, created)| drop(created.unwrap()));
            ctx.reconciled.wait_for(ctx.controller.image().version()).await;
        });
    }

    /// Why it cannot go on; `None` if nothing has happened within `patience`.
    pub(crate) fn failed(&mut self, patience: Duration) -> Option<String> {
        let broker = self.broker.as_mut().unwrap();
        let failed = async { tokio::time::timeout(patience, broker.failed()).await };
        self.runtime.block_on(failed).ok()
    }

    pub(crate) fn stop(mut self) {
        let broker = self.broker.take().unwrap();
        self.runtime.block_on(broker.shutdown());
    }
}

/// A client that waits for every answer.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, next_correlation_id: 1 }
    }

    /// Sends a request and returns its correlation id.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.send_followed(version, request, b"")
    }

    /// Sends a request with more bytes in its frame than it has itself.
    pub(crate) fn send_followed<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        more: &[u8],
    ) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let header = RequestHeader {
            api_key: R::API_KEY.key(),
            api_version: version,
            correlation_id,
            client_id: Some("test".to_owned()),
        };
        let mut writer = FrameWriter::new();
        header.encode(&mut writer).unwrap();
        request.encode(&mut writer, version).unwrap();
        writer.put_slice(more);
        let frame = writer.finish().unwrap().read().unwrap();
        self.stream.write_all(&frame).unwrap();
        correlation_id
    }

    /// Receives the next frame.
    pub(crate) fn receive_frame(&mut self) -> std::io::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// Receives the next response, which must be that of a request of type `R`.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut reader = Reader::new(self.receive_frame().unwrap());
        let header = ResponseHeader::decode(&mut reader, R::API_KEY.key(), version).unwrap();
        let response = R::Response::decode(&mut reader, version).unwrap();
        reader.finish().unwrap();
        (header.correlation_id, response)
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request);
        let (correlation_id, response) = self.receive::<R>(version);
        assert_eq!(correlation_id, sent);
        response
    }

    /// Produces one batch with `acks=all` and returns the error and the base offset.
    pub(crate) fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        records: Bytes,
    ) -> (ErrorCode, i64) {
        outcome(&self.call(9, &produce_request(topic, partition, records, -1)))
    }

    /// Fetches from one partition and returns the error, the high watermark and the records.
    pub(crate) fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> (ErrorCode, i64, Bytes) {
        let response = self.call(12, &fetch_request(topic, partition, offset));
        let data = response.responses.into_iter().next().unwrap().partitions.remove(0);
        let records = data.records.unwrap().into_bytes().unwrap();
        (ErrorCode::from_code(data.error_code), data.high_watermark, records)
    }

    /// Whether the broker has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

pub(crate) fn produce_request(
    topic: &str,
    partition: i32,
    records: Bytes,
    acks: i16,
) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(Records::from(records)) };
    let topic_data = vec![TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![data],
        ..Default::default()
    }];
    ProduceRequest { transactional_id: None, acks, timeout_ms: 30_000, topic_data }
}

pub(crate) fn outcome(response: &ProduceResponse) -> (ErrorCode, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (ErrorCode::from_code(partition.error_code), partition.base_offset)
}

pub(crate) fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 64 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of one record for each value.
pub(crate) fn batch(values: &[impl AsRef<[u8]>]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        builder.append(1_700_000_000_000, None, Some(value.as_ref()), &[]);
    }
    builder.build()
}
