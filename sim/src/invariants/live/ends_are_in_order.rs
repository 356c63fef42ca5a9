//! R1: on every replica the log starts at or below the high watermark, and that is not above its end.

use super::Live;
use crate::view::View;

#[derive(Debug)]
pub(super) struct State;

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            for replica in &broker.replicas {
                let start_to_end = replica.log_start_offset..=replica.log_end_offset;
                if !start_to_end.contains(&replica.high_watermark) {
                    return Err(format!("broker {} has {replica:?}", broker.node_id));
                }
            }
        }
        Ok(())
    }
}
