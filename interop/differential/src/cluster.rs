//! Two clusters of three brokers, asked the same: what shows only where there are several brokers.
//!
//! Unlike with two single brokers the course is fixed, since most of it is about how things stand at a
//! moment. Both clusters start empty, with the node ids 1 to 3; the third broker of each is killed on
//! the way.

mod absence;
mod configs;
mod elections;
mod moves;
mod replicas;
mod scene;
mod topics;

use anyhow::{Result, ensure};
use flumen_protocol::Request;
use rustix::process::{Pid, Signal, kill_process};

use crate::pair::Pair;
use crate::report::Report;
use crate::side::Side;

/// The brokers of two clusters, in pairs of the same id.
#[derive(Debug)]
pub(crate) struct Clusters {
    pairs: Vec<Pair>,
    /// The processes of the third brokers.
    third: Vec<Pid>,
}

impl Clusters {
    pub(crate) fn connect(
        flumen: &[String],
        kafka: &[String],
        third: &[i32],
        is_traced: bool,
    ) -> Result<Self> {
        let connect = |(flumen, kafka): (&String, &String)| Pair::connect(flumen, kafka, is_traced);
        let pairs = flumen.iter().zip(kafka).map(connect).collect::<Result<Vec<_>>>()?;
        ensure!(pairs.len() == 3, "a cluster has three brokers here");
        let third: Vec<_> = third.iter().copied().filter_map(Pid::from_raw).collect();
        ensure!(third.len() == 2, "the third broker of each cluster is to be killed");
        Ok(Self { pairs, third })
    }

    /// Plays the whole course; differences go into the report.
    pub(crate) fn play(&mut self) -> Result<()> {
        scene::set(self)?;
        topics::place(self)?;
        topics::grow(self)?;
        configs::change(self)?;
        replicas::ask_those_that_follow(self)?;
        moves::refuse(self)?;
        moves::make(self)?;
        elections::prefer(self)?;
        for pid in &self.third {
            kill_process(*pid, Signal::KILL)?;
        }
        absence::show(self)?;
        absence::hold_elections(self)?;
        absence::move_there(self)?;
        absence::return_never(self)
    }

    pub(crate) fn into_report(self) -> Report {
        let reports = self.pairs.into_iter().map(Pair::into_report);
        reports.fold(Report::default(), Report::and)
    }

    /// Both brokers of an id.
    fn broker(&mut self, id: usize) -> &mut Pair {
        &mut self.pairs[id - 1]
    }

    /// Asks the first broker of each cluster.
    fn ask<R: Request + Clone>(
        &mut self,
        version: i16,
        request: &R,
        mask: impl Fn(&mut R::Response),
    ) -> Result<()> {
        self.broker(1).ask(version, |_: &Side| request.clone(), mask)?;
        Ok(())
    }

    /// The same, again and again until both answers are as they are to become.
    fn settle<R: Request + Clone>(
        &mut self,
        version: i16,
        request: &R,
        holds: impl Fn(&R::Response) -> bool,
        mask: impl Fn(&mut R::Response),
    ) -> Result<()> {
        self.broker(1).settle(version, request, holds, mask)
    }
}
