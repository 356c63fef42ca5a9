use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::vfs::simulated::{Operation, Unsynced};
use crate::vfs::{OpenOptions, SimulatedDisk, Vfs};

type Outcome = Result<usize, Option<i32>>;

const FAILED: Outcome = Err(Some(rustix::io::Errno::IO.raw_os_error()));

/// A log of single bytes, each of which is acknowledged once it is durable.
#[derive(Debug)]
struct Log {
    file: Arc<dyn VfsFile>,
    end: AtomicUsize,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

impl Flushable for Log {
    fn begin_flush(self: Arc<Self>) -> Option<Flush> {
        let end = self.end.load(Ordering::SeqCst);
        let files = vec![Arc::clone(&self.file)];
        let outcomes = Arc::clone(&self.outcomes);
        let done = move |result: FlushResult| {
            outcomes.lock().push(result.map(|()| end).map_err(|error| error.raw_os_error()));
        };
        (end > 0).then(|| Flush { files, done: Box::new(done) })
    }
}

impl Log {
    fn append(&self) {
        let end = self.end.load(Ordering::SeqCst);
        self.file.write_at(b"x", end as u64).unwrap();
        self.end.store(end + 1, Ordering::SeqCst);
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.lock().clone()
    }
}

type Jobs = Arc<Mutex<VecDeque<Box<dyn FnOnce() + Send>>>>;

/// A group commit whose rounds run when the test says so.
struct Bench {
    disk: SimulatedDisk,
    jobs: Jobs,
    group: GroupCommit,
    logs: Vec<(Registration, Arc<Log>)>,
}

impl Bench {
    fn new(log_count: usize) -> Self {
        let disk = SimulatedDisk::new();
        let jobs = Jobs::default();
        let queue = Arc::clone(&jobs);
        let run: Run = Arc::new(move |job| queue.lock().push_back(job));
        let group = GroupCommit::new(disk.file_system(Path::new("/")).unwrap(), run);
        let logs = (0..log_count)
            .map(|index| {
                let path = format!("/{index}");
                let log = Arc::new(Log {
                    file: disk.open(Path::new(&path), OpenOptions::CREATE_NEW).unwrap(),
                    end: AtomicUsize::new(0),
                    outcomes: Arc::default(),
                });
                (group.register(), log)
            })
            .collect();
        disk.sync_dir(Path::new("/")).unwrap();
        Self { disk, jobs, group, logs }
    }

    fn append(&self, index: usize) {
        let (registration, log) = &self.logs[index];
        log.append();
        registration.mark_dirty(Arc::clone(log) as Arc<dyn Flushable>);
    }

    fn run(&self) -> usize {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        let count = jobs.len();
        jobs.into_iter().for_each(|job| job());
        count
    }

