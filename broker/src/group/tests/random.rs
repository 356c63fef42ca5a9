//! Random events against what must always hold.
//!
//! * Nobody is forgotten: every join and sync is answered in the end.
//! * One leader, one assignment per member: what members are told in a generation comes from that
//!   generation's leader, and all hear of the same leader and the same protocol.
//! * Generations only rise while a coordinator lives.
//! * A commit by someone outside of the current generation changes nothing.
//! * The log says it all: a coordinator that reads it has the same offsets and the same stored
//!   groups, whenever it takes over.
//! * Once churn stops, the group is stable within two rebalance timeouts.

use proptest::prelude::*;

use super::*;
use crate::group::member::Member;
use crate::group::offsets::OffsetStore;

#[derive(Debug, Clone)]
enum Event {
    Enter { is_static: bool },
    Rejoin { member: usize, is_changed: bool },
    Sync { member: usize },
    Heartbeat { member: usize },
    Leave { member: usize },
    Commit { member: usize, generation_shift: i32, offset: i64 },
    Advance { ms: i64 },
    HoldCommits,
    ReleaseCommits,
    Reload,
}

fn event() -> impl Strategy<Value = Event> {
    let member = 0_usize..6;
    prop_oneof![
        3 => any::<bool>().prop_map(|is_static| Event::Enter { is_static }),
        4 => (member.clone(), any::<bool>())
            .prop_map(|(member, is_changed)| Event::Rejoin { member, is_changed }),
        6 => member.clone().prop_map(|member| Event::Sync { member }),
        4 => member.clone().prop_map(|member| Event::Heartbeat { member }),
        1 => member.clone().prop_map(|member| Event::Leave { member }),
        3 => (member, -1_i32..=1, 0_i64..1_000).prop_map(|(member, generation_shift, offset)| {
            Event::Commit { member, generation_shift, offset }
        }),
        4 => (0_i64..20_000).prop_map(|ms| Event::Advance { ms }),
        1 => Just(Event::HoldCommits),
        2 => Just(Event::ReleaseCommits),
        1 => Just(Event::Reload),
    ]
}

/// A group of clients, as they see themselves.
#[derive(Default)]
struct Clients {
    /// Member ids, with the instance id of static ones.
    members: Vec<(String, Option<String>)>,
    joins: Vec<(Ticket, usize)>,
    syncs: Vec<(Ticket, usize, i32)>,
    /// Generation to leader and protocol, as first heard of.
    generations: BTreeMap<i32, (String, Option<String>)>,
    /// Generation to what its leader handed out.
    assignments: BTreeMap<i32, BTreeMap<String, Bytes>>,
    instances: usize,
    last_generation: i32,
}

struct World {
    script: Script,
    clients: Clients,
}

impl World {
    fn new() -> Self {
        Self { script: Script::new(), clients: Clients::default() }
    }

    fn pick(&self, member: usize) -> Option<(usize, String, Option<String>)> {
        let index = member.checked_rem(self.clients.members.len())?;
        let (id, instance_id) = self.clients.members[index].clone();
        Some((index, id, instance_id))
    }

