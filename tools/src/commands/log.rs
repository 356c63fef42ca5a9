//! `flumen log`: looks at the files of a partition, without a broker and without changing them.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use flumen_protocol::records::{BatchHeader, Record};
use serde::Serialize;

use crate::exit::NotFound;
use crate::output::{Output, Row};
use crate::record_format::date;
use crate::record_json::{JsonHeader, JsonKey, JsonRecord, JsonValue};
use crate::segment_scan::{DECOMPRESSED_BYTES_MAX, FoundBatch, SegmentScan, check_records};

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Prints the batches of segment files, and their records
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(Dump),
    /// Checks lengths, checksums, offsets and records; exits with 1 where something is wrong
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
}

const DUMP_EXAMPLES: &str = "Examples:
  flumen log dump flumen-data/greetings-0
  flumen log dump --records flumen-data/greetings-0/00000000000000000000.log
  flumen log dump --records --output json flumen-data/greetings-0 | jq .value";

const VERIFY_EXAMPLES: &str = "Examples:
  flumen log verify flumen-data              every partition of a data directory
  flumen log verify flumen-data/greetings-0";

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// A segment file, a partition's directory, or a whole data directory
    path: PathBuf,
    /// Print the records too, not only the batches
    #[arg(long)]
    records: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A segment file, a partition's directory, or a whole data directory
    path: PathBuf,
}

pub(crate) fn run(command: &LogCommand, output: Output) -> anyhow::Result<()> {
    match command {
        LogCommand::Dump(arguments) => dump(arguments, output),
        LogCommand::Verify(arguments) => verify(arguments, output),
    }
}

/// A batch as JSON has it; the names are those of the format.
#[derive(Debug, Serialize)]
struct BatchLine<'a> {
    file: &'a Path,
    position: u64,
    size: usize,
    base_offset: i64,
    last_offset: i64,
    record_count: i32,
    partition_leader_epoch: i32,
    compression: &'static str,
    timestamp_type: String,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    is_transactional: bool,
    is_control: bool,
    crc: u32,
}

