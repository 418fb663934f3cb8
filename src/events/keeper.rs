//! Old lines go: the file is written anew without them, and takes the old one's place whole.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::durable::Draft;
use crate::events::file;
use crate::events::line::{Seen, written};
use crate::owner::hand_over;

/// What a line begins with, up to its time.
const BEFORE_TIME: &[u8] = b"{\"time\":\"";

/// Drops the lines from before `oldest`, and those that are none. Nothing is written if there are
/// none such. Nobody appends meanwhile.
///
/// # Errors
///
/// Whatever the disk says; the file is as it was, or as it should be.
pub(super) fn drop_before(path: &Path, oldest: Duration) -> io::Result<()> {
    let Some(file) = file::open_locked(path)? else {
        return Ok(());
    };
    let draft = path.with_extension("jsonl.new");
    // What a process left that was killed at this: nobody else is at it, or we had no lock.
    let _ = fs::remove_file(&draft);
    let oldest = written(oldest);
    let mut is_any_old = false;
    each_line(&file, |line| {
        is_any_old |= !is_kept(line, &oldest);
        Ok(())
    })?;
    if !is_any_old {
        return Ok(());
    }
    let mode = file.metadata()?.mode() & 0o777;
    let draft = Draft::create(draft, mode)?;
    hand_over(draft.file(), path)?;
    let mut out = BufWriter::new(draft.file());
    each_line(&file, |line| match is_kept(line, &oldest) {
        true => out.write_all(line),
        false => Ok(()),
    })?;
    out.flush()?;
    drop(out);
    draft.sync()?;
    draft.put(path)?;
    // Held until here: who waits to append to it finds that it was replaced.
    drop(file);
    Ok(())
}

fn each_line(mut file: &File, mut see: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        see(&line)?;
        line.clear();
    }
    Ok(())
}

/// Whether a line is whole and not older than that.
fn is_kept(line: &[u8], oldest: &str) -> bool {
    if !line.ends_with(b"\n") {
        return false;
    }
    // As we write them; so a large file is gone through quickly.
    let time = line
        .strip_prefix(BEFORE_TIME)
        .and_then(|rest| rest.get(..oldest.len()))
        .filter(|_| line.ends_with(b"}\n"));
    match time {
        Some(time) => time >= oldest.as_bytes(),
        None => Seen::parse(line).is_some_and(|seen| seen.time.as_str() >= oldest),
    }
}
