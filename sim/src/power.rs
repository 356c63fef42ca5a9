//! The power of the checkers: which seed finds which of the bugs that can be planted.
//!
//! A seed finds a bug if its run fails with the bug and passes without. One that fails either way says
//! nothing about the bug.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;

use flumen_planted::{Bug, plant};

use crate::{Arguments, Deadline, Summary, cluster};

/// As much of a problem as a line of a table takes.
const PROBLEM_CHARS_MAX: usize = 160;

/// What came of the seeds that a bug was given.
enum Search {
    /// This seed found it first, by this problem.
    Found(u64, String),
    /// So many did not.
    Missed(u64),
}

/// Plants bugs and prints the first seed that finds each. Fails if one is not found.
#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
pub(super) fn measure(arguments: &Arguments, deadline: Deadline) -> ExitCode {
    let names = arguments.bug.as_deref().map(|names| names.split(',').collect::<Vec<_>>());
    let is_wanted = |bug: &Bug| {
        let is_meant = |name: &&str| format!("{bug:?}").eq_ignore_ascii_case(name);
        names.as_ref().is_none_or(|names| names.iter().any(is_meant))
    };
    let left = Mutex::new(Bug::ALL.iter().copied().filter(is_wanted));
    let missed = Mutex::new(0_usize);
    let next = || left.lock().expect("nobody panics while taking one").next();
    let work = || {
        while let Some(bug) = next() {
            let line = match search(arguments, deadline, bug) {
                Search::Found(seed, problem) => {
                    let problem: String = problem.chars().take(PROBLEM_CHARS_MAX).collect();
                    format!("{seed} | {problem}")
                }
                Search::Missed(seeds) => {
                    *missed.lock().expect("nobody panics while counting") += 1;
                    format!("not found in {seeds} |")
                }
            };
            println!("{bug:?} | {} | {line}", bug.description());
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.jobs).for_each(|_| drop(scope.spawn(work)));
    });
    let missed = *missed.lock().expect("nobody panics while counting");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn search(arguments: &Arguments, deadline: Deadline, bug: Bug) -> Search {
    let mut ran = 0;
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        if deadline.is_over() {
            break;
        }
        let problems = problems(arguments, seed, Some(bug));
        if let Some(problem) = problems.into_iter().next()
            && self::problems(arguments, seed, None).is_empty()
        {
            return Search::Found(seed, problem);
        }
        ran += 1;
    }
    Search::Missed(ran)
}

/// What is wrong with a seed, with a bug planted or without.
fn problems(arguments: &Arguments, seed: u64, bug: Option<Bug>) -> Vec<String> {
    plant(bug);
    let summary = catch_unwind(|| cluster(seed, arguments.brokers))
        .unwrap_or_else(|_| Summary::failed("a task panicked".to_owned()));
    plant(None);
    summary.problems
}
