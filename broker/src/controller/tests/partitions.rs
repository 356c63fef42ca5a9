//! The rules by which partitions change, case by case: brokers that go and come, proposals of leaders,
//! moves, balance.

use std::collections::BTreeSet;

use flumen_protocol::{ErrorCode, Uuid};

use super::invariants::{check_nobody_fenced_in_sync, check_step};
use crate::api::error::WireError;
use crate::config::{BrokerConfig, Promises, TopicConfig};
use crate::controller::alter_partitions::alter_partitions;
use crate::controller::balance::{balance_leaders, finish_undone};
use crate::controller::brokers::{
    BrokerRegistration, begin_leaving, fence_broker, register_broker, unfence_broker,
    unregister_broker,
};
use crate::controller::configs::{Alteration, ResourceName, Step, alter_configs};
use crate::controller::control::{
    AlterPartitionError, AlterPartitions, BrokerHeartbeat, HeartbeatAnswer, InSyncChange,
    StaleBroker, Wants,
};
use crate::controller::decision::entries;
use crate::controller::elections::is_unclean;
use crate::controller::heartbeats::{Readiness, heartbeat};
use crate::controller::image::{MetadataImage, PartitionImage};
use crate::controller::reassignments::{Reassignment, alter_reassignments};
use crate::controller::records::{
    ConfigRecord, ConfigResource, MetadataRecord, PartitionRecord, RegisterBrokerRecord,
    TopicRecord,
};
use crate::controller::standing::Standing;
use crate::controller::testing::{image_of_brokers, image_of_partition, registration, replay_all};

/// An image, and what is done with it.
struct Cluster {
    image: MetadataImage,
    config: BrokerConfig,
    heard: BTreeSet<i32>,
}

impl Cluster {
    fn new(image: MetadataImage) -> Self {
        let heard = image.brokers().map(|broker| broker.id).collect();
        Self { image, config: BrokerConfig::default(), heard }
    }

