//! M4: a fenced broker leads nothing, and is in sync only where it is the last.

use super::Live;
use crate::view::View;

#[derive(Debug)]
pub(super) struct State;

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for image in view.brokers.iter().map(|broker| &broker.image) {
            for topic in image.topics() {
                for (index, partition) in topic.indexed_partitions() {
                    let is_fenced = |id: &i32| !image.is_live(*id);
                    let (name, leader) = (&topic.name, partition.leader);
                    if leader.is_some_and(|leader| is_fenced(&leader)) {
                        return Err(format!(
                            "{name}-{index} is led by {leader:?}, which is fenced"
                        ));
                    }
                    let in_sync = &partition.in_sync;
                    if in_sync.len() > 1 && in_sync.iter().any(is_fenced) {
                        return Err(format!("{name}-{index} has a fenced one among {in_sync:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}
