//! Which partition a record goes to.
//!
//! A record with a key goes where Java's producer sends it: murmur2 of the key, modulo the number of
//! partitions. Records without keys stay on one partition until that has got about a batch of bytes,
//! so that batches fill, and then move to a random other one (KIP-794). Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_client::cluster::Topic;
use flumen_client::connection::Rng;

/// How records without keys are spread over partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spread {
    /// A batch here, a batch there.
    #[default]
    Sticky,
    /// One record here, one there; batches fill more slowly.
    RoundRobin,
    /// A batch to the partition that has the fewest bytes waiting.
    LeastLoad,
}

/// Chooses partitions, topic by topic.
#[derive(Debug)]
pub(crate) struct Partitioner {
    spread: Spread,
    /// Bytes after which another partition is chosen.
    stick_bytes: usize,
    topics: BTreeMap<Arc<str>, Stay>,
}

/// Where the records of a topic go at the moment.
#[derive(Debug, Clone, Copy)]
struct Stay {
    partition: i32,
    bytes_left: usize,
}

impl Partitioner {
    pub(crate) fn new(spread: Spread, stick_bytes: usize) -> Self {
        Self { spread, stick_bytes, topics: BTreeMap::new() }
    }

    /// Chooses for a record of `size` bytes; `load` tells the bytes that wait for a partition.
    pub(crate) fn choose(
        &mut self,
        topic: &Topic,
        key: Option<&[u8]>,
        size: usize,
        rng: &dyn Rng,
        load: impl Fn(i32) -> usize,
    ) -> i32 {
        if let Some(key) = key {
            return keyed(key, topic.partitions.len());
        }
        if let Some(stay) = self.topics.get_mut(&topic.name) {
            let is_there =
                usize::try_from(stay.partition).is_ok_and(|i| i < topic.partitions.len());
            if stay.bytes_left > 0 && is_there {
                stay.bytes_left = stay.bytes_left.saturating_sub(size);
                return stay.partition;
            }
        }
        let last = self.topics.get(&topic.name).map(|stay| stay.partition);
        let partition = self.next(topic, last, rng, load);
        let bytes_left = match self.spread {
            Spread::RoundRobin => 0,
            Spread::Sticky | Spread::LeastLoad => self.stick_bytes.saturating_sub(size),
        };
        self.topics.insert(Arc::clone(&topic.name), Stay { partition, bytes_left });
        partition
    }

    fn next(
        &self,
        topic: &Topic,
        last: Option<i32>,
        rng: &dyn Rng,
        load: impl Fn(i32) -> usize,
    ) -> i32 {
        // Partitions without a leader would only make records wait; better none than that.
        let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
        let mut candidates: Vec<i32> = led.map(|partition| partition.index).collect();
        if candidates.is_empty() {
            candidates = topic.partitions.iter().map(|partition| partition.index).collect();
        }
        let after_last = candidates.iter().copied().find(|index| Some(*index) > last);
        let random = |candidates: &[i32]| {
            let index = rng.next_u64() % candidates.len().max(1) as u64;
            candidates.get(usize::try_from(index).expect("less than a length")).copied()
        };
        let chosen = match self.spread {
            Spread::RoundRobin => after_last.or(candidates.first().copied()),
            Spread::LeastLoad => {
                let least = candidates.iter().map(|index| load(*index)).min();
                candidates.retain(|index| Some(load(*index)) == least);
                random(&candidates)
            }
            Spread::Sticky => {
                if candidates.len() > 1 {
                    candidates.retain(|index| Some(*index) != last);
                }
                random(&candidates)
            }
        };
        chosen.unwrap_or(0)
    }
}

/// The partition of a key, as Java's producer has it.
pub(crate) fn keyed(key: &[u8], partition_count: usize) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    let count = u32::try_from(partition_count.max(1)).expect("a topic has few partitions");
    i32::try_from(positive % count).expect("31 bits are left")
}

/// Murmur 2 with Kafka's seed, 32 bits.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).expect("keys are shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let (blocks, tail) = data.as_chunks::<4>();
    for block in blocks {
        let mut k = u32::from_le_bytes(*block).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use flumen_client::cluster::Partition;
    use flumen_protocol::Uuid;

    use super::*;

    #[derive(Debug)]
    struct Fixed(u64);

    impl Rng for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    fn topic(leaders: &[Option<i32>]) -> Topic {
        let partitions = (0..).zip(leaders).map(|(index, leader)| Partition {
            index,
            leader: *leader,
            leader_epoch: 0,
            replicas: Vec::new(),
            in_sync: Vec::new(),
            offline: Vec::new(),
        });
        Topic {
            name: "t".into(),
            id: Uuid::ZERO,
            is_internal: false,
            partitions: partitions.collect(),
        }
    }

    fn choices(spread: Spread, leaders: &[Option<i32>], random: u64, loads: &[usize]) -> Vec<i32> {
        let mut partitioner = Partitioner::new(spread, 100);
        let topic = topic(leaders);
        let load = |index: i32| loads.get(usize::try_from(index).unwrap()).copied().unwrap_or(0);
        (0..6).map(|_| partitioner.choose(&topic, None, 50, &Fixed(random), load)).collect()
    }

    #[test]
    fn hashes_are_javas() {
        // From the test of Kafka's own `Utils.murmur2`.
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key), expected.cast_unsigned(), "{key:?}");
        }
    }

    #[test]
    fn keyless_records_stay_for_a_batch() {
        let led = [Some(1); 3];
        assert_eq!(choices(Spread::Sticky, &led, 0, &[]), [0, 0, 1, 1, 0, 0]);
        assert_eq!(choices(Spread::RoundRobin, &led, 0, &[]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(choices(Spread::LeastLoad, &led, 0, &[9, 5, 7]), [1; 6]);
    }

    #[test]
    fn partitions_without_leader_are_avoided() {
        let led = [None, Some(1), None];
        assert_eq!(choices(Spread::Sticky, &led, 0, &[]), [1; 6]);
        assert_eq!(choices(Spread::RoundRobin, &[None, None], 0, &[])[..2], [0, 1]);
    }

    #[test]
    fn a_key_goes_to_its_partition_even_without_leader() {
        let mut partitioner = Partitioner::new(Spread::Sticky, 100);
        let topic = topic(&[None; 7]);
        let chosen = partitioner.choose(&topic, Some(b"foobar"), 1, &Fixed(0), |_| 0);
        let expected = ((-790_332_482i32) & 0x7fff_ffff) % 7;
        assert_eq!(chosen, expected);
    }
}
