//! Which brokers a topic's replicas go to, so that every broker has as many as the others and leads
//! about as many, no rack has two replicas of a partition while another has none, and little moves.

use std::collections::BTreeMap;

/// A broker that may hold replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: i32,
    pub(super) rack: Option<String>,
}

/// Each replica of a partition needs a broker of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotEnoughBrokers {
    pub(super) needed: usize,
    pub(super) found: usize,
}

/// The replicas of each partition, by where they are now; the preferred leader comes first.
pub(super) fn spread(
    partitions: &[Vec<i32>],
    places: &[Place],
    factor: usize,
) -> Result<Vec<Vec<i32>>, NotEnoughBrokers> {
    if places.len() < factor {
        return Err(NotEnoughBrokers { needed: factor, found: places.len() });
    }
    let mut spread = Spread::new(partitions, places);
    for index in 0..partitions.len() {
        spread.drop_surplus(index, factor);
    }
    for index in 0..partitions.len() {
        spread.fill(index, factor);
        spread.part_neighbours(index);
    }
    while spread.level() {}
    while spread.level_leaders() {}
    Ok(spread.partitions)
}

struct Spread<'a> {
    racks: BTreeMap<i32, Option<&'a str>>,
    partitions: Vec<Vec<i32>>,
    /// How many replicas each broker has.
    loads: BTreeMap<i32, usize>,
}

impl<'a> Spread<'a> {
    fn new(partitions: &[Vec<i32>], places: &'a [Place]) -> Self {
        let racks: BTreeMap<_, _> =
            places.iter().map(|place| (place.id, place.rack.as_deref())).collect();
        let mut loads: BTreeMap<i32, usize> = racks.keys().map(|id| (*id, 0)).collect();
        let mut partitions = partitions.to_vec();
        for replicas in &mut partitions {
            replicas.retain(|id| racks.contains_key(id));
            for id in &*replicas {
                *loads.entry(*id).or_default() += 1;
            }
        }
        Self { racks, partitions, loads }
    }

    /// Takes away the replicas that are too many.
    fn drop_surplus(&mut self, index: usize, factor: usize) {
        while self.partitions[index].len() > factor {
            // The first leads: it stays.
            let surplus = self.partitions[index].iter().copied().skip(1);
            let dropped =
                surplus.max_by_key(|id| (self.neighbours(index, *id, None), self.load(*id)));
            let Some(dropped) = dropped else { break };
            self.partitions[index].retain(|id| *id != dropped);
            *self.loads.entry(dropped).or_default() -= 1;
        }
    }

    /// Adds the replicas that are missing, on the brokers that have least.
    fn fill(&mut self, index: usize, factor: usize) {
        while self.partitions[index].len() < factor {
            let Some(chosen) = self.best_free(index, None) else { break };
            self.partitions[index].push(chosen);
            *self.loads.entry(chosen).or_default() += 1;
        }
    }

    /// Moves replicas out of racks that have several to racks that have fewer.
    fn part_neighbours(&mut self, index: usize) {
        for position in (0..self.partitions[index].len()).rev() {
            let id = self.partitions[index][position];
            if let Some(other) = self.best_free(index, Some(id))
                && self.neighbours(index, other, Some(id)) < self.neighbours(index, id, None)
            {
                self.replace(index, position, other);
            }
        }
    }

    /// The broker without a replica of the partition that is best for one.
    fn best_free(&self, index: usize, instead_of: Option<i32>) -> Option<i32> {
        let free = self.racks.keys().filter(|id| !self.partitions[index].contains(id));
        free.copied().min_by_key(|id| (self.neighbours(index, *id, instead_of), self.load(*id)))
    }

    /// Moves one replica from a broker that has more to one that has at least two less.
    fn level(&mut self) -> bool {
        let mut pairs = Vec::new();
        for (from, more) in &self.loads {
            let less = self.loads.iter().filter(|(_, less)| **less + 1 < *more);
            pairs.extend(less.map(|(to, less)| (more - less, *from, *to)));
        }
        pairs.sort_unstable_by(|a, b| b.cmp(a));
        for (_, from, to) in pairs {
            let found = self.partitions.iter().enumerate().find_map(|(index, replicas)| {
                let position = replicas.iter().position(|id| *id == from)?;
                let is_better = !replicas.contains(&to)
                    && self.neighbours(index, to, Some(from)) <= self.neighbours(index, from, None);
                is_better.then_some((index, position))
            });
            if let Some((index, position)) = found {
                self.replace(index, position, to);
                return true;
            }
        }
        false
    }

    /// Has partitions led by a replica whose broker leads at least two less.
    fn level_leaders(&mut self) -> bool {
        let mut leads: BTreeMap<i32, usize> = BTreeMap::new();
        for leader in self.partitions.iter().filter_map(|replicas| replicas.first()) {
            *leads.entry(*leader).or_default() += 1;
        }
        let mut has_changed = false;
        for replicas in &mut self.partitions {
            let lead = |id: i32| leads.get(&id).copied().unwrap_or(0);
            let least = replicas.iter().enumerate().skip(1).min_by_key(|(_, id)| lead(**id));
            let Some((position, id)) = least.map(|(position, id)| (position, *id)) else {
                continue;
            };
            if lead(id) + 1 < lead(replicas[0]) {
                *leads.entry(replicas[0]).or_default() -= 1;
                *leads.entry(id).or_default() += 1;
                replicas.swap(0, position);
                has_changed = true;
            }
        }
        has_changed
    }