    fn outcomes(&self, index: usize) -> Vec<Outcome> {
        self.logs[index].1.outcomes()
    }
}

#[test]
fn what_is_dirty_when_a_round_starts_shares_its_sync() {
    let bench = Bench::new(2);
    for _ in 0..5 {
        bench.append(0);
        bench.append(1);
    }
    assert_eq!(bench.run(), 1, "one job for all");
    assert_eq!(bench.outcomes(0), [Ok(5)]);
    assert_eq!(bench.outcomes(1), [Ok(5)]);
    let expected = Statistics { rounds: 1, flushed_logs: 2, file_syncs: 2, file_system_syncs: 0 };
    assert_eq!(bench.group.statistics(), expected);
}

#[test]
fn many_files_share_a_sync_of_the_file_system() {
    let bench = Bench::new(20);
    (0..20).for_each(|index| bench.append(index));
    bench.run();
    let expected = Statistics { rounds: 1, flushed_logs: 20, file_syncs: 0, file_system_syncs: 1 };
    assert_eq!(bench.group.statistics(), expected);
    bench.disk.crash(Unsynced::Dropped);
    for index in 0..20 {
        assert_eq!(bench.outcomes(index), [Ok(1)]);
        assert_eq!(bench.disk.file_size(Path::new(&format!("/{index}"))).unwrap(), 1);
    }
}

#[test]
fn what_arrives_during_a_sync_goes_into_the_next_of_the_same_job() {
    /// A log that is appended to once more while its first flush is under way.
    #[derive(Debug)]
    struct Busy {
        log: Arc<Log>,
        registration: Arc<Registration>,
        left: AtomicUsize,
    }

    impl Flushable for Busy {
        fn begin_flush(self: Arc<Self>) -> Option<Flush> {
            let flush = Arc::clone(&self.log).begin_flush();
            if self.left.fetch_sub(1, Ordering::SeqCst) > 1 {
                self.log.append();
                let registration = Arc::clone(&self.registration);
                registration.mark_dirty(self);
            }
            flush
        }
    }

    let mut bench = Bench::new(1);
    let (registration, log) = bench.logs.remove(0);
    log.append();
    let registration = Arc::new(registration);
    let busy = Busy {
        log: Arc::clone(&log),
        registration: Arc::clone(&registration),
        left: AtomicUsize::new(3),
    };
    registration.mark_dirty(Arc::new(busy));
    assert_eq!(bench.run(), 1, "no further job is needed");
    assert_eq!(log.outcomes(), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(bench.group.statistics().rounds, 3);
}

#[test]
fn rounds_run_inline_where_the_caller_wants_it() {
    let disk = SimulatedDisk::new();
    let run: Run = Arc::new(|job| job());
    let group = GroupCommit::new(disk.file_system(Path::new("/")).unwrap(), run);
    let log = Arc::new(Log {
        file: disk.open(Path::new("/log"), OpenOptions::CREATE_NEW).unwrap(),
        end: AtomicUsize::new(0),
        outcomes: Arc::default(),
    });
    let registration = group.register();
    for end in 1..=3 {
        log.append();
        registration.mark_dirty(Arc::clone(&log) as Arc<dyn Flushable>);
        assert_eq!(log.outcomes().len(), end, "durable before the call returns");
    }
}

#[test]
fn a_failed_sync_is_final() {
    let bench = Bench::new(2);
    bench.append(0);
    bench.run();
    bench.disk.fail_matching(Operation::Sync, "", 1);
    bench.append(0);
    bench.append(1);
    bench.run();
    assert_eq!(bench.outcomes(0), [Ok(1), FAILED]);
    assert_eq!(bench.outcomes(1), [FAILED]);
    assert!(bench.group.failure().is_some());

    // The disk works again, and yet nothing more is acknowledged, nor even tried.
    let before = bench.group.statistics();
    bench.append(1);
    assert_eq!(bench.run(), 0);
    assert_eq!(bench.outcomes(1).last(), Some(&FAILED));
    assert_eq!(bench.group.statistics(), before);
}

#[test]
fn what_was_marked_during_a_sync_that_fails_fails_too() {
    #[derive(Debug)]
    struct Marks {
        other: (Registration, Arc<Log>),
        log: Arc<Log>,
    }

    impl Flushable for Marks {
        fn begin_flush(self: Arc<Self>) -> Option<Flush> {
            self.other.1.append();
            self.other.0.mark_dirty(Arc::clone(&self.other.1) as Arc<dyn Flushable>);
            Arc::clone(&self.log).begin_flush()
        }
    }

    let mut bench = Bench::new(2);
    let other = bench.logs.remove(1);
    let late = Arc::clone(&other.1);
    let (registration, log) = bench.logs.remove(0);
    log.append();
    bench.disk.fail_matching(Operation::Sync, "", 1);
    registration.mark_dirty(Arc::new(Marks { other, log: Arc::clone(&log) }));
    bench.run();
    assert_eq!(log.outcomes(), [FAILED]);
    assert_eq!(late.outcomes(), [FAILED]);
}

#[test]
fn a_panic_in_a_log_fails_the_directory() {
    #[derive(Debug)]
    struct Panics;

    impl Flushable for Panics {
        fn begin_flush(self: Arc<Self>) -> Option<Flush> {
            panic!("a bug in a log");
        }
    }

    let bench = Bench::new(1);
    bench.group.register().mark_dirty(Arc::new(Panics));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.run()));
    assert!(result.is_err());
    bench.append(0);
    assert_eq!(bench.outcomes(0), [Err(None)]);
}
