//! The brokers of the model, what is on the way between them, and everything that can happen next.

use std::time::Duration;

use flumen_storage::EpochEndOffset;

use super::super::follower::{Answer, FetchPosition, Follower, Following, LogEnds, Next, Step};
use super::super::leader::{
    InSyncProposal, Leader, Leadership, OwnEnds, ProposalOutcome, ReplicaFetch,
};
use super::Scope;
use super::controller::{Metadata, NODES};
use crate::config::Durability;

/// Nobody lags, and every pause is over.
const SOON: Duration = Duration::from_secs(10);
/// Whoever is behind lags.
const LATE: Duration = Duration::from_secs(100);
const LAG_MAX: Duration = Duration::from_secs(50);

/// Proposals that may be on the way at once.
const PROPOSALS_MAX: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Record {
    epoch: i32,
    value: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Role {
    Leader(Leader),
    Follower(Follower),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node {
    pub(super) log: Vec<Record>,
    pub(super) flushed: usize,
    /// `None` while it is down.
    role: Option<Role>,
    broker_epoch: i64,
    /// The metadata that it knows.
    known: Metadata,
    /// Its disk was replaced while it was down.
    pub(super) is_wiped: bool,
    response: Option<Response>,
}

/// The answer to a fetch, on its way to the follower.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Response {
    asked: FetchPosition,
    answer: Answer,
    records: Vec<Record>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Request {
    from: i32,
    to: i32,
    broker_epoch: i64,
    position: FetchPosition,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Proposed {
    from: i32,
    broker_epoch: i64,
    proposal: InSyncProposal,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct World {
    pub(super) metadata: Metadata,
    nodes: Vec<Node>,
    /// Requests of connections that broke, which are read all the same.
    strays: Vec<Request>,
    proposals: Vec<Proposed>,
    /// Every record that was ever below the high watermark of a leader.
    pub(super) committed: Vec<Record>,
    pub(super) is_wiped: bool,
    left: Left,
    slow_syncs: bool,
}

/// What may still happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Left {
    records: u8,
    crashes: u8,
    wipes: u8,
    moves: u8,
    lags: u8,
    silences: u8,
    strays: u8,
}

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Append(i32),
    Flush(i32),
    /// A follower asks, and its leader answers.
    Fetch(i32),
    Receive(i32),
    /// The connection breaks before the answer has come.
    Break(i32),
    /// It breaks before the question has come, and that is read later.
    Stray(i32),
    ServeStray(usize),
    Learn(i32),
    Propose {
        leader: i32,
        is_late: bool,
    },
    /// The controller decides a proposal.
    Decide(usize),
    /// The leader gives up on an answer; the proposal is still on its way.
    GiveUp(i32),
    Crash {
        broker: i32,
        loses: bool,
    },
    Wipe(i32),
    Start(i32),
    Fence(i32),
    Unfence(i32),
    Elect(i32),
}

fn offset(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}

pub(super) fn place(offset: i64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Node {
    pub(super) fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Some(Role::Leader(leader)) => Some(leader),
            _ => None,
        }
    }

    fn leader_mut(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Some(Role::Leader(leader)) => Some(leader),
            _ => None,
        }
    }

    fn follower(&self) -> Option<&Follower> {
        match &self.role {
            Some(Role::Follower(follower)) => Some(follower),
            _ => None,
        }
    }

    pub(super) fn high_watermark(&self) -> i64 {
        match &self.role {
            Some(Role::Leader(leader)) => leader.high_watermark(),
            Some(Role::Follower(follower)) => follower.high_watermark(),
            None => 0,
        }
    }

    fn ends(&self) -> LogEnds {
        LogEnds {
            log_start_offset: 0,
            log_end_offset: offset(self.log.len()),
            flushed_end_offset: offset(self.flushed),
            last_epoch: self.log.last().map(|record| record.epoch),
        }
    }

    /// Where the greatest epoch up to `epoch` ends, as the epoch cache has it.
    fn end_of_epoch(&self, epoch: i32) -> Option<EpochEndOffset> {
        let last = self.log.last()?;
        if epoch > last.epoch {
            return None;
        }
        let end = self.log.iter().take_while(|record| record.epoch <= epoch).count();
        let leader_epoch = end.checked_sub(1).map_or(epoch, |place| self.log[place].epoch);
        Some(EpochEndOffset { leader_epoch, end_offset: offset(end) })
    }

    /// Whether an answer tells a follower anything. Idle fetches only make the same states longer.
    fn is_news(&self, response: &Response) -> bool {
        match response.answer {
            Answer::Records { high_watermark, .. } => {
                let known = self.high_watermark();
                !response.records.is_empty()
                    || high_watermark.min(self.ends().log_end_offset) > known
            }
            _ => true,
        }
    }

    fn next(&self) -> Next {
        self.follower().map_or(Next::Rest, |follower| follower.next(&self.ends(), SOON))
    }

    /// Takes over newer metadata, as the reconciler does.
    fn learn(&mut self, id: i32, metadata: &Metadata) {
        self.known = metadata.clone();
        let (leader, leader_epoch) = (metadata.leader, metadata.leader_epoch);
        let high_watermark = self.high_watermark();
        let ends = self.ends();
        let durability = Durability::Fsync;
        if leader == Some(id) {
            let leadership = Leadership {
                leader_epoch,
                partition_epoch: metadata.partition_epoch,
                replicas: (0..NODES).collect(),
                in_sync: metadata.in_sync.clone(),
                min_in_sync: metadata.min_in_sync,
                durability,
            };
            match &mut self.role {
                Some(Role::Leader(leader)) if leader.leader_epoch() == leader_epoch => {
                    leader.on_changed(leadership);
                }
                role => {
                    let own = OwnEnds {
                        log_end_offset: ends.log_end_offset,
                        flushed_end_offset: ends.flushed_end_offset,
                    };
                    let now = Duration::ZERO;
                    *role =
                        Some(Role::Leader(Leader::new(id, leadership, own, high_watermark, now)));
                }
            }
            return;
        }
        let following = Following { leader, leader_epoch, durability };
        match &mut self.role {
            Some(Role::Follower(follower)) if follower.leader_epoch() == leader_epoch => {
                follower.on_changed(following);
            }
            role => *role = Some(Role::Follower(Follower::new(following, high_watermark))),
        }
    }
}

