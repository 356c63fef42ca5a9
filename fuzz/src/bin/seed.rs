//! Writes the seeds of all targets: `seed CORPORA`, a folder with a folder for each target.

use std::path::PathBuf;
use std::{env, io};

use flumen_fuzz::seeds::Seeds;
// All of this workspace is instrumented; what counts the branches taken is in there.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let corpora = env::args_os().nth(1).map_or_else(|| "corpus".into(), PathBuf::from);
    Seeds::collect().write(&corpora)
}