    fn decide<A>(&mut self, decide: impl FnOnce(Standing<'_>) -> (Vec<MetadataRecord>, A)) -> A {
        let before = self.image.clone();
        let standing = Standing::new(&before, &self.config).heard(&self.heard);
        let (records, answer) = decide(standing);
        replay_all(&mut self.image, &records);
        check_step(&before, &self.image);
        if self.image.brokers().all(|broker| self.heard.contains(&broker.id)) {
            check_nobody_fenced_in_sync(&self.image);
        }
        answer
    }

    fn fence(&mut self, id: i32) {
        let epoch = self.image.broker(id).unwrap().epoch;
        self.decide(|standing| (fence_broker(standing, id, epoch).records, ()));
    }

    fn enter(&mut self, id: i32) {
        let broker = self.image.broker(id).unwrap().clone();
        self.decide(|standing| (unfence_broker(standing, &broker), ()));
    }

    fn leave(&mut self, id: i32) {
        let broker = self.image.broker(id).unwrap().clone();
        self.decide(|standing| (begin_leaving(standing, &broker), ()));
    }

    fn start(&mut self, id: i32, previous_epoch: Option<i64>, was_clean: bool) {
        let incarnation_id =
            Uuid::from_bytes([u8::try_from(90 + self.image.next_broker_epoch()).unwrap(); 16]);
        let broker =
            BrokerRegistration { previous_epoch, was_clean, incarnation_id, ..registration(id, 0) };
        self.decide(|standing| {
            let decision = register_broker(standing, &broker, false);
            (decision.records, decision.answer.unwrap())
        });
    }

    /// A start on the disk that the broker had.
    fn restart(&mut self, id: i32) {
        let epoch = self.image.broker(id).map(|broker| broker.epoch);
        self.start(id, epoch, true);
    }

    /// As if the broker had been started with a file that promises this.
    fn promise(&mut self, id: i32, promises: Promises) {
        let records = self.image.to_records().into_iter().filter_map(|record| match record {
            MetadataRecord::RegisterBroker(broker) if broker.broker_id == id => {
                Some(RegisterBrokerRecord { promises, ..broker }.into())
            }
            _ => None,
        });
        let records: Vec<MetadataRecord> = records.collect();
        replay_all(&mut self.image, &records);
    }

    fn set(&mut self, name: &str, value: &str) {
        let (name, value) = (name.to_owned(), Some(value.to_owned()));
        let resource = ConfigResource::Topic("t".to_owned());
        replay_all(&mut self.image, &[ConfigRecord { resource, name, value }.into()]);
    }

    fn partition(&self) -> &PartitionImage {
        self.image.partition("t", 0).unwrap()
    }

    fn propose(&mut self, leader: i32, in_sync: &[i32]) -> Result<(), AlterPartitionError> {
        let request = self.proposal(leader, in_sync);
        self.decide(|standing| {
            let decision = alter_partitions(standing, &request);
            (decision.records, decision.answer.unwrap().pop().unwrap().map(drop))
        })
    }

    fn proposal(&self, leader: i32, in_sync: &[i32]) -> AlterPartitions {
        let epoch = |id: i32| self.image.broker(id).map_or(0, |broker| broker.epoch);
        let partition = self.partition();
        let change = InSyncChange {
            topic_id: self.image.topic("t").unwrap().id,
            partition_index: 0,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            in_sync: in_sync.iter().map(|id| (*id, epoch(*id))).collect(),
        };
        AlterPartitions { broker_id: leader, broker_epoch: epoch(leader), partitions: vec![change] }
    }

    fn reassign(&mut self, replicas: Option<&[i32]>, allows_factor_change: bool) -> ErrorCode {
        let replicas = replicas.map(<[i32]>::to_vec);
        let asked = [Reassignment { topic: "t".to_owned(), partition: 0, replicas }];
        self.decide(|standing| {
            let mut decision = alter_reassignments(&standing, &asked, allows_factor_change);
            (decision.records, decision.answer.pop().unwrap().code())
        })
    }

    /// Leader, in-sync set, eligible replicas.
    fn state(&self) -> (Option<i32>, Vec<i32>, Vec<i32>) {
        let partition = self.partition();
        (partition.leader, partition.in_sync.clone(), partition.eligible.clone())
    }
}

fn three() -> Cluster {
    Cluster::new(image_of_partition(Some(1), &[1, 2, 3]))
}

#[test]
fn brokers_that_go_one_by_one_stay_eligible_and_the_last_stays_in_sync() {
    let mut cluster = three();
    cluster.fence(1);
    assert_eq!(cluster.state(), (Some(2), vec![2, 3], vec![]));
    cluster.fence(2);
    assert_eq!(cluster.state(), (Some(3), vec![3], vec![2]));
    cluster.fence(3);
    assert_eq!(cluster.state(), (None, vec![3], vec![2]));
    assert_eq!(cluster.partition().last_known_leader, Some(3));
    cluster.enter(1);
    assert_eq!(cluster.state(), (None, vec![3], vec![2]), "it may lack something (R12)");
    cluster.enter(2);
    assert_eq!(cluster.state(), (Some(2), vec![2], vec![3]));
    cluster.enter(3);
    cluster.propose(2, &[2, 3]).unwrap();
    assert_eq!(cluster.state(), (Some(2), vec![2, 3], vec![]));
}

#[test]
fn after_a_power_cut_whoever_comes_first_leads() {
    for first in [1, 2, 3] {
        let mut cluster = three();
        // The leader of the quorum is new, and nobody was heard of.
        cluster.heard.clear();
        cluster.restart(first);
        assert!(cluster.partition().in_sync.contains(&first));
        for other in [1, 2, 3].into_iter().filter(|other| *other != first) {
            cluster.fence(other);
        }
        cluster.enter(first);
        assert_eq!(cluster.partition().leader, Some(first));
    }
}

#[test]
fn who_was_fenced_before_others_were_heard_of_leaves_once_they_are() {
    let mut cluster = three();
    cluster.heard.clear();
    cluster.fence(1);
    assert_eq!(cluster.state(), (Some(2), vec![1, 2, 3], vec![]), "1 may be all that is left");
    let finish = |cluster: &mut Cluster| {
        cluster.decide(|standing| (finish_undone(&standing), ()));
    };
    finish(&mut cluster);
    assert_eq!(cluster.state(), (Some(2), vec![1, 2, 3], vec![]));
    cluster.heard.insert(3);
    finish(&mut cluster);
    assert_eq!(cluster.state(), (Some(2), vec![2, 3], vec![]), "nothing waits for 1 any more");
}

#[test]
fn a_broker_that_comes_back_at_once_is_not_in_sync_beside_a_living_leader() {
    let mut cluster = three();
    cluster.restart(2);
    assert_eq!(cluster.state(), (Some(1), vec![1, 3], vec![]), "M4");
    assert!(cluster.image.broker(2).unwrap().fenced);
}

#[test]
fn a_replaced_disk_is_in_no_set_were_it_the_last() {
    let mut cluster = three();
    cluster.fence(3);
    cluster.fence(2);
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![2]));
    cluster.start(1, None, true);
    assert_eq!(cluster.state(), (None, vec![], vec![2]), "R11");
    cluster.start(2, Some(-1), true);
    assert_eq!(cluster.state(), (None, vec![], vec![]));
    assert_eq!(cluster.partition().last_known_leader, Some(1));
    for id in [1, 2, 3] {
        cluster.enter(id);
        assert_eq!(cluster.partition().leader, None, "R12");
    }
    let image = cluster.image.clone();
    let mut standing = Cluster::new(image);
    standing.set("unclean.leader.election.enable", "true");
    let records = finish_undone(&Standing::new(&standing.image, &standing.config));
    let [MetadataRecord::PartitionChange(change)] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert!(is_unclean(&standing.image, change));
    replay_all(&mut standing.image, &records);
    assert_eq!(standing.state(), (Some(1), vec![1], vec![]), "the last that led is preferred");
}

