//! What a client of ill will sends: raw bytes, frames, and requests that nearly make sense.

use std::ops::Range;

use bytes::Bytes;
use flumen_protocol::header::RequestHeader;
use flumen_protocol::schema::{Field, Type};
use flumen_protocol::{ApiKey, FrameWriter, Reader, Uuid};

use crate::batches;
use crate::dispatch::Kind;
use crate::edits::edit;
use crate::encoder::{self, Values};
use crate::input::Input;

/// Correlation ids of whole requests begin here, out of the way of made-up ones.
const CORRELATION_ID_FIRST: i32 = 0x5eed_0000;
/// Where they stand in a frame.
const CORRELATION_ID: Range<usize> = 4..8;

/// What a recorded frame has in place of the id of a topic; the id of one that exists is sent.
pub const TOPIC_ID: [u8; 16] = *b"the recorded id!";

/// A request whose answer can be checked, should there be one.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
}

/// Bytes for one connection, and the requests among them.
#[derive(Debug, Default)]
pub struct Traffic {
    pub bytes: Vec<u8>,
    pub requests: Vec<Sent>,
}

impl Traffic {
    pub fn draw(input: &mut Input<'_>, topic_id: Uuid) -> Self {
        let mut traffic = Self::default();
        while !input.is_empty() && traffic.requests.len() < 32 {
            match input.below(8) {
                0 => traffic.bytes.extend_from_slice(input.block()),
                1 => traffic.push_recorded(input.block(), topic_id),
                _ => traffic.push_request(input, topic_id),
            }
        }
        traffic
    }

    fn push_frame(&mut self, content: &[u8]) {
        let size = u32::try_from(content.len()).expect("inputs are small");
        self.bytes.extend_from_slice(&size.to_be_bytes());
        self.bytes.extend_from_slice(content);
    }

    /// A frame as it is, but for the ids that only a live broker knows. Where it begins as a
    /// request does, its answer is checked like that of one made here.
    fn push_recorded(&mut self, content: &[u8], topic_id: Uuid) {
        let mut content = content.to_vec();
        for at in 0..content.len().saturating_sub(TOPIC_ID.len()) {
            let window = &mut content[at..at + TOPIC_ID.len()];
            if *window == TOPIC_ID {
                window.copy_from_slice(topic_id.as_bytes());
            }
        }
        let header = RequestHeader::decode(&mut Reader::new(Bytes::copy_from_slice(&content)));
        if let Ok(RequestHeader { api_key, api_version: version, .. }) = header
            && let Some(api) = ApiKey::from_key(api_key)
            && api.versions().contains(&version)
        {
            let correlation_id = self.next_correlation_id();
            content[CORRELATION_ID].copy_from_slice(&correlation_id.to_be_bytes());
            self.requests.push(Sent { api, version, correlation_id });
        }
        self.push_frame(&content);
    }

    fn next_correlation_id(&self) -> i32 {
        CORRELATION_ID_FIRST + i32::try_from(self.requests.len()).expect("requests are few")
    }

    fn push_request(&mut self, input: &mut Input<'_>, topic_id: Uuid) {
        let api = *input.choose(ApiKey::ALL);
        let versions = api.versions();
        let span = usize::try_from(versions.end() - versions.start()).expect("versions ascend") + 1;
        let version = versions.start() + i16::try_from(input.below(span)).expect("few versions");
        let correlation_id = self.next_correlation_id();

        let client_id = input.flag().then(|| "fuzz".to_owned());
        let (api_key, api_version) = (api.key(), version);
        let header = RequestHeader { api_key, api_version, correlation_id, client_id };
        let mut writer = FrameWriter::new();
        header.encode(&mut writer).expect("the client id is short");
        let mut frame = writer.into_bytes().expect("it is small").to_vec();
        let schema = Kind::Request(api).schema();
        let mut body = encoder::encode(
            schema,
            version,
            &mut Plausible { input, topic_id, tagged: 0, half: 0 },
        );
        if input.below(4) == 0 {
            edit(&mut body, input, 2);
        }
        frame.extend(body);
        self.push_frame(&frame);
        self.requests.push(Sent { api, version, correlation_id });
    }
}

/// The choice of [`Traffic::draw`] that sends this very frame.
pub fn frame_seed(frame: &[u8]) -> Vec<u8> {
    let size = match u8::try_from(frame.len()) {
        Ok(size) if size < u8::MAX => vec![size],
        _ => {
            let [.., high, low] = frame.len().to_be_bytes();
            vec![u8::MAX, high, low]
        }
    };
    [&[1], &size[..], frame].concat()
}

