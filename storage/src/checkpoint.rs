//! Small files that are replaced as a whole, and Kafka's checkpoints of one offset per partition.
//!
//! ```text
//! 0                     version
//! 2                     number of rows
//! orders 0 4711         topic, partition, offset
//! orders 1 4208
//! ```
//!
//! After a crash such a file holds the old content or the new. One that is torn all the same, or
//! empty, reads as absent and never as something valid: what it says can be found out otherwise.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::vfs::{OpenOptions, Vfs, read_file};

const VERSION: &str = "0";

/// Topic name and partition index, and the offset of each.
pub type PartitionOffsets = BTreeMap<(String, i32), i64>;

/// Replaces a file so that it is durable, whole, or as it was before.
pub fn write_atomically(vfs: &dyn Vfs, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let file = vfs.open(temporary, OpenOptions::REPLACE)?;
    file.write_at(content, 0)?;
    file.sync_data()?;
    vfs.rename(temporary, path)?;
    vfs.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The content of a file; `None` if there is none.
pub fn read_if_exists(vfs: &dyn Vfs, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_file(vfs, path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a checkpoint of offsets.
pub fn write_offsets(vfs: &dyn Vfs, path: &Path, offsets: &PartitionOffsets) -> io::Result<()> {
    let rows = offsets
        .iter()
        .map(|((topic, partition), offset)| format!("{topic} {partition} {offset}\n"));
    let text = format!("{VERSION}\n{}\n{}", offsets.len(), rows.collect::<String>());
    write_atomically(vfs, path, text.as_bytes())
}

/// Reads a checkpoint of offsets; `None` if it is absent or damaged.
pub fn read_offsets(vfs: &dyn Vfs, path: &Path) -> io::Result<Option<PartitionOffsets>> {
    let Some(content) = read_if_exists(vfs, path)? else { return Ok(None) };
    let offsets = parse_offsets(&content);
    if offsets.is_none() {
        tracing::warn!(path = %path.display(), "checkpoint is damaged and counts as absent");
    }
    Ok(offsets)
}

fn parse_offsets(content: &[u8]) -> Option<PartitionOffsets> {
    // A file that ends within a row has lost what comes after, if not a part of its last number.
    let text = str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let mut lines = text.lines();
    let is_known = lines.next()? == VERSION;
    let count: usize = lines.next()?.parse().ok()?;
    let offsets = lines.map(parse_row).collect::<Option<PartitionOffsets>>()?;
    (is_known && offsets.len() == count).then_some(offsets)
}

fn parse_row(row: &str) -> Option<((String, i32), i64)> {
    let mut fields = row.split(' ');
    let (topic, partition, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
    let is_whole = fields.next().is_none() && !topic.is_empty() && partition >= 0 && offset >= 0;
    is_whole.then(|| ((topic.to_owned(), partition), offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::SimulatedDisk;
    use crate::vfs::simulated::explore_crashes;

    const TEXT: &str = "0\n2\norders 0 4711\norders.eu-west 12 0\n";

    fn offsets() -> PartitionOffsets {
        [(("orders".to_owned(), 0), 4711), (("orders.eu-west".to_owned(), 12), 0)].into()
    }

    #[test]
    fn offsets_are_written_as_kafka_does() {
        let disk = SimulatedDisk::new();
        let path = Path::new("/recovery-point-offset-checkpoint");
        assert_eq!(read_offsets(&disk, path).unwrap(), None);
        write_offsets(&disk, path, &offsets()).unwrap();
        assert_eq!(read_file(&disk, path).unwrap(), TEXT.as_bytes());
        assert_eq!(read_offsets(&disk, path).unwrap(), Some(offsets()));
    }

    #[test]
    fn a_torn_checkpoint_reads_as_absent() {
        for size in 0..TEXT.len() {
            assert_eq!(parse_offsets(&TEXT.as_bytes()[..size]), None, "cut at {size}");
        }
        for damaged in [
            "1\n0\n",
            "0\n1\norders 0 1 2\n",
            "0\n1\norders 0 -1\n",
            "0\n1\norders -1 1\n",
            "0\n2\norders 0 1\norders 0 2\n",
            "\0\0\0\0\n",
        ] {
            assert_eq!(parse_offsets(damaged.as_bytes()), None, "{damaged:?}");
        }
        assert_eq!(parse_offsets(b"0\n0\n"), Some(PartitionOffsets::new()));
    }

    #[test]
    fn a_crash_at_any_operation_leaves_the_old_content_or_the_new() {
        let path = Path::new("/dir/file");
        explore_crashes(
            20,
            |disk| {
                disk.create_dir_all(Path::new("/dir")).unwrap();
                write_atomically(disk, path, b"old").unwrap();
            },
            |disk| write_atomically(disk, path, b"new content"),
            |disk, result, crash| {
                let content = read_file(disk, path).unwrap();
                let is_new = content == b"new content";
                assert!(is_new || (content == b"old" && result.is_err()), "{crash:?}");
            },
        );
    }
}
