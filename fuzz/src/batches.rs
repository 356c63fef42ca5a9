//! Record batches that get past the checksum although an input has changed them.

use flumen_protocol::records::compression::{Codec, Compression};
use flumen_protocol::records::{
    BATCH_OVERHEAD, BatchBuilder, BatchOptions, LOG_OVERHEAD, RecordHeader, TimestampType,
};

use crate::input::Input;

const LENGTH_POSITION: usize = 8;
const MAGIC_POSITION: usize = 16;
const CRC_POSITION: usize = 17;
const CRC_START: usize = 21;

/// A valid batch of records that the input chooses.
pub fn draw(input: &mut Input<'_>, base_offset: i64) -> Vec<u8> {
    let bits = input.byte();
    let producer_id = if bits & 1 == 0 { -1 } else { i64::from(input.byte() & 3) };
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset,
        codec: draw_codec(input),
        timestamp_type: timestamp_type(bits & 2 != 0),
        producer_id,
        producer_epoch: i16::from(bits >> 6) - 1,
        base_sequence: if producer_id < 0 { -1 } else { i32::from(input.byte()) },
        is_transactional: bits & 4 != 0,
        is_control: bits & 8 != 0,
        delete_horizon: (bits & 16 != 0).then(|| input.edgy_i64()),
        ..BatchOptions::default()
    });
    for _ in 0..=input.below(6) {
        let timestamp = input.edgy_i64();
        let (key, value) = (nullable(input), nullable(input));
        let headers: Vec<RecordHeader> = (0..input.below(3)).map(|_| header(input)).collect();
        builder.append(timestamp, key, value, &headers);
    }
    builder.build().to_vec()
}

fn nullable<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    input.flag().then(|| input.block())
}

fn header(input: &mut Input<'_>) -> RecordHeader {
    let copy = |bytes: &[u8]| bytes.to_vec().into();
    RecordHeader { key: copy(input.block()), value: nullable(input).map(copy) }
}

pub fn draw_codec(input: &mut Input<'_>) -> Codec {
    let compression = *input.choose(&Compression::ALL);
    let level = input.flag().then(|| i32::from(input.byte() & 7));
    Codec { compression, level }
}

pub fn timestamp_type(by_broker: bool) -> TimestampType {
    if by_broker { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
}

/// Makes the length of one batch that fills `bytes` true.
pub fn repair_length(bytes: &mut [u8]) {
    if bytes.len() >= BATCH_OVERHEAD {
        let length = i32::try_from(bytes.len() - LOG_OVERHEAD).expect("inputs are small");
        bytes[LENGTH_POSITION..LENGTH_POSITION + 4].copy_from_slice(&length.to_be_bytes());
        bytes[MAGIC_POSITION] = 2;
    }
}

/// Makes the checksum of one batch that fills `bytes` true.
pub fn repair_crc(bytes: &mut [u8]) {
    if bytes.len() >= BATCH_OVERHEAD {
        let crc = crc32c::crc32c(&bytes[CRC_START..]);
        bytes[CRC_POSITION..CRC_START].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Makes the checksums of all batches true that can be found in a segment.
pub fn repair_segment(mut bytes: &mut [u8]) {
    while let Some(length) = bytes.get(LENGTH_POSITION..LENGTH_POSITION + 4) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        let size = usize::try_from(length).map_or(usize::MAX, |length| length + LOG_OVERHEAD);
        let Some((batch, rest)) = bytes.split_at_mut_checked(size) else { return };
        if batch.is_empty() {
            return;
        }
        repair_crc(batch);
        bytes = rest;
    }
}
