//! `flumen consume`: prints records, once or as they come, alone or as a member of a group.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use clap::Args;
use flumen_client::admin::{Isolation, OffsetSpec};
use flumen_client::{Client, TopicPartition};
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset, Record};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cluster_flags::CommonFlags;
use crate::commands::{wall_ms, where_placed};
use crate::exit::{NotFound, Usage};
use crate::offset_place::OffsetPlace;
use crate::record_format::{Fields, RecordFormat};
use crate::record_json::{JsonHeader, JsonKey, JsonRecord, JsonValue};

/// How long to wait for more before asking whether the end is reached.
const PAUSE: Duration = Duration::from_millis(50);

/// Every value on a line of its own, so that what was produced by lines comes back by lines.
const FORMAT: &str = "%v\\n";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flumen consume greetings                           everything there is
  flumen consume greetings -o -10 --follow           the last ten, and what comes
  flumen consume greetings -o @-1h -f '%d{iso} %k=%v\\n'
  flumen consume greetings -g readers -n 100         as a group, which remembers how far it got
  flumen consume greetings --json | jq .value

Fields of -f: %k key, %v value, %K %V their lengths (-1 for none), %t topic, %p partition,
%o offset, %d timestamp in ms, %h{...} each header with %k and %v, %H number of headers,
%i number in this run, %% a percent sign. %k{hex}, %k{base64}, %d{iso}. Escapes: \\n \\t \\r \\\\ \\xNN.")]
pub(crate) struct Consume {
    /// The topic
    topic: String,
    /// Read as a member of this group, and commit what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// Where to begin: start, end, OFFSET, +N, -N, @TIME; with a group that has committed, it
    /// begins there [default: start]
    #[arg(short, long, value_name = "PLACE", allow_hyphen_values = true)]
    offset: Option<OffsetPlace>,
    /// Only these partitions; may be given several times
    #[arg(short, long, conflicts_with = "group")]
    partition: Vec<i32>,
    /// Stop after this many records
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    /// How to print a record [default: the value and a line feed]
    #[arg(short, long, value_parser = RecordFormat::parse, conflicts_with = "json")]
    format: Option<RecordFormat>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Go on with what comes, instead of stopping at the end
    #[arg(long)]
    follow: bool,
}

pub(crate) async fn run(arguments: &Consume, flags: &CommonFlags) -> anyhow::Result<()> {
    let client = flags.connect().await?;
    let topic = client.topic(&arguments.topic).await?;
    let all: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| TopicPartition::new(topic.name.clone(), partition.index))
        .collect();
    let mut config = ConsumerConfig::from_properties(&flags.properties()?)?;
    config.group_id.clone_from(&arguments.group);
    config.auto_offset_reset = OffsetReset::Earliest;
    // What was printed is committed when the output has been written.
    config.auto_commit = false;
    let ends = ends(&client, &all).await;
    let consumer = if arguments.group.is_some() {
        join(&client, config, arguments, &all).await?
    } else {
        assign(&client, config, arguments, &all).await?
    };
    let mut session = Session {
        printer: Printer::new(arguments)?,
        ends: if arguments.follow { BTreeMap::new() } else { ends },
        left: arguments.count.unwrap_or(u64::MAX),
        follows: arguments.follow,
        commits: arguments.group.is_some(),
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    session.run(consumer).await
}

/// Joins the group. Where it has not committed yet, it begins where it was told to.
async fn join(
    client: &Client,
    config: ConsumerConfig,
    arguments: &Consume,
    all: &[TopicPartition],
) -> anyhow::Result<Consumer> {
    let mut config = config;
    match arguments.offset {
        None | Some(OffsetPlace::Start) => {}
        Some(OffsetPlace::End) => config.auto_offset_reset = OffsetReset::Latest,
        Some(place) => {
            let now_ms = wall_ms(client);
            match place.timestamp(now_ms).map(|time| u64::try_from(now_ms - time)) {
                Some(Ok(ago)) => {
                    let ago = Duration::from_millis(ago);
                    config.auto_offset_reset = OffsetReset::ByDuration(ago);
                }
                _ => {
                    let text = "a group begins at start, end or @TIME; \
                                `flumen group seek` moves it to an offset";
                    return Err(Usage(text.to_owned()).into());
                }
            }
        }
    }
    let consumer = Consumer::new(client, config)?;
    let name = all.first().map(|first| first.topic.to_string());
    consumer.subscribe(name)?;
    Ok(consumer)
}

/// Takes the partitions by itself, from where it was told to.
async fn assign(
    client: &Client,
    config: ConsumerConfig,
    arguments: &Consume,
    all: &[TopicPartition],
) -> anyhow::Result<Consumer> {
    let chosen = choose(all, &arguments.partition)?;
    let consumer = Consumer::new(client, config)?;
    let place = arguments.offset.unwrap_or(OffsetPlace::Start);
    let places = where_placed(&client.admin(), &chosen, place, wall_ms(client)).await?;
    consumer.assign(chosen)?;
    for (partition, offset) in &places {
        consumer.seek(partition, *offset)?;
    }
    Ok(consumer)
}

