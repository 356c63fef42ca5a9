//! R10, R12, R13: a leader is in sync, who is in sync is a replica, and there is always somebody in sync:
//! the last ones stay for as long as no disk is replaced or has damaged what they had. Then those who are
//! eligible have everything, and the first of them that is back leads.

use super::Live;
use crate::view::View;

#[derive(Debug)]
pub(super) struct State;

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for image in view.brokers.iter().map(|broker| &broker.image) {
            for topic in image.topics() {
                for (index, partition) in topic.indexed_partitions() {
                    let mut members = partition.in_sync.iter().chain(&partition.eligible);
                    let is_led_in_sync =
                        partition.leader.is_none_or(|leader| partition.in_sync.contains(&leader));
                    let are_replicas = members.all(|member| partition.replicas.contains(member));
                    let may_have_lost = |id: &i32| view.may_have_lost(&topic.name, index, *id);
                    let is_damaged = partition.replicas.iter().any(may_have_lost);
                    let is_kept = !partition.in_sync.is_empty()
                        || (is_damaged && !partition.eligible.is_empty());
                    if !is_led_in_sync || !are_replicas || !is_kept {
                        return Err(format!("{}-{index}: {partition:?}", topic.name));
                    }
                }
            }
        }
        Ok(())
    }
}
