//! Small files that are replaced as a whole and survive a crash at any moment.

use std::io;
use std::path::Path;

use flumen_storage::vfs::{OpenOptions, Vfs, read_file};

/// Replaces the file: after a crash it holds the old content or the new one, nothing between.
pub(super) fn replace(vfs: &dyn Vfs, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = vfs.open(&temporary, OpenOptions::REPLACE)?;
    file.write_at(content, 0)?;
    file.sync_data()?;
    vfs.rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => vfs.sync_dir(dir),
        None => Ok(()),
    }
}

/// What the file holds; `None` when there is none.
pub(super) fn read(vfs: &dyn Vfs, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_file(vfs, path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
