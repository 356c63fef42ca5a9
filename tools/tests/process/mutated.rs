//! A live broker takes a stream of damaged requests on many connections while a well-behaved client
//! works on.
//!
//! `FLUMEN_MUTATED_FRAMES=1000000` makes it a long run, `FLUMEN_MUTATED_SEED` another one; figures
//! are printed (`--nocapture`).

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::ops::{AddAssign, RangeInclusive};
use std::time::Duration;

use flumen_protocol::ApiKey;
use flumen_protocol::messages::api_versions::ApiVersionsRequest;

use crate::broker_process::{BrokerProcess, flumen};
use crate::mutation::Mutator;
use crate::stranger::Stranger;
use crate::undisturbed::{Undisturbed, read_back};

const FRAMES: u64 = 60_000;
const CONNECTIONS: u64 = 8;

/// How long an answer is waited for: some requests ask the broker to wait.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(100);

/// The most memory that the broker may ever have: what requests and answers may hold, and itself.
const RESIDENT_MAX: u64 = (64 + 192) << 20;

/// What became of the frames.
#[derive(Debug, Default)]
struct Fate {
    sent: u64,
    answers: u64,
    /// Connections that the broker closed.
    closed: u64,
    /// Connections on which no answer came in time.
    silent: u64,
}

#[test]
fn damaged_requests_disturb_nobody() {
    let frames = setting("FLUMEN_MUTATED_FRAMES").unwrap_or(FRAMES);
    let seed = setting("FLUMEN_MUTATED_SEED").unwrap_or(1);
    let data = tempfile::tempdir().unwrap();
    let settings = ["--set", "max.partitions=300", "--set", "queued.max.request.bytes=67108864"];
    let mut broker = BrokerProcess::start_on(data.path(), 0, &settings);
    for topic in ["hostile", "other"] {
        let created = flumen(&broker.bootstrap(), &["topic", "create", topic, "--partitions", "2"]);
        assert!(created.status.success(), "{created:?}");
    }
    let client = Undisturbed::start(&broker.bootstrap());
    let before = client.consumed();
    let fate = send_all(&broker, frames, seed);
    assert!(broker.is_running() && client.is_well(), "{fate:?}");
    assert!(fate.answers > frames / 20 && fate.closed > frames / 100, "{fate:?}");
    assert!(client.consumed() > before, "nothing was consumed meanwhile");
    let latency = client.stop();
    let peak = broker.peak_resident_bytes();
    let (p50, p99, max) = (latency.p50, latency.p99, latency.max);
    println!("{frames} frames of seed {seed}: {fate:?}; {} MiB at most", peak >> 20);
    println!("{} records of the other client: {p50:?}, {p99:?}, {max:?}", latency.count);
    assert!(peak < RESIDENT_MAX, "{peak} bytes were resident");
    assert!(latency.p99 < Duration::from_secs(10), "{latency:?}");

    assert_eq!(broker.stop(), Some(0));
    let broker = BrokerProcess::start(data.path());
    read_back(&broker.bootstrap(), latency.count);
    assert_eq!(broker.stop(), Some(0));
}

fn setting(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|value| value.to_str().unwrap().parse().unwrap())
}

/// What the broker says it serves.
fn served(broker: &BrokerProcess) -> Vec<(ApiKey, RangeInclusive<i16>)> {
    let response = Stranger::new(broker).ask(0, &ApiVersionsRequest::default()).unwrap();
    let served = response.api_keys.iter();
    served
        .map(|api| (ApiKey::from_key(api.api_key).unwrap(), api.min_version..=api.max_version))
        .collect()
}

fn send_all(broker: &BrokerProcess, frames: u64, seed: u64) -> Fate {
    let served = served(broker);
    let mut total = Fate::default();
    std::thread::scope(|scope| {
        let strangers: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let mutator = Mutator::new(seed.wrapping_mul(1_000) + number, served.clone());
                let net = u8::try_from(number).unwrap();
                scope.spawn(move || send(broker, net, frames.div_ceil(CONNECTIONS), mutator))
            })
            .collect();
        for stranger in strangers {
            total += stranger.join().unwrap();
        }
    });
    total
}

/// Sends frames, up to four at once, on one connection after the other. These come from many addresses:
/// from one the broker would let only so many in per second.
fn send(broker: &BrokerProcess, net: u8, frames: u64, mut mutator: Mutator) -> Fate {
    let mut fate = Fate::default();
    let mut stranger = None;
    while fate.sent < frames {
        let stream = stranger.get_or_insert_with(|| {
            let host = u8::try_from(1 + mutator.below(250)).unwrap();
            let stranger = Stranger::from(Ipv4Addr::new(127, 1, net, host), broker);
            stranger.set_patience(ANSWER_TIME_MAX);
            stranger
        });
        let count = 1 + mutator.below(4);
        let mut bytes = Vec::new();
        for _ in 0..count {
            mutator.push_frame(&mut bytes);
        }
        fate.sent += u64::try_from(count).unwrap();
        let mut is_open = stream.send(&bytes).is_ok();
        for _ in 0..count {
            match is_open.then(|| stream.read_frame()) {
                Some(Ok(_)) => fate.answers += 1,
                Some(Err(e)) if e.kind() == ErrorKind::WouldBlock => {
                    fate.silent += 1;
                    stranger = None;
                    break;
                }
                Some(Err(_)) | None => {
                    is_open = false;
                    fate.closed += 1;
                    stranger = None;
                    break;
                }
            }
        }
    }
    fate
}

impl AddAssign for Fate {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.answers += other.answers;
        self.closed += other.closed;
        self.silent += other.silent;
    }
}