fn choose(all: &[TopicPartition], wanted: &[i32]) -> anyhow::Result<Vec<TopicPartition>> {
    if wanted.is_empty() {
        return Ok(all.to_vec());
    }
    let mut chosen = Vec::new();
    for index in wanted {
        let found = all.iter().find(|partition| partition.partition == *index);
        let found = found.ok_or_else(|| {
            NotFound(format!("the topic has no partition {index}, only {}", all.len()))
        })?;
        chosen.push(found.clone());
    }
    Ok(chosen)
}

/// Where the partitions end now; one that cannot be asked is not waited for.
async fn ends(client: &Client, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, i64> {
    let places = partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest));
    let listed = client.admin().list_offsets(places.collect(), Isolation::default()).await;
    listed
        .into_iter()
        .filter_map(|(partition, outcome)| Some((partition, outcome.ok()?.offset?)))
        .collect()
}

/// One run of printing.
struct Session {
    printer: Printer,
    /// Where to stop in each partition.
    ends: BTreeMap<TopicPartition, i64>,
    /// How many records may still be printed.
    left: u64,
    follows: bool,
    commits: bool,
    interrupt: Signal,
    terminate: Signal,
}

impl Session {
    async fn run(&mut self, mut consumer: Consumer) -> anyhow::Result<()> {
        let outcome = self.print_all(&mut consumer).await;
        let flushed = self.printer.out.flush();
        // What could not be printed must be printed again next time.
        if outcome.is_ok() && flushed.is_ok() && self.commits && self.printer.number > 0 {
            consumer.commit().await?;
        }
        consumer.close().await;
        outcome?;
        Ok(flushed?)
    }

    async fn print_all(&mut self, consumer: &mut Consumer) -> anyhow::Result<()> {
        while self.left > 0 {
            let next = tokio::select! {
                biased;
                _ = self.interrupt.recv() => return Ok(()),
                _ = self.terminate.recv() => return Ok(()),
                next = tokio::time::timeout(PAUSE, consumer.recv()) => next,
            };
            match next {
                Ok(record) => {
                    let record = record?;
                    if self.is_wanted(&record) {
                        self.printer.print(&record)?;
                        self.left -= 1;
                    }
                }
                Err(_elapsed) => {
                    // Nothing comes at the moment: whoever reads our output gets what there is.
                    self.printer.out.flush()?;
                    if !self.follows && self.is_at_end(consumer) {
                        return Ok(());
                    }
                    if self.commits && self.printer.number > 0 {
                        consumer.commit().await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Without `--follow`, what came after the start is left for the next run.
    fn is_wanted(&self, record: &Record) -> bool {
        self.commits || self.ends.get(&record.partition).is_none_or(|end| record.offset < *end)
    }

    fn is_at_end(&self, consumer: &Consumer) -> bool {
        let assigned = consumer.assignment();
        !assigned.is_empty()
            && assigned.iter().all(|partition| {
                let end = self.ends.get(partition).copied().unwrap_or(0);
                consumer.position(partition).is_some_and(|position| position >= end)
            })
    }
}

/// Prints records in the form that was asked for.
struct Printer {
    out: BufWriter<io::Stdout>,
    /// None prints JSON.
    format: Option<RecordFormat>,
    number: u64,
}

impl Printer {
    fn new(arguments: &Consume) -> anyhow::Result<Self> {
        let format = match (&arguments.format, arguments.json) {
            (_, true) => None,
            (Some(format), false) => Some(format.clone()),
            (None, false) => Some(RecordFormat::parse(FORMAT)?),
        };
        Ok(Self { out: BufWriter::with_capacity(1 << 16, io::stdout()), format, number: 0 })
    }

    fn print(&mut self, record: &Record) -> io::Result<()> {
        self.number += 1;
        let Some(format) = &self.format else {
            serde_json::to_writer(&mut self.out, &json_record(record))?;
            return writeln!(self.out);
        };
        let fields = Fields {
            topic: &record.partition.topic,
            partition: record.partition.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            number: self.number,
        };
        format.write(&mut self.out, &fields)
    }
}

fn json_record(record: &Record) -> JsonRecord {
    let headers = record.headers.iter().map(JsonHeader::new);
    JsonRecord {
        topic: Some(record.partition.topic.to_string()),
        partition: Some(record.partition.partition),
        offset: Some(record.offset),
        timestamp: Some(record.timestamp),
        key: JsonKey::new(record.key.as_deref()),
        value: JsonValue::new(record.value.as_deref()),
        headers: headers.collect(),
    }
}
