//! M2, M6: all brokers go through the same versions of the metadata, and none goes back while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_broker::controller::MetadataImage;

use super::Live;
use crate::view::View;

#[derive(Debug, Default)]
pub(super) struct State {
    /// The image of each version, and who had it first.
    versions: BTreeMap<i64, (Arc<MetadataImage>, i32)>,
    /// The last version of each start of a broker.
    last: BTreeMap<(i32, u32), i64>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            let (id, version) = (broker.node_id, broker.image.version());
            let last = self.last.insert((id, broker.boot), version);
            match last {
                Some(last) if last == version => continue,
                Some(last) if version < last => {
                    return Err(format!("broker {id} was at version {last} and is at {version}"));
                }
                _ => {}
            }
            let image = Arc::clone(&broker.image);
            let (first, by) = self.versions.entry(version).or_insert((image, id));
            if **first != *broker.image {
                return Err(format!("version {version} of brokers {by} and {id} differs"));
            }
        }
        Ok(())
    }
}