impl<'a> BatchLine<'a> {
    fn new(file: &'a Path, found: &FoundBatch) -> Self {
        let header = found.batch.header();
        Self {
            file,
            position: found.position,
            size: header.size_in_bytes(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            record_count: header.record_count,
            partition_leader_epoch: header.partition_leader_epoch,
            compression: header.compression().name(),
            timestamp_type: format!("{:?}", header.timestamp_type()),
            base_timestamp: header.base_timestamp,
            max_timestamp: header.max_timestamp,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            is_transactional: header.is_transactional(),
            is_control: header.is_control(),
            crc: header.crc,
        }
    }
}

/// Prints batches as they are read: a segment may be larger than memory, so there is no table.
fn dump(arguments: &Dump, output: Output) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for file in segment_files(&arguments.path)? {
        if !output.is_json() {
            writeln!(out, "{}", file.display())?;
        }
        let scan = SegmentScan::open(&file).with_context(|| file.display().to_string())?;
        for found in scan {
            let found = match found {
                Ok(found) => found,
                Err(damage) => {
                    out.flush()?;
                    return Err(damage).with_context(|| file.display().to_string());
                }
            };
            if output.is_json() && !arguments.records {
                serde_json::to_writer(&mut out, &BatchLine::new(&file, &found))?;
                writeln!(out)?;
            } else if !output.is_json() {
                write_batch(&mut out, &found)?;
            }
            if arguments.records {
                for record in found.batch.records(DECOMPRESSED_BYTES_MAX)? {
                    write_record(&mut out, output, &record?)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn write_batch(out: &mut impl Write, found: &FoundBatch) -> io::Result<()> {
    let header = found.batch.header();
    write!(
        out,
        "  position {}: offsets {}..={}, {} records, {} bytes, {}, epoch {}, {}",
        found.position,
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.size_in_bytes(),
        header.compression().name(),
        header.partition_leader_epoch,
        date(header.max_timestamp),
    )?;
    write_origin(out, header)?;
    writeln!(out)
}

/// Who wrote the batch, where it says so.
fn write_origin(out: &mut impl Write, header: &BatchHeader) -> io::Result<()> {
    if header.has_producer_id() {
        write!(
            out,
            ", producer {} epoch {} sequences {}..={}",
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.last_sequence()
        )?;
    }
    if header.is_transactional() {
        write!(out, ", transactional")?;
    }
    if header.is_control() {
        write!(out, ", control")?;
    }
    Ok(())
}

fn write_record(out: &mut impl Write, output: Output, record: &Record) -> anyhow::Result<()> {
    let json = json_record(record);
    if !output.is_json() {
        write!(out, "    ")?;
    }
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)?;
    Ok(())
}

fn json_record(record: &Record) -> JsonRecord {
    let headers = record.headers.iter().map(JsonHeader::new);
    JsonRecord {
        topic: None,
        partition: None,
        offset: Some(record.offset),
        timestamp: Some(record.timestamp),
        key: JsonKey::new(record.key.as_deref()),
        value: JsonValue::new(record.value.as_deref()),
        headers: headers.collect(),
    }
}

/// What `verify` found in one file.
#[derive(Debug, Serialize)]
struct Verdict {
    file: PathBuf,
    batches: u64,
    records: u64,
    /// Bytes up to the end, or up to the damage.
    bytes: u64,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
    damage: Option<String>,
    /// Where the damage begins.
    damage_position: Option<u64>,
}

fn verify(arguments: &Verify, output: Output) -> anyhow::Result<()> {
    let files = segment_files(&arguments.path)?;
    let verdicts: Vec<_> = files.into_iter().map(examine).collect();
    let columns = ["FILE", "BATCHES", "RECORDS", "BYTES", "OFFSETS", "VERDICT"];
    output.list(&columns, &verdicts, row)?;
    let damaged = verdicts.iter().filter(|verdict| verdict.damage.is_some()).count();
    anyhow::ensure!(damaged == 0, "{damaged} of {} files are damaged", verdicts.len());
    Ok(())
}

fn examine(file: PathBuf) -> Verdict {
    let mut verdict = Verdict {
        file,
        batches: 0,
        records: 0,
        bytes: 0,
        first_offset: None,
        last_offset: None,
        damage: None,
        damage_position: None,
    };
    let mut scan = match SegmentScan::open(&verdict.file) {
        Ok(scan) => scan,
        Err(error) => {
            verdict.damage = Some(error.to_string());
            return verdict;
        }
    };
    for found in scan.by_ref() {
        match found.and_then(|found| check_records(&found).map(|()| found)) {
            Ok(found) => {
                let header = found.batch.header();
                verdict.batches += 1;
                verdict.records += u64::from(header.record_count.unsigned_abs());
                verdict.first_offset = verdict.first_offset.or(Some(header.base_offset));
                verdict.last_offset = Some(header.last_offset());
            }
            Err(damage) => {
                verdict.damage_position = Some(damage.position);
                verdict.damage = Some(damage.to_string());
                break;
            }
        }
    }
    verdict.bytes = scan.position();
    verdict
}

fn row(verdict: &Verdict) -> Row {
    let offsets = match (verdict.first_offset, verdict.last_offset) {
        (Some(first), Some(last)) => format!("{first}..={last}"),
        _ => "-".to_owned(),
    };
    vec![
        verdict.file.display().to_string(),
        verdict.batches.to_string(),
        verdict.records.to_string(),
        verdict.bytes.to_string(),
        offsets,
        verdict.damage.clone().unwrap_or_else(|| "ok".to_owned()),
    ]
}

/// The segment files at a path, or up to two folders below it, in order.
fn segment_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.exists() {
        return Err(NotFound(format!("{} does not exist", path.display())).into());
    }
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    collect(path, 2, &mut files).with_context(|| format!("reading {}", path.display()))?;
    if files.is_empty() {
        return Err(NotFound(format!("{} has no segment files", path.display())).into());
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: u32, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    Ok(())
}
