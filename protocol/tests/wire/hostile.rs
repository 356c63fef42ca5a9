//! Frames that are cut short, changed or made up: the decoder answers with an error or a message,
//! and never panics.

use bytes::Bytes;
use flumen_protocol::Reader;
use flumen_protocol::header::RequestHeader;

use crate::dispatch::Kind;
use crate::encoder::{self, Seeded};

/// Calls back with a few valid messages of every API and version.
fn for_every_version(mut check: impl FnMut(Kind, i16, Vec<u8>)) {
    for kind in Kind::all() {
        let versions = kind.schema().versions;
        for version in versions.min..=versions.max {
            for seed in 0..4 {
                let values = &mut Seeded::new(seed);
                check(kind, version, encoder::encode(kind.schema(), version, values));
            }
        }
    }
}

#[test]
fn a_message_cut_short_is_an_error() {
    for_every_version(|kind, version, bytes| {
        let bytes = Bytes::from(bytes);
        for end in 0..bytes.len() {
            let result = kind.decode(bytes.slice(..end), version);
            assert!(result.is_err(), "{kind:?} {version} cut at {end}");
        }
    });
}

#[test]
fn bytes_after_a_message_are_an_error() {
    for_every_version(|kind, version, mut bytes| {
        bytes.push(0);
        assert!(kind.decode(bytes.into(), version).is_err(), "{kind:?} {version}");
    });
}

#[test]
fn changed_bytes_never_cause_a_panic() {
    let mut random = Seeded::new(1);
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    for_every_version(|kind, version, bytes| {
        for _ in 0..32 {
            let mut changed = bytes.clone();
            for _ in 0..=below(3) {
                if changed.is_empty() {
                    break;
                }
                let at = below(changed.len());
                match below(6) {
                    0 => changed[at] ^= 1 << below(8),
                    1 => changed[at] = 0xff,
                    2 => changed[at] = 0x7f,
                    3 => drop(changed.remove(at)),
                    4 => changed.insert(at, 0x80),
                    _ => changed[at] = u8::try_from(below(256)).unwrap(),
                }
            }
            // What still decodes must also encode: `reencode` panics otherwise.
            drop(kind.reencode(changed.into(), version));
        }
    });
}

#[test]
fn random_bytes_never_cause_a_panic() {
    let mut random = Seeded::new(2);
    for kind in Kind::all() {
        let versions = kind.schema().versions;
        for version in versions.min - 1..=versions.max + 1 {
            for _ in 0..64 {
                let length = random.below(64);
                let bytes: Bytes = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
                drop(RequestHeader::decode(&mut Reader::new(bytes.clone())));
                drop(kind.reencode(bytes, version));
            }
        }
    }
}

/// A tagged field that nobody knows is passed over and not kept.
#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut checked = 0;
    for_every_version(|kind, version, bytes| {
        // The last byte counts the message's own tagged fields; only a zero is easy to replace.
        if !kind.schema().flexible.contains(version) || bytes.last() != Some(&0) {
            return;
        }
        let mut extended = bytes.clone();
        extended.pop();
        extended.extend([2, 0xfe, 0x7f, 3, b'a', b'b', b'c', 0xff, 0x7f, 0]);
        if let Ok(again) = kind.reencode(extended.into(), version) {
            assert_eq!(again, bytes, "{kind:?} {version}");
            checked += 1;
        }
    });
    assert!(checked > 500, "only {checked} messages were checked");
}
