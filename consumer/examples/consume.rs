//! Reads a topic as a member of a group until nothing comes for a while:
//! `cargo run -p flumen-consumer --example consume -- HOST:PORT TOPIC GROUP`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use flumen_client::Client;
use flumen_consumer::{Consumer, ConsumerConfig, OffsetReset};

const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "127.0.0.1:9092".into());
    let topic = arguments.next().unwrap_or_else(|| "flumen-example".into());
    let group = arguments.next().unwrap_or_else(|| "flumen-example".into());

    let client = Client::builder(&bootstrap).connect().await?;
    let config =
        ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group(group) };
    let mut consumer = Consumer::new(&client, config)?;
    consumer.subscribe([topic])?;

    let mut counts = BTreeMap::new();
    loop {
        let records = consumer.poll_batch(PATIENCE).await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            let (count, last) = counts.entry(record.partition).or_insert((0u64, record.offset));
            *count += 1;
            *last = record.offset;
        }
    }
    for (partition, (count, last)) in counts {
        println!("{partition}: {count} records, the last at {last}");
    }
    consumer.close().await;
    Ok(())
}
