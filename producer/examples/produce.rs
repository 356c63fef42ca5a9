//! Produces numbered records: `cargo run -p flumen-producer --example produce -- HOST:PORT TOPIC COUNT`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use flumen_client::Client;
use flumen_producer::{Compression, Producer, ProducerConfig, Record};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "127.0.0.1:9092".into());
    let topic = arguments.next().unwrap_or_else(|| "flumen-example".into());
    let count: u64 = arguments.next().map_or(Ok(1000), |count| count.parse())?;

    let client = Client::builder(&bootstrap).connect().await?;
    let config = ProducerConfig { compression: Compression::Lz4.into(), ..Default::default() };
    let producer = Producer::new(&client, config)?;

    let mut deliveries = Vec::new();
    for number in 0..count {
        let key = format!("key-{}", number % 10);
        let record = Record::new(topic.as_str(), number.to_string()).key(key);
        deliveries.push(producer.enqueue(record).await?);
    }
    let mut ends = BTreeMap::new();
    for delivery in deliveries {
        let delivered = delivery.await?;
        ends.insert(delivered.partition, delivered.offset);
    }
    for (partition, offset) in ends {
        println!("{partition}: last record at {offset:?}");
    }
    producer.close(Duration::from_secs(10)).await?;
    Ok(())
}
