//! What a run found: how much was asked, and in what the answers differed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use flumen_protocol::ApiKey;

/// One answer that is not the other's.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) what: &'static str,
    pub(crate) version: i16,
    pub(crate) request: String,
    lines: Vec<String>,
}

impl Difference {
    /// Between two renderings; nothing if they are the same.
    pub(crate) fn between(
        what: &'static str,
        version: i16,
        request: impl FnOnce() -> String,
        flumen: &str,
        kafka: &str,
    ) -> Option<Self> {
        (flumen != kafka).then(|| Self {
            what,
            version,
            request: request(),
            lines: differing_lines(flumen, kafka),
        })
    }
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

/// How many requests were compared, and every kind of difference with its first example.
#[derive(Debug, Default)]
pub(crate) struct Report {
    requests: u64,
    /// Versions of APIs that both brokers have answered.
    covered: BTreeSet<(i16, i16)>,
    differences: BTreeMap<String, (u64, Difference)>,
}

impl Report {
    /// Counts a comparison that is not a request of a version.
    pub(crate) fn count(&mut self, difference: Option<Difference>) {
        self.requests += 1;
        if let Some(difference) = difference {
            let kind = format!("{} {}", difference.what, difference.lines.join(" ; "));
            self.differences.entry(kind).or_insert((0, difference)).0 += 1;
        }
    }

    /// Notes that a version of an API was asked for and answered.
    pub(crate) fn cover(&mut self, api: ApiKey, version: i16) {
        self.covered.insert((api.key(), version));
    }

    /// Both reports as one.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.requests += other.requests;
        self.covered.extend(other.covered);
        for (kind, (count, difference)) in other.differences {
            self.differences.entry(kind).or_insert((0, difference)).0 += count;
        }
        self
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, difference) in self.differences.values() {
            let Difference { what, version, lines, request } = difference;
            writeln!(f, "\n{what} v{version} ({count} times; Flumen | Kafka)\n  asked: {request}")?;
            for line in lines {
                writeln!(f, "       {line}")?;
            }
        }
        let apis: BTreeSet<_> = self.covered.iter().map(|(key, _)| key).collect();
        write!(
            f,
            "{} requests compared, {} kinds of difference; {} versions of {} APIs answered",
            self.requests,
            self.differences.len(),
            self.covered.len(),
            apis.len()
        )
    }
}
