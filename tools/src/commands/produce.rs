//! `flumen produce`: records from stdin or a file, one a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use flumen_client::{Client, Properties};
use flumen_producer::{Compression, Delivery, Producer, ProducerConfig, Record, RecordHeader};

use crate::cluster_flags::CommonFlags;
use crate::commands::name_value;
use crate::record_json::JsonRecord;

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Records that are on their way at most, so that failures are noticed soon.
const OUTSTANDING_MAX: usize = 50_000;

/// How long the last records may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  echo hello | flumen produce greetings
  flumen produce greetings -k : greetings.txt       a key, a colon, a value on each line
  flumen produce greetings -H lang=en -z zstd < text
  flumen consume a -o start -n 10 --json | flumen produce b --json")]
pub(crate) struct Produce {
    /// The topic
    topic: String,
    /// The file to read [default: stdin]
    file: Option<PathBuf>,
    /// What stands between key and value; a line without it is a value without a key
    #[arg(short, long, value_name = "SEPARATOR", conflicts_with = "json")]
    key_separator: Option<String>,
    /// A header of every record; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = name_value)]
    headers: Vec<(String, String)>,
    /// The partition [default: by the key, or spread]
    #[arg(short, long)]
    partition: Option<i32>,
    /// How to compress
    #[arg(short = 'z', long, value_name = "CODEC", value_parser = compression)]
    compression: Option<Compression>,
    /// Whose word to wait for
    #[arg(long, value_enum)]
    acks: Option<AcksFlag>,
    /// An empty value stands for none, which deletes the key of a compacted topic
    #[arg(short = 'Z', long)]
    tombstones: bool,
    /// Read JSON, one object a line, as `flumen consume --json` prints it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum AcksFlag {
    /// All replicas in sync
    All,
    /// The leader
    #[value(name = "1")]
    Leader,
    /// Nobody
    #[value(name = "0")]
    None,
}

pub(crate) fn compression(name: &str) -> Result<Compression, String> {
    Compression::from_name(name).ok_or_else(|| {
        let names = Compression::ALL.map(Compression::name).join(", ");
        format!("allowed is {names}")
    })
}

pub(crate) async fn run(arguments: &Produce, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    let producer = Producer::new(&client, config(arguments, flags)?)?;
    find_topic(&client, &arguments.topic).await?;
    let mut input: Box<dyn BufRead> = match &arguments.file {
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            Box::new(BufReader::with_capacity(1 << 16, file))
        }
        None => Box::new(io::stdin().lock()),
    };
    let mut outstanding = VecDeque::new();
    let mut line = Vec::new();
    let mut number = 0_u64;
    // Reading may block this thread; the producer works on others.
    while read_line(&mut input, &mut line)? {
        number += 1;
        let record = record(arguments, &line).with_context(|| format!("line {number}"))?;
        let delivery = producer.enqueue(record).await;
        outstanding.push_back((number, delivery.with_context(|| format!("line {number}"))?));
        while outstanding.len() > OUTSTANDING_MAX {
            settle(outstanding.pop_front()).await?;
        }
    }
    producer.flush().await;
    while !outstanding.is_empty() {
        settle(outstanding.pop_front()).await?;
    }
    producer.close(CLOSE_TIMEOUT).await?;
    flags.output().done(&format!("{number} records produced to {}", arguments.topic));
    Ok(())
}

fn config(arguments: &Produce, flags: &CommonFlags) -> anyhow::Result<ProducerConfig> {
    let mut properties = flags.properties()?;
    if let Some(acks) = arguments.acks {
        set_acks(&mut properties, acks);
    }
    if let Some(compression) = arguments.compression {
        properties.set("compression.type", compression.name());
    }
    Ok(ProducerConfig::from_properties(&properties)?)
}

/// Puts the flag into the producer's properties.
pub(crate) fn set_acks(properties: &mut Properties, acks: AcksFlag) {
    let word = match acks {
        AcksFlag::All => "all",
        AcksFlag::Leader => "1",
        AcksFlag::None => "0",
    };
    properties.set("acks", word);
}

