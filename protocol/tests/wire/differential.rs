//! The same bytes through this crate and through `kafka-protocol`, which was made by others.
//!
//! Messages with generated values come out of both as they went in, in every version both know.

use bytes::{Bytes, BytesMut};
use flumen_protocol::ApiKey;
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};

use crate::dispatch::Kind;
use crate::encoder::{self, Seeded};

const MESSAGES_PER_VERSION: u64 = 40;

#[test]
fn both_crates_read_and_write_the_same_bytes() {
    let mut compared = 0;
    for kind in Kind::of_all_apis() {
        for version in versions_of_both(kind) {
            for seed in 0..MESSAGES_PER_VERSION {
                let bytes: Bytes =
                    encoder::encode(kind.schema(), version, &mut Seeded::new(seed)).into();
                let context = || format!("{kind:?} {version} seed {seed}");
                let ours = kind.reencode(bytes.clone(), version);
                let ours = ours.unwrap_or_else(|error| panic!("{}: {error}", context()));
                assert_eq!(ours, bytes, "ours: {}", context());
                assert_eq!(theirs(kind, bytes.clone(), version), bytes, "theirs: {}", context());
                compared += 1;
            }
        }
    }
    assert!(compared > 15_000, "only {compared} messages were compared");
}

fn their_key(kind: Kind) -> Option<TheirKey> {
    let (Kind::Request(api) | Kind::Response(api)) = kind else { return None };
    TheirKey::try_from(api.key()).ok()
}

/// Versions that the other crate lists, but whose request it cannot read.
const LISTED_ONLY: [(Kind, i16); 3] = [
    (Kind::Request(ApiKey::OffsetCommit), 10),
    (Kind::Request(ApiKey::OffsetFetch), 10),
    (Kind::Request(ApiKey::InitProducerId), 6),
];

fn versions_of_both(kind: Kind) -> impl Iterator<Item = i16> {
    let theirs = their_key(kind).map(|key| key.valid_versions());
    let ours = kind.schema().versions;
    (ours.min..=ours.max).filter(move |version| {
        theirs.is_some_and(|theirs| theirs.min <= *version && *version <= theirs.max)
            && !LISTED_ONLY.contains(&(kind, *version))
    })
}

fn theirs(kind: Kind, mut bytes: Bytes, version: i16) -> Bytes {
    let key = their_key(kind).unwrap();
    let mut out = BytesMut::new();
    match kind {
        Kind::Request(_) => {
            RequestKind::decode(key, &mut bytes, version).unwrap().encode(&mut out, version)
        }
        _ => ResponseKind::decode(key, &mut bytes, version).unwrap().encode(&mut out, version),
    }
    .unwrap();
    assert!(bytes.is_empty());
    out.freeze()
}

/// Everything newer than that crate is covered by the golden bytes alone; this says how much it is.
#[test]
fn few_apis_are_unknown_to_the_other_crate() {
    let unknown = ApiKey::ALL.iter().filter(|api| TheirKey::try_from(api.key()).is_err());
    let newer = [
        ApiKey::StreamsGroupHeartbeat,
        ApiKey::StreamsGroupDescribe,
        ApiKey::StreamsGroupTopologyDescriptionUpdate,
        ApiKey::UnregisterController,
    ];
    assert!(unknown.eq(&newer));
}
