//! A whole controller that starts over damaged files: the log of the metadata, its snapshots, the vote.
//!
//! It starts or says why it does not, soon. One that has started decides, and the next one on the
//! same disk finds what was decided.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flumen_broker::config::{BrokerConfig, Promises};
use flumen_broker::controller::{
    BrokerHeartbeat, BrokerRegistration, ControlRequest, ControlResponse, Controller,
    MetadataRecord, TopicReference, Wants,
};
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_topics::CreatableTopic;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches};
use flumen_storage::vfs::SimulatedDisk;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;
use crate::log_files::{self, Files};
use crate::memory_net::MemoryNet;
use crate::metadata::{Members, draw_members, draw_record, draw_snapshot};

const DIR: &str = "/data/__cluster_metadata-0";
/// Tasks, channels and a few kilobytes of log, read and replayed twice.
const MEMORY_MAX: usize = 32 << 20;
/// In virtual time; longer than the controller itself waits for its election.
const START_MAX: Duration = Duration::from_secs(60);

/// Directories to start from: empty, with a log, with a snapshot as well.
static TEMPLATES: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let after = |snapshot_bytes| {
        let disk = SimulatedDisk::new();
        runtime().block_on(async {
            let controller = start(&disk, snapshot_bytes, 1).await.expect("the disk is empty");
            use_all(&controller).await;
            controller.shutdown().await;
        });
        log_files::files(&disk, DIR)
    };
    let files = vec![Files::new(), after("1000000"), after("1")];
    assert!(files[2].keys().any(|name| name.ends_with(".checkpoint")), "there is a snapshot");
    files
});

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let files = draw(&mut input);
    let snapshot_bytes = if input.flag() { "1" } else { "1000000" };
    let size: usize = files.values().map(Vec::len).sum();
    let disk = log_files::write(&files, DIR);
    within(MEMORY_MAX + 64 * size, || runtime().block_on(check(&disk, snapshot_bytes)));
}

/// How many directories there are, each a seed.
pub fn seed_count() -> u8 {
    u8::try_from(TEMPLATES.len()).expect("they are few")
}

/// The input that leaves a directory as it is.
pub fn seed(number: u8) -> Vec<u8> {
    vec![number]
}

async fn check(disk: &SimulatedDisk, snapshot_bytes: &str) {
    let Ok(first) = start(disk, snapshot_bytes, 2).await else { return };
    let decided = first.create_topics(vec![topic("decided")], false).await;
    decided.expect("a controller that has started decides");
    let image = first.image();
    first.shutdown().await;
    drop(first);

    let second = match start(disk, snapshot_bytes, 3).await {
        Ok(second) => second,
        // Terms are 31 bits, and the first start was elected in the last that there is.
        Err(reason) if reason.contains("has no successor") => return,
        Err(reason) => panic!("nothing was damaged since: {reason}"),
    };
    assert_eq!(second.image().to_records(), image.to_records());
    second.shutdown().await;
}

/// Starts a controller, or has it say why it does not start.
async fn start(
    disk: &SimulatedDisk,
    snapshot_bytes: &str,
    dice: u64,
) -> Result<Controller, String> {
    let settings = [
        ("log.dirs", "/data"),
        ("metadata.log.max.record.bytes.between.snapshots", snapshot_bytes),
    ];
    let config = Arc::new(BrokerConfig::with(settings).expect("the settings exist"));
    let seams = MemoryNet::default().seams(dice);
    let starting = Controller::start(config, Arc::new(disk.clone()), seams);
    let started = timeout(START_MAX, starting).await.expect("it starts or says why not");
    started.map_err(|refused| {
        let reason = refused.to_string();
        assert!(!reason.is_empty());
        reason
    })
}

