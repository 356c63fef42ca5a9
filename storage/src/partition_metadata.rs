//! The `partition.metadata` file, Kafka's: which topic, by id, the directory belongs to.
//!
//! A directory outlives its topic's name: a topic deleted and created anew has another id.

use std::path::Path;
use std::sync::Arc;

use flumen_protocol::Uuid;

use crate::error::DiskError;
use crate::file_names::PARTITION_METADATA;
use crate::partition_dir::PartitionDir;
use crate::vfs::Vfs;

/// Reads the topic id of a partition directory; `None` where the file is absent or damaged.
pub fn read_topic_id(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Option<Uuid>, DiskError> {
    let dir = PartitionDir::new(Arc::clone(vfs), dir);
    Ok(dir.read(PARTITION_METADATA)?.as_deref().and_then(decode))
}

/// Writes the topic id of a partition directory durably, creating the directory if need be.
pub fn write_topic_id(vfs: &Arc<dyn Vfs>, dir: &Path, topic_id: Uuid) -> Result<(), DiskError> {
    let dir = PartitionDir::new(Arc::clone(vfs), dir);
    dir.create()?;
    dir.write_durably(PARTITION_METADATA, encode(topic_id).as_bytes())
}

fn encode(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

fn decode(bytes: &[u8]) -> Option<Uuid> {
    let mut lines = str::from_utf8(bytes).ok()?.lines();
    let version = lines.next()?.strip_prefix("version: ")?;
    let topic_id = lines.next()?.strip_prefix("topic_id: ")?;
    (version == "0").then(|| topic_id.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_topic() {
        let topic_id = Uuid::from_bytes([7; 16]);
        assert_eq!(decode(encode(topic_id).as_bytes()), Some(topic_id));
        assert_eq!(decode(b""), None);
        assert_eq!(decode(b"version: 1\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw"), None);
    }
}
