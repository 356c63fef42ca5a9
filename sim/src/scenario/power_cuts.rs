//! One broker that loses power again and again while clients produce, read and commit.
//!
//! At each cut the disk keeps all, none or a random part of what was not synced, and sometimes only
//! the process dies. Afterwards everything is healed, and the logs are read to their ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use flumen_broker::config::BrokerConfig;
use flumen_client::admin::{NewTopic, OffsetToCommit};
use flumen_client::connection::Rng;
use flumen_client::{Client, TopicPartition};
use flumen_producer::{Delivery, Producer, ProducerConfig, Record};
use flumen_storage::vfs::simulated::Unsynced;

use super::Failure;
use crate::history::{History, Value, Written};
use crate::machine::Machine;
use crate::network::Network;
use crate::node::Node;
use crate::reader;
use crate::rng::SeededRng;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 3;
const BATCHES: u64 = 100;
const RECORDS_PER_BATCH: u64 = 10;
const GROUP: &str = "readers";
const BROKER: &str = "broker";
const CLIENT: &str = "client";
const ADDRESS: &str = "broker:9092";

/// Longer than any run takes that is not stuck.
const VIRTUAL_TIME_MAX: Duration = Duration::from_secs(600);

/// The day on which all simulations begin.
const EPOCH_SECONDS: u64 = 1_800_000_000;

type Shared = Rc<RefCell<History>>;

/// Runs the scenario of a seed on a broker with default durability.
///
/// # Errors
/// The run did not come to its end.
pub fn run(seed: u64) -> Result<History, Failure> {
    run_with(seed, "fsync")
}

/// Runs the scenario of a seed with a value of `log.durability`: with `page-cache` records are lost,
/// which shows that the checkers see it.
///
/// # Errors
/// The run did not come to its end.
pub fn run_with(seed: u64, durability: &str) -> Result<History, Failure> {
    let rng = SeededRng::new(seed);
    let network = Arc::new(Network::default());
    let machine = Machine::new(BROKER, broker_config(durability), &network, rng.next_u64());
    let mut sim = turmoil::Builder::new()
        .rng_seed(rng.next_u64())
        .epoch(UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS))
        .simulation_duration(VIRTUAL_TIME_MAX)
        .min_message_latency(Duration::from_micros(100))
        .max_message_latency(Duration::from_millis(2))
        .build();
    let on_broker = machine.clone();
    sim.host(BROKER, move || {
        let machine = on_broker.clone();
        async move { machine.run().await }
    });
    let history = Shared::default();
    let node = Node::new(CLIENT, network, rng.next_u64());
    sim.client(CLIENT, clients(node, Rc::clone(&history)));

    let mut next_cut = Duration::from_millis(500 + rng.below(1500));
    let mut back_at = None;
    loop {
        match sim.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(e) => return Err(Failure(format!("after {:?}: {e}", sim.elapsed()))),
        }
        if let Some(reason) = machine.ended() {
            return Err(Failure(format!("after {:?}: {reason}", sim.elapsed())));
        }
        if let Some(time) = back_at {
            if sim.elapsed() >= time {
                sim.bounce(BROKER);
                back_at = None;
                next_cut = sim.elapsed() + Duration::from_millis(200 + rng.below(3000));
            }
        } else if sim.elapsed() >= next_cut && !is_over(&history) {
            machine.cut_power(match rng.below(4) {
                0 => Unsynced::Kept,
                1 => Unsynced::Dropped,
                _ => Unsynced::Random { seed: rng.next_u64() },
            });
            // Nobody hears what connections say in parting, when there is no power.
            sim.partition(BROKER, CLIENT);
            sim.crash(BROKER);
            sim.repair(BROKER, CLIENT);
            history.borrow_mut().power_cuts += 1;
            back_at = Some(sim.elapsed() + Duration::from_millis(rng.below(1000)));
        }
    }
    drop(sim);
    Ok(Rc::into_inner(history).expect("the clients are gone with the simulation").into_inner())
}