#[test]
fn an_unclean_election_that_is_allowed_is_held_at_once() {
    let mut cluster = three();
    cluster.fence(3);
    cluster.fence(2);
    cluster.start(1, None, true);
    cluster.start(2, Some(-1), true);
    for id in [1, 2, 3] {
        cluster.enter(id);
    }
    assert_eq!(cluster.state(), (None, vec![], vec![]));
    let alter = |cluster: &Cluster, name: &str, value: &str, validate_only| {
        let standing = Standing::new(&cluster.image, &cluster.config);
        alter_configs(&standing, &altered(name, value), validate_only).records
    };
    assert_eq!(alter(&cluster, "unclean.leader.election.enable", "true", true), []);
    let other = alter(&cluster, "retention.ms", "1", false);
    assert!(matches!(other.as_slice(), [MetadataRecord::Config(_)]), "{other:?}");
    let records = alter(&cluster, "unclean.leader.election.enable", "true", false);
    cluster.decide(|_| (records, ()));
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![]));
}

#[test]
fn an_unclean_leader_is_rather_one_that_has_the_disk_it_had() {
    let mut cluster = five();
    // A move gives every replica the directory that its broker has.
    assert_eq!(cluster.reassign(Some(&[4, 5, 3]), false), ErrorCode::None);
    cluster.propose(1, &[1, 2, 3, 4, 5]).unwrap();
    for id in [3, 5] {
        cluster.fence(id);
    }
    assert_eq!(cluster.state(), (Some(4), vec![4], vec![5]));
    for (id, byte) in [(4, 77), (5, 78)] {
        let directories = vec![Uuid::from_bytes([byte; 16])];
        let broker = BrokerRegistration { directories, ..registration(id, byte) };
        cluster.decide(|standing| (register_broker(standing, &broker, false).records, ()));
        cluster.enter(id);
    }
    assert_eq!(cluster.state(), (None, vec![], vec![]));
    assert_eq!(cluster.partition().last_known_leader, Some(4));
    cluster.set("unclean.leader.election.enable", "true");
    cluster.enter(3);
    assert_eq!(cluster.state(), (Some(3), vec![3], vec![]), "the others have nothing");
}

#[test]
fn a_start_that_did_not_come_to_note_its_epoch_has_lost_nothing() {
    let mut cluster = three();
    cluster.fence(3);
    cluster.fence(2);
    let served = cluster.image.broker(1).unwrap().epoch;
    cluster.restart(1);
    // It died before it wrote the new epoch down, twice.
    cluster.start(1, Some(served), false);
    cluster.start(1, Some(served), false);
    assert_eq!(cluster.state().1, [1]);
    cluster.enter(1);
    cluster.start(1, Some(served), false);
    assert_eq!(cluster.state().1, Vec::<i32>::new(), "it served since: the disk was set back");
}

#[test]
fn without_a_sync_a_crash_costs_the_membership_unless_it_is_the_last() {
    let check = |was_clean, fenced: &[i32], expected: (Option<i32>, Vec<i32>, Vec<i32>)| {
        let mut cluster = three();
        cluster.set("durability", "page-cache");
        for id in fenced {
            cluster.fence(*id);
        }
        let epoch = cluster.image.broker(1).map(|broker| broker.epoch);
        cluster.start(1, epoch, was_clean);
        assert_eq!(cluster.state(), expected, "{was_clean} {fenced:?}");
    };
    check(false, &[], (Some(2), vec![2, 3], vec![]));
    check(true, &[3], (Some(2), vec![2], vec![1]));
    check(false, &[3], (Some(2), vec![2], vec![]));
    check(true, &[3, 2], (None, vec![1], vec![2]));
    check(false, &[3, 2], (None, vec![], vec![2]));
    let mut last = Cluster::new(image_of_partition(Some(1), &[1]));
    last.set("durability", "page-cache");
    last.start(1, Some(1), false);
    assert_eq!(last.state(), (None, vec![1], vec![]), "R13");
}

