//! How a decision sees the cluster: who may lead and be in sync, and the rules of each topic.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::image::{MetadataImage, TopicImage};
use crate::config::{BrokerConfig, Durability, Settings, TopicConfig};

/// The image that a decision is made on, with what it is about to change in the standing of one broker.
pub(super) struct Standing<'a> {
    pub(super) image: &'a MetadataImage,
    config: &'a BrokerConfig,
    defaults: OnceCell<(Settings, Rules)>,
    /// Who this leader of the quorum has heard of; `None` for everybody.
    heard: Option<&'a BTreeSet<i32>>,
    changed: Option<(i32, bool)>,
}

/// What a topic's settings say about its in-sync sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    min_in_sync_set: Option<usize>,
    /// Whether a replica that is not in sync may lead when no other can.
    pub(super) allows_unclean: bool,
    /// Whether a crash may take what was acknowledged.
    pub(super) is_page_cache: bool,
}

impl Rules {
    fn of(config: &TopicConfig) -> Self {
        let set = config.min_insync_replicas_set;
        Self {
            min_in_sync_set: set.map(|set| usize::try_from(set).unwrap_or(1)),
            allows_unclean: config.unclean_leader_election,
            is_page_cache: config.durability == Durability::PageCache,
        }
    }

    /// How many of `replicas` must be in sync for anything to be committed.
    pub(super) fn min_in_sync(&self, replicas: usize) -> usize {
        let default = if replicas >= 3 { 2 } else { 1 };
        self.min_in_sync_set.unwrap_or(default).min(replicas).max(1)
    }
}

impl<'a> Standing<'a> {
    pub(super) fn new(image: &'a MetadataImage, config: &'a BrokerConfig) -> Self {
        Self { image, config, defaults: OnceCell::new(), heard: None, changed: None }
    }

    /// The same on another image, with what was decided meanwhile.
    pub(super) fn on<'b>(&'b self, image: &'b MetadataImage) -> Standing<'b> {
        let Self { config, heard, changed, .. } = *self;
        Standing { image, config, defaults: OnceCell::new(), heard, changed }
    }

    /// Counts as present only who was heard of.
    pub(super) fn heard(mut self, heard: &'a BTreeSet<i32>) -> Self {
        self.heard = Some(heard);
        self
    }

    /// As if the broker were in service, or not.
    pub(super) fn with(mut self, broker_id: i32, is_active: bool) -> Self {
        self.changed = Some((broker_id, is_active));
        self
    }

    /// Whether the broker may lead and be in sync.
    pub(super) fn is_active(&self, broker_id: i32) -> bool {
        match self.changed {
            Some((changed, is_active)) if changed == broker_id => is_active,
            _ => self.image.is_active(broker_id),
        }
    }

    /// Whether the broker is active for certain, and not only because nobody has missed it yet.
    pub(super) fn is_present(&self, broker_id: i32) -> bool {
        let is_heard = |heard: &BTreeSet<i32>| heard.contains(&broker_id);
        let is_known = self.changed.is_some_and(|(changed, _)| changed == broker_id);
        self.is_active(broker_id) && (is_known || self.heard.is_none_or(is_heard))
    }

    pub(super) fn rules(&self, topic: &TopicImage) -> Rules {
        const NAMES: [&str; 3] =
            ["min.insync.replicas", "unclean.leader.election.enable", "durability"];
        let (settings, default) = self.defaults.get_or_init(|| self.find_defaults());
        if NAMES.iter().any(|name| topic.configs.contains_key(*name)) {
            Rules::of(&TopicConfig::resolve(&topic.configs, settings))
        } else {
            *default
        }
    }

    /// Whoever leads the quorum next must decide as this one does, and the leaders of partitions must
    /// count as it decides.
    fn find_defaults(&self) -> (Settings, Rules) {
        let settings = self.image.common_settings(self.config);
        let rules = Rules::of(&TopicConfig::resolve(&BTreeMap::new(), &settings));
        (settings, rules)
    }
}