/// Cuts end when the work is done, so that the drain finds a healed machine.
fn is_over(history: &Shared) -> bool {
    u64::try_from(history.borrow().written.len()) == Ok(BATCHES * RECORDS_PER_BATCH)
}

fn broker_config(durability: &str) -> BrokerConfig {
    BrokerConfig::with([
        ("listeners", "PLAINTEXT://broker:9092"),
        ("insecure", "true"),
        ("log.durability", durability),
        ("http.listener", ""),
        ("log.dirs", "/data"),
        ("offsets.topic.num.partitions", "3"),
        // Short, so that a run rolls segments.
        ("log.roll.ms", "1000"),
    ])
    .expect("these settings are right")
}

async fn clients(node: Node, history: Shared) -> turmoil::Result {
    let client = Client::builder(ADDRESS)
        .seams(node.seams())
        .request_timeout(Duration::from_secs(2))
        .api_timeout(Duration::from_secs(120))
        .connect()
        .await?;
    create_topic(&client).await?;
    tokio::try_join!(
        produce(&client, &history),
        observe(&client, &history),
        commit(&client, &history),
    )?;
    for partition in 0..PARTITIONS {
        let log = reader::read_all(&client, TOPIC, partition).await?;
        history.borrow_mut().logs.insert(partition, log);
    }
    let committed = client.admin().committed_offsets(GROUP).await?;
    let offset = committed.get(&TopicPartition::new(TOPIC, 0)).map(|committed| committed.offset);
    history.borrow_mut().committed = offset;
    Ok(())
}

/// Creates the topic; a retry after a cut may find it created.
async fn create_topic(client: &Client) -> turmoil::Result {
    let topic = NewTopic::new(TOPIC, PARTITIONS);
    match client.admin().create_topic(&topic).await {
        Err(e) if client.admin().describe_topic(TOPIC).await.is_err() => Err(e.into()),
        _ => Ok(()),
    }
}

async fn produce(client: &Client, history: &Shared) -> turmoil::Result {
    let config = ProducerConfig {
        linger: Duration::ZERO,
        delivery_timeout: Duration::from_secs(300),
        block_max: Duration::from_secs(300),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(client, config)?;
    for batch in 0..BATCHES {
        let mut deliveries = Vec::new();
        for value in batch * RECORDS_PER_BATCH..(batch + 1) * RECORDS_PER_BATCH {
            let partition = i32::try_from(value % 3).expect("below 3");
            let record = Record::new(TOPIC, value_bytes(value)).partition(partition);
            deliveries.push((partition, value, producer.enqueue(record).await?));
        }
        for (partition, value, delivery) in deliveries {
            let written = outcome(delivery).await;
            history.borrow_mut().written.insert((partition, value), written);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Values differ in size, so that torn writes tear in different places.
fn value_bytes(value: Value) -> Bytes {
    let padding = usize::try_from(value * 37 % 400).expect("below 400");
    let mut bytes = value.to_be_bytes().to_vec();
    bytes.resize(8 + padding, b'.');
    bytes.into()
}

async fn outcome(delivery: Delivery) -> Written {
    match delivery.await {
        Ok(delivered) => Written::Acknowledged(delivered.offset),
        Err(e) if e.possibly_written() => Written::Unknown,
        Err(_) => Written::Refused,
    }
}

/// Reads what can be read, over and over, until all is written.
async fn observe(client: &Client, history: &Shared) -> turmoil::Result {
    while !is_over(history) {
        for partition in 0..PARTITIONS {
            for (offset, value) in reader::read_all(client, TOPIC, partition).await? {
                history.borrow_mut().observe(partition, offset, value);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Commits ever larger offsets until all is written.
async fn commit(client: &Client, history: &Shared) -> turmoil::Result {
    let partition = TopicPartition::new(TOPIC, 0);
    for offset in 1.. {
        if is_over(history) {
            break;
        }
        history.borrow_mut().commit_tried_max = offset;
        let offsets = [(partition.clone(), OffsetToCommit::new(offset))].into();
        if client.admin().alter_offsets(GROUP, &offsets).await.is_ok() {
            history.borrow_mut().commits_acknowledged.push(offset);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}
