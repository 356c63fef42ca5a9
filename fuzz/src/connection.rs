//! The bytes of a whole connection against a live broker, and a well-behaved client beside it.
//!
//! The broker is the real one, on a disk and a network in memory, all on this thread; it lives
//! through many inputs. Whatever a connection sends, every answer to a whole request can be
//! decoded, and the other client produces and fetches undisturbed.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_broker::Broker;
use flumen_broker::config::BrokerConfig;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use flumen_protocol::messages::metadata::MetadataRequest;
use flumen_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use flumen_protocol::records::compression::Compression;
use flumen_protocol::{ErrorCode, FrameWriter, Message, Reader, Records, Request, Uuid};
use flumen_storage::vfs::SimulatedDisk;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::bounds::within;
use crate::history;
use crate::input::Input;
use crate::log_files::plain_batch;
use crate::memory_net::MemoryNet;
use crate::seeds::INPUT_BYTES_MAX;
use crate::traffic::{self, Traffic, check_answer};

/// A broker is replaced after so many inputs: topics, groups and producers add up.
const INPUTS_MAX: usize = 400;
/// A few requests of a few kilobytes must not cost more, topics created by them included.
const MEMORY_MAX: usize = 64 << 20;
/// Making partitions is honest work, of which a number of four bytes asks for as much as the broker
/// allows. So many are made and removed several times within a second, unless it is done badly.
const PARTITIONS_MAX: &str = "1000";
/// In virtual time. Some requests have no answer, and some wait for as long as they ask to.
const ANSWERS_MAX: Duration = Duration::from_secs(5);
/// The longest the other client may wait, in virtual time too.
const STEADY_MAX: Duration = Duration::from_secs(1);

const STEADY_TOPIC: &str = "steady.7f3a9c1e55d84b02";

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

pub fn run(data: &[u8]) {
    BENCH.with_borrow_mut(|slot| {
        let bench = slot.get_or_insert_with(Bench::start);
        history::push(data);
        within(MEMORY_MAX, || bench.run(data));
        if history::len() == INPUTS_MAX {
            slot.take().expect("it was just used").stop();
        }
    });
}

/// The input that sends these frames, as many as an input has room for.
pub fn seed<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut input = vec![0];
    for frame in frames {
        let choice = traffic::frame_seed(frame);
        if input.len() + choice.len() <= INPUT_BYTES_MAX {
            input.extend(choice);
        }
    }
    input
}

/// A broker, the runtime it runs on, and the client that wants nothing but its service.
struct Bench {
    runtime: Runtime,
    net: MemoryNet,
    broker: Broker,
    steady: Client,
    topic_id: Uuid,
}

impl Bench {
    fn start() -> Self {
        history::begin();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a thread is all it takes");
        let net = MemoryNet::default();
        let settings =
            [("log.dirs", "/data"), ("http.listener", ""), ("max.partitions", PARTITIONS_MAX)];
        let config = BrokerConfig::with(settings).expect("the settings exist");
        let (broker, steady, topic_id) = runtime.block_on(async {
            let disk = Arc::new(SimulatedDisk::new());
            let broker = Broker::start_on(config, net.seams(0), disk).await;
            let broker = broker.expect("the disk is sound");
            let mut steady = Client { stream: net.dial(), next_correlation_id: 0 };
            steady.create_topic(STEADY_TOPIC).await;
            steady.create_topic("fuzz").await;
            let metadata =
                steady.call(12, &MetadataRequest { topics: None, ..Default::default() }).await;
            let fuzz = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("fuzz"));
            let topic_id = fuzz.expect("it was just created").topic_id;
            (broker, steady, topic_id)
        });
        Self { runtime, net, broker, steady, topic_id }
    }

    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let hangs_up = input.flag();
        let traffic = Traffic::draw(&mut input, self.topic_id);
        let stream = self.net.dial();
        self.runtime.block_on(async {
            converse(stream, traffic, hangs_up).await;
            let served = timeout(STEADY_MAX, self.steady.use_service(history::len())).await;
            served.expect("a well-behaved client is served");
        });
    }

    fn stop(self) {
        let Self { runtime, broker, steady, .. } = self;
        drop(steady);
        within(MEMORY_MAX, || runtime.block_on(broker.shutdown()));
    }
}

