//! The files of small logs, made by the log itself, and the damage that an input does to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flumen_protocol::records::compression::Compression;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_storage::vfs::{OpenOptions, SimulatedDisk, Vfs, read_file};
use flumen_storage::{AppendOrigin, LogConfig, OpenContext, PartitionLog};

use crate::batches::{repair_crc, repair_length, repair_segment};
use crate::edits::edit;
use crate::input::Input;
use crate::recorded;

pub const NOW_MS: i64 = 1_700_000_000_000;
pub const DIR: &str = "/data/topic-0";

/// The content of a directory, by file name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Directories to start from: empty, in use, closed, cut off in the front, compacted by halves, and
/// those that brokers wrote for real clients.
static TEMPLATES: LazyLock<Vec<Files>> = LazyLock::new(|| {
    let in_use = SimulatedDisk::new();
    let mut log = fill(&in_use);
    let mut templates = vec![Files::new(), files(&in_use, DIR)];

    log.advance_log_start_offset(17).expect("the disk is sound");
    templates.push(files(&in_use, DIR));
    log.close().expect("the disk is sound");
    templates.push(files(&in_use, DIR));

    let closed = SimulatedDisk::new();
    fill(&closed).close().expect("the disk is sound");
    templates.push(files(&closed, DIR));
    templates.push(with_half_an_exchange(files(&closed, DIR)));
    templates.extend_from_slice(recorded::partitions());
    templates
});

/// How many directories there are to start from.
pub fn template_count() -> u8 {
    u8::try_from(TEMPLATES.len()).expect("they are few")
}

pub fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 1200,
        index_interval_bytes: 150,
        retention_ms: None,
        retention_bytes: Some(3000),
        compact: true,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        decompressed_bytes_max: 256 * 1024,
        ..LogConfig::default()
    })
}

pub fn open(
    disk: &SimulatedDisk,
    context: OpenContext,
) -> Result<PartitionLog, flumen_storage::OpenError> {
    PartitionLog::open(Arc::new(disk.clone()), Path::new(DIR), config(), context)
}

/// A batch that no producer is known of; every second key is used again and again.
pub fn plain_batch(seed: i64, count: i64, compression: Compression) -> Bytes {
    batch(BatchOptions { codec: compression.into(), ..BatchOptions::default() }, seed, count)
}

fn batch(options: BatchOptions, seed: i64, count: i64) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for index in 0..count {
        let key = format!("key-{}", if index % 2 == 0 { 0 } else { seed + index });
        let value = format!("value of record {index} of batch {seed}");
        let value = (seed % 5 != 4).then_some(value.as_bytes());
        builder.append(NOW_MS + seed * 10 + index, Some(key.as_bytes()), value, &[]);
    }
    builder.build()
}

fn fill(disk: &SimulatedDisk) -> PartitionLog {
    let context = OpenContext { clean_shutdown: false, recovery_point: 0, now_ms: NOW_MS };
    let mut log = open(disk, context).expect("the disk is sound");
    let mut append = |records, epoch, origin| {
        log.append_as_leader(records, epoch, origin, NOW_MS).expect("the batch is valid");
    };
    for round in 0..6 {
        let epoch = i32::try_from(round / 2).expect("rounds are few");
        let codec = Compression::ALL[usize::try_from(round).expect("rounds are few") % 5];
        append(plain_batch(round, 4, codec), epoch, AppendOrigin::Client);
        let options = BatchOptions {
            producer_id: 7 + round % 2,
            producer_epoch: 0,
            base_sequence: i32::try_from(round / 2 * 3).expect("rounds are few"),
            is_transactional: round % 2 == 0,
            ..BatchOptions::default()
        };
        append(batch(options, round, 3), epoch, AppendOrigin::Client);
        if round % 2 == 0 && round < 4 {
            let marker = EndTransactionMarker { is_commit: round == 0, coordinator_epoch: 1 };
            append(marker.to_batch(NOW_MS, 7, 0), epoch, AppendOrigin::Coordinator);
        }
    }
    log.flush().expect("the disk is sound");
    log
}

