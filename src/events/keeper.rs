//! Old lines go: the file is written anew without them, and takes the old one's place whole.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::durable::Draft;
use crate::events::file;
use crate::events::line::{Seen, written};
use crate::events::lines::{Lines, Piece};
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
    each_line(&file, |piece| {
        is_any_old |= kept(&piece, &oldest).is_none();
        Ok(())
    })?;
    if !is_any_old {
        return Ok(());
    }
    let mode = file.metadata()?.mode() & 0o777;
    let draft = Draft::create(draft, mode)?;
    hand_over(draft.file(), path)?;
    let mut out = BufWriter::new(draft.file());
    each_line(&file, |piece| match kept(&piece, &oldest) {
        Some(line) => {
            out.write_all(line)?;
            out.write_all(b"\n")
        }
        None => Ok(()),
    })?;
    out.flush()?;
    drop(out);
    draft.sync()?;
    draft.put(path)?;
    // Held until here: who waits to append to it finds that it was replaced.
    drop(file);
    Ok(())
}

/// Shows each whole line, without its end.
fn each_line(mut file: &File, mut see: impl FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file));
    while let Some((piece, _)) = lines.next()? {
        see(piece)?;
    }
    Ok(())
}

/// The line, if it is whole and not older than that.
fn kept<'a>(piece: &Piece<'a>, oldest: &str) -> Option<&'a [u8]> {
    let Piece::Line(line) = *piece else {
        return None;
    };
    // As we write them; so a large file is gone through quickly.
    let time = line
        .strip_prefix(BEFORE_TIME)
        .and_then(|rest| rest.get(..oldest.len()))
        .filter(|_| line.ends_with(b"}"));
    let is_late = match time {
        Some(time) => time >= oldest.as_bytes(),
        None => Seen::parse(line).is_some_and(|seen| seen.time.as_str() >= oldest),
    };
    is_late.then_some(line)
}
