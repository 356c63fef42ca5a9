//! What is asked: one operation per API, with arguments drawn from pools of right and wrong ones.

mod admin;
mod configs;
mod data;
mod groups;
mod metadata;
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
    data: delete_records, fetch, fetch_in_session, init_producer_id, list_offsets,
        offset_for_leader_epoch, produce, produce_idempotent;
    configs: alter_configs, describe_configs, incremental_alter_configs, list_config_resources;
    groups: commit_without_group, delete_groups, describe_groups, fetch_offsets, find_coordinator,
        heartbeat, join, leave, life_of_a_group, list_groups, offset_delete, sync;
    admin: describe_log_dirs, describe_producers, describe_quorum;
}

/// The operations whose name contains `part`.
pub(crate) fn matching(part: &str) -> Vec<Operation> {
    ALL.iter().filter(|operation| operation.name.contains(part)).copied().collect()
}

/// Topics that exist from the start, with their partition counts.
pub(crate) const TOPICS: [(&str, i32); 3] = [("one", 1), ("three", 3), ("compacted", 1)];

/// What the topics keep: everything, since the records are dated in the past, and retention would
/// delete them on each side when it gets to it.
pub(crate) const KEEP: (&str, &str) = ("retention.ms", "-1");

/// Creates the topics and the offsets topic, and learns their ids.
pub(crate) fn set_scene(pair: &mut Pair, random: &mut Random) -> Result<()> {
    metadata::compare_served_versions(pair)?;
    for (name, partitions) in TOPICS {
        topics::create(pair, name, partitions)?;
    }
    groups::create_offsets_topic(pair)?;
    groups::await_coordinators(pair)?;
    data::await_producer_ids(pair)?;
    metadata::learn_topic_ids(pair)?;
    data::fill(pair, random)
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

pub(crate) fn partition_index(random: &mut Random) -> i32 {
    random.choose(&[0, 0, 0, 1, 2, 3, 99, -1])
}

/// Blanks the wording of a message but keeps whether there is one.
pub(crate) fn mask_text(text: &mut Option<String>) {
    if let Some(text) = text {
        "(words)".clone_into(text);
    }
}