/// Values that a broker may act upon: names that exist, small numbers, real batches.
struct Plausible<'a, 'b> {
    input: &'a mut Input<'b>,
    topic_id: Uuid,
    tagged: usize,
    /// Which half of an id comes next.
    half: usize,
}

const NAMES: [&str; 24] = [
    "fuzz",
    "fuzz",
    "other",
    "new",
    "group",
    "group",
    "consumer",
    "range",
    "member",
    "",
    "1",
    "PLAINTEXT",
    "__consumer_offsets",
    "cleanup.policy",
    "compact",
    "retention.ms",
    "-1",
    "1000",
    "segment.bytes",
    "2000000",
    "compression.type",
    "zstd",
    "message.timestamp.type",
    "LogAppendTime",
];

impl Values for Plausible<'_, '_> {
    fn number(&mut self, field: &Field) -> u64 {
        if matches!(field.kind, Type::Uuid | Type::Array(Type::Uuid)) {
            self.half ^= 1;
            let start = 8 * (1 - self.half);
            let half = self.topic_id.as_bytes()[start..start + 8].try_into().expect("eight bytes");
            let known = u64::from_be_bytes(half);
            return if self.tagged > 0 { known | 1 } else { known };
        }
        let number = match self.input.byte() {
            selector @ 0..192 => u64::from(selector & 3),
            192..208 => u64::MAX,
            208..224 => u64::from(self.input.byte()) * 100,
            _ => self.input.edgy_i64().cast_unsigned(),
        };
        if self.tagged > 0 {
            number & 0x3f3f_3f3f_3f3f_3f3f | 0x0101_0101_0101_0101
        } else {
            number
        }
    }

    fn text(&mut self, _: &Field) -> Vec<u8> {
        let index = self.input.below(NAMES.len() + 4);
        let mut text = match NAMES.get(index) {
            Some(name) => name.as_bytes().to_vec(),
            None => String::from_utf8_lossy(self.input.block()).into_owned().into_bytes(),
        };
        if text.is_empty() && self.tagged > 0 {
            text.push(b'x');
        }
        text
    }

    fn blob(&mut self, field: &Field) -> Vec<u8> {
        let mut blob = match field.kind {
            Type::Records => {
                let mut batch = batches::draw(self.input, 0);
                if self.input.below(4) == 0 {
                    edit(&mut batch, self.input, 2);
                    batches::repair_crc(&mut batch);
                }
                batch
            }
            _ if self.input.flag() => self.subscription(),
            _ => self.input.block().to_vec(),
        };
        if blob.is_empty() && self.tagged > 0 {
            blob.push(b'x');
        }
        blob
    }

    fn count(&mut self, _: &Field) -> usize {
        let most = if self.input.is_empty() { 1 } else { 4 };
        self.input.below(most) + usize::from(self.tagged > 0)
    }

    fn is_null(&mut self, field: &Field) -> bool {
        let is_default = field.default == Some("null") && self.tagged > 0;
        !is_default && self.input.below(6) == 1
    }

    fn has_tagged(&mut self, _: &Field) -> bool {
        self.input.below(4) == 1
    }

    fn inside_tagged(&mut self, inside: bool) {
        if inside {
            self.tagged += 1;
        } else {
            self.tagged -= 1;
        }
    }
}

impl Plausible<'_, '_> {
    /// What consumers tell each other within JoinGroup and SyncGroup.
    fn subscription(&mut self) -> Vec<u8> {
        let kind = Kind::from_name("ConsumerProtocolSubscription").expect("it is a message");
        let version = i16::from(self.input.byte() & 3);
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(encoder::encode(kind.schema(), version, self));
        bytes
    }
}

/// Checks an answer to one of `requests`: it can be read as what was asked for.
pub fn check_answer(answer: &Bytes, requests: &[Sent]) {
    let Some(id) = answer.first_chunk::<4>() else { panic!("an answer has a correlation id") };
    let correlation_id = i32::from_be_bytes(*id);
    let Some(sent) = requests.iter().find(|sent| sent.correlation_id == correlation_id) else {
        return;
    };
    let Sent { api, version, .. } = *sent;
    let mut reader = Reader::new(answer.clone());
    flumen_protocol::header::ResponseHeader::decode(&mut reader, api.key(), version)
        .unwrap_or_else(|error| panic!("{sent:?}: {error}"));
    let body = answer.slice(reader.position()..);
    let read = Kind::Response(api).decode(body.clone(), version);
    // A version of ApiVersions that is not served is answered in version 0.
    let read = match api {
        ApiKey::ApiVersions => read.or_else(|_| Kind::Response(api).decode(body, 0)),
        _ => read,
    };
    read.unwrap_or_else(|error| panic!("{sent:?}: {error}"));
}
