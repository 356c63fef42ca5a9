//! A producer that writes small batches until everything is healed, and waits for what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use flumen_producer::{Delivery, Producer, ProducerConfig, Record};

use super::{PARTITIONS, Program, TOPIC};
use crate::history::{Value, Written};
use crate::operations::Send;

/// Values of different producers lie this far apart.
const VALUES_EACH: Value = 1_000_000;

/// Records that are under way before the producer waits.
const UNDER_WAY_MAX: usize = 60;

/// Pause between two operations.
const PAUSE_MS_MAX: u64 = 100;

pub(super) async fn run(mut program: Program, number: u32) -> turmoil::Result {
    // A producer that gives up early leaves records of which nobody knows whether they are there.
    let patience = [5, 300][usize::try_from(program.rng.below(2))?];
    let config = ProducerConfig {
        linger: Duration::from_millis(program.rng.below(2) * 5),
        delivery_timeout: Duration::from_secs(patience),
        block_max: Duration::from_secs(300),
        ..ProducerConfig::default()
    };
    let producer = Producer::new(&program.client, config)?;
    let mut under_way = VecDeque::new();
    let mut value = Value::from(number) * VALUES_EACH;
    for operation in 0.. {
        if program.is_draining() {
            break;
        }
        for _ in 0..=program.rng.below(6) {
            value += 1;
            let partition = i32::try_from(program.rng.below(PARTITIONS.unsigned_abs().into()))?;
            let record = Record::new(TOPIC, value_bytes(value)).partition(partition);
            let index = note(
                &program,
                Send { producer: number, operation, partition, value, written: Written::Unknown },
            );
            match producer.enqueue(record).await {
                Ok(delivery) => under_way.push_back((index, delivery)),
                Err(error) => settle(&program, index, written(error.possibly_written())),
            }
        }
        while under_way.len() > UNDER_WAY_MAX {
            finish_first(&program, &mut under_way).await;
        }
        program.pause(PAUSE_MS_MAX).await;
    }
    while !under_way.is_empty() {
        finish_first(&program, &mut under_way).await;
    }
    Ok(())
}

fn note(program: &Program, send: Send) -> usize {
    let sends = &mut program.shared.borrow_mut().sends;
    sends.push(send);
    sends.len() - 1
}

async fn finish_first(program: &Program, under_way: &mut VecDeque<(usize, Delivery)>) {
    let Some((index, delivery)) = under_way.pop_front() else { return };
    let outcome = match delivery.await {
        Ok(delivered) => Written::Acknowledged(delivered.offset),
        Err(error) => written(error.possibly_written()),
    };
    settle(program, index, outcome);
}

fn written(possibly: bool) -> Written {
    if possibly { Written::Unknown } else { Written::Refused }
}

fn settle(program: &Program, index: usize, outcome: Written) {
    program.shared.borrow_mut().sends[index].written = outcome;
}

/// Values differ in size, so that torn writes tear in different places.
fn value_bytes(value: Value) -> Bytes {
    let padding = usize::try_from(value * 37 % 300).expect("below 300");
    let mut bytes = value.to_be_bytes().to_vec();
    bytes.resize(8 + padding, b'.');
    bytes.into()
}
