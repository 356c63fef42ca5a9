//! What a follower fetches from here, and what it was told last (KIP-227).
//!
//! A follower has one session, with everything that it fetches; one that it begins anew ends the last.
//! Only the start of a broker that the metadata names has any (KIP-903): what others ask is refused
//! before anything is kept of it.
//!
//! Which partitions are looked at is the union of three: those that the request names, those that
//! have moved (`ReplicaWatch`), and those with more to tell than the last answer could.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use flumen_protocol::{ErrorCode, Uuid};
use parking_lot::Mutex;

use super::Seen;
use crate::api::Context;
use crate::api::error::WireError;
use crate::api::fetch::divergence;
use crate::controller::Controller;
use crate::partition::{Isolation, Partition, PartitionRead, ReplicaFetch, ReplicaWatch};

/// A partition's number in its session.
pub(super) type Place = u32;

/// The sessions of all followers, by their ids.
#[derive(Debug, Default)]
pub(crate) struct ReplicaSessions(Mutex<BTreeMap<i32, Arc<Session>>>);

impl ReplicaSessions {
    /// Takes in what a follower asks for.
    pub(super) fn begin(
        &self,
        ctx: &Context,
        request: FetchRequest,
    ) -> Result<Arc<Session>, ErrorCode> {
        let replica_id = request.replica_state.replica_id;
        let broker_epoch = request.replica_state.replica_epoch;
        let mut sessions = self.0.lock();
        // A connection of an earlier start of that broker may still deliver, and a later start may be
        // here before its registration is: it asks again.
        match ctx.controller.image().broker(replica_id) {
            None => return Err(ErrorCode::BrokerIdNotRegistered),
            Some(broker) if broker.epoch != broker_epoch => {
                return Err(ErrorCode::StaleBrokerEpoch);
            }
            Some(_) => {}
        }
        let known = sessions.get(&replica_id);
        if request.session_epoch != 0 {
            let session = known.ok_or(ErrorCode::FetchSessionIdNotFound)?;
            if (session.id, session.broker_epoch) != (request.session_id, broker_epoch) {
                return Err(ErrorCode::FetchSessionIdNotFound);
            }
            session.update(request)?;
            return Ok(Arc::clone(session));
        }
        let session = Session::new(replica_id, broker_epoch, ctx.seams.rng.next_u64());
        session.update(request)?;
        let session = Arc::new(session);
        if let Some(last) = sessions.insert(replica_id, Arc::clone(&session)) {
            last.watch.end();
        }
        Ok(session)
    }

    /// Ends the sessions of starts of brokers that are over.
    pub(crate) fn reconcile(&self, controller: &Controller) {
        let mut sessions = self.0.lock();
        let image = controller.image();
        sessions.retain(|replica_id, session| {
            let broker = image.broker(*replica_id);
            let is_registered = broker.is_some_and(|broker| broker.epoch == session.broker_epoch);
            if !is_registered {
                session.watch.end();
            }
            is_registered
        });
    }
}

/// The session of one follower.
#[derive(Debug)]
pub(super) struct Session {
    id: i32,
    replica_id: i32,
    broker_epoch: i64,
    watch: Arc<ReplicaWatch>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the request that comes next.
    epoch: i32,
    entries: BTreeMap<Place, Entry>,
    places: BTreeMap<(Uuid, i32), Place>,
    next_place: Place,
    /// Those that have to be looked at, beside what moves.
    open: BTreeSet<Place>,
    /// Where looking begins: whose turn it is when one answer cannot hold everything.
    first: Place,
}

/// What an answer still has room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes_left: usize,
    /// Of those, for replicas that are throttled.
    copies_left: usize,
    /// There is nothing in it yet: one batch comes whatever its size.
    is_first: bool,
}

/// A partition of a session.
#[derive(Debug)]
struct Entry {
    topic_id: Uuid,
    request: FetchPartition,
    /// The one whose moves are watched. It is not kept alive: it may be deleted while the follower
    /// is away.
    partition: Weak<Partition>,
    /// High watermark and start of the log, as the follower knows them.
    told: Option<(i64, i64)>,
}

impl Session {
    fn new(replica_id: i32, broker_epoch: i64, random: u64) -> Self {
        let id = i32::try_from(random >> 33).expect("31 bits fit").max(1);
        Self { id, replica_id, broker_epoch, watch: Arc::default(), state: Mutex::default() }
    }

