use super::*;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn following(leader: Option<i32>, durability: Durability) -> Following {
    Following { leader, leader_epoch: 5, durability }
}

fn follower() -> Follower {
    Follower::new(following(Some(2), Durability::Fsync), 0)
}

fn log(end: i64, last_epoch: i32) -> LogEnds {
    LogEnds {
        log_start_offset: 0,
        log_end_offset: end,
        flushed_end_offset: end,
        last_epoch: Some(last_epoch),
    }
}

fn asked(next: Next) -> FetchPosition {
    match next {
        Next::Fetch(position) => position,
        other => panic!("{other:?}"),
    }
}

fn records(high_watermark: i64) -> Answer {
    Answer::Records { high_watermark, log_start_offset: 0 }
}

fn end(leader_epoch: i32, end_offset: i64) -> Option<EpochEndOffset> {
    Some(EpochEndOffset { leader_epoch, end_offset })
}

#[test]
fn what_is_not_on_disk_is_not_claimed() {
    let log = LogEnds { flushed_end_offset: 7, ..log(10, 4) };
    assert_eq!(follower().next(&log, at(0)), Next::Sync);
    let relaxed = Follower::new(following(Some(2), Durability::PageCache), 0);
    assert_eq!(asked(relaxed.next(&log, at(0))).offset, 10);
    let nobody = Follower::new(following(None, Durability::Fsync), 0);
    assert_eq!(nobody.next(&log, at(0)), Next::Rest);
}

#[test]
fn the_high_watermark_is_the_leaders_as_far_as_the_log_reaches() {
    let mut follower = follower();
    assert_eq!(follower.on_appended(20, 10), 10);
    assert_eq!(follower.on_appended(20, 30), 20);
    assert_eq!(follower.on_appended(15, 30), 20, "a new leader may know less");
}

#[test]
fn a_log_is_cut_where_both_histories_agree() {
    let check = |answer: (i32, i64), own: Option<EpochEndOffset>, expected| {
        let mut follower = follower();
        let log = log(30, 4);
        let position = asked(follower.next(&log, at(0)));
        let (epoch, end_offset) = answer;
        let answer = Answer::Diverging { epoch, end_offset };
        let step = follower.on_answer(&position, answer, &log, |_| own, at(0));
        assert_eq!(step, expected);
    };
    // The leader has less of the same epoch.
    check((4, 25), end(4, 30), Step::Truncate { end_offset: 25 });
    // The leader has an epoch that is unknown here: nothing above the older one can be its.
    check((3, 28), end(2, 22), Step::Truncate { end_offset: 22 });
    // The leader's older epoch ended before it did here.
    check((2, 15), end(2, 22), Step::Truncate { end_offset: 15 });
    check((1, 12), None, Step::Truncate { end_offset: 12 });
    // An answer that would change nothing is a failure, or it would be asked for ever.
    check((4, 30), end(4, 30), Step::Nothing);
    // The last epoch has no record here: there is nothing to cut off but the epoch itself.
    check((3, 30), end(3, 30), Step::Truncate { end_offset: 30 });
    check((3, 42), end(3, 30), Step::Truncate { end_offset: 30 });
}

#[test]
fn the_high_watermark_falls_only_with_what_is_cut_off() {
    let mut follower = follower();
    follower.on_appended(20, 20);
    assert_eq!(follower.on_cut(&log(25, 4)), 20);
    assert_eq!(follower.on_cut(&log(12, 4)), 12);
    let begun_anew = LogEnds { log_start_offset: 50, last_epoch: None, ..log(50, 0) };
    assert_eq!(follower.on_cut(&begun_anew), 50);
}

#[test]
fn a_log_that_the_leaders_does_not_reach_begins_anew() {
    let mut follower = follower();
    let log = log(30, 4);
    let position = asked(follower.next(&log, at(0)));
    let answer = Answer::OutOfRange { log_start_offset: 70 };
    let step = follower.on_answer(&position, answer, &log, |_| None, at(0));
    assert_eq!(step, Step::Restart { offset: 70 });
}

#[test]
fn answers_to_older_questions_mean_nothing() {
    let mut follower = follower();
    let position = asked(follower.next(&log(30, 4), at(0)));
    let step = |follower: &mut Follower, log: LogEnds| {
        follower.on_answer(&position, records(30), &log, |_| None, at(0))
    };
    assert_eq!(step(&mut follower, log(31, 4)), Step::Nothing, "the log has grown");
    assert_eq!(step(&mut follower, log(30, 3)), Step::Nothing, "it has another history");
    let later = following(Some(2), Durability::Fsync);
    let mut later = Follower::new(Following { leader_epoch: 6, ..later }, 0);
    assert_eq!(step(&mut later, log(30, 4)), Step::Nothing, "another leader");
    let append = Step::Append { high_watermark: 30, log_start_offset: 0 };
    assert_eq!(step(&mut follower, log(30, 4)), append);
    let moved = LogEnds { log_start_offset: 3, ..log(30, 4) };
    assert_eq!(step(&mut follower, moved), append, "where it starts does not matter");
}

#[test]
fn a_leader_that_fails_is_asked_less_and_less_often() {
    let mut follower = follower();
    let log = log(30, 4);
    let position = asked(follower.next(&log, at(0)));
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let step = follower.on_answer(&position, Answer::Failed, &log, |_| None, now);
        assert_eq!(step, Step::Nothing);
        let Next::Wait(until) = follower.next(&log, now) else { panic!("it does not wait") };
        pauses.push((until - now).as_millis());
        now = until;
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    follower.on_changed(following(Some(2), Durability::Fsync));
    assert_eq!(asked(follower.next(&log, at(0))), position, "the metadata has changed");
}