#[test]
fn who_leaves_hands_over_and_does_not_come_back_in_sync() {
    let mut cluster = three();
    cluster.leave(1);
    assert_eq!(cluster.state(), (Some(2), vec![2, 3], vec![]));
    let error = AlterPartitionError::IneligibleReplica { broker_id: 1 };
    assert_eq!(cluster.propose(2, &[1, 2, 3]), Err(error));
    cluster.leave(2);
    cluster.leave(3);
    assert_eq!(cluster.state(), (None, vec![3], vec![2]), "nobody is left to hand over to");
    cluster.fence(1);
    cluster.restart(1);
    assert!(!cluster.image.broker(1).unwrap().is_leaving);
}

#[test]
fn a_heartbeat_lets_in_and_out() {
    let mut cluster = three();
    let beat = |cluster: &mut Cluster, epoch, wants, may_serve, may_leave| {
        let beat = BrokerHeartbeat { broker_id: 1, epoch, metadata_version: 0, wants };
        let readiness = Readiness { may_serve, may_leave };
        cluster.decide(|standing| {
            let decision = heartbeat(standing, &beat, readiness);
            (decision.records, decision.answer)
        })
    };
    let answer = |is_fenced, may_stop| Ok(HeartbeatAnswer { is_fenced, may_stop });
    assert_eq!(beat(&mut cluster, 0, Wants::Service, true, false), Err(StaleBroker));
    assert_eq!(beat(&mut cluster, 1, Wants::Service, false, false), answer(false, false));
    assert_eq!(beat(&mut cluster, 1, Wants::Fence, true, false), answer(true, false));
    assert_eq!(cluster.state().0, Some(2));
    assert_eq!(beat(&mut cluster, 1, Wants::Fence, true, false), answer(true, false));
    assert_eq!(beat(&mut cluster, 1, Wants::Service, false, false), answer(true, false));
    assert_eq!(beat(&mut cluster, 1, Wants::Service, true, false), answer(false, false));
    assert!(cluster.image.is_active(1));
    assert_eq!(beat(&mut cluster, 1, Wants::Leave, true, false), answer(false, false));
    assert!(!cluster.image.is_active(1));
    assert_eq!(beat(&mut cluster, 1, Wants::Service, true, false), answer(false, false));
    assert!(!cluster.image.is_active(1), "a late heartbeat does not bring it back");
    assert_eq!(beat(&mut cluster, 1, Wants::Leave, true, true), answer(true, true));
    assert_eq!(beat(&mut cluster, 1, Wants::Leave, true, true), answer(true, true));
    assert!(cluster.image.broker(1).unwrap().fenced);
}

