//! Runs seeds of a scenario: `cargo run --release -p flumen-sim -- cluster --seeds 100`.
//!
//! A failing seed is printed with the command that replays it, and with it alone.

#[cfg(feature = "planted-bugs")]
mod power;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use flumen_broker::controller::QUORUM_LOG_FILTER;
use flumen_sim::{invariants, scenario};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Runs whole brokers and clients in virtual time, and breaks everything around them.
#[derive(Debug, Parser)]
struct Arguments {
    /// What happens in a run.
    scenario: Scenario,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How many brokers; as the seed says if not given.
    #[arg(long)]
    brokers: Option<i32>,
    /// Which bugs are planted, by their names with commas between; all if not given.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    bug: Option<String>,
    /// Begins no further seed after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// How many seeds to run at the same time, each on a thread of its own.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs every seed twice and compares what came of it.
    #[arg(long)]
    twice: bool,
    /// Shows what is done to the brokers, and what they and the clients say.
    #[arg(long)]
    log: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scenario {
    /// Some brokers, clients of every kind, and every kind of fault.
    Cluster,
    /// One broker that loses power again and again.
    PowerCuts,
    /// A cluster for each bug that can be planted, until a seed finds it.
    #[cfg(feature = "planted-bugs")]
    Planted,
}

/// When no further seed begins, if ever.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "the time that it may take is that of the caller"
    )]
    fn is_over(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }
}

/// What came of a seed.
#[derive(Debug, Default)]
struct Summary {
    trace: String,
    acknowledged: usize,
    elapsed: Duration,
    log: Vec<String>,
    problems: Vec<String>,
}

/// What came of all seeds.
#[derive(Debug, Default)]
struct Total {
    begun: u64,
    ran: u32,
    failed: u32,
    acknowledged: usize,
    simulated: Duration,
}

impl Total {
    fn add(&mut self, summary: &Summary) {
        self.ran += 1;
        self.failed += u32::from(!summary.problems.is_empty());
        self.acknowledged += summary.acknowledged;
        self.simulated += summary.elapsed;
    }
}

/// Writes the time of the run before each line of the log, as the faults' own log does.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        write!(line, "{:>7.3}", elapsed.as_secs_f64())
    }
}

#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
#[expect(clippy::disallowed_methods, reason = "the time that it may take is that of the caller")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        let filter = format!("debug,{QUORUM_LOG_FILTER}");
        tracing_subscriber::fmt().with_timer(VirtualTime).with_env_filter(filter).init();
    }
    let began = Instant::now();
    let deadline = Deadline(arguments.minutes.map(|m| began + Duration::from_secs(m * 60)));
    #[cfg(feature = "planted-bugs")]
    if matches!(arguments.scenario, Scenario::Planted) {
        return power::measure(&arguments, deadline);
    }
    let total = Mutex::new(Total::default());
    let locked = || total.lock().expect("nobody panics while holding sums");
    let next = || {
        let mut total = locked();
        let seed = arguments.seed + total.begun;
        (total.begun < arguments.seeds && !deadline.is_over()).then(|| total.begun += 1)?;
        Some(seed)
    };
    let work = || {
        while let Some(seed) = next() {
            let summary = run(&arguments, seed);
            // Under the lock, so that the lines of a seed stay together.
            let mut total = locked();
            total.add(&summary);
            print(&arguments, seed, &summary);
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.jobs).for_each(|_| drop(scope.spawn(work)));
    });
    let Total { ran, failed, acknowledged, simulated, .. } = *locked();
    let hours = simulated.as_secs_f64() / 3600.0;
    println!("{ran} seeds, {hours:.2} simulated hours, {acknowledged} records acknowledged");
    println!("{} passed, {failed} failed, in {:.0?}", ran - failed, began.elapsed());
    if let Some(cpu) = cpu_seconds() {
        println!("{:.2} s of processor time for each", cpu / f64::from(ran.max(1)));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what is wrong with a seed, and how to see it again.
#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
fn print(arguments: &Arguments, seed: u64, summary: &Summary) {
    if arguments.log {
        summary.log.iter().for_each(|line| println!("{line}"));
    }
    if summary.problems.is_empty() {
        return;
    }
    let name = arguments.scenario.to_possible_value();
    let name = name.as_ref().map_or("", |name| name.get_name());
    let brokers = arguments.brokers.map(|count| format!(" --brokers {count}"));
    println!(
        "seed {seed} failed: cargo run --release -p flumen-sim -- {name} --seed {seed}{}",
        brokers.unwrap_or_default()
    );
    for problem in &summary.problems {
        println!("  {problem}");
    }
}

/// The processor time of this process, where the system tells in the way of Linux.
fn cpu_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold anything, so what follows it is counted from its end.
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.sum::<Result<f64, _>>().ok()? / TICKS_PER_SECOND)
}

/// Runs a seed, twice if asked to. A panic is a problem like others.
fn run(arguments: &Arguments, seed: u64) -> Summary {
    let once = || {
        catch_unwind(|| match arguments.scenario {
            Scenario::Cluster => cluster(seed, arguments.brokers),
            Scenario::PowerCuts => power_cuts(seed),
            #[cfg(feature = "planted-bugs")]
            Scenario::Planted => unreachable!("it is more than one run"),
        })
        .unwrap_or_else(|_| Summary::failed("a task panicked".to_owned()))
    };
    let mut summary = once();
    if arguments.twice {
        let again = once().trace;
        let mut lines = summary.trace.lines().zip(again.lines());
        if let Some((one, other)) = lines.find(|(one, other)| one != other) {
            summary.problems.push(format!("two runs of the seed differ:\n    {one}\n    {other}"));
        }
    }
    summary
}

fn cluster(seed: u64, brokers: Option<i32>) -> Summary {
    let brokers = brokers.unwrap_or_else(|| scenario::cluster::brokers_of(seed));
    match scenario::cluster::run(seed, brokers) {
        Ok(outcome) => Summary {
            trace: outcome.trace(),
            acknowledged: outcome.operations.acknowledged(),
            elapsed: outcome.elapsed,
            log: outcome.log,
            problems: outcome.problems,
        },
        Err(failure) => Summary::failed(failure.0),
    }
}

fn power_cuts(seed: u64) -> Summary {
    match scenario::power_cuts::run(seed) {
        Ok(history) => Summary {
            trace: format!("{history:#?}"),
            acknowledged: history.acknowledged(),
            problems: invariants::violations(&history),
            ..Summary::default()
        },
        Err(failure) => Summary::failed(failure.0),
    }
}

impl Summary {
    fn failed(problem: String) -> Self {
        Self { problems: vec![problem], ..Self::default() }
    }
}
