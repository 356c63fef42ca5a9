//! M1: a term of the metadata quorum has one leader.

use std::collections::BTreeMap;

use super::Live;
use crate::view::View;

#[derive(Debug, Default)]
pub(super) struct State {
    leaders: BTreeMap<i32, i32>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            // Who leads knows best: what others say of a term may be about the one before.
            if broker.controller == Some(broker.node_id) {
                let first = *self.leaders.entry(broker.term).or_insert(broker.node_id);
                if first != broker.node_id {
                    let (term, second) = (broker.term, broker.node_id);
                    return Err(format!("{first} and {second} led in term {term}"));
                }
            }
        }
        Ok(())
    }
}