#[test]
fn proposals_are_taken_from_the_leader_in_its_epochs_only() {
    use AlterPartitionError as Error;
    let check = |change: &dyn Fn(&mut AlterPartitions), expected: Error| {
        let mut cluster = three();
        let mut request = cluster.proposal(1, &[1, 2]);
        change(&mut request);
        let answer = cluster.decide(|standing| {
            let decision = alter_partitions(standing, &request);
            (decision.records, decision.answer.unwrap().pop().unwrap())
        });
        assert_eq!(answer, Err(expected));
        assert_eq!(cluster.partition().partition_epoch, 9, "{expected:?}");
    };
    check(&|r| r.partitions[0].topic_id = Uuid::ONE, Error::UnknownTopic);
    check(&|r| r.partitions[0].partition_index = 1, Error::UnknownPartition);
    check(&|r| r.partitions[0].leader_epoch += 1, Error::FromTheFuture);
    check(&|r| r.partitions[0].partition_epoch += 1, Error::FromTheFuture);
    check(&|r| r.partitions[0].leader_epoch -= 1, Error::FencedLeaderEpoch);
    check(&|r| r.partitions[0].partition_epoch -= 1, Error::FencedPartitionEpoch);
    check(&|r| (r.broker_id, r.broker_epoch) = (2, 2), Error::NotThisLeader);
    check(&|r| r.partitions[0].in_sync.truncate(0), Error::InvalidInSync);
    check(&|r| r.partitions[0].in_sync[0] = (3, 3), Error::InvalidInSync);
    check(&|r| r.partitions[0].in_sync.push((2, 2)), Error::InvalidInSync);
    check(&|r| r.partitions[0].in_sync.push((9, 9)), Error::InvalidInSync);
    check(&|r| r.partitions[0].in_sync[1].1 += 1, Error::IneligibleReplica { broker_id: 2 });

    let cluster = three();
    let mut stale = cluster.proposal(1, &[1]);
    stale.broker_epoch = 0;
    let decision = alter_partitions(Standing::new(&cluster.image, &cluster.config), &stale);
    assert_eq!((decision.records.len(), decision.answer), (0, Err(StaleBroker)));
    // The same partition twice: the second rests on what the first has changed.
    let mut twice = cluster.proposal(1, &[1]);
    twice.partitions.push(twice.partitions[0].clone());
    let decision = alter_partitions(Standing::new(&cluster.image, &cluster.config), &twice);
    let answers = decision.answer.unwrap();
    assert_eq!(answers[1], Err(Error::FencedPartitionEpoch));
    let state = answers[0].clone().unwrap();
    assert_eq!((state.in_sync, state.partition_epoch, decision.records.len()), (vec![1], 10, 1));
}

#[test]
fn a_set_that_is_as_proposed_settles_what_was_proposed_before() {
    let mut cluster = three();
    // Nobody hears of this one for a while.
    let late = cluster.proposal(1, &[1, 2]);
    cluster.propose(1, &[1, 2, 3]).unwrap();
    assert_eq!(cluster.state(), (Some(1), vec![1, 2, 3], vec![]));
    assert_eq!(cluster.partition().partition_epoch, 10);
    assert_eq!(cluster.partition().leader_epoch, 7);
    let decision = alter_partitions(Standing::new(&cluster.image, &cluster.config), &late);
    assert_eq!(decision.answer.unwrap(), [Err(AlterPartitionError::FencedPartitionEpoch)]);
}

#[test]
fn who_leaves_below_the_minimum_is_eligible_until_there_are_enough() {
    let mut cluster = three();
    cluster.propose(1, &[1, 2]).unwrap();
    assert_eq!(cluster.state().2, Vec::<i32>::new(), "the others may go on without it");
    cluster.propose(1, &[1]).unwrap();
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![2]));
    cluster.propose(1, &[1, 3]).unwrap();
    assert_eq!(cluster.state(), (Some(1), vec![1, 3], vec![]));
}

/// A setting of the topic that all this is about.
fn altered(name: &str, value: &str) -> [(ResourceName, Alteration); 1] {
    let topic = ResourceName { kind: 2, name: "t".to_owned() };
    let (name, value) = (name.to_owned(), Some(value.to_owned()));
    [(topic, Alteration::Steps(vec![Step { name, operation: 0, value }]))]
}

#[test]
fn a_lower_minimum_forgets_who_was_eligible() {
    let mut cluster = three();
    cluster.propose(1, &[1]).unwrap();
    assert_eq!(cluster.state().2, [2, 3]);
    let standing = Standing::new(&cluster.image, &cluster.config);
    let lower = altered("min.insync.replicas", "1");
    let records = alter_configs(&standing, &lower, false).records;
    assert!(matches!(records.last(), Some(MetadataRecord::Config(_))), "a part does no harm");
    cluster.decide(|_| (records, ()));
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![]), "1 may commit alone from now on");
}

#[test]
fn who_is_eligible_by_a_rule_of_before_does_not_lead() {
    let mut cluster = three();
    cluster.propose(1, &[1]).unwrap();
    cluster.set("min.insync.replicas", "1");
    cluster.fence(1);
    assert_eq!(cluster.state(), (None, vec![1], vec![]), "1 may have committed alone");
}

fn promising(min_in_sync: Option<i32>) -> Promises {
    Promises { min_in_sync, ..Promises::default() }
}

/// Three brokers whose files promise this.
fn promises_of(files: [Option<i32>; 3]) -> Cluster {
    let mut cluster = three();
    for (id, file) in (1..).zip(files) {
        cluster.promise(id, promising(file));
    }
    cluster
}

