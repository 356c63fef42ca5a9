//! R14: the high watermark that a leader shows never goes back, not even to another leader's.
//!
//! A new leader may know less for a moment: until it has heard from its followers it shows nothing
//! new, and tells nobody where the end is. So what counts is each leader by itself.

use std::collections::BTreeMap;

use super::Live;
use crate::view::{PartitionKey, View};

#[derive(Debug, Default)]
pub(super) struct State {
    shown: BTreeMap<(i32, u32, PartitionKey), i64>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            for replica in broker.replicas.iter().filter(|replica| replica.is_leader) {
                let key = (broker.node_id, broker.boot, replica.partition);
                let shown = self.shown.entry(key).or_insert(replica.high_watermark);
                if replica.high_watermark < *shown {
                    return Err(format!(
                        "broker {} showed {:?} up to {shown} and then to {}",
                        broker.node_id, replica.partition, replica.high_watermark
                    ));
                }
                *shown = replica.high_watermark;
            }
        }
        Ok(())
    }
}
