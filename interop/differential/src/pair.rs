//! The two brokers together: asks both, compares, and remembers what differed.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use flumen_protocol::{FrameWriter, Request};

use crate::side::{Outcome, Side};

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) flumen: Side,
    pub(crate) kafka: Side,
    /// Print every request with both answers.
    is_traced: bool,
    report: Report,
}

impl Pair {
    pub(crate) fn connect(flumen: &str, kafka: &str, is_traced: bool) -> Result<Self> {
        Ok(Self {
            flumen: Side::connect("Flumen", flumen)?,
            kafka: Side::connect("Kafka", kafka)?,
            is_traced,
            report: Report::default(),
        })
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    /// Asks both brokers the same in one version and compares the answers after `mask`.
    ///
    /// `build` makes the request for a side, since ids differ; `mask` blanks what may differ. The
    /// unmasked answers (Flumen's, Kafka's) are returned for what later requests need of them.
    /// A version that cannot carry the request is passed over.
    pub(crate) fn ask<R: Request>(
        &mut self,
        version: i16,
        build: impl Fn(&Side) -> R,
        mask: impl Fn(&mut R::Response),
    ) -> Result<Option<(R::Response, R::Response)>> {
        let (to_flumen, to_kafka) = (build(&self.flumen), build(&self.kafka));
        if to_kafka.encode(&mut FrameWriter::new(), version).is_err() {
            return Ok(None);
        }
        let kafka = self.kafka.call(&to_kafka, version)?;
        let flumen = self.flumen.call(&to_flumen, version)?;
        self.report.requests += 1;
        if self.is_traced {
            trace(&to_kafka, version, &flumen, &kafka);
        }
        let masked = |outcome: &Outcome<R::Response>| {
            let mut outcome = outcome.clone();
            if let Outcome::Answer(response) = &mut outcome {
                mask(response);
            }
            format!("{outcome:#?}")
        };
        let (of_flumen, of_kafka) = (masked(&flumen), masked(&kafka));
        if of_flumen != of_kafka {
            self.report.add(Difference {
                api: R::API_KEY.name(),
                version,
                lines: differing_lines(&of_flumen, &of_kafka),
                request: format!("{to_kafka:?}"),
            });
        }
        Ok(match (flumen, kafka) {
            (Outcome::Answer(flumen), Outcome::Answer(kafka)) => Some((flumen, kafka)),
            _ => None,
        })
    }
}

#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
fn trace<R: Request>(
    request: &R,
    version: i16,
    flumen: &Outcome<R::Response>,
    kafka: &Outcome<R::Response>,
) {
    println!("v{version} {request:?}\n  Flumen {flumen:?}\n  Kafka  {kafka:?}");
}

/// The lines in which two renderings differ, as "flumen | kafka".
fn differing_lines(flumen: &str, kafka: &str) -> Vec<String> {
    const SHOWN: usize = 6;
    let (flumen, kafka): (Vec<_>, Vec<_>) = (flumen.lines().collect(), kafka.lines().collect());
    if flumen.len() != kafka.len() {
        return vec![differing_middle(&flumen, &kafka)];
    }
    flumen
        .iter()
        .zip(&kafka)
        .filter(|(a, b)| a != b)
        .take(SHOWN)
        .map(|(a, b)| format!("{} | {}", a.trim(), b.trim()))
        .collect()
}

/// What stands between the first and the last line that differ, with a few lines before.
fn differing_middle(flumen: &[&str], kafka: &[&str]) -> String {
    const CONTEXT: usize = 3;
    let same = flumen.iter().zip(kafka).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(CONTEXT);
    let pairs_from_end = flumen[same..].iter().rev().zip(kafka[same..].iter().rev());
    let end = pairs_from_end.take_while(|(a, b)| a == b).count();
    let flat = |lines: &[&str]| {
        let words = lines[start..lines.len() - end].iter().map(|line| line.trim());
        words.collect::<Vec<_>>().join(" ")
    };
    format!("… {}\n       | … {}", flat(flumen), flat(kafka))
}

#[derive(Debug)]
struct Difference {
    api: &'static str,
    version: i16,
    lines: Vec<String>,
    request: String,
}

/// How many requests were compared, and every kind of difference with its first example.
#[derive(Debug, Default)]
pub(crate) struct Report {
    requests: u64,
    differences: BTreeMap<String, (u64, Difference)>,
}

impl Report {
    fn add(&mut self, difference: Difference) {
        let kind = format!("{} {}", difference.api, difference.lines.join(" ; "));
        self.differences.entry(kind).or_insert((0, difference)).0 += 1;
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, difference) in self.differences.values() {
            let Difference { api, version, lines, request } = difference;
            writeln!(f, "\n{api} v{version} ({count} times; Flumen | Kafka)\n  asked: {request}")?;
            for line in lines {
                writeln!(f, "       {line}")?;
            }
        }
        let kinds = self.differences.len();
        write!(f, "{} requests compared, {kinds} kinds of difference", self.requests)
    }
}