#[test]
fn leaders_count_as_the_controller_decides_whatever_their_files_say() {
    let check = |files: [Option<i32>; 3], expected: usize| {
        let cluster = promises_of(files);
        let config = |node_id: i32, file: Option<i32>| {
            let min = file.map(|min| ("min.insync.replicas", min.to_string()));
            let id = ("node.id", node_id.to_string());
            let given = [Some(id), min];
            let given = given.iter().flatten().map(|(name, value)| (*name, value.as_str()));
            BrokerConfig::with(given).unwrap()
        };
        let topic = cluster.image.topic("t").unwrap();
        for (id, file) in (1..).zip(files) {
            let config = config(id, file);
            let rules = Standing::new(&cluster.image, &config).rules(topic);
            assert_eq!(rules.min_in_sync(3), expected, "controller {id} of {files:?}");
            let settings = cluster.image.settings(&config);
            let leader = TopicConfig::resolve(&topic.configs, &settings).min_insync_replicas(3);
            assert_eq!(usize::try_from(leader), Ok(expected), "leader {id} of {files:?}");
        }
    };
    check([None, None, None], 2);
    check([Some(1), None, None], 2);
    check([Some(1), Some(1), None], 2);
    check([Some(1), Some(1), Some(1)], 1);
    check([Some(1), Some(3), None], 3);
}

#[test]
fn the_last_file_with_a_lower_minimum_forgets_who_was_eligible() {
    let mut cluster = promises_of([Some(1), None, Some(1)]);
    cluster.propose(1, &[1]).unwrap();
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![2, 3]));
    let standing = Standing::new(&cluster.image, &cluster.config);
    let epoch = cluster.image.broker(2).map(|broker| broker.epoch);
    let broker = BrokerRegistration {
        previous_epoch: epoch,
        promises: promising(Some(1)),
        ..registration(2, 99)
    };
    let records = register_broker(standing, &broker, false).records;
    let [MetadataRecord::PartitionChange(_), MetadataRecord::RegisterBroker(_)] = &records[..]
    else {
        panic!("forgotten before 1 may commit alone: {records:?}");
    };
    cluster.decide(|_| (records, ()));
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![]));
}

#[test]
fn the_promises_of_a_removed_broker_hold_no_longer() {
    let mut cluster = promises_of([Some(1), Some(1), None]);
    cluster.propose(1, &[1]).unwrap();
    cluster.fence(3);
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![2, 3]));
    cluster.decide(|standing| (unregister_broker(standing, 3, false).records, ()));
    assert_eq!(cluster.state(), (Some(1), vec![1], vec![]));
}

fn five() -> Cluster {
    let mut image = image_of_brokers(5, &[]);
    let partition = image_of_partition(Some(1), &[1, 2, 3]);
    let records: Vec<MetadataRecord> = partition
        .to_records()
        .into_iter()
        .filter(|r| matches!(r, MetadataRecord::Topic(_) | MetadataRecord::Partition(_)))
        .collect();
    replay_all(&mut image, &records);
    Cluster::new(image)
}

#[test]
fn a_partition_moves_when_all_its_new_replicas_are_in_sync() {
    let mut cluster = five();
    assert_eq!(cluster.reassign(Some(&[4, 5, 3]), false), ErrorCode::None);
    let partition = cluster.partition().clone();
    assert_eq!(partition.replicas, [4, 5, 3, 1, 2]);
    assert_eq!((partition.adding, partition.removing), (vec![4, 5], vec![1, 2]));
    assert_eq!(partition.directories[0], Uuid::from_bytes([104; 16]));
    assert_eq!(cluster.image.reassigning().count(), 1);
    cluster.propose(1, &[1, 2, 3, 4]).unwrap();
    assert!(cluster.partition().is_reassigning());
    cluster.propose(1, &[1, 2, 3, 4, 5]).unwrap();
    let partition = cluster.partition();
    assert_eq!((&*partition.replicas, partition.is_reassigning()), (&[4, 5, 3][..], false));
    assert_eq!((partition.leader, &*partition.in_sync), (Some(4), &[3, 4, 5][..]));
    assert_eq!(partition.directories.len(), 3);
    assert_eq!(cluster.image.reassigning().count(), 0);
}

