//! Compressed payloads of every codec: never more comes out than was allowed, in whatever pieces.

use bytes::Bytes;
use flumen_protocol::records::compression::{
    Compression, CompressionError, Decompressor, compress, decompress,
};

use crate::batches::draw_codec;
use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;

const LIMIT_MAX: usize = 256 * 1024;
/// See `record_batch`.
const MEMORY_MAX: usize = 12 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = draw_codec(&mut input);
    let limit = input.below(LIMIT_MAX);
    let window_size = 1 + input.below(5000);
    match input.below(3) {
        0 => {
            let payload = Bytes::copy_from_slice(input.rest());
            check(codec.compression, &payload, limit, window_size);
        }
        1 => {
            let mut payload = compress(codec, repetitive(&mut input)).to_vec();
            edit(&mut payload, &mut input, 6);
            check(codec.compression, &payload.into(), limit, window_size);
        }
        _ => {
            let content = repetitive(&mut input);
            let payload = compress(codec, content.clone());
            let result = decompress(codec.compression, payload, content.len());
            assert_eq!(result.as_ref(), Ok(&content), "{codec:?}");
        }
    }
}

/// The input that means this very payload.
pub fn seed(compression: Compression, payload: &[u8]) -> Vec<u8> {
    let codec = Compression::ALL.iter().position(|other| *other == compression);
    let codec = u8::try_from(codec.expect("all are listed")).expect("they are few");
    let limit = 0xffff_u32.to_be_bytes();
    let window_size = 0x100_u32.to_be_bytes();
    [&[codec, 0][..], &limit, &window_size, &[0], payload].concat()
}

/// Content that has something to compress.
fn repetitive(input: &mut Input<'_>) -> Bytes {
    let mut content = Vec::new();
    for _ in 0..input.below(8) {
        let part = input.block();
        for _ in 0..=input.below(200) {
            content.extend_from_slice(part);
        }
    }
    content.truncate(LIMIT_MAX);
    content.into()
}

fn check(codec: Compression, payload: &Bytes, limit: usize, window_size: usize) {
    let memory_max = MEMORY_MAX + 64 * payload.len();
    let whole = within(memory_max, || decompress(codec, payload.clone(), limit));
    let pieces = within(memory_max, || in_pieces(codec, payload, limit, window_size));
    if codec == Compression::None {
        return;
    }
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert!(whole.len() <= limit);
            assert_eq!(whole, pieces);
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{codec}: whole {:?}, in pieces {:?}", whole.is_ok(), pieces.is_ok()),
    }
}

fn in_pieces(
    codec: Compression,
    payload: &[u8],
    limit: usize,
    window_size: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    let Some(mut decompressor) = Decompressor::new(codec, payload, limit)? else {
        return Ok(output);
    };
    let mut window = vec![0; window_size];
    loop {
        match decompressor.fill(&mut window)? {
            0 => return Ok(output),
            size => output.extend_from_slice(&window[..size]),
        }
    }
}