    pub(super) fn id(&self) -> i32 {
        self.id
    }

    pub(super) fn watch(&self) -> &ReplicaWatch {
        &self.watch
    }

    fn update(&self, request: FetchRequest) -> Result<(), ErrorCode> {
        let mut state = self.state.lock();
        if state.epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        state.epoch = state.epoch.checked_add(1).unwrap_or(1);
        for topic in request.topics {
            for partition in topic.partitions {
                state.ask(topic.topic_id, partition);
            }
        }
        for topic in request.forgotten_topics_data {
            for index in topic.partitions {
                state.forget((topic.topic_id, index), &self.watch);
            }
        }
        Ok(())
    }

    /// Looks at whatever may have something to tell; gives those that have, and when more of them
    /// will, if some are held back.
    pub(super) fn look(&self, ctx: &Context, bytes_max: usize) -> (Vec<Seen>, Option<Duration>) {
        let throttle = &ctx.partitions.throttles().leader;
        let held_until = throttle.held_until(ctx.seams.clock.monotonic());
        let mut copies_left = match held_until {
            Some(_) => 0,
            None => throttle.bytes_at_once(),
        };
        let mut is_held = false;
        let mut state = self.state.lock();
        state.open.append(&mut self.watch.take());
        let State { entries, open, first, .. } = &mut *state;
        let turns: Vec<Place> = open.range(*first..).chain(open.range(..*first)).copied().collect();
        let (mut bytes_left, mut is_first, mut is_full) = (bytes_max, true, false);
        let mut all = Vec::new();
        for place in turns {
            let Some(entry) = entries.get_mut(&place) else {
                open.remove(&place);
                continue;
            };
            if bytes_left == 0 && !is_full {
                (*first, is_full) = (place, true);
            }
            let room = Room { bytes_left, copies_left, is_first };
            let seen = entry.look(self, place, ctx, room);
            is_first &= seen.size() == 0;
            bytes_left = bytes_left.saturating_sub(seen.size());
            if seen.is_throttled {
                copies_left = copies_left.saturating_sub(seen.size());
            }
            is_held |= seen.is_held;
            let is_told = seen.is_due() || entry.must_tell(&seen);
            if is_told || (seen.is_open() && !seen.is_held) {
                all.push(seen);
            } else if !seen.is_held {
                open.remove(&place);
            }
        }
        // The answer names a topic once for all of its neighbours.
        all.sort_by_key(|seen| (seen.topic_id, seen.index));
        (all, held_until.filter(|_| is_held))
    }

    /// Makes the answer of what was seen, and notes that the follower knows it then.
    pub(super) fn tell(&self, seen: Vec<Seen>) -> Vec<(Uuid, PartitionData)> {
        let mut state = self.state.lock();
        let mut told = Vec::with_capacity(seen.len());
        for seen in seen {
            let (place, topic_id, is_open) = (seen.place, seen.topic_id, seen.is_open());
            let Some(entry) = state.entries.get_mut(&place) else { continue };
            let is_told = seen.is_due() || entry.must_tell(&seen);
            entry.told = ends(&seen);
            if is_told {
                told.push((topic_id, seen.answer()));
            }
            if !is_open {
                state.open.remove(&place);
            }
        }
        told
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for entry in self.state.get_mut().entries.values() {
            entry.leave(&self.watch);
        }
    }
}

impl State {
    fn ask(&mut self, topic_id: Uuid, request: FetchPartition) {
        let key = (topic_id, request.partition);
        let place = *self.places.entry(key).or_insert_with(|| {
            self.next_place += 1;
            self.next_place
        });
        match self.entries.get_mut(&place) {
            Some(entry) => entry.request = request,
            None => {
                let entry = Entry { topic_id, request, partition: Weak::new(), told: None };
                self.entries.insert(place, entry);
            }
        }
        self.open.insert(place);
    }

    fn forget(&mut self, key: (Uuid, i32), watch: &Arc<ReplicaWatch>) {
        let Some(place) = self.places.remove(&key) else { return };
        self.open.remove(&place);
        if let Some(entry) = self.entries.remove(&place) {
            entry.leave(watch);
        }
    }
}