#[test]
fn taking_a_replica_away_waits_until_enough_are_in_sync() {
    let mut cluster = five();
    cluster.set("min.insync.replicas", "2");
    cluster.propose(1, &[1, 3]).unwrap();
    assert_eq!(cluster.reassign(Some(&[1, 2]), true), ErrorCode::None);
    assert_eq!(cluster.state().1, [1, 3], "3 stays for the minimum (R16)");
    let epoch = cluster.partition().leader_epoch;
    cluster.propose(1, &[1, 2, 3]).unwrap();
    assert_eq!((cluster.state().1, cluster.partition().is_reassigning()), (vec![1, 2], false));
    // What 3 says of before, or had before it gets the replica again, is of another epoch.
    assert_eq!(cluster.partition().leader, Some(1));
    assert!(cluster.partition().leader_epoch > epoch);
}

#[test]
fn a_crash_takes_nobody_away_who_has_everything_while_too_few_do() {
    let mut cluster = five();
    cluster.set("min.insync.replicas", "2");
    cluster.propose(1, &[1]).unwrap();
    assert_eq!(cluster.reassign(Some(&[2, 4]), true), ErrorCode::None);
    cluster.propose(1, &[1, 4]).unwrap();
    cluster.fence(1);
    assert_eq!(cluster.state(), (Some(4), vec![4], vec![1]));
    assert!(cluster.partition().is_reassigning(), "4 would be the only one to have it");
    cluster.enter(1);
    cluster.propose(4, &[1, 2, 4]).unwrap();
    assert_eq!((cluster.state().1, cluster.partition().is_reassigning()), (vec![2, 4], false));
}

#[test]
fn a_move_can_be_ended_and_changed() {
    let mut cluster = five();
    assert_eq!(cluster.reassign(None, false), ErrorCode::NoReassignmentInProgress);
    assert_eq!(cluster.reassign(Some(&[4, 5, 3]), false), ErrorCode::None);
    cluster.propose(1, &[1, 2, 3, 4]).unwrap();
    // 4 is no longer wanted, and not needed.
    assert_eq!(cluster.reassign(Some(&[5, 2, 3]), false), ErrorCode::None);
    let partition = cluster.partition().clone();
    assert_eq!((partition.adding, partition.removing), (vec![5], vec![1]));
    assert_eq!(partition.in_sync, [1, 2, 3]);
    assert_eq!(cluster.reassign(None, false), ErrorCode::None);
    assert_eq!((cluster.state().1, cluster.partition().is_reassigning()), (vec![1, 2, 3], false));
    // Where it is needed, it stays until the end.
    assert_eq!(cluster.reassign(Some(&[4, 5, 3]), false), ErrorCode::None);
    cluster.propose(1, &[1, 4]).unwrap();
    assert_eq!(cluster.reassign(Some(&[5, 2, 3]), false), ErrorCode::None);
    assert_eq!((&*cluster.partition().removing, &*cluster.state().1), (&[4, 1][..], &[1, 4][..]));
}

#[test]
fn a_move_is_not_ended_at_the_price_of_records() {
    let mut cluster = five();
    assert_eq!(cluster.reassign(Some(&[4, 5]), true), ErrorCode::None);
    cluster.propose(1, &[1, 4]).unwrap();
    cluster.fence(1);
    assert_eq!(cluster.state().1, [4]);
    assert_eq!(cluster.reassign(None, false), ErrorCode::InvalidReplicaAssignment);
    assert!(cluster.partition().is_reassigning());
}

#[test]
fn moves_that_make_no_sense_are_refused() {
    let check = |replicas: &[i32], code| {
        assert_eq!(five().reassign(Some(replicas), false), code, "{replicas:?}");
    };
    check(&[], ErrorCode::InvalidReplicaAssignment);
    check(&[1, 2, 2], ErrorCode::InvalidReplicaAssignment);
    check(&[1, 2, 9], ErrorCode::InvalidReplicaAssignment);
    check(&[1, 2], ErrorCode::InvalidReplicationFactor);
    check(&[1, 2, 3, 4], ErrorCode::InvalidReplicationFactor);
    check(&[3, 1, 2], ErrorCode::None);
    let cluster = five();
    let asked = [("u", 0), ("t", 7), ("t", 0), ("t", 0)].map(|(topic, partition)| Reassignment {
        topic: topic.to_owned(),
        partition,
        replicas: Some(vec![3, 1, 2]),
    });
    let standing = Standing::new(&cluster.image, &cluster.config);
    let decision = alter_reassignments(&standing, &asked, false);
    let codes: Vec<ErrorCode> = decision.answer.iter().map(WireError::code).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(codes, [unknown, unknown, ErrorCode::None, ErrorCode::InvalidRequest]);
    assert_eq!(decision.records.len(), 1);
}

