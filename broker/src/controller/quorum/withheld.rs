//! The votes that are withheld, as the leader knows of them: from the voters that came without their log.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::type_config::TypeConfigExt;
use openraft::{AsyncRuntime, Instant};
use parking_lot::Mutex;

use super::runtime::SeamRuntime;
use super::types::{Directory, TypeConfig};

/// How long a voter is taken at its word. It says it again more often than that, unless it is gone or
/// has its log back.
const NOTE_TIME_MAX: Duration = Duration::from_secs(30);

/// Who does not vote for having lost its log, and what came in its place.
#[derive(Debug, Default)]
pub(super) struct WithheldVotes(Mutex<BTreeMap<u64, Note>>);

#[derive(Debug)]
struct Note {
    directory: Directory,
    at: <SeamRuntime as AsyncRuntime>::Instant,
}

impl WithheldVotes {
    /// Notes that a voter came with a directory that is not the one it votes with.
    pub(super) fn note(&self, node_id: u64, directory: Directory) {
        self.0.lock().insert(node_id, Note { directory, at: TypeConfig::now() });
    }

    /// The directory that a voter came with, if it said so lately.
    pub(super) fn directory(&self, node_id: u64) -> Option<Directory> {
        let mut notes = self.0.lock();
        notes.retain(|_, note| note.at.elapsed() <= NOTE_TIME_MAX);
        notes.get(&node_id).map(|note| note.directory)
    }
}
