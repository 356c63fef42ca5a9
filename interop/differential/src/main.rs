//! Asks two brokers the same questions and compares their answers field by field.
//!
//! One is Apache Kafka, the other is Flumen; both start empty. A seed gives a sequence of requests over
//! every served API and version, with sensible and wrong arguments. What may differ (ids, addresses,
//! wording of messages) is masked where the operation is written, with the reason beside it.
//!
//! The brokers need node id 1, one log directory, and nobody else talking to them. With three addresses for
//! each, two clusters are compared instead, by a fixed course.

mod cluster;
mod line;
mod ops;
mod pair;
mod random;
mod report;
mod side;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cluster::Clusters;
use crate::pair::Pair;
use crate::random::Random;

/// Compares the answers of two brokers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The broker under test, HOST:PORT; or the three of a cluster.
    #[arg(long, value_delimiter = ',', required = true)]
    flumen: Vec<String>,
    /// The broker that is right by definition, HOST:PORT; or the three of a cluster.
    #[arg(long, value_delimiter = ',', required = true)]
    kafka: Vec<String>,
    /// The process ids of the third broker of each cluster, which are killed on the way.
    #[arg(long, value_delimiter = ',')]
    third: Vec<i32>,
    /// Gives the sequence of requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many operations to run; each asks both brokers at least once.
    #[arg(long, default_value_t = 2000)]
    operations: u64,
    /// Only operations whose name contains this, beside those that set the scene.
    #[arg(long, default_value = "")]
    only: String,
    /// Prints every request and both answers.
    #[arg(long)]
    trace: bool,
}

#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let Arguments { flumen, kafka, third, seed, trace, .. } = &arguments;
    let (report, played) = if let ([flumen], [kafka]) = (flumen.as_slice(), kafka.as_slice()) {
        let mut pair = Pair::connect(flumen, kafka, *trace)?;
        let played = play(&arguments, &mut pair, &mut Random::new(*seed));
        (pair.into_report(), played)
    } else {
        let mut clusters = Clusters::connect(flumen, kafka, third, *trace)?;
        let played = clusters.play();
        (clusters.into_report(), played)
    };
    println!("seed {seed}: {report}");
    played?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(arguments: &Arguments, pair: &mut Pair, random: &mut Random) -> anyhow::Result<()> {
    let operations = ops::matching(&arguments.only);
    anyhow::ensure!(!operations.is_empty(), "no operation has {:?} in its name", arguments.only);
    ops::set_scene(pair, random)?;
    for _ in 0..arguments.operations {
        let operation = random.choose(&operations);
        (operation.run)(pair, random).with_context(|| operation.name)?;
    }
    Ok(())
}