#[test]
fn a_broker_is_removed_once_it_is_gone() {
    let mut cluster = three();
    let remove = |cluster: &mut Cluster, is_alive| {
        cluster.decide(|standing| {
            let decision = unregister_broker(standing, 1, is_alive);
            (decision.records, decision.answer.code())
        })
    };
    assert_eq!(remove(&mut cluster, true), ErrorCode::InvalidRequest);
    assert_eq!(remove(&mut cluster, false), ErrorCode::InvalidRequest, "it is in service");
    cluster.fence(1);
    assert_eq!(remove(&mut cluster, true), ErrorCode::InvalidRequest, "it may come back");
    assert_eq!(remove(&mut cluster, false), ErrorCode::None);
    assert_eq!(cluster.state(), (Some(2), vec![2, 3], vec![]));
    assert!(cluster.image.broker(1).is_none());
    assert_eq!(remove(&mut cluster, false), ErrorCode::BrokerIdNotRegistered);
}

/// `partitions` on brokers 1 to 3 in turn, everything led by the preferred.
fn many(partitions: i32) -> MetadataImage {
    let mut image = image_of_brokers(3, &[]);
    for at in 0..partitions {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&at.to_be_bytes());
        let topic_id = Uuid::from_bytes(id);
        let first = at % 3;
        let replicas: Vec<i32> = (0..3).map(|step| (first + step) % 3 + 1).collect();
        let records = [
            TopicRecord { topic_id, name: format!("t{at}") }.into(),
            PartitionRecord {
                topic_id,
                partition_index: 0,
                directories: vec![Uuid::ZERO; 3],
                leader: Some(replicas[0]),
                in_sync: replicas.clone(),
                replicas,
                eligible: Vec::new(),
                leader_epoch: 0,
                partition_epoch: 0,
                adding: Vec::new(),
                removing: Vec::new(),
                last_known_leader: None,
            }
            .into(),
        ];
        replay_all(&mut image, &records);
    }
    image
}

#[test]
fn leaderships_are_given_back_when_many_are_elsewhere() {
    let mut cluster = Cluster::new(many(30));
    let led_by = |cluster: &Cluster, id: i32| {
        let partitions = cluster.image.topics().flat_map(|topic| topic.partitions.clone());
        partitions.filter(|partition| partition.leader == Some(id)).count()
    };
    cluster.fence(1);
    cluster.enter(1);
    assert_eq!(led_by(&cluster, 1), 0);
    let balance = |cluster: &mut Cluster, percent| {
        cluster.decide(|standing| (balance_leaders(&standing, percent), ()));
    };
    balance(&mut cluster, 10);
    assert_eq!(led_by(&cluster, 1), 0, "it is not in sync yet");
    let before = cluster.image.clone();
    for topic in before.topics() {
        let partition = &topic.partitions[0];
        let change = InSyncChange {
            topic_id: topic.id,
            partition_index: 0,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            in_sync: vec![(1, 1), (2, 2), (3, 3)],
        };
        let leader = partition.leader.unwrap();
        let request = AlterPartitions {
            broker_id: leader,
            broker_epoch: leader.into(),
            partitions: vec![change],
        };
        cluster.decide(|standing| (alter_partitions(standing, &request).records, ()));
    }
    balance(&mut cluster, 100);
    assert_eq!(led_by(&cluster, 1), 0, "all of them may be elsewhere");
    balance(&mut cluster, 10);
    assert_eq!(led_by(&cluster, 1), 10);
}

#[test]
fn a_decision_about_many_partitions_is_cut_into_entries_that_hold_by_themselves() {
    let mut cluster = Cluster::new(many(12_000));
    let standing = Standing::new(&cluster.image, &cluster.config);
    let records = fence_broker(standing, 1, 1).records;
    assert_eq!(records.len(), 12_001);
    let entries = entries(records);
    assert!(entries.len() > 1);
    for entry in entries {
        let size = rmp_serde::to_vec(&entry).unwrap().len();
        assert!(size < 1 << 20, "{size}");
        let before = cluster.image.clone();
        replay_all(&mut cluster.image, &entry);
        check_step(&before, &cluster.image);
    }
    assert!(cluster.image.broker(1).unwrap().fenced);
}

#[test]
fn a_topic_is_created_as_a_whole() {
    let image = many(8_000);
    let records = image.to_records();
    for entry in entries(records.clone()).iter().skip(1) {
        assert!(matches!(entry[0], MetadataRecord::Topic(_)), "{:?}", entry[0]);
    }
    assert_eq!(entries(records.clone()).concat(), records);
}
