//! Table of sequences and transactions against the rules.

use flumen_protocol::records::NO_PRODUCER_ID;

use super::*;

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

fn batch(producer_id: i64, epoch: i16, base_sequence: i32, count: i32, offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset: offset,
        batch_length: 100,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 1000,
        max_timestamp: 1000 + offset,
        producer_id,
        producer_epoch: epoch,
        base_sequence,
        record_count: count,
    }
}

fn append(state: &mut ProducerState, header: BatchHeader) -> Result<Staged, ProducerError> {
    let mut staged = StagedProducers::default();
    let found = state.stage(&mut staged, &header, None, AppendOrigin::Client)?;
    state.commit(staged);
    Ok(found)
}

fn transactional(producer_id: i64, sequence: i32, offset: i64) -> BatchHeader {
    BatchHeader { attributes: TRANSACTIONAL, ..batch(producer_id, 0, sequence, 10, offset) }
}

fn end(
    state: &mut ProducerState,
    producer_id: i64,
    offset: i64,
    marker: EndTransactionMarker,
) -> Result<Vec<AbortedTransaction>, ProducerError> {
    let header = BatchHeader {
        attributes: TRANSACTIONAL | CONTROL,
        ..batch(producer_id, 0, NO_SEQUENCE, 1, offset)
    };
    let mut staged = StagedProducers::default();
    state.stage(&mut staged, &header, Some(marker), AppendOrigin::Coordinator)?;
    Ok(state.commit(staged))
}

const ABORT: EndTransactionMarker = EndTransactionMarker { is_commit: false, coordinator_epoch: 2 };
const COMMIT: EndTransactionMarker = EndTransactionMarker { is_commit: true, coordinator_epoch: 2 };

#[test]
fn the_last_five_batches_are_recognised() {
    let mut state = ProducerState::default();
    for index in 0..7 {
        let header = batch(9, 0, index * 10, 10, i64::from(index) * 10);
        assert_eq!(append(&mut state, header), Ok(Staged::Accepted));
    }
    for index in 2..7 {
        let Ok(Staged::Duplicate(found)) = append(&mut state, batch(9, 0, index * 10, 10, 500))
        else {
            panic!("batch {index} is a duplicate");
        };
        assert_eq!(found.first_offset(), i64::from(index) * 10);
    }
    let forgotten = append(&mut state, batch(9, 0, 10, 10, 500));
    assert!(matches!(forgotten, Err(ProducerError::OutOfOrderSequence { .. })), "{forgotten:?}");
    let other_size = append(&mut state, batch(9, 0, 60, 5, 500));
    assert!(matches!(other_size, Err(ProducerError::OutOfOrderSequence { .. })), "{other_size:?}");
}

#[test]
fn sequences_follow_without_a_gap() {
    let check = |header: BatchHeader, expected: &str| {
        let mut state = ProducerState::default();
        append(&mut state, batch(9, 3, 0, 10, 0)).unwrap();
        let found = match append(&mut state, header) {
            Ok(_) => "accepted",
            Err(ProducerError::OutOfOrderSequence { .. }) => "out of order",
            Err(ProducerError::InvalidEpoch { .. }) => "fenced",
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected, "{header:?}");
    };
    check(batch(9, 3, 10, 1, 10), "accepted");
    check(batch(9, 3, 11, 1, 10), "out of order");
    check(batch(9, 3, 9, 1, 10), "out of order");
    check(batch(9, 4, 0, 1, 10), "accepted");
    check(batch(9, 4, 10, 1, 10), "out of order");
    check(batch(9, 2, 10, 1, 10), "fenced");
    check(batch(8, 0, 77, 1, 10), "accepted");
    check(batch(NO_PRODUCER_ID, -1, -1, 1, 10), "accepted");
}

#[test]
fn sequences_wrap_after_the_greatest() {
    let mut state = ProducerState::default();
    append(&mut state, batch(9, 0, i32::MAX - 1, 2, 0)).unwrap();
    assert_eq!(append(&mut state, batch(9, 0, 0, 5, 2)), Ok(Staged::Accepted));
    let mut state = ProducerState::default();
    append(&mut state, batch(9, 0, i32::MAX - 1, 5, 0)).unwrap();
    assert_eq!(append(&mut state, batch(9, 0, 3, 5, 5)), Ok(Staged::Accepted));
}

#[test]
fn a_failed_append_leaves_no_trace() {
    let mut state = ProducerState::default();
    append(&mut state, batch(9, 0, 0, 10, 0)).unwrap();
    let before = state.clone();
    let mut staged = StagedProducers::default();
    for index in 1..3 {
        let header = batch(9, 0, index * 10, 10, i64::from(index) * 10);
        state.stage(&mut staged, &header, None, AppendOrigin::Client).unwrap();
    }
    drop(staged);
    assert_eq!(state, before);
}

#[test]
fn open_transactions_hold_the_stable_offset_back() {
    let mut state = ProducerState::default();
    append(&mut state, transactional(1, 0, 0)).unwrap();
    append(&mut state, transactional(2, 0, 10)).unwrap();
    append(&mut state, transactional(1, 10, 20)).unwrap();
    assert_eq!(state.first_unstable_offset(30), Some(0));
    let plain = append(&mut state, batch(1, 0, 20, 1, 30));
    assert!(matches!(plain, Err(ProducerError::TransactionOpen { .. })), "{plain:?}");

    let aborted = end(&mut state, 1, 30, ABORT).unwrap();
    let expected = AbortedTransaction {
        producer_id: 1,
        first_offset: 0,
        last_offset: 30,
        last_stable_offset: 10,
    };
    assert_eq!(aborted, [expected]);
    assert_eq!(state.first_unstable_offset(30), Some(0), "the marker is not replicated yet");
    assert_eq!(state.first_unstable_offset(31), Some(10));
    assert_eq!(end(&mut state, 2, 31, COMMIT).unwrap(), []);
    state.on_high_watermark(32);
    assert_eq!(state.first_unstable_offset(0), None);
}

#[test]
fn markers_of_a_replaced_coordinator_are_refused() {
    let mut state = ProducerState::default();
    append(&mut state, transactional(1, 0, 0)).unwrap();
    end(&mut state, 1, 10, COMMIT).unwrap();
    append(&mut state, transactional(1, 10, 11)).unwrap();
    let old = EndTransactionMarker { coordinator_epoch: 1, ..COMMIT };
    let refused = end(&mut state, 1, 21, old);
    assert!(matches!(refused, Err(ProducerError::CoordinatorFenced { .. })), "{refused:?}");
}

#[test]
fn idle_producers_expire_but_not_within_a_transaction() {
    let mut state = ProducerState::default();
    append(&mut state, batch(1, 0, 0, 1, 0)).unwrap();
    append(&mut state, transactional(2, 0, 1)).unwrap();
    state.expire(1_000 + 500, 500);
    let known: Vec<i64> = state.producers().map(|entry| entry.producer_id).collect();
    assert_eq!(known, [2]);
}
