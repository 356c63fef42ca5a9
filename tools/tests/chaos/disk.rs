//! The disk of a machine: a folder, or a file system in a file, whose power can be cut, and which can
//! stop to take writes.
//!
//! The file system is mounted for the broker alone, in a mount namespace that ends with its process, so
//! nothing is left mounted whatever happens to the run. What had reached the file when the power goes
//! is what the next start finds; what was in the page cache only is gone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The size of a file system; the file takes only what is written.
const IMAGE_BYTES: u64 = 1 << 30;

/// How long the system may take to let go of a file system after the process.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(20);

const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// Mounts the file system `$0` at `$1` and becomes the rest.
const MOUNT_AND_RUN: &str = "mount -o loop \"$0\" \"$1\" && shift && exec \"$@\"";

/// Freezes the file system at `$0` until standard input ends.
const FREEZE: &str = "fsfreeze --freeze \"$0\" && echo frozen; read _; fsfreeze --unfreeze \"$0\"";

/// A disk; see the module.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    /// The file with the file system, if it is one.
    image: Option<PathBuf>,
}

impl Disk {
    /// A folder that is not there yet.
    pub(crate) fn folder(path: &Path) -> Self {
        Self { folder: path.to_owned(), image: None }
    }

    /// A new file system, if this machine and this user may have one.
    ///
    /// # Errors
    /// What stands in the way, as the system says it.
    pub(crate) fn image(path: &Path) -> Result<Self, String> {
        let image = path.with_extension("image");
        let file = File::create_new(&image).map_err(|error| error.to_string())?;
        file.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        succeed(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        fs::create_dir(path).map_err(|error| error.to_string())?;
        let disk = Self { folder: path.to_owned(), image: Some(image) };
        succeed(&mut disk.command("true"))?;
        Ok(disk)
    }

    /// Where the data is, for who is started with [`command`](Self::command).
    pub(crate) fn data(&self) -> PathBuf {
        // The root of a file system has a folder of its own already.
        self.folder.join("data")
    }

    /// A program that sees the disk.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(image) = &self.image else { return Command::new(program) };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", MOUNT_AND_RUN]);
        command.arg(image).arg(&self.folder).arg(program);
        command
    }

    /// Keeps what has reached the disk up to now. The process must not run meanwhile.
    pub(crate) fn keep(&self) -> Kept {
        let image = self.image.clone().expect("only a file system of its own can lose power");
        let kept = image.with_extension("kept");
        let mut copy = Command::new("cp");
        copy.arg("--sparse=always").args([&image, &kept]);
        succeed(&mut copy).unwrap();
        Kept { image, kept }
    }

    /// Lets the file system take no writes, for the process that has it mounted: whoever writes waits.
    pub(crate) fn hang(&self, process: u32) -> Hung {
        let mut keeper = Command::new("nsenter");
        keeper.args(["--mount", "--target", &process.to_string(), "sh", "-c", FREEZE]);
        keeper.arg(&self.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().unwrap();
        let mut frozen = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut frozen).unwrap();
        assert_eq!(frozen, "frozen\n", "the file system of process {process} does not freeze");
        Hung { keeper }
    }

    /// Waits until the system has let go of the file system, when the process has ended.
    pub(crate) async fn released(&self) {
        let Some(image) = &self.image else { return };
        let waiting = async {
            while is_mounted(image) {
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
        };
        tokio::time::timeout(RELEASE_TIME_MAX, waiting).await.expect("the file system is released");
    }
}

/// A disk that takes no writes while this is there. Should this process end, they go on as well.
#[derive(Debug)]
pub(crate) struct Hung {
    keeper: Child,
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// What was on a disk when its power went.
#[derive(Debug)]
pub(crate) struct Kept {
    image: PathBuf,
    kept: PathBuf,
}

impl Kept {
    /// Makes it the content of the disk, which must have been released.
    pub(crate) fn put_back(self) {
        fs::rename(self.kept, self.image).unwrap();
    }
}

/// Whether some loop device has the file.
fn is_mounted(image: &Path) -> bool {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut backing = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    backing.any(|file| Path::new(file.trim_end()) == image)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others may sync everything at the wrong moment, but hardly each time.
    const TRIES: usize = 10;

    /// Runs a script in the folder of the data.
    async fn run(disk: &Disk, script: &str) -> String {
        let output = disk.command("sh").args(["-c", script]).arg(disk.data()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        disk.released().await;
        String::from_utf8(output.stdout).unwrap()
    }

    #[tokio::test]
    async fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let disk = match Disk::image(&folder.path().join("disk")) {
            Ok(disk) => disk,
            Err(reason) => return println!("without power cuts: {reason}"),
        };
        run(&disk, "mkdir $0; cd $0; echo kept >synced; sync .; sync synced").await;
        for _ in 0..TRIES {
            // The image is copied while the second file is in the page cache only.
            let script = "cd $0; echo lost >written; echo ready; read _";
            let mut writing = disk.command("sh");
            writing.args(["-c", script]).arg(disk.data());
            writing.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut writing = writing.spawn().unwrap();
            let mut ready = String::new();
            let mut said = BufReader::new(writing.stdout.take().unwrap());
            said.read_line(&mut ready).unwrap();
            assert_eq!(ready, "ready\n");
            let kept = disk.keep();
            writing.kill().unwrap();
            writing.wait().unwrap();
            disk.released().await;
            kept.put_back();
            let found = run(&disk, "cd $0; cat synced; ls").await;
            assert!(found.starts_with("kept\n"), "{found}");
            if found == "kept\nsynced\n" {
                return;
            }
            run(&disk, "cd $0; rm written; sync .").await;
        }
        panic!("nothing is ever lost: what was written reaches the disk at once");
    }
}