/// What a disk has in a directory.
pub fn files(disk: &SimulatedDisk, dir: &str) -> Files {
    let dir = Path::new(dir);
    let entries = disk.list(dir).expect("the log has made it");
    let read = |name: &str| read_file(disk, &dir.join(name)).expect("the disk is sound");
    entries.into_iter().map(|entry| (entry.name.clone(), read(&entry.name))).collect()
}

/// What a crash leaves between the steps in which compaction exchanges segments.
fn with_half_an_exchange(mut files: Files) -> Files {
    let first = format!("{:020}.log", 0);
    let second = files.keys().filter(|name| name.ends_with(".log")).nth(1).cloned();
    let end = second.as_deref().and_then(|name| name.get(..20)?.parse::<i64>().ok()).unwrap_or(0);
    let number = end.to_be_bytes();
    let swap = [&number[..], &crc32c::crc32c(&number).to_be_bytes()].concat();
    files.insert(format!("{:020}.swap", 0), swap);
    files.insert(format!("{first}.swap"), files[&first].clone());
    files.insert(format!("{first}.cleaned"), b"half a segment".to_vec());
    files
}

/// A directory that the input has chosen and damaged.
pub fn draw(input: &mut Input<'_>) -> Files {
    let mut files = input.choose(&TEMPLATES).clone();
    for _ in 0..input.below(6) {
        damage(&mut files, input);
    }
    files
}

/// Changes one file, or does away with it.
pub fn damage(files: &mut Files, input: &mut Input<'_>) {
    let names: Vec<&String> = files.keys().collect();
    let name = match names.len() {
        0 => segment_name(input),
        count => names[input.below(count)].clone(),
    };
    let mut content = files.remove(&name).unwrap_or_default();
    match input.below(8) {
        0 => return,
        1 => content = input.block().to_vec(),
        2 => {
            // Under another name as well.
            files.insert(segment_name(input), content.clone());
        }
        3 => content.extend(std::iter::repeat_n(0, input.below(2000))),
        _ => edit(&mut content, input, 3),
    }
    if input.below(4) != 0 {
        repair(&name, &mut content);
    }
    files.insert(name, content);
}

fn segment_name(input: &mut Input<'_>) -> String {
    const SUFFIXES: [&str; 10] = [
        "log",
        "index",
        "timeindex",
        "txnindex",
        "snapshot",
        "seal",
        "swap",
        "log.swap",
        "log.cleaned",
        "log.deleted",
    ];
    let base_offset = input.edgy_i64() & i64::MAX;
    format!("{base_offset:020}.{}", input.choose(&SUFFIXES))
}

/// Makes the checksum of a file true, where it has one.
fn repair(name: &str, content: &mut Vec<u8>) {
    match name.rsplit('.').next().unwrap_or_default() {
        "log" | "cleaned" => repair_segment(content),
        "swap" if name.ends_with("log.swap") => repair_segment(content),
        // A snapshot of the metadata is one batch.
        "checkpoint" if name.starts_with('0') => {
            repair_length(content);
            repair_crc(content);
        }
        // The checksum is the last four bytes,
        "seal" | "swap" => {
            if let Some(end) = content.len().checked_sub(4) {
                let crc = crc32c::crc32c(&content[..end]);
                content[end..].copy_from_slice(&crc.to_be_bytes());
            }
        }
        // or follows the version,
        "snapshot" if content.len() >= 6 => {
            let crc = crc32c::crc32c(&content[6..]);
            content[2..6].copy_from_slice(&crc.to_be_bytes());
        }
        // or is the last line.
        _ if name == "log-state" => {
            let text = String::from_utf8_lossy(content).into_owned();
            let lines = text.rfind("crc: ").map_or(&text[..], |at| &text[..at]);
            *content = format!("{lines}crc: {:08x}\n", crc32c::crc32c(lines.as_bytes())).into();
        }
        _ => {}
    }
}

/// Puts files into a directory of a new disk.
pub fn write(files: &Files, dir: &str) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let dir = Path::new(dir);
    disk.create_dir_all(dir).expect("the disk is sound");
    for (name, content) in files {
        let file = disk.open(&dir.join(name), OpenOptions::CREATE).expect("the disk is sound");
        file.write_at(content, 0).expect("the disk is sound");
    }
    disk
}
