//! What the file of a broker says of the promises that topics make which say nothing themselves.
//!
//! Leaders, and the controller that replaces them, must count by the same numbers, or what one
//! acknowledges the other gives away. So none of them goes by its own file: every broker registers
//! what its file says, and of all that are registered the strictest holds everywhere.

use serde::{Deserialize, Serialize};

use super::settings::Settings;

/// The promises of one file, or those that several come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Promises {
    /// `min.insync.replicas`; without it, by the number of replicas.
    pub min_in_sync: Option<i32>,
    /// `log.durability` is `page-cache`.
    pub is_page_cache: bool,
    /// `unclean.leader.election.enable`.
    pub allows_unclean: bool,
}

impl Promises {
    /// What both allow.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        // The default is 1 or 2: more than a 1 that was asked for, and never more than a 2.
        let strictness = |min: &Option<i32>| match min {
            Some(1) => 0,
            None => 1,
            Some(more) => *more,
        };
        Self {
            min_in_sync: std::cmp::max_by_key(self.min_in_sync, other.min_in_sync, strictness),
            is_page_cache: self.is_page_cache && other.is_page_cache,
            allows_unclean: self.allows_unclean && other.allows_unclean,
        }
    }
}

impl Settings {
    /// The promises of the file.
    #[must_use]
    pub fn promises(&self) -> Promises {
        let fixed = |name| self.fixed_value(name);
        Promises {
            min_in_sync: fixed("min.insync.replicas").and_then(|value| value.parse().ok()),
            is_page_cache: fixed("log.durability") == Some("page-cache"),
            allows_unclean: fixed("unclean.leader.election.enable") == Some("true"),
        }
    }

    /// These settings with `agreed` in the place of what the file promises.
    #[must_use]
    pub fn promising(mut self, agreed: Promises) -> Self {
        let own = self.promises();
        let Promises { min_in_sync, is_page_cache, allows_unclean } = agreed;
        if own.min_in_sync != min_in_sync {
            self.replace_fixed("min.insync.replicas", min_in_sync.map(|min| min.to_string()));
        }
        if own.is_page_cache != is_page_cache {
            let value = is_page_cache.then(|| "page-cache".to_owned());
            self.replace_fixed("log.durability", value);
        }
        if own.allows_unclean != allows_unclean {
            let value = allows_unclean.then(|| "true".to_owned());
            self.replace_fixed("unclean.leader.election.enable", value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, TopicConfig};

    #[test]
    fn of_two_files_the_stricter_holds() {
        let check = |ours, theirs, expected| {
            let promises = |min_in_sync| Promises { min_in_sync, ..Promises::default() };
            for (a, b) in [(ours, theirs), (theirs, ours)] {
                assert_eq!(promises(a).strictest(promises(b)), promises(expected), "{a:?} {b:?}");
            }
        };
        check(Some(1), Some(1), Some(1));
        check(Some(1), None, None);
        check(None, Some(2), Some(2));
        check(Some(2), Some(3), Some(3));
        let lax = Promises { is_page_cache: true, allows_unclean: true, min_in_sync: None };
        assert_eq!(lax.strictest(lax), lax);
        assert_eq!(lax.strictest(Promises::default()), Promises::default());
    }

    #[test]
    fn what_is_agreed_takes_the_place_of_the_file() {
        let lax = [
            ("min.insync.replicas", "1"),
            ("log.durability", "page-cache"),
            ("unclean.leader.election.enable", "true"),
        ];
        let files = [&lax[..], &[("min.insync.replicas", "3")], &[]];
        let settings = files.map(|file| BrokerConfig::with(file.iter().copied()).unwrap().settings);
        let resolved = |settings: &Settings| {
            let topic = TopicConfig::resolve(&Default::default(), settings);
            (topic.min_insync_replicas_set, topic.durability, topic.unclean_leader_election)
        };
        for own in &settings {
            for agreed in &settings {
                let both = own.clone().promising(agreed.promises());
                assert_eq!(both.promises(), agreed.promises());
                assert_eq!(resolved(&both), resolved(agreed));
            }
            assert_eq!(own.clone().promising(own.promises()), *own);
        }
    }
}