/// Has a bit of everything decided.
async fn use_all(controller: &Controller) {
    const SOUND: &str = "the disk is sound";
    let broker = BrokerRegistration {
        broker_id: 1,
        incarnation_id: Uuid::from_bytes([1; 16]),
        directories: vec![Uuid::from_bytes([2; 16])],
        endpoints: Vec::new(),
        rack: None,
        previous_epoch: None,
        was_clean: true,
        promises: Promises::default(),
    };
    let broker_id = broker.broker_id;
    let registered = controller.control(ControlRequest::Register(broker)).await.expect(SOUND);
    let ControlResponse::Registered(Ok(epoch)) = registered else { panic!("{registered:?}") };
    let metadata_version = controller.image().version();
    let beat = BrokerHeartbeat { broker_id, epoch, metadata_version, wants: Wants::Service };
    let answer = controller.control(ControlRequest::Heartbeat(beat)).await.expect(SOUND);
    assert!(matches!(answer, ControlResponse::Heartbeat(Ok(answer)) if !answer.is_fenced));
    for name in ["orders", "payments", "gone"] {
        controller.create_topics(vec![topic(name)], false).await.expect(SOUND);
    }
    let gone = vec![TopicReference { name: Some("gone".to_owned()), id: Uuid::default() }];
    controller.delete_topics(gone).await.expect(SOUND);
    controller.next_producer_id(controller).await.expect(SOUND);
}

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: 2,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a thread is all it takes")
}

/// A directory that the input has chosen and changed.
fn draw(input: &mut Input<'_>) -> Files {
    let mut files = input.choose(&TEMPLATES).clone();
    for _ in 0..input.below(5) {
        match input.below(6) {
            0 => {
                let state = (input.flag().then(|| draw_vote(input)), draw_log_id(input));
                files.insert("quorum-state".to_owned(), packed(&state));
            }
            1 => {
                let (end, term) = (index(input), index(input));
                let name = format!("{end:020}-{term:010}.checkpoint");
                files.insert(name, draw_snapshot(input));
            }
            2 | 3 => append(&mut files, input),
            _ => log_files::damage(&mut files, input),
        }
    }
    files
}

fn index(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        small @ 0..240 => u64::from(small & 31),
        _ => input.edgy_i64().cast_unsigned(),
    }
}

fn draw_vote(input: &mut Input<'_>) -> (u64, u64, bool) {
    (index(input), u64::from(input.byte() & 3), input.flag())
}

fn draw_log_id(input: &mut Input<'_>) -> Option<(u64, u64)> {
    input.flag().then(|| (index(input), index(input)))
}

/// Adds entries at the end of the log that nobody has damaged, whatever they say.
fn append(files: &mut Files, input: &mut Input<'_>) {
    let newest = files.iter_mut().rfind(|(name, _)| name.ends_with(".log"));
    let Some((_, segment)) = newest else { return };
    let batches = Batches::new(segment.clone().into()).filter_map(Result::ok);
    let end = batches.last().map_or(0, |batch| batch.header().next_offset());
    let mut batch = BatchBuilder::new(BatchOptions {
        base_offset: if input.below(8) == 7 { input.edgy_i64() & (i64::MAX >> 1) } else { end },
        partition_leader_epoch: i32::from(input.byte() & 7),
        ..BatchOptions::default()
    });
    for _ in 0..=input.below(3) {
        let mut entry = draw_entry(input);
        if input.below(4) == 3 {
            edit(&mut entry, input, 2);
        }
        batch.append(0, None, Some(&entry), &[]);
    }
    segment.extend_from_slice(&batch.build());
}

#[derive(Serialize)]
enum Payload {
    Blank,
    Records(Vec<MetadataRecord>),
    Members(Members),
}

/// An entry in the form that the log has it.
fn draw_entry(input: &mut Input<'_>) -> Vec<u8> {
    let term = index(input);
    let payload = match input.below(4) {
        0 => Payload::Blank,
        1 => Payload::Members(draw_members(input)),
        _ => Payload::Records((0..=input.below(3)).map(|_| draw_record(input)).collect()),
    };
    packed(&(term, payload))
}

fn packed(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("it has a form")
}
