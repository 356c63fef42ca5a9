//! Carries a schedule of faults out.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::damage::Damage;
use super::{Fault, Planned, Stop};
use crate::cluster::{CLIENTS, Cluster, Link};
use crate::rng::SeededRng;
use crate::spawn::Gate;

/// How long a broker in a restart loop runs at most before it is stopped again.
const LOOP_RUN_MS_MAX: u64 = 400;

/// How long it is down in between.
const LOOP_DOWN: Duration = Duration::from_millis(50);

const BOTH_WAYS: Link = Link::Lossy { forward: true, backward: true };

/// Brokers, by node id, that have an empty disk and so do not vote, until an operator sees to them.
pub type Voteless = Rc<RefCell<BTreeSet<i32>>>;

/// What is under way of a schedule.
#[derive(Debug)]
pub struct Injector {
    planned: VecDeque<Planned>,
    active: Vec<Planned>,
    rng: SeededRng,
    /// When the brokers in restart loops are stopped next.
    loops: Vec<(Duration, usize, Stop)>,
    damage: Damage,
    /// Those of the members of the group.
    gates: Vec<Arc<Gate>>,
}

impl Injector {
    /// Will carry this out; what is left to chance follows from `rng`.
    #[must_use]
    pub fn new(planned: Vec<Planned>, rng: SeededRng, members: usize) -> Self {
        let (active, loops, damage) = Default::default();
        let gates = (0..members).map(|_| Arc::default()).collect();
        Self { planned: planned.into(), active, rng, loops, damage, gates }
    }

    /// The gates by which the members of the group are frozen.
    #[must_use]
    pub fn gates(&self) -> &[Arc<Gate>] {
        &self.gates
    }

    /// Begins and ends what is due. To be called between any two steps.
    pub fn advance(&mut self, cluster: &mut Cluster) {
        let now = cluster.elapsed();
        while let Some(planned) = self.planned.pop_front_if(|planned| planned.begin <= now) {
            // Two faults of the network at once would undo each other's links.
            let is_free = !planned.fault.is_of_links()
                || !self.active.iter().any(|active| active.fault.is_of_links());
            if is_free {
                cluster.note(&format!("{:?} until {:?}", planned.fault, planned.end));
                self.begin(&planned, cluster);
                self.active.push(planned);
            }
        }
        let over: Vec<_> = self.active.extract_if(.., |active| active.end <= now).collect();
        for active in over {
            cluster.note(&format!("{:?} is over", active.fault));
            self.end(&active.fault, cluster);
        }
        for (at, broker, stop) in self.loops.clone() {
            if at <= now {
                cluster.stop(broker, stop, now + LOOP_DOWN);
                self.again(now, broker, stop);
            }
        }
    }

    /// The broker that each partition was damaged on, by topic and index.
    #[must_use]
    pub fn damaged(&self) -> &BTreeMap<(String, i32), i32> {
        &self.damage.damaged
    }

    /// The brokers whose disks were replaced.
    #[must_use]
    pub fn replaced(&self) -> &BTreeSet<i32> {
        &self.damage.replaced
    }

    /// Those of them that an operator is yet to see to.
    #[must_use]
    pub fn voteless(&self) -> &Voteless {
        &self.damage.voteless
    }

    /// Ends everything at once, and whatever else is wrong.
    pub fn heal(&mut self, cluster: &mut Cluster) {
        self.planned.clear();
        for active in std::mem::take(&mut self.active) {
            self.end(&active.fault, cluster);
        }
        cluster.note("everything is healed");
        cluster.start_all();
    }

    fn begin(&mut self, planned: &Planned, cluster: &mut Cluster) {
        match &planned.fault {
            Fault::Stop(brokers, stop) => {
                for broker in brokers {
                    cluster.stop(*broker, *stop, planned.end);
                }
            }
            Fault::Leave(broker) => cluster.machines[*broker].leave(),
            Fault::RestartLoop(broker, stop) => self.again(cluster.elapsed(), *broker, *stop),
            Fault::Pause(brokers) => {
                for broker in brokers {
                    cluster.machines[*broker].node().gate.pause();
                }
            }
            Fault::FreezeMember(member) => self.gates[*member].pause(),
            Fault::Delay(broker, latency) => self.delay(cluster, *broker, Some(*latency)),
            Fault::CutConnections(broker) => {
                let hosts = cluster.hosts();
                for other in &hosts {
                    cluster.cut_connections(&hosts[*broker], other);
                }
            }
            Fault::SlowDisk(broker, latency) => {
                cluster.machines[*broker].node().disk_speed.set_latency(*latency);
            }
            Fault::HungDisk(broker) => cluster.machines[*broker].node().disk_speed.hang(),
            Fault::FailSync(broker) => cluster.fail_sync(*broker),
            Fault::Damage { broker, is_stopped: true } => {
                self.damage.before_stop(cluster, *broker);
                cluster.stop(*broker, Stop::Kill, planned.end);
            }
            Fault::Damage { broker, is_stopped: false } => self.strike(cluster, *broker),
            Fault::ReplaceDisk(broker) => {
                if self.damage.replace(cluster, *broker) {
                    cluster.note(&format!("{} gets an empty disk", cluster.hosts()[*broker]));
                    cluster.stop(*broker, Stop::LoseDisk, planned.end);
                }
            }
            Fault::JumpClock(broker, by_ms) => {
                cluster.machines[*broker].node().clock.jump(*by_ms);
            }
            links => set_links(links, cluster, true),
        }
    }

