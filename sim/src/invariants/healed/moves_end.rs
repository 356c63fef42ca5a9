//! R16: a move of replicas comes to its end.

use crate::view::View;

pub(super) fn ailment(view: &View) -> Option<String> {
    let image = view.newest_image()?;
    image.topics().find_map(|topic| {
        let mut partitions = topic.indexed_partitions();
        partitions.find_map(|(index, partition)| {
            let is_moving = !partition.adding.is_empty() || !partition.removing.is_empty();
            is_moving.then(|| format!("{}-{index} is moved: {partition:?}", topic.name))
        })
    })
}
