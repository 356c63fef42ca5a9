//! A record batch: header, checksum, and both readers of its records, which must agree.

use bytes::Bytes;
use flumen_protocol::records::{Batches, Record, RecordBatch, RecordError, recompress};

use crate::batches;
use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;

/// What one batch may expand to.
const LIMIT: usize = 256 * 1024;
/// Twice that while a buffer grows, a block of LZ4 coming and going, and tables of the codecs.
const MEMORY_MAX: usize = 12 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let mut bytes = if mode & 1 == 0 {
        input.rest().to_vec()
    } else {
        let base_offset = input.edgy_i64() & (i64::MAX >> 1);
        let mut bytes = batches::draw(&mut input, base_offset);
        edit(&mut bytes, &mut input, 4);
        bytes
    };
    if mode & 2 != 0 {
        batches::repair_length(&mut bytes);
    }
    if mode & 4 != 0 {
        batches::repair_crc(&mut bytes);
    }
    let bytes = Bytes::from(bytes);
    within(MEMORY_MAX + 64 * bytes.len(), || check(&bytes, mode));
}

/// The input that means this very batch, which is compressed with another codec as well.
pub fn seed(batch: &[u8]) -> Vec<u8> {
    [&[8], batch].concat()
}

fn check(bytes: &Bytes, mode: u8) {
    check_split(bytes);
    let Ok(batch) = RecordBatch::parse(bytes.clone()) else { return };
    let header = batch.header();
    assert_eq!(header.size_in_bytes(), bytes.len());
    assert!(header.next_offset() > header.last_offset());
    let is_intact = batch.verify_crc().is_ok();
    assert!(is_intact || mode & 4 == 0, "the checksum was repaired");
    assert!(header.last_sequence() >= -1 || header.base_sequence < 0);

    check_readers(&batch);
    if mode & 8 != 0 {
        check_recompressed(&batch, mode);
    }
}

fn check_split(bytes: &Bytes) {
    let mut batches = Batches::new(bytes.clone());
    let split: usize =
        batches.by_ref().filter_map(Result::ok).map(|batch| batch.bytes().len()).sum();
    assert_eq!(split + batches.rest().len(), bytes.len());
}

fn check_readers(batch: &RecordBatch) {
    let mut outlines = match batch.outlines(LIMIT) {
        Ok(outlines) => outlines,
        Err(refused) => return assert_eq!(refused, batch.records(LIMIT).expect_err("both").into()),
    };
    // The second reader decompresses all before it yields the first record.
    let mut records = match batch.records(LIMIT) {
        Ok(records) => records,
        Err(refused) => {
            let found = outlines.find_map(Result::err);
            let found = found.unwrap_or_else(|| panic!("only one reader says {refused}"));
            assert!(!found.to_string().is_empty());
            return;
        }
    };
    loop {
        match (outlines.next(), records.next()) {
            (None, None) => return,
            (Some(Ok(outline)), Some(Ok(record))) => {
                let size = |part: &Option<Bytes>| {
                    part.as_ref().map(|part| u32::try_from(part.len()).expect("parts are small"))
                };
                assert_eq!(
                    (outline.key_size, outline.value_size, outline.header_count as usize),
                    (size(&record.key), size(&record.value), record.headers.len())
                );
            }
            // The outline leaves absolute offsets to its caller.
            (Some(_), Some(Err(RecordError::OffsetOverflow))) => return,
            (Some(Err(_)), Some(Err(_))) => {}
            (outline, record) => panic!("the readers disagree: {outline:?}, {record:?}"),
        }
    }
}

fn check_recompressed(batch: &RecordBatch, mode: u8) {
    let codec = batches::draw_codec(&mut Input::new(&[mode >> 4]));
    let Ok((header, payload)) = recompress(batch, codec, LIMIT) else { return };
    let bytes = [&header.to_bytes()[..], &payload].concat();
    let other = RecordBatch::parse(bytes.into()).expect("it was a batch before");
    other.verify_crc().expect("it was sealed anew");
    let read = |batch: &RecordBatch| -> Vec<Result<Record, RecordError>> {
        batch.records(LIMIT).expect("it was decompressed before").collect()
    };
    assert_eq!(read(batch), read(&other));
}
