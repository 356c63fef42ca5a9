use super::*;
use crate::vfs::read_file;

const ROOT: &str = "/";

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

fn write(disk: &SimulatedDisk, name: &str, content: &[u8]) -> Arc<dyn VfsFile> {
    let file = disk.open(&path(name), OpenOptions::CREATE).unwrap();
    file.write_at(content, 0).unwrap();
    file
}

fn write_durably(disk: &SimulatedDisk, name: &str, content: &[u8]) -> Arc<dyn VfsFile> {
    let file = write(disk, name, content);
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(ROOT)).unwrap();
    file
}

fn content(disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
    read_file(disk, &path(name)).ok()
}

#[test]
fn unsynced_content_is_kept_or_dropped() {
    for (unsynced, expected) in
        [(Unsynced::Kept, &b"new content"[..]), (Unsynced::Dropped, &b"old"[..])]
    {
        let disk = SimulatedDisk::new();
        let file = write_durably(&disk, "file", b"old");
        file.write_at(b"new content", 0).unwrap();
        assert_eq!(content(&disk, "file").unwrap(), b"new content", "readers see it at once");
        disk.crash(unsynced);
        assert_eq!(content(&disk, "file").unwrap(), expected);
    }
}

#[test]
fn a_disk_that_was_replaced_is_empty() {
    let disk = SimulatedDisk::new();
    let mounted = disk.mount();
    let open = write_durably(&mounted, "file", b"content");
    disk.replace();
    assert!(disk.list(Path::new(ROOT)).unwrap().is_empty());
    assert!(open.write_at(b"more", 0).is_err() && mounted.list(Path::new(ROOT)).is_err());
    drop(open);
    write_durably(&disk, "file", b"new");
    assert_eq!(content(&disk, "file").unwrap(), b"new");
}

#[test]
fn a_synced_file_is_lost_with_its_unsynced_name() {
    let disk = SimulatedDisk::new();
    write(&disk, "file", b"content").sync_data().unwrap();
    disk.crash(Unsynced::Dropped);
    assert_eq!(content(&disk, "file"), None);
}

#[test]
fn an_unsynced_file_is_empty_behind_its_synced_name() {
    let disk = SimulatedDisk::new();
    write(&disk, "file", b"content");
    disk.sync_dir(Path::new(ROOT)).unwrap();
    disk.crash(Unsynced::Dropped);
    assert_eq!(content(&disk, "file").unwrap(), b"");
}

#[test]
fn names_go_back_to_the_last_sync_of_their_directory() {
    let disk = SimulatedDisk::new();
    write_durably(&disk, "renamed", b"1");
    write_durably(&disk, "removed", b"2");
    write_durably(&disk, "replaced", b"3");
    let change = || {
        disk.rename(&path("renamed"), &path("replaced")).unwrap();
        disk.remove_file(&path("removed")).unwrap();
    };
    change();
    disk.crash(Unsynced::Dropped);
    for (name, expected) in [("renamed", b"1"), ("removed", b"2"), ("replaced", b"3")] {
        assert_eq!(content(&disk, name).unwrap(), expected);
    }
    change();
    disk.sync_dir(Path::new(ROOT)).unwrap();
    disk.crash(Unsynced::Dropped);
    for (name, expected) in [("renamed", None), ("removed", None), ("replaced", Some(b"1"))] {
        assert_eq!(content(&disk, name).as_deref(), expected.map(|bytes| &bytes[..]));
    }
}

#[test]
fn directories_move_and_go_with_what_is_in_them() {
    let disk = SimulatedDisk::new();
    disk.create_dir_all(&path("a/b")).unwrap();
    write(&disk, "a/b/file", b"x");
    disk.rename(&path("a"), &path("c")).unwrap();
    disk.file_system(Path::new(ROOT)).unwrap().sync().unwrap();
    disk.crash(Unsynced::Dropped);
    assert_eq!(content(&disk, "c/b/file").unwrap(), b"x");
    disk.remove_dir_all(&path("c")).unwrap();
    assert!(!disk.exists(&path("c")).unwrap());
    disk.crash(Unsynced::Dropped);
    assert_eq!(content(&disk, "c/b/file").unwrap(), b"x", "removal was not synced");
    disk.remove_dir_all(&path("c")).unwrap();
    disk.sync_dir(Path::new(ROOT)).unwrap();
    disk.crash(Unsynced::Dropped);
    assert_eq!(disk.list(Path::new(ROOT)).unwrap(), []);
}

#[test]
fn either_sync_commits_a_move_between_directories() {
    for synced in ["a", "b"] {
        let disk = SimulatedDisk::new();
        for dir in ["a", "b"] {
            disk.create_dir_all(&path(dir)).unwrap();
        }
        write(&disk, "a/file", b"moved");
        disk.file_system(Path::new(ROOT)).unwrap().sync().unwrap();
        disk.rename(&path("a/file"), &path("b/file")).unwrap();
        disk.sync_dir(&path(synced)).unwrap();
        // The other sync finds the move done, and what came after it still to do.
        write(&disk, "a/file", b"next").sync_data().unwrap();
        disk.sync_dir(&path("b")).unwrap();
        disk.crash(Unsynced::Dropped);
        assert_eq!(content(&disk, "b/file").unwrap(), b"moved");
        assert_eq!(content(&disk, "a/file"), None);
        write(&disk, "a/file", b"next").sync_data().unwrap();
        disk.sync_dir(&path("a")).unwrap();
        disk.crash(Unsynced::Dropped);
        assert_eq!(content(&disk, "a/file").unwrap(), b"next");
    }
}

