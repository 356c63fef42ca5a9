//! Every partition has a leader, and all of its replicas are in sync.

use crate::view::View;

pub(super) fn ailment(view: &View) -> Option<String> {
    let image = view.newest_image()?;
    image.topics().find_map(|topic| {
        topic.indexed_partitions().find_map(|(index, partition)| {
            let is_well =
                partition.leader.is_some() && partition.in_sync.len() == partition.replicas.len();
            (!is_well).then(|| format!("{}-{index}: {partition:?}", topic.name))
        })
    })
}
