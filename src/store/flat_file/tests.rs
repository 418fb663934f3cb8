use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

fn fresh() -> (TempDir, FlatFile) {
    let directory = tempfile::tempdir().unwrap();
    let file = FlatFile::new(&directory.path().join("file"));
    (directory, file)
}

fn put(file: &mut FlatFile, text: &str) -> Result<(), Failure> {
    file.replace(None, |out| out.write_all(text.as_bytes()))
}

fn known(file: &FlatFile) -> bool {
    file.is_known(file.look().unwrap())
}

#[test]
fn own_saves_are_known_and_others_are_not() {
    let (_directory, mut file) = fresh();
    assert!(known(&file));

    assert!(put(&mut file, "one").is_ok());
    assert!(known(&file));

    fs::write(&file.path, "two").unwrap();
    assert!(!known(&file));

    let found = file.read().unwrap();
    file.know(found);
    assert!(known(&file));
    fs::remove_file(&file.path).unwrap();
    assert!(!known(&file));
}

#[test]
fn a_copy_put_back_with_its_old_time_is_not_taken_for_the_known_one() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());
    let modified = fs::metadata(&file.path).unwrap().modified().unwrap();

    let other = directory.path().join("other");
    fs::write(&other, "two").unwrap();
    let times = fs::FileTimes::new().set_modified(modified);
    File::options()
        .write(true)
        .open(&other)
        .unwrap()
        .set_times(times)
        .unwrap();
    fs::rename(&other, &file.path).unwrap();

    assert!(!known(&file));
}

#[test]
fn an_edit_in_place_shows_even_if_its_time_is_put_back() {
    let (_directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());
    let modified = fs::metadata(&file.path).unwrap().modified().unwrap();

    // The system's clock for files ticks slowly: at first, an edit may fall into the same tick.
    let end = Instant::now() + Duration::from_secs(20);
    while known(&file) {
        assert!(Instant::now() < end, "the edit never showed");
        let edited = File::options().write(true).open(&file.path).unwrap();
        (&edited).write_all(b"two").unwrap();
        let times = fs::FileTimes::new().set_modified(modified);
        edited.set_times(times).unwrap();
    }
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_no_draft() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());

    let failed = file.replace(None, |out| {
        out.write_all(b"tw")?;
        Err(io::ErrorKind::StorageFull.into())
    });

    assert!(matches!(failed, Err(Failure::Before(_))));
    assert_eq!(fs::read(&file.path).unwrap(), b"one");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    assert!(known(&file));
}

fn put_keeping(file: &mut FlatFile, text: &str) -> Result<(), Failure> {
    file.replace(Some(".v1"), |out| out.write_all(text.as_bytes()))
}

#[test]
fn the_file_before_is_kept_and_never_put_over_another() {
    let (directory, mut file) = fresh();
    let copy = directory.path().join("file.v1");
    assert!(put_keeping(&mut file, "one").is_ok());
    assert!(!copy.exists(), "there was nothing to keep");

    assert!(put_keeping(&mut file, "two").is_ok());
    assert!(put_keeping(&mut file, "three").is_ok());

    assert_eq!(fs::read(&copy).unwrap(), b"one");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&file.path).unwrap(), b"three");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    fs::remove_file(&copy).unwrap();
    symlink("elsewhere", &copy).unwrap();
    assert!(put_keeping(&mut file, "four").is_ok());
    assert!(!directory.path().join("elsewhere").exists());
}

#[test]
fn a_file_that_others_may_read_is_kept_for_its_owner_alone() {
    let (directory, mut file) = fresh();
    fs::write(&file.path, "one").unwrap();
    rights_of(&file.path, 0o644);
    let found = file.read().unwrap();
    file.know(found);

    assert!(put_keeping(&mut file, "two").is_ok());

    let copy = directory.path().join("file.v1");
    assert_eq!(fs::read(&copy).unwrap(), b"one");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
}

fn rights_of(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nothing_is_kept_for_a_save_that_fails() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());
    let path = file.path.clone();
    let edited = file.replace(Some(".v1"), |out| {
        fs::write(&path, "edited")?;
        out.write_all(b"two")
    });
    assert!(matches!(edited, Err(Failure::Before(_))));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_sync_that_fails_leaves_the_old_file() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());

    file.sync = |_| Err(io::Error::other("bad sector"));

    assert!(matches!(put(&mut file, "two"), Err(Failure::Before(_))));
    assert_eq!(fs::read(&file.path).unwrap(), b"one");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_directory_that_cannot_be_synced_is_told_apart() {
    let (_directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());

    file.sync = |file| match file.metadata()?.is_dir() {
        true => Err(io::Error::other("bad sector")),
        false => Ok(()),
    };

    assert!(matches!(put(&mut file, "two"), Err(Failure::After(_))));
    assert_eq!(fs::read(&file.path).unwrap(), b"two");
    assert!(known(&file));
}

#[test]
fn an_edit_during_a_save_is_not_overwritten() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());
    let path = file.path.clone();

    let failed = file.replace(None, |out| {
        fs::write(&path, "edited")?;
        out.write_all(b"two")
    });

    assert!(matches!(failed, Err(Failure::Before(_))));
    assert_eq!(fs::read(&path).unwrap(), b"edited");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_link_and_the_real_path_share_one_lock() {
    let (directory, mut file) = fresh();
    assert!(put(&mut file, "one").is_ok());
    let nested = directory.path().join("nested");
    fs::create_dir(&nested).unwrap();
    symlink("../file", nested.join("link")).unwrap();

    let mut link = FlatFile::new(&nested.join("link"));
    drop(link.lock(Duration::ZERO).unwrap().unwrap());

    assert_eq!(fs::read_dir(&nested).unwrap().count(), 1);
    assert!(directory.path().join("file.lock").exists());
}

#[test]
fn the_tenth_damaged_file_is_the_last_to_stay() {
    let (directory, mut file) = fresh();
    for n in 0..12 {
        fs::write(&file.path, n.to_string()).unwrap();
        file.set_aside().unwrap();
    }

    let read = |name| fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("file.damaged"), "0");
    assert_eq!(read("file.damaged.8"), "8");
    assert_eq!(read("file.damaged.9"), "11");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 10);
}
