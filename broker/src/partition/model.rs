//! Replication explored exhaustively at small scope: the leader and follower machines of three
//! brokers, their logs on disks that lose what was not synced, messages that are late or lost, and
//! a controller that may do at any time whatever its rules allow.
//!
//! Every state that can be reached within the bounds of a [`Scope`] is visited once, and after
//! each step [`checks`] are made. Time does not pass: whether a replica lags is the scope's choice.

mod checks;
mod controller;
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use self::world::{Action, World};

/// What the exploration is bounded by.
#[derive(Debug, Clone, Copy)]
struct Scope {
    /// Records that clients produce.
    records: u8,
    /// Crashes, each with any or none of what was not synced lost.
    crashes: u8,
    /// Disks that are replaced by empty ones.
    wipes: u8,
    /// Brokers that are fenced although they run, and leaders that are moved.
    moves: u8,
    /// Members that are taken to lag.
    lags: u8,
    /// Proposals whose answer comes too late.
    silences: u8,
    /// Fetches that are read long after their connection broke.
    strays: u8,
    /// Whether much can happen between a follower's append and its sync.
    slow_syncs: bool,
    min_in_sync: usize,
    /// In-sync members at the start.
    in_sync: usize,
    /// States after which the exploration ends.
    states_max: usize,
}

const SCOPE: Scope = Scope {
    records: 0,
    crashes: 0,
    wipes: 0,
    moves: 0,
    lags: 0,
    silences: 0,
    strays: 0,
    slow_syncs: false,
    min_in_sync: 2,
    in_sync: 3,
    states_max: usize::MAX,
};

/// Steps of a walk at random.
const STEPS: usize = 300;

/// A million states share a fingerprint with a chance of one in thirty million.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// What an exploration has come to.
#[derive(Debug)]
struct Explored {
    states: usize,
    /// The most records that were committed in any of them: an exploration that commits nothing
    /// proves nothing.
    committed: usize,
    is_complete: bool,
}

/// Visits every state of the scope, nearest first.
fn explore(scope: Scope) -> Explored {
    let first = World::new(scope);
    let mut seen = BTreeSet::from([fingerprint(&first)]);
    let mut frontier = VecDeque::from([(first, None)]);
    // How each state was come by, to tell the shortest way to a failure.
    let mut ways: Vec<(Option<usize>, Action)> = Vec::new();
    let mut committed = 0;
    while let Some((world, way)) = frontier.pop_front() {
        committed = committed.max(world.committed.len());
        for action in world.actions() {
            let mut next = world.clone();
            let checked = next.apply(action).and_then(|()| checks::check(&next));
            if let Err(broken) = checked {
                let story = story(&ways, way, action);
                panic!("{broken}\n{}\nends in {next:#?}", story.join("\n"));
            }
            if seen.insert(fingerprint(&next)) {
                ways.push((way, action));
                frontier.push_back((next, Some(ways.len() - 1)));
            }
        }
        if seen.len() >= scope.states_max {
            return Explored { states: seen.len(), committed, is_complete: false };
        }
    }
    Explored { states: seen.len(), committed, is_complete: true }
}

fn story(ways: &[(Option<usize>, Action)], way: Option<usize>, last: Action) -> Vec<String> {
    let mut story = vec![format!("{last:?}")];
    let mut at = way;
    while let Some(place) = at {
        let (before, action) = &ways[place];
        story.push(format!("{action:?}"));
        at = *before;
    }
    story.reverse();
    story
}

/// Goes from state to state at random, for what lies too deep to see all of it.
fn wander(scope: Scope, walks: u64) -> usize {
    let mut committed = 0;
    for seed in 0..walks {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut world = World::new(scope);
        let mut way = Vec::new();
        for _ in 0..STEPS {
            let actions = world.actions();
            // xorshift: any sequence does, if it is the same every time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let Some(choice) = random.checked_rem(actions.len() as u64) else { break };
            let action = actions[usize::try_from(choice).unwrap()];
            way.push(action);
            if let Err(broken) = world.apply(action).and_then(|()| checks::check(&world)) {
                panic!("{broken}\nseed {seed}: {way:#?}\nends in {world:#?}");
            }
        }
        committed = committed.max(world.committed.len());
    }
    committed
}

fn check_scope(scope: Scope) {
    let explored = explore(scope);
    println!("{} states of {scope:?}", explored.states);
    let is_bounded = scope.states_max < usize::MAX;
    assert!(explored.is_complete || is_bounded, "{explored:?} of {scope:?}");
    assert_eq!(explored.committed, usize::from(scope.records), "{scope:?}");
}

#[test]
fn followers_copy_join_and_leave() {
    let scope = Scope { records: 1, in_sync: 1, min_in_sync: 1, silences: 1, ..SCOPE };
    check_scope(Scope { states_max: 60_000, ..scope });
}

#[test]
fn a_crash() {
    check_scope(Scope { records: 1, crashes: 1, ..SCOPE });
}

#[test]
fn a_leader_that_is_moved() {
    check_scope(Scope { records: 1, moves: 1, ..SCOPE });
}

#[test]
fn everything_at_once() {
    let scope = Scope {
        records: 3,
        crashes: 2,
        moves: 3,
        lags: 3,
        silences: 2,
        strays: 2,
        slow_syncs: true,
        ..SCOPE
    };
    for (min_in_sync, in_sync, wipes) in [(2, 3, 0), (2, 3, 1), (1, 1, 0), (3, 3, 0)] {
        let committed = wander(Scope { min_in_sync, in_sync, wipes, ..scope }, 2_000);
        assert_eq!(committed, 3);
    }
}
