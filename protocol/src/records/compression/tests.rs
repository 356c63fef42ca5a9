use super::*;

const LIMIT: usize = 1 << 20;

fn compressible(size: usize) -> Bytes {
    (0..size).map(|i| u8::try_from(i / 100 % 251).expect("below 251")).collect()
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    for codec in Compression::ALL {
        for size in [0, 1, 100, 32 * 1024, 32 * 1024 + 1, 300_000] {
            let data = compressible(size);
            let compressed = compress(codec.into(), data.clone());
            assert!(decompress(codec, compressed, LIMIT) == Ok(data), "{codec} {size}");
        }
    }
}

#[test]
fn levels_are_clamped_not_refused() {
    for codec in [Compression::Gzip, Compression::Zstd, Compression::Lz4] {
        for level in [i32::MIN, -1, 0, 1, 9, 22, i32::MAX] {
            let data = compressible(5_000);
            let codec = Codec { compression: codec, level: Some(level) };
            let compressed = compress(codec, data.clone());
            assert_eq!(decompress(codec.compression, compressed, LIMIT), Ok(data));
        }
    }
}

#[test]
fn the_output_limit_is_exact() {
    for codec in &Compression::ALL[1..] {
        let compressed = compress((*codec).into(), compressible(70_000));
        assert!(decompress(*codec, compressed.clone(), 70_000).is_ok(), "{codec}");
        assert_eq!(
            decompress(*codec, compressed, 69_999),
            Err(CompressionError::OutputLimit { codec: *codec, limit: 69_999 })
        );
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = Bytes::from(vec![0; 8 << 20]);
    for codec in &Compression::ALL[1..] {
        let bomb = compress((*codec).into(), zeros.clone());
        assert_eq!(
            decompress(*codec, bomb, LIMIT),
            Err(CompressionError::OutputLimit { codec: *codec, limit: LIMIT })
        );
    }
}

#[test]
fn a_bare_snappy_block_is_read() {
    let data = compressible(10_000);
    let block = snap::raw::Encoder::new().compress_vec(&data).expect("fits");
    assert_eq!(decompress(Compression::Snappy, block.into(), LIMIT), Ok(data));
}

#[test]
fn a_snappy_block_that_lies_about_its_size_is_refused_before_it_is_allocated() {
    // CVE-2023-34455: the chunk length was believed.
    let claims_four_gigabytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    let mut framed = snappy_header();
    framed.extend_from_slice(&i32::MAX.to_be_bytes());
    let mut negative = snappy_header();
    negative.extend_from_slice(&(-1_i32).to_be_bytes());
    for data in [claims_four_gigabytes, framed.into(), negative.into()] {
        assert_eq!(
            decompress(Compression::Snappy, data, usize::MAX / 2),
            Err(CompressionError::Malformed { codec: Compression::Snappy })
        );
    }
}

fn snappy_header() -> Vec<u8> {
    let mut header = b"\x82SNAPPY\0".to_vec();
    header.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    header
}

#[test]
fn a_zstd_frame_that_asks_for_a_huge_window_is_refused() {
    // Magic, a header without content size, window log 31, then an empty last block.
    let frame = Bytes::from_static(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 1, 0, 0]);
    assert_eq!(
        decompress(Compression::Zstd, frame, LIMIT),
        Err(CompressionError::Malformed { codec: Compression::Zstd })
    );
}

/// Highest levels write such frames where the compressor does not know the size beforehand; Java's do.
#[test]
fn a_small_zstd_frame_with_a_large_window_is_read() {
    for size in [0, 5_000, 300_000] {
        let data = compressible(size);
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&data).unwrap();
        let frame = Bytes::from(encoder.finish().unwrap());
        assert_eq!(decompress(Compression::Zstd, frame.clone(), size), Ok(data));
        for limit in [0, 100, size.saturating_sub(1)].into_iter().filter(|limit| *limit < size) {
            let codec = Compression::Zstd;
            let expected = Err(CompressionError::OutputLimit { codec, limit });
            assert_eq!(decompress(codec, frame.clone(), limit), expected);
        }
    }
}

#[test]
fn a_zstd_frame_shorter_than_it_declares_is_refused_in_any_pieces() {
    // Declares two bytes, and has one empty block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 1, 0, 0];
    let malformed = CompressionError::Malformed { codec: Compression::Zstd };
    let whole = decompress(Compression::Zstd, Bytes::copy_from_slice(&frame), 100);
    assert_eq!(whole, Err(malformed));
    let mut decompressor = Decompressor::new(Compression::Zstd, &frame, 100).unwrap().unwrap();
    assert_eq!(decompressor.fill(&mut [0]), Err(malformed));

    // Frames that follow each other are one payload.
    let content = compressible(1000);
    let frame = compress(Compression::Zstd.into(), content.clone());
    let twice = decompress(Compression::Zstd, [&frame[..], &frame[..]].concat().into(), 2000);
    assert_eq!(twice.unwrap(), [&content[..], &content[..]].concat());
}

#[test]
fn lz4_frames_that_java_cannot_read_are_refused() {
    let linked = FrameInfo::new().block_mode(BlockMode::Linked);
    let mut encoder = FrameEncoder::with_frame_info(linked, Vec::new());
    encoder.write_all(&compressible(1_000)).expect("a Vec takes every byte");
    let linked = encoder.finish().expect("a Vec takes every byte");
    assert_eq!(
        decompress(Compression::Lz4, linked.into(), LIMIT),
        Err(CompressionError::Malformed { codec: Compression::Lz4 })
    );
}

#[test]
fn truncated_data_is_malformed() {
    for codec in &Compression::ALL[1..] {
        let compressed = compress((*codec).into(), compressible(70_000));
        for cut in [1, 5, compressed.len() / 2, compressed.len() - 1] {
            let error = decompress(*codec, compressed.slice(..cut), LIMIT).err();
            assert_eq!(
                error,
                Some(CompressionError::Malformed { codec: *codec }),
                "{codec} cut at {cut} of {}",
                compressed.len()
            );
        }
    }
}
