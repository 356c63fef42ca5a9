//! The inputs to start from: golden bytes of Apache Kafka, recorded traffic, what ships.
//!
//! Every target says beside its reader how plain bytes look as an input of its own; here is said
//! where the bytes come from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use bytes::Bytes;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::messages::create_topics::CreateTopicsResponse;
use flumen_protocol::messages::fetch::FetchResponse;
use flumen_protocol::messages::metadata::MetadataResponse;
use flumen_protocol::messages::produce::ProduceRequest;
use flumen_protocol::records::Batches;
use flumen_protocol::{ApiKey, FrameWriter, Message, Reader, Records, Uuid};

use crate::dispatch::Kind;
use crate::recorded::{self, Exchange};
use crate::traffic::TOPIC_ID;
use crate::{
    compaction, compression, configuration, connection, controller, log_recovery, messages,
    record_batch, validation,
};

const GOLDEN_MESSAGES: &str = include_str!("../../protocol/tests/golden/messages.txt");
const GOLDEN_BATCHES: &str = include_str!("../../protocol/tests/golden/batches.txt");
const CONFIGURATION: &str = include_str!("../../config/broker.toml");

/// As long as `fuzz/run` lets an input become.
pub const INPUT_BYTES_MAX: usize = 4096;

/// Seeds by target.
#[derive(Debug, Default)]
pub struct Seeds(BTreeMap<&'static str, BTreeSet<Vec<u8>>>);

impl Seeds {
    /// All there are.
    pub fn collect() -> Self {
        let mut seeds = Self::default();
        seeds.add_golden();
        seeds.add_recorded();
        seeds.add("configuration", configuration::seed(CONFIGURATION));
        (0..log_recovery::seed_count())
            .for_each(|number| seeds.add("log_recovery", log_recovery::seed(number)));
        (0..compaction::seed_count())
            .for_each(|number| seeds.add("compaction", compaction::seed(number)));
        (0..controller::seed_count())
            .for_each(|number| seeds.add("controller", controller::seed(number)));
        seeds
    }

    /// Writes each into the folder of its target, under a name made from its content.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, corpora: &Path) -> io::Result<()> {
        for (target, inputs) in &self.0 {
            let corpus = corpora.join(target);
            fs::create_dir_all(&corpus)?;
            for input in inputs {
                fs::write(corpus.join(format!("seed-{:08x}", crc32c::crc32c(input))), input)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, target: &'static str, input: Vec<u8>) {
        if input.len() <= INPUT_BYTES_MAX {
            self.0.entry(target).or_default().insert(input);
        }
    }

    fn add_golden(&mut self) {
        for words in rows(GOLDEN_MESSAGES) {
            let kind = Kind::from_name(words[0]).expect("it is a message of ours");
            let version = words[1].parse().expect("it is a version");
            let body = recorded::bytes(words[2]);
            if let Kind::Request(api) = kind {
                let frame = [&header(api, version)[..], &body].concat();
                self.add("connection", connection::seed([&frame[..]]));
                self.add("frame", frame);
            }
            self.add_body(kind, version, &body);
        }
        for words in rows(GOLDEN_BATCHES) {
            self.add_batches(recorded::bytes(words[1]).into());
        }
    }

    fn add_body(&mut self, kind: Kind, version: i16, body: &[u8]) {
        let target = if let Kind::Request(_) = kind { "request" } else { "response" };
        // What a client may have asked in a version that nobody serves is a frame all the same.
        if let Some(input) = messages::seed(kind, version, body) {
            self.add(target, input);
        }
    }

    fn add_recorded(&mut self) {
        let ids = topic_ids();
        for session in recorded::sessions() {
            let frames = session.iter().map(|exchange| with_known_topic(&exchange.request, &ids));
            let frames: Vec<Vec<u8>> = frames.collect();
            self.add("connection", connection::seed(frames.iter().map(|frame| &frame[..])));
            for exchange in session {
                self.add("frame", exchange.request.to_vec());
                self.add_exchange(exchange);
            }
        }
        for files in recorded::partitions() {
            let segments = files.iter().filter(|(name, _)| name.ends_with(".log"));
            segments.for_each(|(_, content)| self.add_batches(Bytes::from(content.clone())));
        }
    }

    fn add_exchange(&mut self, exchange: &Exchange) {
        let Some(Bodies { api, version, request, response }) = Bodies::of(exchange) else { return };
        self.add_body(Kind::Request(api), version, &request);
        if let Some(response) = &response {
            self.add_body(Kind::Response(api), version, response);
        }
        match (api, response) {
            (ApiKey::Produce, _) => {
                let Ok(produce) = ProduceRequest::from_bytes(request, version) else { return };
                let partitions = produce.topic_data.into_iter().flat_map(|it| it.partition_data);
                partitions.for_each(|partition| self.add_records(partition.records));
            }
            (ApiKey::Fetch, Some(response)) => {
                let Ok(fetch) = FetchResponse::from_bytes(response, version) else { return };
                let partitions = fetch.responses.into_iter().flat_map(|topic| topic.partitions);
                partitions.for_each(|partition| self.add_records(partition.records));
            }
            _ => {}
        }
    }

    fn add_records(&mut self, records: Option<Records>) {
        if let Some(bytes) = records.as_ref().and_then(Records::as_bytes) {
            self.add_batches(bytes.clone());
        }
    }

    fn add_batches(&mut self, bytes: Bytes) {
        for batch in Batches::new(bytes).filter_map(Result::ok) {
            self.add("record_batch", record_batch::seed(batch.bytes()));
            self.add("validation", validation::seed(batch.bytes()));
            let compression = batch.header().compression();
            self.add("compression", compression::seed(compression, &batch.payload()));
        }
    }
}

/// The words of each line that is no comment.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

fn header(api: ApiKey, version: i16) -> Bytes {
    let mut writer = FrameWriter::new();
    let header =
        RequestHeader { api_key: api.key(), api_version: version, ..RequestHeader::default() };
    header.encode(&mut writer).expect("it is small");
    writer.into_bytes().expect("it is small")
}

/// What an exchange was about.
struct Bodies {
    api: ApiKey,
    version: i16,
    request: Bytes,
    response: Option<Bytes>,
}

impl Bodies {
    fn of(exchange: &Exchange) -> Option<Self> {
        let mut reader = Reader::new(exchange.request.clone());
        let header = RequestHeader::decode(&mut reader).ok()?;
        let (api, version) = (ApiKey::from_key(header.api_key)?, header.api_version);
        let request = exchange.request.slice(reader.position()..);
        let response = exchange.response.as_ref().and_then(|response| {
            let mut reader = Reader::new(response.clone());
            ResponseHeader::decode(&mut reader, header.api_key, version).ok()?;
            Some(response.slice(reader.position()..))
        });
        Some(Self { api, version, request, response })
    }
}

/// The ids that topics had while the traffic was recorded.
fn topic_ids() -> BTreeSet<Uuid> {
    let mut ids = BTreeSet::new();
    let bodies = recorded::sessions().iter().flatten().filter_map(Bodies::of);
    for Bodies { api, version, response, .. } in bodies {
        match (api, response) {
            (ApiKey::Metadata, Some(body)) => {
                let Ok(metadata) = MetadataResponse::from_bytes(body, version) else { continue };
                ids.extend(metadata.topics.iter().map(|topic| topic.topic_id));
            }
            (ApiKey::CreateTopics, Some(body)) => {
                let Ok(created) = CreateTopicsResponse::from_bytes(body, version) else { continue };
                ids.extend(created.topics.iter().map(|topic| topic.topic_id));
            }
            _ => {}
        }
    }
    ids.remove(&Uuid::default());
    ids
}

/// The request with every id of a topic replaced by one that exists when the request is sent.
fn with_known_topic(request: &[u8], ids: &BTreeSet<Uuid>) -> Vec<u8> {
    let mut request = request.to_vec();
    for at in 0..request.len().saturating_sub(TOPIC_ID.len()) {
        let window = &mut request[at..at + TOPIC_ID.len()];
        let id: [u8; 16] = (&*window).try_into().expect("an id has sixteen bytes");
        if ids.contains(&Uuid::from_bytes(id)) {
            window.copy_from_slice(&TOPIC_ID);
        }
    }
    request
}
