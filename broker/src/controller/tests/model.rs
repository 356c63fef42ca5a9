//! Every course of events, up to a depth, of one partition on three brokers.
//!
//! The controller is the real one: its decisions on its image. The brokers are as simple as they can be:
//! each is up or not, knows one state of the partition, and has everything that was ever committed or not.
//! Messages are delivered late, twice, or never (the two newest are under way); disks are lost; metadata
//! arrives when it likes. Whoever acts as leader must have everything (R3, R4), unless its topic allows
//! otherwise.

use std::collections::{BTreeMap, BTreeSet};

use flumen_protocol::Uuid;

use super::invariants::{check_nobody_fenced_in_sync, check_step};
use crate::config::BrokerConfig;
use crate::controller::alter_partitions::alter_partitions;
use crate::controller::brokers::{
    BrokerRegistration, begin_leaving, fence_broker, register_broker, unfence_broker,
};
use crate::controller::control::{AlterPartitions, InSyncChange};
use crate::controller::elections::{ElectionType, elect_leaders};
use crate::controller::image::{MetadataImage, PartitionImage};
use crate::controller::records::MetadataRecord;
use crate::controller::standing::Standing;
use crate::controller::testing::{image_of_partition, registration, replay_all};

const BROKERS: [i32; 3] = [1, 2, 3];
const MESSAGES_MAX: usize = 2;

/// What a broker knows of the partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    leader: Option<i32>,
    leader_epoch: i32,
    partition_epoch: i32,
    in_sync: Vec<i32>,
}

impl View {
    fn of(partition: &PartitionImage) -> Self {
        let (leader, in_sync) = (partition.leader, partition.in_sync.clone());
        let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
        Self { leader, leader_epoch, partition_epoch, in_sync }
    }
}

#[derive(Debug, Clone)]
struct Replica {
    is_up: bool,
    epoch: i64,
    /// What is noted in its directory.
    noted_epoch: Option<i64>,
    has_all: bool,
    view: View,
}

#[derive(Debug, Clone)]
struct World {
    image: MetadataImage,
    replicas: BTreeMap<i32, Replica>,
    messages: Vec<AlterPartitions>,
    starts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Kill(i32),
    LoseDisk(i32),
    Start(i32),
    Serve(i32),
    Fence(i32),
    Leave(i32),
    Learn(i32),
    /// The leader commits something with everybody who is or may be in sync.
    Commit(i32),
    CatchUp(i32),
    /// The leader proposes to take a follower in, or out.
    Propose(i32, i32),
    /// A message arrives; it may arrive again.
    Deliver(usize),
    Prefer,
}

impl World {
    fn new() -> Self {
        let image = image_of_partition(Some(1), &BROKERS);
        let partition = image.partition("t", 0).unwrap();
        let replica = |id: i32| Replica {
            is_up: true,
            epoch: i64::from(id),
            noted_epoch: Some(i64::from(id)),
            has_all: true,
            view: View::of(partition),
        };
        let replicas = BROKERS.iter().map(|id| (*id, replica(*id))).collect();
        Self { image, replicas, messages: Vec::new(), starts: 0 }
    }

    fn partition(&self) -> &PartitionImage {
        self.image.partition("t", 0).unwrap()
    }

    fn leads(&self, id: i32) -> bool {
        let replica = &self.replicas[&id];
        replica.is_up && replica.view.leader == Some(id)
    }

    /// The committed in-sync set that a leader knows of, with all it proposed and may have been given.
    fn maximal(&self, leader: i32) -> BTreeSet<i32> {
        let view = &self.replicas[&leader].view;
        let proposed = self
            .messages
            .iter()
            .filter(|message| message.broker_id == leader)
            .flat_map(|message| &message.partitions)
            .filter(|change| change.leader_epoch == view.leader_epoch)
            .flat_map(|change| change.in_sync.iter().map(|(id, _)| *id));
        view.in_sync.iter().copied().chain(proposed).collect()
    }

