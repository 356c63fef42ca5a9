//! Runs seeds of a scenario: `cargo run --release -p flumen-sim -- --seeds 100`.
//!
//! A failing seed is printed with the command that replays it, and with it alone.

use std::process::ExitCode;

use clap::Parser;
use flumen_sim::{invariants, scenario};

/// Runs the simulation of a broker that loses power again and again.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Runs every seed twice and compares what came of it.
    #[arg(long)]
    twice: bool,
    /// Shows what the broker and the clients say.
    #[arg(long)]
    log: bool,
}

#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
    }
    let (mut failed, mut acknowledged, mut power_cuts) = (0, 0, 0);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        match run(seed, arguments.twice) {
            Ok(summary) => {
                acknowledged += summary.0;
                power_cuts += summary.1;
            }
            Err(problems) => {
                failed += 1;
                println!("seed {seed} failed: cargo run --release -p flumen-sim -- --seed {seed}");
                for problem in problems {
                    println!("  {problem}");
                }
            }
        }
    }
    let passed = arguments.seeds - failed;
    println!("{acknowledged} records acknowledged through {power_cuts} power cuts");
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a seed; gives acknowledged records and power cuts, or what is wrong.
fn run(seed: u64, twice: bool) -> Result<(usize, u32), Vec<String>> {
    let history = scenario::power_cuts::run(seed).map_err(|failure| vec![failure.0])?;
    let mut problems = invariants::violations(&history);
    if twice {
        let again = scenario::power_cuts::run(seed).map_err(|failure| vec![failure.0])?;
        if again.digest() != history.digest() {
            problems.push("two runs of the seed differ".to_owned());
        }
    }
    if problems.is_empty() {
        Ok((history.acknowledged(), history.power_cuts))
    } else {
        Err(problems)
    }
}
