//! Which operations of a simulated disk fail.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Kinds of operations, as far as faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Opening a file (creating it, perhaps), locking a directory.
    Open,
    /// Creating a directory.
    Create,
    /// Listing a directory, or asking whether and how large a file is.
    List,
    /// Reading or mapping a file.
    Read,
    /// Writing to a file.
    Write,
    /// Changing the size of a file.
    Truncate,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDir,
    /// Syncing all of it.
    SyncFileSystem,
    /// Renaming a file or directory, by its old path.
    Rename,
    /// Removing a file or directory.
    Remove,
}

/// Why an operation is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The machine has stopped or crashed: there is nobody left to see any effect.
    Dead,
    /// The device reports an error; some of the operation may have happened.
    Injected,
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Dead => Self::other("the machine has stopped"),
            Refusal::Injected => rustix::io::Errno::IO.into(),
        }
    }
}

/// The faults that wait for their operation.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) operations: u64,
    pub(super) failing_numbers: BTreeSet<u64>,
    pub(super) stop_at: Option<u64>,
    pub(super) capacity: Option<u64>,
    matching: Vec<Matching>,
}

#[derive(Debug)]
struct Matching {
    operation: Operation,
    path_part: String,
    left: u32,
}

impl Faults {
    pub(super) fn with_capacity(capacity: Option<u64>) -> Self {
        Self { capacity, ..Self::default() }
    }

    pub(super) fn add_matching(&mut self, operation: Operation, path_part: &str, count: u32) {
        let path_part = path_part.to_owned();
        self.matching.push(Matching { operation, path_part, left: count });
    }

    /// Counts an operation and decides whether it is carried out.
    pub(super) fn admit(&mut self, operation: Operation, path: &Path) -> Result<(), Refusal> {
        let number = self.operations;
        if self.stop_at.is_some_and(|stop| number >= stop) {
            return Err(Refusal::Dead);
        }
        self.operations += 1;
        let path = path.to_string_lossy();
        let matching = self.matching.iter_mut().find(|fault| {
            fault.left > 0 && fault.operation == operation && path.contains(&fault.path_part)
        });
        if let Some(fault) = matching {
            fault.left -= 1;
            return Err(Refusal::Injected);
        }
        if self.failing_numbers.remove(&number) { Err(Refusal::Injected) } else { Ok(()) }
    }
}