    /// Whether `follower` fetches from `leader`: both know of the same election.
    fn fetches(&self, follower: i32, leader: i32) -> bool {
        let (follower, leader) = (&self.replicas[&follower], &self.replicas[&leader]);
        follower.is_up && leader.is_up && follower.view.leader_epoch == leader.view.leader_epoch
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Prefer];
        for id in BROKERS {
            let replica = &self.replicas[&id];
            let registered = self.image.broker(id).unwrap();
            let is_current = replica.is_up && registered.epoch == replica.epoch;
            if replica.is_up {
                events.extend([Event::Kill(id), Event::LoseDisk(id)]);
            } else if self.starts < 3 {
                events.push(Event::Start(id));
            }
            if !registered.fenced {
                events.push(Event::Fence(id));
            }
            if is_current && registered.fenced && !registered.is_leaving {
                events.push(Event::Serve(id));
            }
            if is_current && !registered.fenced && !registered.is_leaving {
                events.push(Event::Leave(id));
            }
            if replica.is_up && replica.view != View::of(self.partition()) {
                events.push(Event::Learn(id));
            }
            if self.leads(id) {
                events.push(Event::Commit(id));
                let followers = BROKERS.into_iter().filter(|other| *other != id);
                events.extend(followers.map(|other| Event::Propose(id, other)));
            }
            if replica.is_up && !replica.has_all {
                events.push(Event::CatchUp(id));
            }
        }
        events.extend((0..self.messages.len()).map(Event::Deliver));
        events
    }

    fn apply(&mut self, records: Vec<MetadataRecord>) {
        let before = self.image.clone();
        replay_all(&mut self.image, &records);
        check_step(&before, &self.image);
        check_nobody_fenced_in_sync(&self.image);
    }

    /// Lets the event happen; `false` if it cannot now.
    fn step(&mut self, event: Event, config: &BrokerConfig) -> bool {
        let image = self.image.clone();
        let standing = Standing::new(&image, config);
        match event {
            Event::Kill(id) => self.replica(id).is_up = false,
            Event::LoseDisk(id) => {
                let replica = self.replica(id);
                (replica.is_up, replica.has_all, replica.noted_epoch) = (false, false, None);
            }
            Event::Start(id) => {
                self.starts += 1;
                let replica = &self.replicas[&id];
                let broker = BrokerRegistration {
                    previous_epoch: replica.noted_epoch,
                    incarnation_id: Uuid::from_bytes(
                        [u8::try_from(image.next_broker_epoch()).unwrap(); 16],
                    ),
                    ..registration(id, 0)
                };
                let decision = register_broker(standing, &broker, false);
                let epoch = decision.answer.unwrap();
                self.apply(decision.records);
                let view = View::of(self.partition());
                let replica = self.replica(id);
                (replica.is_up, replica.epoch, replica.noted_epoch) = (true, epoch, Some(epoch));
                replica.view = view;
            }
            Event::Serve(id) => {
                self.apply(unfence_broker(standing, image.broker(id).unwrap()));
            }
            Event::Fence(id) => {
                let epoch = image.broker(id).unwrap().epoch;
                self.apply(fence_broker(standing, id, epoch).records);
            }
            Event::Leave(id) => self.apply(begin_leaving(standing, image.broker(id).unwrap())),
            Event::Learn(id) => self.replica(id).view = View::of(image.partition("t", 0).unwrap()),
            Event::Commit(leader) => {
                let maximal = self.maximal(leader);
                let enough = self.replicas[&leader].view.in_sync.len() >= 2;
                if !enough || !maximal.iter().all(|id| self.fetches(*id, leader)) {
                    return false;
                }
                for (id, replica) in &mut self.replicas {
                    replica.has_all &= maximal.contains(id);
                }
            }
            Event::CatchUp(id) => {
                let from = BROKERS.into_iter().find(|leader| {
                    self.leads(*leader)
                        && self.replicas[leader].has_all
                        && self.fetches(id, *leader)
                });
                if from.is_none() {
                    return false;
                }
                self.replica(id).has_all = true;
            }
            Event::Propose(leader, follower) => return self.propose(leader, follower),
            Event::Deliver(at) => {
                let message = self.messages[at].clone();
                let decision = alter_partitions(standing, &message);
                self.apply(decision.records);
            }
            Event::Prefer => {
                let decision = elect_leaders(&standing, ElectionType::Preferred, None);
                if decision.records.is_empty() {
                    return false;
                }
                self.apply(decision.records);
            }
        }
        true
    }

    fn propose(&mut self, leader: i32, follower: i32) -> bool {
        let view = self.replicas[&leader].view.clone();
        let mut in_sync = view.in_sync;
        if in_sync.contains(&follower) {
            in_sync.retain(|id| *id != follower);
        } else if self.fetches(follower, leader) && self.replicas[&follower].has_all {
            in_sync.push(follower);
        } else {
            return false;
        }
        if self.messages.len() == MESSAGES_MAX {
            self.messages.remove(0);
        }
        let change = InSyncChange {
            topic_id: self.image.topic("t").unwrap().id,
            partition_index: 0,
            leader_epoch: view.leader_epoch,
            partition_epoch: view.partition_epoch,
            in_sync: in_sync.iter().map(|id| (*id, self.replicas[id].epoch)).collect(),
        };
        let broker_epoch = self.replicas[&leader].epoch;
        let message = AlterPartitions { broker_id: leader, broker_epoch, partitions: vec![change] };
        let is_new = !self.messages.contains(&message);
        if is_new {
            self.messages.push(message);
        }
        is_new
    }

    fn replica(&mut self, id: i32) -> &mut Replica {
        self.replicas.get_mut(&id).unwrap()
    }

    /// A leader that the controller counts on as it is has everything that was committed.
    fn check(&self, course: &[Event]) {
        let partition = self.partition();
        for (id, replica) in &self.replicas {
            let is_registered = self.image.broker(*id).unwrap().epoch == replica.epoch;
            let leads = partition.leader == Some(*id) && is_registered && replica.is_up;
            assert!(!leads || replica.has_all, "{id} leads {}: {course:?}", self.key());
        }
    }

    /// Equal for worlds that differ in nothing but how far their epochs have counted.
    fn key(&self) -> String {
        let partition = self.partition();
        let view = |view: &View| {
            let leader_age = partition.leader_epoch - view.leader_epoch;
            let age = partition.partition_epoch - view.partition_epoch;
            (leader_age.min(3), age.min(3), view.leader, view.in_sync.clone())
        };
        let brokers: Vec<_> = self
            .replicas
            .iter()
            .map(|(id, replica)| {
                let registered = self.image.broker(*id).unwrap();
                let is_same = registered.epoch == replica.epoch;
                let standing = (registered.fenced, registered.is_leaving, is_same);
                let noted = replica.noted_epoch.is_some();
                (standing, replica.is_up, replica.has_all, noted, view(&replica.view))
            })
            .collect();
        let messages: Vec<_> = self
            .messages
            .iter()
            .map(|message| {
                let change = &message.partitions[0];
                let is_stale = |(id, epoch): &(i32, i64)| {
                    (*id, self.image.broker(*id).unwrap().epoch == *epoch)
                };
                let in_sync: Vec<_> = change.in_sync.iter().map(is_stale).collect();
                let leader_age = (partition.leader_epoch - change.leader_epoch).min(3);
                let age = (partition.partition_epoch - change.partition_epoch).min(3);
                (message.broker_id, leader_age, age, in_sync)
            })
            .collect();
        let partition = (
            partition.leader,
            &partition.in_sync,
            &partition.eligible,
            partition.last_known_leader,
        );
        format!("{partition:?}{brokers:?}{messages:?}{}", self.starts)
    }
}

#[test]
fn no_course_of_events_makes_a_leader_of_a_replica_that_lacks_something() {
    const DEPTH: usize = 5;
    let config = BrokerConfig::default();
    let mut seen = BTreeSet::new();
    let mut worlds = vec![(World::new(), Vec::new())];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (world, course) in &worlds {
            for event in world.events() {
                let mut after = world.clone();
                if !after.step(event, &config) {
                    continue;
                }
                if seen.insert(after.key()) {
                    let course: Vec<Event> = course.iter().copied().chain([event]).collect();
                    after.check(&course);
                    next.push((after, course));
                }
            }
        }
        worlds = next;
    }
    assert!(seen.len() > 5000, "only {} states", seen.len());
}

/// Further than all courses can be followed, some are.
#[test]
fn no_long_course_of_events_does_either() {
    let config = BrokerConfig::default();
    let mut random = 1_u64;
    for _ in 0..400 {
        let mut world = World::new();
        let mut course = Vec::new();
        for _ in 0..60 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let events = world.events();
            let at = usize::try_from(random >> 33).unwrap() % events.len();
            world.starts = world.starts.min(2);
            if world.step(events[at], &config) {
                course.push(events[at]);
            }
            world.check(&course);
        }
    }
}