impl Entry {
    fn look(&mut self, session: &Session, place: Place, ctx: &Context, room: Room) -> Seen {
        let mut seen = Seen {
            place,
            topic_id: self.topic_id,
            index: self.request.partition,
            partition: None,
            found: Err(ErrorCode::UnknownServerError),
            diverging: None,
            is_all: false,
            is_throttled: false,
            is_held: false,
        };
        match self.partition(session, place, ctx) {
            Ok(partition) => {
                // Before it is read: what is appended meanwhile is a move of its own.
                let log_end_offset = partition.log_end_offset();
                seen.is_all = self.request.fetch_offset >= log_end_offset;
                let found = self.read(session, &partition, ctx, room, &mut seen);
                seen.found = found;
                seen.partition = Some(partition);
            }
            Err(error) => seen.found = Err(error),
        }
        seen
    }

    fn read(
        &self,
        session: &Session,
        partition: &Arc<Partition>,
        ctx: &Context,
        room: Room,
        seen: &mut Seen,
    ) -> Result<PartitionRead, ErrorCode> {
        let request = &self.request;
        if let Err(error) = partition.check_epoch(request.current_leader_epoch)
            && !is_planted(Bug::FetchEpochsAreUnchecked)
        {
            return Err(error.code());
        }
        let fetch = ReplicaFetch {
            replica_id: session.replica_id,
            broker_epoch: session.broker_epoch,
            offset: request.fetch_offset,
            log_start_offset: request.log_start_offset,
        };
        partition
            .check_replica(&fetch)
            .map_err(|error| error.map_or(ErrorCode::NotLeaderOrFollower, |error| error.code()))?;
        if request.last_fetched_epoch >= 0 {
            seen.diverging = divergence(partition, request.last_fetched_epoch, fetch.offset)?;
        }
        if seen.diverging.is_some() {
            // There may be nothing at that offset: nothing is read.
            let start = partition.log_start_offset();
            let read = partition.read(start, 0, false, Isolation::Everything);
            return read.map_err(|error| error.code());
        }
        if partition.on_replica_fetch(fetch, request.current_leader_epoch) {
            ctx.caught_up.add(partition);
        }
        let Room { bytes_left, copies_left, mut is_first } = room;
        let own_max = usize::try_from(request.partition_max_bytes).unwrap_or(0);
        let mut max_bytes = own_max.min(bytes_left);
        seen.is_throttled = partition.throttles(session.replica_id);
        if seen.is_throttled {
            seen.is_held = copies_left == 0 && !seen.is_all;
            max_bytes = max_bytes.min(copies_left);
            is_first &= !seen.is_held;
        }
        let read = partition.read(request.fetch_offset, max_bytes, is_first, Isolation::Everything);
        read.map_err(|error| error.code())
    }

    /// The partition itself, watched from now on.
    fn partition(
        &mut self,
        session: &Session,
        place: Place,
        ctx: &Context,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let known = self.partition.upgrade();
        if let Some(known) = known.filter(|known| !known.is_closed() && !known.is_following()) {
            return Ok(known);
        }
        let found = ctx.partitions.find_by_id(self.topic_id, self.request.partition);
        let found = found.map_err(|error| error.code())?;
        if !std::ptr::eq(self.partition.as_ptr(), Arc::as_ptr(&found)) {
            self.leave(&session.watch);
            found.register_replica(place, &session.watch);
            self.partition = Arc::downgrade(&found);
        }
        Ok(found)
    }

    fn must_tell(&self, seen: &Seen) -> bool {
        if is_planted(Bug::WatermarksAreNotTold) && self.told.is_some() {
            return seen.found.is_err();
        }
        self.told != ends(seen)
    }

    fn leave(&self, watch: &Arc<ReplicaWatch>) {
        if let Some(partition) = self.partition.upgrade() {
            partition.forget_replica(watch);
        }
    }
}

/// What the follower will know of the ends; after an error nothing, so that the next good answer is
/// told, and after one that has it cut its log off neither: it looks at nothing else there.
fn ends(seen: &Seen) -> Option<(i64, i64)> {
    if seen.diverging.is_some() {
        return None;
    }
    let read = seen.found.as_ref().ok()?;
    Some((read.high_watermark, read.log_start_offset))
}
