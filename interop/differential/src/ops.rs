//! What is asked: one operation per API, with arguments drawn from pools of right and wrong ones.

mod admin;
mod commits;
mod configs;
mod fetch;
mod frames;
mod groups;
mod members;
mod metadata;
mod offsets;
mod produce;
mod records;
mod rounds;
mod topics;

use anyhow::Result;
use flumen_protocol::ApiKey;

use crate::pair::Pair;
use crate::random::Random;

/// One kind of request, with a name to choose it by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Pair, &mut Random) -> Result<()>,
}

macro_rules! operations {
    ($($area:ident: $($name:ident),*;)*) => {
        const ALL: &[Operation] = &[
            $($(Operation { name: stringify!($name), run: $area::$name },)*)*
        ];
    };
}

operations! {
    metadata: api_versions, describe_cluster, describe_topic_partitions, metadata;
    topics: create_partitions, create_topic, delete_topic, elect_leaders;
    produce: init_producer_id, produce, produce_idempotent, produce_many, produce_unacknowledged;
    fetch: fetch, fetch_in_session;
    offsets: delete_records, list_offsets, offset_for_leader_epoch;
    configs: alter_configs, describe_configs, incremental_alter_configs, list_config_resources;
    groups: delete_groups, describe_groups, find_coordinator, list_groups;
    commits: commit_without_group, fetch_offsets, offset_delete;
    members: heartbeat, join, leave, life_of_a_group, sync;
    rounds: static_member, two_members;
    admin: describe_log_dirs, describe_producers, describe_quorum;
    frames: mangled_header, mangled_request, mangled_size;
}

/// The operations whose name contains `part`.
pub(crate) fn matching(part: &str) -> Vec<Operation> {
    ALL.iter().filter(|operation| operation.name.contains(part)).copied().collect()
}

/// A topic that is there for the whole run.
#[derive(Debug)]
struct Scenery {
    name: &'static str,
    partitions: i32,
    configs: &'static [(&'static str, &'static str)],
}

/// Topics that exist from the start.
const TOPICS: [Scenery; 6] = [
    Scenery { name: "one", partitions: 1, configs: &[] },
    Scenery { name: "three", partitions: 3, configs: &[] },
    Scenery { name: "compacted", partitions: 1, configs: &[("cleanup.policy", "compact")] },
    Scenery { name: "zipped", partitions: 1, configs: &[("compression.type", "gzip")] },
    Scenery {
        name: "stamped",
        partitions: 1,
        configs: &[("message.timestamp.type", "LogAppendTime")],
    },
    Scenery { name: "tight", partitions: 1, configs: &[("max.message.bytes", "150")] },
];

/// What the topics keep: everything, since the records are dated in the past, and retention would
/// delete them on each side when it gets to it.
const KEEP: (&str, &str) = ("retention.ms", "-1");

/// Creates the topics and the offsets topic, and learns their ids.
pub(crate) fn set_scene(pair: &mut Pair, random: &mut Random) -> Result<()> {
    metadata::compare_served_versions(pair)?;
    for topic in &TOPICS {
        topics::create(pair, topic)?;
    }
    groups::create_offsets_topic(pair)?;
    groups::await_coordinators(pair)?;
    produce::await_producer_ids(pair)?;
    metadata::learn_topic_ids(pair)?;
    produce::fill(pair, random)
}

/// A version that Kafka serves, each as likely as the others.
pub(crate) fn version_of(api: ApiKey, random: &mut Random) -> i16 {
    let versions = match api {
        // 6 is not final and off by default.
        ApiKey::InitProducerId => 0..=5,
        other => other.versions(),
    };
    random.choose(&versions.collect::<Vec<_>>())
}

/// A topic's name: mostly one that exists.
pub(crate) fn topic_name(random: &mut Random) -> &'static str {
    random.choose(&[
        "one",
        "one",
        "three",
        "three",
        "compacted",
        "zipped",
        "stamped",
        "tight",
        "missing",
        "__consumer_offsets",
        "",
        "bad/name",
        "..",
    ])
}

/// A topic name that is well formed, since some answers to others carry Java's own words.
pub(crate) fn sound_topic_name(random: &mut Random) -> &'static str {
    random.choose(&["one", "one", "three", "three", "compacted", "missing"])
}

/// An epoch that a client believes in; -1 for none.
fn leader_epoch(random: &mut Random) -> i32 {
    random.choose(&[-1, -1, -1, 0, 1, 7])
}

pub(crate) fn partition_index(random: &mut Random) -> i32 {
    random.choose(&[0, 0, 0, 1, 2, 3, 99, -1])
}

/// Blanks the wording of a message but keeps whether there is one.
pub(crate) fn mask_text(text: &mut Option<String>) {
    if let Some(text) = text {
        "(words)".clone_into(text);
    }
}