#[test]
fn random_crashes_show_every_kind_of_damage_and_replay_exactly() {
    let outcome = |seed| {
        let disk = SimulatedDisk::new();
        let file = write_durably(&disk, "file", &[1; 2048]);
        file.write_at(&[2; 2048], 0).unwrap();
        file.write_at(&[3; 2048], 2048).unwrap();
        disk.crash(Unsynced::Random { seed });
        content(&disk, "file").unwrap()
    };
    let outcomes: Vec<Vec<u8>> = (0..200).map(outcome).collect();
    let is_seen = |check: fn(&[u8]) -> bool| outcomes.iter().any(|content| check(content));
    assert!(is_seen(|content| content == [1; 2048]), "all dropped");
    assert!(is_seen(|content| content == [[2; 2048], [3; 2048]].concat()), "all kept");
    assert!(is_seen(|content| content == [2; 2048]), "the first write kept");
    assert!(is_seen(|content| content[..512] != content[512..1024]), "torn between sectors");
    assert!(
        is_seen(|content| content.len() == 4096 && content[..2048] == [1; 2048]),
        "the second write kept without the first"
    );
    assert!(outcomes.iter().all(|content| content[..512].iter().all(|byte| *byte == content[0])));
    assert_eq!(outcomes, (0..200).map(outcome).collect::<Vec<_>>());
}

#[test]
fn a_failed_sync_loses_what_it_was_to_write_for_good() {
    let disk = SimulatedDisk::new();
    let file = write_durably(&disk, "file", b"a");
    file.write_at(b"b", 1).unwrap();
    disk.fail_matching(Operation::Sync, "file", 1);
    let error = file.sync_data().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    file.write_at(b"c", 2).unwrap();
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "file").unwrap(), b"abc", "memory still has it");
    disk.crash(Unsynced::Dropped);
    assert_eq!(content(&disk, "file").unwrap(), b"a\0c");
}

#[test]
fn a_full_disk_writes_what_fits() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(Some(10));
    let file = write(&disk, "file", b"12345678");
    let error = file.write_at(b"abcd", 8).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(content(&disk, "file").unwrap(), b"12345678ab");
    file.write_at(b"overwrite", 0).unwrap();
    file.truncate(4).unwrap();
    assert_eq!(disk.file_system(Path::new(ROOT)).unwrap().available_space().unwrap(), 6);
    file.write_at(b"abcdef", 4).unwrap();
    disk.remove_file(&path("file")).unwrap();
    write(&disk, "other", b"0123456789");
}

#[test]
fn operations_fail_by_number() {
    let disk = SimulatedDisk::new();
    let file = write(&disk, "file", b"content");
    let next = disk.operations();
    disk.fail_at(next + 1);
    file.size().unwrap();
    file.size().unwrap_err();
    file.size().unwrap();
}

#[test]
fn a_stopped_disk_does_nothing_until_it_has_crashed() {
    let disk = SimulatedDisk::new();
    let file = write_durably(&disk, "file", b"old");
    disk.stop_at(disk.operations());
    file.write_at(b"new", 0).unwrap_err();
    disk.remove_file(&path("file")).unwrap_err();
    disk.crash(Unsynced::Kept);
    assert_eq!(content(&disk, "file").unwrap(), b"old");
}

#[test]
fn what_was_open_before_a_crash_is_dead() {
    let disk = SimulatedDisk::new();
    let mounted = disk.mount();
    let file = write_durably(&mounted, "file", b"old");
    let lock = mounted.lock_dir(Path::new(ROOT)).unwrap();
    assert!(disk.lock_dir(Path::new(ROOT)).is_err());
    disk.crash(Unsynced::Dropped);
    file.write_at(b"new", 0).unwrap_err();
    mounted.remove_file(&path("file")).unwrap_err();
    assert_eq!(content(&disk, "file").unwrap(), b"old");

    let _held = disk.lock_dir(Path::new(ROOT)).unwrap();
    drop(lock);
    assert!(disk.lock_dir(Path::new(ROOT)).is_err(), "the dead lock did not free the new one");
}

#[test]
fn a_removed_file_can_be_read_while_it_is_open() {
    let disk = SimulatedDisk::new();
    let file = write(&disk, "file", b"content");
    disk.remove_file(&path("file")).unwrap();
    for number in 0..200 {
        drop(write(&disk, &number.to_string(), b""));
        disk.remove_file(&path(&number.to_string())).unwrap();
        disk.sync_dir(Path::new(ROOT)).unwrap();
    }
    assert_eq!(file.map(0..7).unwrap(), &b"content"[..]);
    assert!(disk.shared.lock().tree.inode_count() < 150, "the others are forgotten");
}

#[test]
fn exploring_reaches_every_operation() {
    let tried = explore_crashes(
        1,
        |disk| drop(write(disk, "file", b"0")),
        |disk| -> io::Result<()> {
            let file = disk.open(&path("file"), OpenOptions::WRITE)?;
            file.write_at(b"1", 0)?;
            file.sync_data()
        },
        |disk, result, crash| {
            assert_eq!(result.is_ok(), crash.operations >= 3);
            let expected: &[&[u8]] = match (crash.operations, crash.unsynced) {
                (3.., _) | (2, Unsynced::Kept) => &[b"1"],
                (2, Unsynced::Random { .. }) => &[b"0", b"1"],
                _ => &[b"0"],
            };
            assert!(expected.contains(&&content(disk, "file").unwrap()[..]), "{crash:?}");
        },
    );
    assert_eq!(tried, 5 * 3, "before each of three operations, after them, and complete");
}
