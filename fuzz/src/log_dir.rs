//! The files beside the partitions: identity, checkpoints, the marker of a clean shutdown, the ids of
//! topics. Each is understood or counts as damaged or absent; what is understood survives being
//! written.

use std::path::Path;
use std::sync::Arc;

use flumen_storage::log_dir::{Checkpoint, LogDir, LogDirError};
use flumen_storage::vfs::{OpenOptions, SimulatedDisk, Vfs};
use flumen_storage::{read_topic_id, write_topic_id};

use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;

const DIR: &str = "/data";

const FILES: [(&str, &[u8]); 6] = [
    (
        "meta.properties",
        b"version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=1\n\
          directory.id=JsnNpfJLTlmE8QxLVmQKxw\n",
    ),
    ("recovery-point-offset-checkpoint", b"0\n2\norders 0 4711\norders.eu-west 12 0\n"),
    ("log-start-offset-checkpoint", b"0\n1\norders 0 12\n"),
    ("replication-offset-checkpoint", b"0\n0\n"),
    (".kafka_cleanshutdown", b"{\"version\":0,\"brokerEpoch\":7}"),
    ("orders-0/partition.metadata", b"version: 0\ntopic_id: JsnNpfJLTlmE8QxLVmQKxw\n"),
];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = SimulatedDisk::new();
    let dir = Path::new(DIR);
    let mut size = 0;
    for name in ["orders-0", &named(&mut input), &named(&mut input)] {
        disk.create_dir_all(&dir.join(name)).expect("the disk is sound");
    }
    for (name, valid) in FILES {
        let content = draw(valid, &mut input);
        size += content.len();
        let file = disk.open(&dir.join(name), OpenOptions::CREATE).expect("the disk is sound");
        file.write_at(&content, 0).expect("the disk is sound");
    }
    within((1 << 20) + 64 * size, || check(&disk));
}

/// A directory name that the input chooses, as far as it may be one.
fn named(input: &mut Input<'_>) -> String {
    let name = String::from_utf8_lossy(input.block()).replace(['/', '\0'], "-");
    let is_taken = FILES.iter().any(|(file, _)| file.starts_with(&name) || name.starts_with(file));
    if is_taken || name.chars().all(|character| character == '.') {
        "other".to_owned()
    } else {
        name
    }
}

fn draw(valid: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    match input.below(4) {
        0 => valid.to_vec(),
        1 => input.block().to_vec(),
        _ => {
            let mut content = valid.to_vec();
            edit(&mut content, input, 3);
            content
        }
    }
}

fn check(disk: &SimulatedDisk) {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let dir = LogDir::open(Arc::clone(&vfs), Path::new(DIR)).expect("the disk is sound");
    match dir.identity() {
        Ok(Some(identity)) => {
            dir.write_identity(&identity).expect("the disk is sound");
            assert_eq!(dir.identity().expect("it was just written"), Some(identity));
        }
        Ok(None) => panic!("the file is there"),
        Err(error) => assert!(matches!(error, LogDirError::DamagedIdentity { .. }), "{error}"),
    }
    for checkpoint in
        [Checkpoint::RecoveryPoints, Checkpoint::LogStartOffsets, Checkpoint::HighWatermarks]
    {
        let read = dir.read_checkpoint(checkpoint).expect("the disk is sound");
        if let Some(offsets) = read {
            dir.write_checkpoint(checkpoint, &offsets).expect("the disk is sound");
            assert_eq!(dir.read_checkpoint(checkpoint).expect("the disk is sound"), Some(offsets));
        }
    }
    let marker = dir.take_clean_shutdown().expect("the disk is sound");
    assert_eq!(dir.take_clean_shutdown().expect("the disk is sound"), None);
    if let Some(marker) = marker {
        dir.mark_clean_shutdown(marker.broker_epoch).expect("the disk is sound");
        assert_eq!(dir.take_clean_shutdown().expect("the disk is sound"), Some(marker));
    }
    for partition in dir.list().expect("the disk is sound").partitions {
        assert_eq!(dir.partition_path(&partition.topic, partition.partition), partition.path);
        if let Ok(Some(id)) = read_topic_id(&vfs, &partition.path) {
            write_topic_id(&vfs, &partition.path, id).expect("the disk is sound");
            let again = read_topic_id(&vfs, &partition.path).expect("it was just written");
            assert_eq!(again, Some(id));
        }
    }
}