    fn replace(&mut self, index: usize, position: usize, id: i32) {
        let before = std::mem::replace(&mut self.partitions[index][position], id);
        *self.loads.entry(before).or_default() -= 1;
        *self.loads.entry(id).or_default() += 1;
    }

    /// How many other replicas of the partition, but for that on `without`, share the broker's rack.
    fn neighbours(&self, index: usize, id: i32, without: Option<i32>) -> usize {
        let Some(rack) = self.racks.get(&id).copied().flatten() else { return 0 };
        let others = self.partitions[index].iter().filter(|other| {
            **other != id
                && Some(**other) != without
                && self.racks.get(*other).copied().flatten() == Some(rack)
        });
        others.count()
    }

    fn load(&self, id: i32) -> usize {
        self.loads.get(&id).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn places(ids: &[i32], rack: impl Fn(i32) -> Option<&'static str>) -> Vec<Place> {
        ids.iter().map(|id| Place { id: *id, rack: rack(*id).map(str::to_owned) }).collect()
    }

    fn anywhere(ids: &[i32]) -> Vec<Place> {
        places(ids, |_| None)
    }

    /// The replicas and the leaderships of each broker.
    fn loads(partitions: &[Vec<i32>]) -> BTreeMap<i32, (usize, usize)> {
        let mut loads = BTreeMap::<i32, (usize, usize)>::new();
        for replicas in partitions {
            for (position, id) in replicas.iter().enumerate() {
                let load = loads.entry(*id).or_default();
                *load = (load.0 + 1, load.1 + usize::from(position == 0));
            }
        }
        loads
    }

    fn kept(before: &[Vec<i32>], after: &[Vec<i32>]) -> usize {
        let pairs = before.iter().zip(after);
        pairs.map(|(before, after)| before.iter().filter(|id| after.contains(id)).count()).sum()
    }

    #[test]
    fn what_is_spread_already_stays() {
        let before = vec![vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2]];
        assert_eq!(spread(&before, &anywhere(&[1, 2, 3]), 3), Ok(before));
    }

    #[test]
    fn a_new_broker_gets_its_share_and_no_more_moves_than_that() {
        let before: Vec<Vec<i32>> =
            (0..12).map(|n| vec![n % 3 + 1, (n + 1) % 3 + 1, (n + 2) % 3 + 1]).collect();
        let after = spread(&before, &anywhere(&[1, 2, 3, 4]), 3).unwrap();
        assert!(loads(&after).values().all(|load| *load == (9, 3)), "{after:?}");
        assert_eq!(kept(&before, &after), 36 - 9);
    }

    #[test]
    fn a_broker_that_is_not_named_is_emptied() {
        let before = vec![vec![1, 2], vec![2, 3], vec![3, 1]];
        let after = spread(&before, &anywhere(&[1, 2, 4]), 2).unwrap();
        assert!(after.iter().all(|replicas| !replicas.contains(&3) && replicas.len() == 2));
        assert_eq!(kept(&before, &after), 4);
        assert_eq!(loads(&after).values().filter(|load| load.0 == 2).count(), 3, "{after:?}");
    }

    #[test]
    fn the_number_of_replicas_rises_and_falls() {
        let one = vec![vec![1], vec![1], vec![1]];
        let three = spread(&one, &anywhere(&[1, 2, 3]), 3).unwrap();
        assert!(loads(&three).values().all(|load| *load == (3, 1)), "{three:?}");
        let back = spread(&three, &anywhere(&[1, 2, 3]), 1).unwrap();
        assert!(loads(&back).values().all(|load| *load == (1, 1)), "{back:?}");
        let needed = NotEnoughBrokers { needed: 3, found: 2 };
        assert_eq!(spread(&one, &anywhere(&[1, 2]), 3), Err(needed));
    }

    #[test]
    fn no_rack_has_two_while_another_has_none() {
        let rack = |id| Some(["a", "b", "c"][usize::try_from(id % 3).unwrap()]);
        let six = places(&[1, 2, 3, 4, 5, 6], rack);
        let before = vec![vec![1, 4, 2], vec![1], vec![5, 2], vec![3, 6, 1], vec![2], vec![6]];
        let after = spread(&before, &six, 3).unwrap();
        for replicas in &after {
            let racks: BTreeSet<_> = replicas.iter().map(|id| id % 3).collect();
            assert_eq!(racks.len(), 3, "{after:?}");
        }
        // Who leads is changed within a partition only, and is not always quite even.
        assert!(loads(&after).values().all(|load| load.0 == 3 && load.1 <= 2), "{after:?}");
    }
}
