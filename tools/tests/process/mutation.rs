//! Requests of every API and version that is served, drawn from the schemas, and then damaged: bits, lengths,
//! numbers at the edge, pieces of other requests. Checksums of record batches are made right again, or
//! nothing behind them would be reached. The same seed gives the same frames.

use std::ops::RangeInclusive;

use flumen_protocol::header::RequestHeader;
use flumen_protocol::messages::request_schema;
use flumen_protocol::records::compression::{Codec, Compression};
use flumen_protocol::records::{BATCH_OVERHEAD, BatchBuilder, BatchHeader, BatchOptions};
use flumen_protocol::schema::{Field, Type};
use flumen_protocol::{ApiKey, FrameWriter};

use crate::encoder::{self, Seeded, Values};

/// Names that are there and such that are not; none that another client or the broker needs.
const NAMES: [&str; 20] = [
    "hostile",
    "hostile",
    "hostile",
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
    "cleanup.policy",
    "compact",
    "retention.ms",
    "-1",
    "1000",
    "segment.bytes",
    "2000000",
];

/// Makes frames.
pub(crate) struct Mutator {
    served: Vec<(ApiKey, RangeInclusive<i16>)>,
    random: Random,
    /// Another request, to take pieces of.
    previous: Vec<u8>,
    correlation_id: i32,
}

impl Mutator {
    pub(crate) fn new(seed: u64, served: Vec<(ApiKey, RangeInclusive<i16>)>) -> Self {
        let random = Random { bits: Seeded::new(seed), tagged: 0 };
        Self { served, random, previous: vec![0], correlation_id: 0 }
    }

    /// A number below the limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    /// Appends a frame with its length; two in five are whole.
    pub(crate) fn push_frame(&mut self, out: &mut Vec<u8>) {
        let mut frame = self.request();
        let whole = frame.clone();
        if self.below(5) > 1 {
            for _ in 0..=self.below(3) {
                self.damage(&mut frame);
            }
        }
        self.previous = whole;
        let mut size = i32::try_from(frame.len()).unwrap();
        if self.below(30) == 0 {
            size = [size - 1, size + 1, size / 2, size * 2, 0, -1, i32::MAX][self.below(7)];
        }
        out.extend(size.to_be_bytes());
        out.extend(frame);
    }

    fn request(&mut self) -> Vec<u8> {
        let place = self.below(self.served.len());
        let (api, versions) = self.served[place].clone();
        let span = usize::try_from(versions.end() - versions.start()).unwrap() + 1;
        let api_version = versions.start() + i16::try_from(self.below(span)).unwrap();
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let correlation_id = self.correlation_id;
        let client_id = Some("hostile".to_owned());
        let header = RequestHeader { api_key: api.key(), api_version, correlation_id, client_id };
        let mut writer = FrameWriter::new();
        header.encode(&mut writer).unwrap();
        let mut frame = writer.into_bytes().unwrap().to_vec();
        frame.extend(encoder::encode(request_schema(api), api_version, &mut self.random));
        frame
    }

    fn damage(&mut self, frame: &mut Vec<u8>) {
        let at = self.below(frame.len() + 1);
        match self.below(9) {
            0 | 1 => {
                if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            2 => self.overwrite(frame, at, 1),
            3 => self.overwrite(frame, at, 2),
            4 => self.overwrite(frame, at, 4),
            5 => self.overwrite(frame, at, 8),
            6 => frame.truncate(at),
            7 => {
                let end = (at + self.below(32)).min(frame.len());
                frame.drain(at..end);
            }
            _ => {
                let from = self.below(self.previous.len());
                let to = (from + self.below(200)).min(self.previous.len());
                frame.splice(at..at, self.previous[from..to].iter().copied());
            }
        }
    }

    /// Puts a number at the edge of some type over what is there.
    fn overwrite(&mut self, frame: &mut [u8], at: usize, size: usize) {
        let number = self.random.edge().to_be_bytes();
        let size = size.min(frame.len() - at);
        frame[at..at + size].copy_from_slice(&number[8 - size..]);
    }
}

/// Values that a broker may act upon.
struct Random {
    bits: Seeded,
    /// How many tagged fields enclose the current value; in there nothing may have its default.
    tagged: usize,
}

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits.below(u64::try_from(limit).unwrap())).unwrap()
    }

    fn edge(&mut self) -> u64 {
        const EDGES: [u64; 12] = [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x8000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            i64::MAX as u64,
            u64::MAX,
        ];
        EDGES[self.below(EDGES.len())]
    }

    fn bytes(&mut self, size_max: usize) -> Vec<u8> {
        (0..self.below(size_max)).map(|_| self.bits.next().to_le_bytes()[0]).collect()
    }

    /// A batch, changed or not, with a checksum that is right.
    fn batch(&mut self) -> Vec<u8> {
        let codec = Codec::from(Compression::ALL[self.below(Compression::ALL.len())]);
        let is_idempotent = self.below(2) == 0;
        let mut builder = BatchBuilder::new(BatchOptions {
            codec,
            producer_id: if is_idempotent { 1_000_000 } else { -1 },
            producer_epoch: if is_idempotent { 0 } else { -1 },
            base_sequence: if is_idempotent { i32::try_from(self.below(20)).unwrap() } else { -1 },
            ..BatchOptions::default()
        });
        for _ in 0..=self.below(5) {
            let value = self.bytes(300);
            builder.append(i64::try_from(self.below(1 << 40)).unwrap(), None, Some(&value), &[]);
        }
        let mut batch = builder.build().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(batch.len());
            batch[at] = self.bits.next().to_le_bytes()[0];
        }
        if self.below(8) == 0 {
            batch.truncate(self.below(batch.len()));
        }
        if let Ok(mut header) = BatchHeader::parse(&batch) {
            header.seal(&batch[BATCH_OVERHEAD..]);
            batch[..BATCH_OVERHEAD].copy_from_slice(&header.to_bytes());
        }
        batch
    }
}

impl Values for Random {
    fn number(&mut self, _: &Field) -> u64 {
        let number = match self.below(16) {
            0 => u64::MAX,
            1 => self.edge(),
            2 => self.bits.next(),
            3 => 100 * self.bits.below(200),
            _ => self.bits.below(4),
        };
        if self.tagged > 0 {
            number & 0x3f3f_3f3f_3f3f_3f3f | 0x0101_0101_0101_0101
        } else {
            number
        }
    }

    fn text(&mut self, _: &Field) -> Vec<u8> {
        let mut text = match NAMES.get(self.below(NAMES.len() + 2)) {
            Some(name) => name.as_bytes().to_vec(),
            None => self.bytes(40).iter().map(|byte| b'a' + byte % 26).collect(),
        };
        if text.is_empty() && self.tagged > 0 {
            text.push(b'x');
        }
        text
    }

    fn blob(&mut self, field: &Field) -> Vec<u8> {
        let mut blob = match field.kind {
            Type::Records => self.batch(),
            _ => self.bytes(60),
        };
        if blob.is_empty() && self.tagged > 0 {
            blob.push(b'x');
        }
        blob
    }

    fn count(&mut self, _: &Field) -> usize {
        self.below(4) + usize::from(self.tagged > 0)
    }

    fn is_null(&mut self, field: &Field) -> bool {
        let is_default = field.default == Some("null") && self.tagged > 0;
        !is_default && self.below(6) == 0
    }

    fn has_tagged(&mut self, _: &Field) -> bool {
        self.below(4) == 0
    }

    fn inside_tagged(&mut self, inside: bool) {
        if inside {
            self.tagged += 1;
        } else {
            self.tagged -= 1;
        }
    }
}
