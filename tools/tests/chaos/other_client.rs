//! Another library as load, beside our own: a program around it writes and reads as `load` does.
//!
//! `FLUMEN_CHAOS_CLIENT` is the command that starts it, its words parted by spaces. It is given where
//! to connect, the topic, its number of partitions, and the name of a group. It writes to every
//! partition and reads as two members of the group and as a reader of all, and prints what it was
//! told, an [`Event`] in JSON a line. At the end of its standard input it settles what is open and
//! ends with 0.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flumen_sim::history::{Value, Written};
use flumen_sim::operations::{Poll, Polled, Send};
use serde::Deserialize;

use crate::gaps::Gaps;
use crate::history::{History, began, committed};
use crate::seams::seams;

/// The group its members join.
pub(crate) const OTHER_GROUP: &str = "chaos-other-readers";

/// Its first value: no run of ours comes that far.
const VALUES: Value = 1 << 40;
/// Its producer, and the first of its consumers.
const CLIENTS: u32 = 1_000;

/// What the program was told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Event {
    /// How the write of a record ended. Values count from 0 in the order in which the producer was
    /// given the records; their text is [`VALUES`] further, filled up with dots as ours is.
    Sent { operation: u64, partition: i32, value: Value, written: Outcome },
    /// What a consumer was given by one call: partition, offset and text of each record.
    Polled { consumer: u32, placing: u64, records: Vec<(i32, i64, String)> },
    /// The first record that a member was given of a partition since its partitions changed.
    Began { member: (u32, u64), partition: i32, offset: i64 },
    /// A member heard that its commit is done.
    Committed { member: (u32, u64), partition: i32, offset: i64 },
    /// An error that is no anomaly.
    Complaint(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// With this offset.
    Acknowledged(i64),
    /// The library cannot say.
    Unknown,
}

/// The program at work. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct OtherClient {
    process: Child,
    listening: Option<JoinHandle<()>>,
    pub(crate) gaps: Arc<Gaps>,
}

impl OtherClient {
    /// Starts the program.
    pub(crate) fn start(
        command: &str,
        (bootstrap, topic, partitions): (&str, &str, i32),
        history: &Arc<History>,
    ) -> Self {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command has a first word");
        let mut process = Command::new(program)
            .args(words)
            .args([bootstrap, topic, &partitions.to_string(), OTHER_GROUP, &VALUES.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        let writers = usize::try_from(partitions).unwrap();
        let gaps = Arc::new(Gaps::new(writers, seams().clock.monotonic()));
        let output = process.stdout.take().expect("it is a pipe");
        let (history, heard) = (Arc::clone(history), Arc::clone(&gaps));
        #[expect(
            clippy::disallowed_methods,
            reason = "reading a pipe blocks, and nothing is simulated"
        )]
        let listening = std::thread::spawn(move || listen(output, &history, &heard));
        Self { process, listening: Some(listening), gaps }
    }

    /// Whether it has not come to an end.
    pub(crate) fn is_alive(&self) -> bool {
        self.listening.as_ref().is_some_and(|listening| !listening.is_finished())
    }

    /// Ends its work and waits until it has settled everything, at most for so long.
    pub(crate) async fn finish(mut self, patience: Duration) {
        drop(self.process.stdin.take());
        let waiting = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.expect("the other client comes to its end");
        self.listening.take().expect("it was there").join().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "the other client: {status}");
    }
}

impl Drop for OtherClient {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Notes what the program says until it is silent for good.
fn listen(output: ChildStdout, history: &History, gaps: &Gaps) {
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        let event = serde_json::from_str(&line);
        note(event.unwrap_or_else(|error| panic!("{error}: {line}")), history, gaps);
    }
}

fn note(event: Event, history: &History, gaps: &Gaps) {
    match event {
        Event::Sent { operation, partition, value, written } => {
            let written = match written {
                Outcome::Acknowledged(offset) => {
                    let writer = usize::try_from(partition).unwrap();
                    gaps.acknowledged(writer, seams().clock.monotonic());
                    Written::Acknowledged(Some(offset))
                }
                Outcome::Unknown => Written::Unknown,
            };
            let value = VALUES + value;
            history.sent(vec![Send { producer: CLIENTS, operation, partition, value, written }]);
        }
        Event::Polled { consumer, placing, records } => {
            let polled = |(partition, offset, text): (i32, i64, String)| {
                let value = History::value_of(text.as_bytes());
                let value = value.unwrap_or_else(|| panic!("nobody wrote {text:?}"));
                Polled { partition, offset, value }
            };
            let records = records.into_iter().map(polled).collect();
            history.polled(Poll { consumer: CLIENTS + consumer, placing, records });
        }
        Event::Began { member, partition, offset } => {
            history.progressed(OTHER_GROUP, began(member.0, partition, offset));
        }
        Event::Committed { member, partition, offset } => {
            history.progressed(OTHER_GROUP, committed(member.0, partition, offset));
        }
        Event::Complaint(text) => history.complain("other client", &text),
    }
}

#[cfg(test)]
mod tests {
    use flumen_sim::anomalies;

    use super::*;

    #[test]
    fn what_it_says_is_held_against_the_same_rules() {
        let history = History::default();
        let gaps = Gaps::new(1, Duration::ZERO);
        let lines = [
            r#"{"sent":{"operation":1,"partition":0,"value":0,"written":{"acknowledged":5}}}"#,
            r#"{"sent":{"operation":1,"partition":0,"value":1,"written":"unknown"}}"#,
            r#"{"polled":{"consumer":1,"placing":1,"records":[[0,6,"1099511627777..."]]}}"#,
            r#"{"committed":{"member":[0,1],"partition":0,"offset":7}}"#,
            r#"{"began":{"member":[1,1],"partition":0,"offset":6}}"#,
            r#"{"complaint":"not now"}"#,
        ];
        for line in lines {
            note(serde_json::from_str(line).unwrap(), &history, &gaps);
        }
        let verdict = history.verdict(CLIENTS + 1);
        let tally = &verdict.tally;
        assert_eq!((tally.acknowledged, tally.unknown, tally.lost), (1, 1, 1));
        let has = |name: &str| verdict.violations.iter().any(|found| found.starts_with(name));
        assert!(has("commits never go back"), "{:?}", verdict.violations);
        assert!(anomalies::ALL.iter().any(|(name, _)| has(name)), "{:?}", verdict.violations);
        assert_eq!(history.complaints().len(), 1);
    }
}
