//! What lies in a directory, to be compared with what lay there before; and permission bits.

use std::fs::{self, DirEntry, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::harness::place;

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Names, modes and contents of all that lies in a directory, but for drafts that have just gone.
pub(crate) fn contents(dir: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let mode = fs::metadata(entry.path()).ok()?.permissions().mode() & 0o7777;
            Some((name, mode, fs::read(entry.path()).unwrap_or_default()))
        })
        .collect();
    all.sort();
    all
}

/// All that lies in a directory, but for what is of these tests themselves.
fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| !place::is_of_tests(&entry.file_name()))
}

/// Everything in a directory: names, kinds, bits, times, bytes. Not the log, which grows, and not
/// the sessions, whose last use is saved from time to time.
pub(crate) fn snapshot(dir: &Path) -> Vec<String> {
    let mut found: Vec<String> = entries(dir)
        .filter(|entry| entry.file_name() != "log" && entry.file_name() != "sessions.json")
        .map(|entry| {
            let (path, is) = (entry.path(), entry.metadata().unwrap());
            let bytes = match is.is_file() {
                true => fs::read(&path).unwrap(),
                false => Vec::new(),
            };
            let bytes = String::from_utf8_lossy(&bytes);
            let (mode, inode, size) = (is.mode(), is.ino(), is.size());
            let times = (is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec());
            // Of a directory in it the times are somebody else's: mail comes and goes.
            let times = (is.is_file() || is.is_symlink()).then_some(times);
            format!("{path:?}: {mode:o} {inode} {size} {times:?} {bytes:?}")
        })
        .collect();
    found.sort();
    found
}

/// Sets the permission bits of what is called `name` there.
pub(crate) fn open(dir: &Path, name: &str, mode: u32) {
    fs::set_permissions(dir.join(name), Permissions::from_mode(mode)).unwrap();
}

/// What is in the directory, each with its permission bits.
pub(crate) fn names_and_modes(dir: &Path) -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            (entry.file_name().into_string().unwrap(), mode)
        })
        .collect();
    found.sort();
    found
}

/// The names of all that lies in a directory.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let names = entries(dir).map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