/// Sends everything and reads what comes, until the broker closes or nothing more is due.
async fn converse(stream: DuplexStream, traffic: Traffic, hangs_up: bool) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let send = async {
        // A broker that has had enough closes the connection while more is coming.
        let sent = writing.write_all(&traffic.bytes).await;
        if sent.is_ok() && hangs_up {
            drop(writing.shutdown().await);
        }
    };
    let receive = async {
        for _ in 0..traffic.requests.len().max(1) {
            let Ok(size) = reading.read_u32().await else { return };
            let mut answer = vec![0; size as usize];
            if reading.read_exact(&mut answer).await.is_err() {
                return;
            }
            check_answer(&Bytes::from(answer), &traffic.requests);
        }
    };
    drop(timeout(ANSWERS_MAX, async { tokio::join!(send, receive) }).await);
}

struct Client {
    stream: DuplexStream,
    next_correlation_id: i32,
}

impl Client {
    async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let api_key = R::API_KEY.key();
        let header =
            RequestHeader { api_key, api_version: version, correlation_id, client_id: None };
        let mut writer = FrameWriter::new();
        header.encode(&mut writer).expect("it is small");
        request.encode(&mut writer, version).expect("the version has all fields");
        let frame = writer.finish().expect("it is small").read().expect("it is in memory");
        self.stream.write_all(&frame).await.expect("the connection is open");

        let size = self.stream.read_u32().await.expect("the connection is open");
        let mut answer = vec![0; size as usize];
        self.stream.read_exact(&mut answer).await.expect("the connection is open");
        let mut reader = Reader::new(answer.into());
        let header = ResponseHeader::decode(&mut reader, api_key, version).expect("it is whole");
        assert_eq!(header.correlation_id, correlation_id);
        let response = R::Response::decode(&mut reader, version).expect("it is whole");
        reader.finish().expect("it is whole");
        response
    }

    /// With settings of its own, so that it does not matter what becomes of the broker's.
    async fn create_topic(&mut self, name: &str) {
        let settings = [("max.message.bytes", "1000000"), ("compression.type", "producer")];
        let configs = settings.map(|(name, value)| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: 2,
            replication_factor: 1,
            configs: configs.into(),
            ..Default::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        let response = self.call(7, &request).await;
        assert_eq!(response.topics[0].error_code, ErrorCode::None.code());
    }

    /// Produces a batch with `acks=all` and fetches it back.
    async fn use_service(&mut self, number: usize) {
        let seed = i64::try_from(number).expect("inputs are counted");
        let records = plain_batch(seed, 2, Compression::None);
        let partition =
            PartitionProduceData { index: 0, records: Some(Records::from(records.clone())) };
        let topic = TopicProduceData {
            name: STEADY_TOPIC.to_owned(),
            partition_data: vec![partition],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 1000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let produced = self.call(9, &request).await;
        let produced = &produced.responses[0].partition_responses[0];
        assert_eq!(produced.error_code, ErrorCode::None.code(), "{produced:?}");

        let partition = FetchPartition {
            partition: 0,
            fetch_offset: produced.base_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: STEADY_TOPIC.to_owned(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            topics: vec![topic],
            ..Default::default()
        };
        let fetched = self.call(11, &request).await;
        let fetched = &fetched.responses[0].partitions[0];
        assert_eq!(fetched.error_code, ErrorCode::None.code(), "{fetched:?}");
        let bytes = fetched.records.as_ref().and_then(Records::as_bytes);
        let size = bytes.map_or(0, Bytes::len);
        assert_eq!(size, records.len(), "what was produced is fetched");
    }
}
