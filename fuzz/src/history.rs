//! The inputs that something long-lived has been through, for when one of them fails.
//!
//! libFuzzer writes down the failing input alone, which does nothing to a broker that has not seen
//! those before it. They are kept here, and a panic writes them into a directory beside it, in files
//! that replay in the order of their names.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::{env, fs, io, panic};

static INPUTS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static WRITES_AT_PANIC: Once = Once::new();

/// Forgets what was: something new begins its life.
pub fn begin() {
    WRITES_AT_PANIC.call_once(|| {
        // The hook that is there already ends the process.
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            match write() {
                Ok(directory) => eprintln!("All inputs since the start: {}", directory.display()),
                Err(error) => eprintln!("All inputs since the start are lost: {error}"),
            }
            next(panic);
        }));
    });
    inputs().clear();
}

/// Adds an input that is about to be used.
pub fn push(data: &[u8]) {
    inputs().push(data.to_vec());
}

/// How many there were since the beginning.
pub fn len() -> usize {
    inputs().len()
}

fn inputs() -> MutexGuard<'static, Vec<Vec<u8>>> {
    INPUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes them to where libFuzzer was told to write the one that fails.
fn write() -> io::Result<PathBuf> {
    let inputs = inputs();
    let last = inputs.last().map_or(&[][..], Vec::as_slice);
    let prefix = env::args().find_map(|it| it.strip_prefix("-artifact_prefix=").map(str::to_owned));
    let name = format!("{}history-{:08x}", prefix.unwrap_or_default(), crc32c::crc32c(last));
    let directory = PathBuf::from(name);
    fs::create_dir_all(&directory)?;
    for (number, input) in inputs.iter().enumerate() {
        fs::write(directory.join(format!("{number:04}")), input)?;
    }
    Ok(directory)
}
