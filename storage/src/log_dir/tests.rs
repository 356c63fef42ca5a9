use super::*;
use crate::vfs::simulated::Unsynced;
use crate::vfs::{OpenOptions, RealDisk, SimulatedDisk, read_file};

fn disk() -> (SimulatedDisk, Arc<dyn Vfs>) {
    let disk = SimulatedDisk::new();
    (disk.clone(), Arc::new(disk))
}

const DATA: &str = "/var/lib/data";

fn open(vfs: &Arc<dyn Vfs>) -> LogDir {
    LogDir::open(Arc::clone(vfs), Path::new(DATA)).unwrap()
}

#[test]
fn a_second_process_is_kept_out_and_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let first = LogDir::open(Arc::new(RealDisk), &path).unwrap();
    let error = LogDir::open(Arc::new(RealDisk), &path).unwrap_err();
    assert!(matches!(&error, LogDirError::Locked { path: named } if *named == path));
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    drop(first);
    LogDir::open(Arc::new(RealDisk), &path).unwrap();
}

#[test]
fn the_directory_itself_survives_a_crash() {
    let (disk, vfs) = disk();
    drop(open(&vfs));
    disk.crash(Unsynced::Dropped);
    assert!(vfs.exists(Path::new(DATA)).unwrap());
}

#[test]
fn the_identity_is_written_as_kafka_does_and_read_back() {
    let (_, vfs) = disk();
    let dir = open(&vfs);
    assert_eq!(dir.identity().unwrap(), None);
    for broker_epoch in [None, Some(12)] {
        let identity = Identity {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: 3,
            directory_id: Uuid::from_bytes([7; 16]),
            broker_epoch,
        };
        dir.write_identity(&identity).unwrap();
        assert_eq!(dir.identity().unwrap(), Some(identity));
    }
}

#[test]
fn an_identity_of_kafka_is_read_and_a_damaged_one_is_an_error() {
    let check = |text: &str, expected: Option<i32>| {
        let found = parse_identity(text.as_bytes()).map(|identity| identity.node_id);
        assert_eq!(found, expected, "{text:?}");
    };
    let id = Uuid::from_bytes([1; 16]);
    check(
        &format!("#\n#Sun Nov 22\nnode.id=2\ndirectory.id={id}\nversion=1\ncluster.id=c\n"),
        Some(2),
    );
    check("", None);
    check(&format!("version=0\nnode.id=2\ncluster.id=c\ndirectory.id={id}\n"), None);
    check(&format!("version=1\nnode.id=x\ncluster.id=c\ndirectory.id={id}\n"), None);
    check("version=1\nnode.id=1\ncluster.id=c\n", None);
}

#[test]
fn a_clean_shutdown_is_told_once() {
    let (disk, vfs) = disk();
    let dir = open(&vfs);
    assert_eq!(dir.take_clean_shutdown().unwrap(), None);
    dir.mark_clean_shutdown(Some(12)).unwrap();
    drop(dir);
    disk.crash(Unsynced::Dropped);

    let dir = open(&vfs);
    assert_eq!(dir.take_clean_shutdown().unwrap(), Some(CleanShutdown { broker_epoch: Some(12) }));
    drop(dir);
    disk.crash(Unsynced::Dropped);
    assert_eq!(open(&vfs).take_clean_shutdown().unwrap(), None, "gone for good");
}

#[test]
fn a_marker_of_kafka_is_read_and_a_damaged_one_counts_as_none() {
    let check = |text: &str, expected: Option<Option<i64>>| {
        let found = parse_clean_shutdown(text.as_bytes()).map(|clean| clean.broker_epoch);
        assert_eq!(found, expected, "{text:?}");
    };
    check("{\"version\":0,\"brokerEpoch\":35}", Some(Some(35)));
    check("{ \"brokerEpoch\" : 7, \"version\" : 0 }\n", Some(Some(7)));
    check("{\"version\":0,\"brokerEpoch\":-1}", Some(None));
    check("", None);
    check("{\"version\":0,\"brokerEp", None);
    check("{\"version\":1,\"brokerEpoch\":35}", None);
}

#[test]
fn partitions_are_told_from_everything_else() {
    let (_, vfs) = disk();
    let dir = open(&vfs);
    for name in ["a-0", "a-10", "a-b-2", "x", "a--1", "a-01", "-3", "old-1.ab-delete"] {
        vfs.create_dir_all(&Path::new(DATA).join(name)).unwrap();
    }
    vfs.open(&Path::new(DATA).join("file-0"), OpenOptions::CREATE).unwrap();
    let listing = dir.list().unwrap();
    let found: Vec<_> =
        listing.partitions.iter().map(|entry| (entry.topic.as_str(), entry.partition)).collect();
    assert_eq!(found, [("a", 0), ("a", 10), ("a-", 1), ("a-b", 2)]);
    assert_eq!(listing.deleted, [Path::new(DATA).join("old-1.ab-delete")]);
}

#[test]
fn the_name_of_a_deleted_partition_fits_a_file_system() {
    let (_, vfs) = disk();
    let dir = open(&vfs);
    let path = dir.deleted_path(&"t".repeat(249), 1_000_000, Uuid::from_bytes([9; 16]));
    assert_eq!(path.file_name().unwrap().len(), 255);
    let path = dir.deleted_path("t", 0, Uuid::from_bytes([9; 16]));
    assert_eq!(path.file_name().unwrap().to_str().unwrap().len(), 3 + 1 + 32 + 7);
}

#[test]
fn checkpoints_have_the_names_kafka_gives_them() {
    let (_, vfs) = disk();
    let dir = open(&vfs);
    for (checkpoint, name) in [
        (Checkpoint::RecoveryPoints, "recovery-point-offset-checkpoint"),
        (Checkpoint::LogStartOffsets, "log-start-offset-checkpoint"),
        (Checkpoint::HighWatermarks, "replication-offset-checkpoint"),
        (Checkpoint::CleanerOffsets, "cleaner-offset-checkpoint"),
    ] {
        assert_eq!(dir.read_checkpoint(checkpoint).unwrap(), None);
        let offsets = PartitionOffsets::from([(("t".to_owned(), 1), 5)]);
        dir.write_checkpoint(checkpoint, &offsets).unwrap();
        assert_eq!(dir.read_checkpoint(checkpoint).unwrap(), Some(offsets));
        let content = read_file(&*vfs, &Path::new(DATA).join(name)).unwrap();
        assert_eq!(content, b"0\n1\nt 1 5\n");
    }
}