    fn strike(&mut self, cluster: &mut Cluster, broker: usize) {
        for note in self.damage.strike(cluster, broker, &self.rng) {
            cluster.note(&note);
        }
    }

    fn end(&mut self, fault: &Fault, cluster: &mut Cluster) {
        match fault {
            Fault::RestartLoop(broker, _) => self.loops.retain(|(_, looping, _)| looping != broker),
            Fault::Pause(brokers) => {
                for broker in brokers {
                    cluster.machines[*broker].node().gate.resume();
                }
            }
            Fault::FreezeMember(member) => self.gates[*member].resume(),
            Fault::Delay(broker, _) => self.delay(cluster, *broker, None),
            Fault::SlowDisk(broker, _) => {
                cluster.machines[*broker].node().disk_speed.set_latency(Duration::ZERO);
            }
            Fault::HungDisk(broker) => cluster.machines[*broker].node().disk_speed.release(),
            Fault::Damage { broker, is_stopped: true } if cluster.is_down(*broker) => {
                self.strike(cluster, *broker);
            }
            Fault::Stop(..) | Fault::Leave(_) | Fault::CutConnections(_) | Fault::FailSync(_) => {}
            Fault::Damage { .. } | Fault::ReplaceDisk(_) | Fault::JumpClock(..) => {}
            links => set_links(links, cluster, false),
        }
    }

    fn delay(&self, cluster: &Cluster, broker: usize, latency_max: Option<Duration>) {
        let hosts = cluster.hosts();
        for other in hosts.iter().filter(|other| **other != hosts[broker]) {
            cluster.set_latency(&hosts[broker], other, latency_max);
        }
    }

    fn again(&mut self, now: Duration, broker: usize, stop: Stop) {
        self.loops.retain(|(_, looping, _)| *looping != broker);
        let run = Duration::from_millis(self.rng.below(LOOP_RUN_MS_MAX));
        self.loops.push((now + LOOP_DOWN + run, broker, stop));
    }
}

impl Fault {
    fn is_of_links(&self) -> bool {
        matches!(
            self,
            Self::Split { .. }
                | Self::Ring
                | Self::OneWay { .. }
                | Self::Pair(..)
                | Self::ClientsFrom(_)
        )
    }
}

/// Breaks the links that a fault breaks, or repairs them.
fn set_links(fault: &Fault, cluster: &mut Cluster, is_broken: bool) {
    let hosts = cluster.hosts();
    let brokers = cluster.machines.len();
    let mut broken: Vec<(usize, usize, Link)> = Vec::new();
    match fault {
        Fault::Split { side, has_clients, is_lossy } => {
            let is_inside =
                |index: usize| if index == brokers { *has_clients } else { side.contains(&index) };
            let link = if *is_lossy { BOTH_WAYS } else { Link::Held };
            let inside = (0..hosts.len()).filter(|index| is_inside(*index));
            for one in inside {
                let outside = (0..hosts.len()).filter(|index| !is_inside(*index));
                broken.extend(outside.map(|other| (one, other, link)));
            }
        }
        Fault::Ring => {
            for one in 0..brokers {
                let others = (one + 1..brokers)
                    .filter(|other| other - one != 1 && (one, *other) != (0, brokers - 1));
                broken.extend(others.map(|other| (one, other, Link::Held)));
            }
        }
        Fault::OneWay { from, to } => {
            let link = Link::Lossy { forward: true, backward: false };
            let others = (0..brokers).filter(|other| other != from);
            let deaf = others.filter(|other| to.is_none_or(|to| to == *other));
            broken.extend(deaf.map(|other| (*from, other, link)));
        }
        Fault::Pair(one, other) => broken.push((*one, *other, BOTH_WAYS)),
        Fault::ClientsFrom(broker) => {
            let clients = hosts.iter().position(|host| host == CLIENTS);
            broken.extend(clients.map(|clients| (*broker, clients, Link::Held)));
        }
        _ => {}
    }
    for (one, other, link) in broken {
        cluster.set_link(&hosts[one], &hosts[other], if is_broken { link } else { Link::Open });
    }
}