impl World {
    pub(super) fn new(scope: Scope) -> Self {
        let metadata = Metadata::new(scope.in_sync, scope.min_in_sync);
        let node = |id| {
            let mut node = Node {
                log: Vec::new(),
                flushed: 0,
                role: None,
                broker_epoch: 1,
                known: metadata.clone(),
                is_wiped: false,
                response: None,
            };
            node.learn(id, &metadata);
            node
        };
        let Scope { records, crashes, wipes, moves, lags, silences, strays, .. } = scope;
        Self {
            nodes: (0..NODES).map(node).collect(),
            metadata,
            strays: Vec::new(),
            proposals: Vec::new(),
            committed: Vec::new(),
            is_wiped: false,
            left: Left { records, crashes, wipes, moves, lags, silences, strays },
            slow_syncs: scope.slow_syncs,
        }
    }

    pub(super) fn node(&self, id: i32) -> &Node {
        &self.nodes[usize::try_from(id).unwrap()]
    }

    fn node_mut(&mut self, id: i32) -> &mut Node {
        &mut self.nodes[usize::try_from(id).unwrap()]
    }

    /// Everything that can happen next.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for id in 0..NODES {
            self.actions_of(id, &mut actions);
        }
        actions.extend((0..self.strays.len()).map(Action::ServeStray));
        actions.extend((0..self.proposals.len()).map(Action::Decide));
        actions
    }

    fn actions_of(&self, id: i32, actions: &mut Vec<Action>) {
        let (node, left) = (self.node(id), &self.left);
        let broker = self.metadata.broker(id);
        if node.role.is_none() {
            if !broker.is_fenced {
                actions.push(Action::Fence(id));
            }
            if left.wipes > 0 && !node.is_wiped {
                actions.push(Action::Wipe(id));
            }
            actions.push(Action::Start(id));
            return;
        }
        if let Some(leader) = node.leader() {
            let (in_sync, required) = leader.in_sync_count();
            if left.records > 0 && in_sync >= required {
                actions.push(Action::Append(id));
            }
            if self.proposals.len() < PROPOSALS_MAX {
                actions.push(Action::Propose { leader: id, is_late: false });
                if left.lags > 0 {
                    actions.push(Action::Propose { leader: id, is_late: true });
                }
            }
            if left.silences > 0 && self.proposals.iter().any(|proposed| proposed.from == id) {
                actions.push(Action::GiveUp(id));
            }
        }
        if node.flushed < node.log.len() {
            actions.push(Action::Flush(id));
        }
        match &node.response {
            Some(_) => actions.extend([Action::Receive(id), Action::Break(id)]),
            None if matches!(node.next(), Next::Fetch(_)) => {
                actions.push(Action::Fetch(id));
                if left.strays > 0 {
                    actions.push(Action::Stray(id));
                }
            }
            None => {}
        }
        if node.known != self.metadata {
            actions.push(Action::Learn(id));
        }
        if left.crashes > 0 {
            actions.push(Action::Crash { broker: id, loses: true });
            if node.flushed < node.log.len() {
                actions.push(Action::Crash { broker: id, loses: false });
            }
        }
        let registered = broker.epoch == node.broker_epoch;
        if broker.is_fenced && registered && node.known.broker(id).epoch == broker.epoch {
            actions.push(Action::Unfence(id));
        }
        if left.moves > 0 && !broker.is_fenced {
            actions.push(Action::Fence(id));
        }
        let is_other = self.metadata.leader.is_some_and(|leader| leader != id);
        if left.moves > 0 && is_other && self.metadata.electable().contains(&id) {
            actions.push(Action::Elect(id));
        }
    }

    /// Takes a step; an error says what is wrong about it.
    pub(super) fn apply(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Append(id) => self.append(id),
            Action::Flush(id) => {
                let node = self.node_mut(id);
                node.flushed = node.log.len();
                let end = offset(node.flushed);
                if let Some(leader) = node.leader_mut() {
                    leader.on_flushed(end);
                }
            }
            Action::Fetch(id) => {
                let response = self.request(id).and_then(|request| self.serve(&request));
                let has_news = response.as_ref().is_some_and(|r| self.node(id).is_news(r));
                self.node_mut(id).response = response.filter(|_| has_news);
            }
            Action::Receive(id) => self.receive(id)?,
            Action::Break(id) => self.node_mut(id).response = None,
            Action::Stray(id) => {
                self.left.strays -= 1;
                self.strays.extend(self.request(id));
            }
            Action::ServeStray(place) => {
                let request = self.strays.remove(place);
                drop(self.serve(&request));
            }
            Action::Learn(id) => {
                let metadata = self.metadata.clone();
                self.node_mut(id).learn(id, &metadata);
            }
            Action::Propose { leader, is_late } => self.propose(leader, is_late),
            Action::Decide(place) => self.decide(place),
            Action::GiveUp(id) => self.give_up(id),
            Action::Crash { broker, loses } => self.crash(broker, loses),
            Action::Wipe(id) => {
                self.left.wipes -= 1;
                let node = self.node_mut(id);
                node.log.clear();
                (node.flushed, node.is_wiped) = (0, true);
                self.is_wiped = true;
            }
            Action::Start(id) => self.start(id),
            Action::Fence(id) => {
                self.left.moves -= u8::from(self.node(id).role.is_some());
                self.metadata.fence(id);
            }
            Action::Unfence(id) => self.metadata.unfence(id),
            Action::Elect(id) => {
                self.left.moves -= 1;
                self.metadata.elect(Some(id));
            }
        }
        self.note_committed()
    }

    /// What a leader shows is committed, for ever.
    fn note_committed(&mut self) -> Result<(), String> {
        for id in 0..NODES {
            let node = self.node(id);
            if node.leader().is_none() {
                continue;
            }
            let shown = node.log[..place(node.high_watermark())].to_vec();
            let known = self.committed.len().min(shown.len());
            if shown[..known] != self.committed[..known] {
                return Err(format!("R4: broker {id} commits another history"));
            }
            if shown.len() > self.committed.len() {
                self.committed = shown;
            }
        }
        Ok(())
    }

    fn append(&mut self, id: i32) {
        let value = self.left.records;
        self.left.records -= 1;
        let node = self.node_mut(id);
        let epoch = node.leader().expect("only leaders append").leader_epoch();
        node.log.push(Record { epoch, value });
        let end = offset(node.log.len());
        node.leader_mut().expect("as above").on_appended(end, Duration::ZERO);
    }

    fn request(&self, id: i32) -> Option<Request> {
        let node = self.node(id);
        let Next::Fetch(position) = node.next() else { return None };
        let to = node.follower()?.leader()?;
        Some(Request { from: id, to, broker_epoch: node.broker_epoch, position })
    }

    /// The leader's side of a fetch, in the order of the broker's.
    fn serve(&mut self, request: &Request) -> Option<Response> {
        let Request { from, to, broker_epoch, position } = *request;
        let node = self.node_mut(to);
        let end = offset(node.log.len());
        let leader = node.leader()?;
        if leader.leader_epoch() != position.leader_epoch {
            return None;
        }
        let fetch = ReplicaFetch {
            replica_id: from,
            broker_epoch,
            offset: position.offset,
            log_start_offset: position.log_start_offset,
        };
        leader.check_replica(&fetch).ok()?;
        if let Some(last_epoch) = position.last_epoch {
            // An epoch above all of the log ends where the log does.
            let latest = node.log.last().map_or(last_epoch, |record| record.epoch);
            let fallback = EpochEndOffset { leader_epoch: latest, end_offset: end };
            let own = node.end_of_epoch(last_epoch).unwrap_or(fallback);
            if own.leader_epoch < last_epoch || own.end_offset < position.offset {
                let answer =
                    Answer::Diverging { epoch: own.leader_epoch, end_offset: own.end_offset };
                return Some(Response { asked: position, answer, records: Vec::new() });
            }
        }
        if position.offset > end {
            let answer = Answer::OutOfRange { log_start_offset: 0 };
            return Some(Response { asked: position, answer, records: Vec::new() });
        }
        let records = node.log[place(position.offset)..].to_vec();
        let leader = node.leader_mut()?;
        leader.on_fetch(fetch, Duration::ZERO).ok()?;
        let high_watermark = leader.high_watermark();
        let answer = Answer::Records { high_watermark, log_start_offset: 0 };
        Some(Response { asked: position, answer, records })
    }

    fn receive(&mut self, id: i32) -> Result<(), String> {
        let (committed, slow_syncs) = (self.committed.clone(), self.slow_syncs);
        let node = self.node_mut(id);
        let Some(Response { asked, answer, records }) = node.response.take() else {
            return Err("no response to receive".to_owned());
        };
        let ends = node.ends();
        let own = match answer {
            Answer::Diverging { epoch, .. } => node.end_of_epoch(epoch),
            _ => None,
        };
        let Some(Role::Follower(follower)) = &mut node.role else { return Ok(()) };
        match follower.on_answer(&asked, answer, &ends, |_| own, SOON) {
            Step::Nothing => {}
            Step::Append { high_watermark, .. } => {
                node.log.extend(records);
                if !slow_syncs {
                    node.flushed = node.log.len();
                }
                follower.on_appended(high_watermark, offset(node.log.len()));
            }
            Step::Truncate { end_offset } | Step::Restart { offset: end_offset } => {
                let had = node.log.iter().zip(&committed).take_while(|(a, b)| a == b).count();
                if place(end_offset) < had {
                    return Err(format!("R7: broker {id} cuts off what is committed"));
                }
                node.log.truncate(place(end_offset));
                node.flushed = node.flushed.min(node.log.len());
                let ends = LogEnds {
                    log_end_offset: offset(node.log.len()),
                    flushed_end_offset: offset(node.flushed),
                    ..ends
                };
                follower.on_cut(&ends);
            }
        }
        Ok(())
    }

    fn propose(&mut self, id: i32, is_late: bool) {
        let node = self.node_mut(id);
        let (known, broker_epoch) = (node.known.clone(), node.broker_epoch);
        let Some(leader) = node.leader_mut() else { return };
        let now = if is_late { LATE } else { SOON };
        let proposal = leader.propose(now, LAG_MAX, |id| known.in_service(id));
        let proposed = proposal.map(|proposal| Proposed { from: id, broker_epoch, proposal });
        if is_late {
            self.left.lags -= 1;
        }
        self.proposals.extend(proposed);
    }

    fn decide(&mut self, place: usize) {
        let Proposed { from, broker_epoch, proposal } = self.proposals.remove(place);
        let outcome = self.metadata.alter(from, broker_epoch, &proposal);
        let node = self.node_mut(from);
        if node.broker_epoch == broker_epoch
            && let Some(leader) = node.leader_mut()
        {
            leader.on_proposed(&proposal, outcome, Duration::ZERO);
        }
    }

    fn give_up(&mut self, id: i32) {
        self.left.silences -= 1;
        let proposals = self.proposals.clone();
        let node = self.node_mut(id);
        let broker_epoch = node.broker_epoch;
        let Some(leader) = node.leader_mut() else { return };
        for proposed in proposals {
            if (proposed.from, proposed.broker_epoch) == (id, broker_epoch) {
                leader.on_proposed(&proposed.proposal, ProposalOutcome::Unknown, Duration::ZERO);
            }
        }
    }

    fn crash(&mut self, id: i32, loses: bool) {
        self.left.crashes -= 1;
        let node = self.node_mut(id);
        if loses {
            node.log.truncate(node.flushed);
        }
        node.flushed = node.log.len();
        node.role = None;
        node.response = None;
    }

    fn start(&mut self, id: i32) {
        let is_wiped = self.node(id).is_wiped;
        let epoch = self.metadata.register(id, is_wiped);
        let metadata = self.metadata.clone();
        let node = self.node_mut(id);
        (node.broker_epoch, node.is_wiped) = (epoch, false);
        node.learn(id, &metadata);
    }
}