/// Fails at once where the topic does not exist and the broker does not create it.
///
/// A producer would go on asking: a service may start before its topics do, a person mistypes.
pub(crate) async fn find_topic(client: &Client, topic: &str) -> anyhow::Result<()> {
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        // A topic that has just been created may need a moment to get its leaders.
        if client.refresh_or_create(topic).await.is_ok_and(|cluster| cluster.topic(topic).is_some())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.topic(topic).await?;
    Ok(())
}

async fn settle(delivery: Option<(u64, Delivery)>) -> anyhow::Result<()> {
    if let Some((number, delivery)) = delivery {
        delivery.await.with_context(|| format!("line {number}"))?;
    }
    Ok(())
}

/// Reads the next line without its end; false at the end of the input.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> anyhow::Result<bool> {
    line.clear();
    let size = io::Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if size as u64 == LINE_BYTES_MAX {
        bail!("a line is longer than {LINE_BYTES_MAX} bytes");
    }
    Ok(size > 0)
}

/// The record that a line stands for.
fn record(arguments: &Produce, line: &[u8]) -> anyhow::Result<Record> {
    let mut record = if arguments.json {
        json_record(&arguments.topic, line)?
    } else {
        let (key, value) = split(line, arguments.key_separator.as_deref());
        Record {
            topic: arguments.topic.clone(),
            key: key.map(Bytes::copy_from_slice),
            value: Some(Bytes::copy_from_slice(value)),
            ..Record::default()
        }
    };
    if arguments.tombstones && record.value.as_ref().is_some_and(Bytes::is_empty) {
        record.value = None;
    }
    if arguments.partition.is_some() {
        record.partition = arguments.partition;
    }
    record.headers.extend(arguments.headers.iter().map(|(name, value)| RecordHeader {
        key: Bytes::copy_from_slice(name.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }));
    Ok(record)
}

/// Splits a line at the first separator.
fn split<'a>(line: &'a [u8], separator: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else {
        return (None, line);
    };
    let found = line.windows(separator.len()).position(|window| window == separator.as_bytes());
    match found {
        Some(at) => (Some(&line[..at]), &line[at + separator.len()..]),
        None => (None, line),
    }
}

fn json_record(topic: &str, line: &[u8]) -> anyhow::Result<Record> {
    let json: JsonRecord = serde_json::from_slice(line)?;
    let bytes = |field: Result<Option<Bytes>, &'static str>| {
        field.map_err(|name| anyhow::anyhow!("{name} is no base64"))
    };
    let mut headers = Vec::new();
    for header in json.headers {
        headers.push(RecordHeader {
            key: Bytes::from(header.name),
            value: bytes(header.value.into_bytes())?,
        });
    }
    Ok(Record {
        topic: topic.to_owned(),
        // Where a record was in one topic says nothing about where it belongs in another.
        partition: None,
        timestamp: json.timestamp,
        key: bytes(json.key.into_bytes())?,
        value: bytes(json.value.into_bytes())?,
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_at_the_first_separator() {
        assert_eq!(split(b"a:b:c", Some(":")), (Some(&b"a"[..]), &b"b:c"[..]));
        assert_eq!(split(b"a=>b", Some("=>")), (Some(&b"a"[..]), &b"b"[..]));
        assert_eq!(split(b":b", Some(":")), (Some(&b""[..]), &b"b"[..]));
        assert_eq!(split(b"ab", Some(":")), (None, &b"ab"[..]));
        assert_eq!(split(b"a:b", None), (None, &b"a:b"[..]));
    }

    #[test]
    fn input_is_read_line_by_line() {
        let mut input: &[u8] = b"one\n\ntwo\r\nlast";
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut input, &mut line).unwrap() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(lines, ["one", "", "two\r", "last"]);
    }

    #[test]
    fn what_consume_prints_produce_reads() {
        let line = br#"{"topic":"a","partition":3,"offset":9,"timestamp":5,"key":"k","value":null,
            "headers":[{"name":"h","value":"x"}]}"#;
        let record = json_record("b", line).unwrap();
        assert_eq!((record.topic.as_str(), record.partition), ("b", None));
        assert_eq!((record.timestamp, record.value), (Some(5), None));
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.headers[0].value.as_deref(), Some(&b"x"[..]));
        assert!(json_record("b", b"{").is_err());
    }
}
