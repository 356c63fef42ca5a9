//! M3: an epoch belongs to one start of one broker, and later starts have larger ones.

use std::collections::BTreeMap;

use flumen_protocol::Uuid;

use super::Live;
use crate::view::View;

#[derive(Debug, Default)]
pub(super) struct State {
    /// The broker and the start that an epoch was given to.
    given: BTreeMap<i64, (i32, Uuid)>,
    /// The epoch of each broker, and the version of the metadata that says so.
    newest: BTreeMap<i32, (i64, i64)>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        let Some(image) = view.newest_image() else { return Ok(()) };
        for broker in image.brokers() {
            let start = (broker.id, broker.incarnation_id);
            let first = *self.given.entry(broker.epoch).or_insert(start);
            if first != start {
                return Err(format!("epoch {} was given to {first:?} and {start:?}", broker.epoch));
            }
            let (version, epoch) =
                self.newest.entry(broker.id).or_insert((image.version(), broker.epoch));
            if *version <= image.version() {
                if broker.epoch < *epoch {
                    let id = broker.id;
                    return Err(format!("broker {id} had epoch {epoch} and has {}", broker.epoch));
                }
                (*version, *epoch) = (image.version(), broker.epoch);
            }
        }
        Ok(())
    }
}