    fn known_generation(&self) -> i32 {
        self.script.shard.groups.get(GROUP).map_or(0, |group| group.generation)
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Enter { is_static } => self.enter(is_static),
            Event::Rejoin { member, is_changed } => self.rejoin(member, is_changed),
            Event::Sync { member } => self.sync(member),
            Event::Heartbeat { member } => {
                let Some((_, id, _)) = self.pick(member) else { return };
                self.script.heartbeat(&id, self.known_generation()).ok();
            }
            Event::Leave { member } => {
                let Some((_, id, instance_id)) = self.pick(member) else { return };
                self.script.leave(&[Leaver { instance_id, ..leaver(&id) }]);
            }
            Event::Commit { member, generation_shift, offset } => {
                self.commit(member, generation_shift, offset);
            }
            Event::Advance { ms } => self.script.advance(ms),
            Event::HoldCommits => self.script.holds_commits = true,
            Event::ReleaseCommits => self.script.commit_all(),
            Event::Reload => self.reload(),
        }
        self.listen();
        self.check_group();
    }

    fn enter(&mut self, is_static: bool) {
        let mut request = join_request("", &["range", "sticky"]);
        request.requires_known_member_id = false;
        if is_static {
            self.clients.instances += 1;
            request.instance_id = Some(format!("i{}", self.clients.instances % 3));
        }
        let instance_id = request.instance_id.clone();
        let ticket = self.script.join(request);
        let prefix = instance_id.as_deref().unwrap_or("client");
        self.clients.members.push((format!("{prefix}-id{}", ticket.0), instance_id));
        self.clients.joins.push((ticket, self.clients.members.len() - 1));
    }

    fn rejoin(&mut self, member: usize, is_changed: bool) {
        let Some((index, id, instance_id)) = self.pick(member) else { return };
        let protocols: &[&str] =
            if is_changed { &["sticky", "range"] } else { &["range", "sticky"] };
        let request = JoinRequest { instance_id, ..join_request(&id, protocols) };
        let ticket = self.script.join(request);
        self.clients.joins.push((ticket, index));
    }

    fn sync(&mut self, member: usize) {
        let Some((index, id, instance_id)) = self.pick(member) else { return };
        let generation = self.known_generation();
        let mut request = SyncRequest { instance_id, ..sync_request(&id, generation) };
        let group = self.script.shard.groups.get(GROUP);
        let leads = group.is_some_and(|group| {
            group.is_leader(&id)
                && group.state == GroupState::CompletingRebalance
                && !group.is_storing_assignment
        });
        if leads {
            let members = group.into_iter().flat_map(|group| group.members.keys());
            request.assignments =
                members.map(|id| (id.clone(), assignment(id, generation))).collect();
        }
        let assignments = request.assignments.clone();
        let log_size = self.script.log.len();
        let ticket = self.script.sync(request);
        if leads && self.script.log.len() > log_size {
            self.clients.assignments.insert(generation, assignments);
        }
        self.clients.syncs.push((ticket, index, generation));
    }

    fn commit(&mut self, member: usize, generation_shift: i32, offset: i64) {
        let Some((_, id, instance_id)) = self.pick(member) else { return };
        let generation = self.known_generation() + generation_shift;
        let before = self.script.shard.offsets.clone();
        let partition =
            CommitPartition { index: 0, offset, leader_epoch: -1, metadata: String::new() };
        let topic = CommitTopic {
            name: TOPIC.to_owned(),
            id: flumen_protocol::Uuid::ZERO,
            partitions: vec![partition],
        };
        let is_member = self.script.shard.groups.get(GROUP).is_some_and(|group| {
            group.generation == generation
                && group.check_member(&id, instance_id.as_deref()).is_ok()
        });
        let request = CommitRequest {
            group_id: GROUP.to_owned(),
            member_id: id,
            instance_id,
            generation,
            knows_group_not_found: true,
            retention_ms: None,
            topics: vec![topic],
        };
        let result = self.script.run(|shard, now, effects| shard.commit(now, request, effects));
        if generation >= 0 && !is_member {
            assert!(result.is_err(), "a stranger's commit was accepted");
            assert_eq!(self.script.shard.offsets, before);
        }
    }

    /// The coordinator moves: its clients' open requests die with it.
    fn reload(&mut self) {
        let before = stored_state(&self.script.shard);
        self.script.reload();
        assert_eq!(stored_state(&self.script.shard), before, "the log does not say it all");
        self.clients.joins.clear();
        self.clients.syncs.clear();
        // A generation that was not stored is handed out again.
        let generation = self.known_generation();
        self.clients.generations.retain(|&known, _| known <= generation);
        self.clients.assignments.retain(|&known, _| known <= generation);
        self.clients.last_generation = generation;
    }

    /// Clients read their answers.
    fn listen(&mut self) {
        let clients = &mut self.clients;
        let replies = &mut self.script.replies;
        clients.joins.retain(|(ticket, index)| {
            let Some(GroupReply::Join(reply)) = replies.remove(ticket) else { return true };
            if let Ok(joined) = reply {
                let heard = (joined.leader.clone(), joined.protocol_name);
                // A static leader that came back changes its id within a generation.
                let is_dynamic = !joined.leader.starts_with('i');
                let known = clients.generations.entry(joined.generation);
                let known = known.or_insert_with(|| heard.clone());
                assert!(!is_dynamic || known.0 == heard.0 || known.0.starts_with('i'));
                assert_eq!(known.1, heard.1, "two protocols in one generation");
                clients.members[*index].0 = joined.member_id;
            }
            false
        });
        clients.syncs.retain(|(ticket, index, generation)| {
            let Some(GroupReply::Sync(reply)) = replies.remove(ticket) else { return true };
            if let Ok(synced) = reply {
                let handed_out = &clients.assignments[generation];
                let is_own = handed_out.values().any(|given| *given == synced.assignment);
                let (id, instance_id) = &clients.members[*index];
                assert!(is_own || synced.assignment.is_empty(), "{id} got {synced:?}");
                if instance_id.is_none() && !synced.assignment.is_empty() {
                    assert_eq!(synced.assignment, assignment(id, *generation));
                }
            }
            false
        });
    }

    fn check_group(&mut self) {
        let Some(group) = self.script.shard.groups.get(GROUP) else {
            self.clients.last_generation = 0;
            return;
        };
        assert!(group.generation >= self.clients.last_generation, "generations only rise");
        self.clients.last_generation = group.generation;
        match group.state {
            GroupState::Empty => assert!(group.members.is_empty()),
            GroupState::PreparingRebalance => {
                assert!(group.members.values().all(|member| member.awaiting_sync.is_none()));
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                let leader = group.leader.as_ref().expect("a generation has a leader");
                assert!(group.members.contains_key(leader));
                // A static member that came back waits for its new id to be stored.
                let waiting = |member: &&Member| {
                    member.awaiting_join.is_some() && member.instance_id.is_none()
                };
                assert_eq!(group.members.values().filter(waiting).count(), 0);
            }
        }
        for (instance_id, member_id) in &group.static_members {
            assert_eq!(group.members[member_id].instance_id.as_ref(), Some(instance_id));
        }
    }

    /// Everybody behaves: rejoins when asked, syncs, beats.
    fn settle(&mut self) {
        self.script.commit_all();
        let start_ms = self.script.now.monotonic_ms;
        loop {
            self.listen();
            let members: Vec<_> = self
                .script
                .shard
                .groups
                .get(GROUP)
                .into_iter()
                .flat_map(|group| group.members.values())
                .map(|member| (member.id.clone(), member.instance_id.clone()))
                .collect();
            self.clients.members = members;
            self.clients.joins.clear();
            self.clients.syncs.clear();
            let Some(group) = self.script.shard.groups.get(GROUP) else { return };
            let is_done = group.pending_sync.is_empty();
            match group.state {
                GroupState::Empty => return,
                GroupState::Stable if is_done => return,
                GroupState::PreparingRebalance => {
                    for index in 0..self.clients.members.len() {
                        let id = &self.clients.members[index].0;
                        let Some(group) = self.script.shard.groups.get(GROUP) else { break };
                        let rejoins = group.state == GroupState::PreparingRebalance
                            && group.members.get(id).is_some_and(|m| m.awaiting_join.is_none());
                        if rejoins {
                            self.rejoin(index, false);
                        }
                    }
                }
                GroupState::CompletingRebalance | GroupState::Stable => {
                    (0..self.clients.members.len()).for_each(|index| self.sync(index));
                }
            }
            self.script.advance(100);
            let took_ms = self.script.now.monotonic_ms - start_ms;
            assert!(took_ms <= 2 * i64::from(REBALANCE_MS), "not stable after {took_ms} ms");
        }
    }

    /// Whoever still waits must be somebody the group still knows.
    fn check_nobody_is_forgotten(&self) {
        let waiting: Vec<_> = self
            .script
            .shard
            .groups
            .get(GROUP)
            .into_iter()
            .flat_map(|group| group.members.values())
            .flat_map(|member| member.awaiting_join.iter().chain(&member.awaiting_sync))
            .collect();
        let held: Vec<_> = self
            .script
            .uncommitted
            .iter()
            .flat_map(|(replies, _)| replies.iter().map(|(ticket, _)| ticket))
            .collect();
        let open = self
            .clients
            .joins
            .iter()
            .map(|(ticket, _)| ticket)
            .chain(self.clients.syncs.iter().map(|(ticket, _, _)| ticket));
        for ticket in open {
            assert!(waiting.contains(&ticket) || held.contains(&ticket), "{ticket:?} is forgotten");
        }
    }
}

type Stored = (OffsetStore, BTreeMap<String, String>);

fn stored_state(shard: &GroupShard) -> Stored {
    let groups = shard.groups.iter().filter_map(|(id, group)| {
        group.stored.as_ref().map(|stored| (id.clone(), format!("{stored:?}")))
    });
    (shard.offsets.clone(), groups.collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_the_group_keeps_its_promises(
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let mut world = World::new();
        for event in &events {
            world.apply(event);
            world.check_nobody_is_forgotten();
        }
        world.settle();
        let before = stored_state(&world.script.shard);
        world.script.reload();
        prop_assert_eq!(stored_state(&world.script.shard), before);
    }
}
