//! The two brokers together: asks both, compares, and remembers what differed.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use flumen_protocol::{FrameWriter, Request};

use crate::line::Outcome;
use crate::report::{Difference, Report};
use crate::side::Side;

/// How often it is looked whether a change is everywhere, for twenty seconds.
const SETTLE_LOOKS: u32 = 400;

/// Between two looks.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) flumen: Side,
    pub(crate) kafka: Side,
    /// Print every request with both answers.
    is_traced: bool,
    report: Report,
}

/// A request that was sent on the second connections and waits there for its answers.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pending<R> {
    request: R,
    version: i16,
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

    pub(crate) fn sides(&mut self) -> [&mut Side; 2] {
        [&mut self.flumen, &mut self.kafka]
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
        let kafka = self.kafka.line.call(&to_kafka, version)?;
        let flumen = self.flumen.line.call(&to_flumen, version)?;
        Ok(self.compare(&to_kafka, version, flumen, kafka, mask))
    }

    /// Asks until what is to become so is so on both sides, and then compares; after a while it compares
    /// what there is.
    pub(crate) fn settle<R: Request + Clone>(
        &mut self,
        version: i16,
        request: &R,
        holds: impl Fn(&R::Response) -> bool,
        mask: impl Fn(&mut R::Response),
    ) -> Result<()> {
        for side in self.sides() {
            for _ in 0..SETTLE_LOOKS {
                match side.line.call(request, version)? {
                    Outcome::Answer(answer) if holds(&answer) => break,
                    _ => std::thread::sleep(SETTLE_INTERVAL),
                }
            }
        }
        self.ask(version, |_| request.clone(), mask)?;
        Ok(())
    }

    /// Sends a request on the second connections, for an answer that others have to bring about.
    pub(crate) fn start<R: Request>(
        &mut self,
        version: i16,
        build: impl Fn(&Side) -> R,
    ) -> Result<Pending<R>> {
        for side in self.sides() {
            let request = build(side);
            side.second_line.send(&request, version)?;
        }
        Ok(Pending { request: build(&self.kafka), version })
    }

    /// Compares the answers to a request that was started.
    pub(crate) fn finish<R: Request>(
        &mut self,
        pending: &Pending<R>,
        mask: impl Fn(&mut R::Response),
    ) -> Result<Option<(R::Response, R::Response)>> {
        let Pending { request, version } = pending;
        let kafka = self.kafka.second_line.receive::<R>(*version)?;
        let flumen = self.flumen.second_line.receive::<R>(*version)?;
        Ok(self.compare(request, *version, flumen, kafka, mask))
    }

    /// Sends a request that is not answered; the next one tells what became of it.
    pub(crate) fn tell<R: Request>(
        &mut self,
        version: i16,
        build: impl Fn(&Side) -> R,
    ) -> Result<()> {
        if self.is_traced {
            trace_unanswered(&build(&self.kafka), version);
        }
        for side in self.sides() {
            let request = build(side);
            side.line.send(&request, version)?;
        }
        Ok(())
    }

    /// Sends both brokers the same bytes and compares what `view` sees in the answers; nothing came
    /// where a broker closed the connection.
    pub(crate) fn ask_bytes(
        &mut self,
        what: &'static str,
        version: i16,
        frame: &[u8],
        view: impl Fn(Option<Bytes>) -> String,
    ) -> Result<()> {
        let kafka = view(self.kafka.line.exchange(frame)?);
        let flumen = view(self.flumen.line.exchange(frame)?);
        let request = || format!("{frame:02x?}");
        self.report.count(Difference::between(what, version, request, &flumen, &kafka));
        Ok(())
    }

    fn compare<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        flumen: Outcome<R::Response>,
        kafka: Outcome<R::Response>,
        mask: impl Fn(&mut R::Response),
    ) -> Option<(R::Response, R::Response)> {
        if self.is_traced {
            trace(request, version, &flumen, &kafka);
        }
        let masked = |outcome: &Outcome<R::Response>| {
            let mut outcome = outcome.clone();
            if let Outcome::Answer(response) = &mut outcome {
                mask(response);
            }
            format!("{outcome:#?}")
        };
        let asked = || format!("{request:?}");
        let (of_flumen, of_kafka) = (masked(&flumen), masked(&kafka));
        let what = R::API_KEY.name();
        self.report.count(Difference::between(what, version, asked, &of_flumen, &of_kafka));
        match (flumen, kafka) {
            (Outcome::Answer(flumen), Outcome::Answer(kafka)) => {
                self.report.cover(R::API_KEY, version);
                Some((flumen, kafka))
            }
            _ => None,
        }
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

#[expect(clippy::print_stdout, reason = "a program that reports to its caller")]
fn trace_unanswered<R: Request>(request: &R, version: i16) {
    println!("v{version} {request:?}\n  nothing is answered");
}
