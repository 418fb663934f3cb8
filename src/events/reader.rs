//! Reading: the newest lines of one account from the end of the file, and all lines from its
//! beginning on, even when it is replaced meanwhile.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::events::file::Place;
use crate::events::line::Seen;
use crate::events::lines::{LONGEST, Lines, Piece};
#[cfg(feature = "postgres")]
use crate::events::rows;
#[cfg(feature = "postgres")]
use crate::store::postgres::EventRows;

/// How much of the end of the file is looked through for the newest lines.
const NEWEST: u64 = 16 << 20;

/// How much is read at once from the end.
const CHUNK: u64 = 1 << 16;

/// The last `most` events of the account with this id, the newest first.
///
/// # Errors
///
/// Whatever the disk says.
pub(super) fn newest_of(path: &Path, id: &str, most: usize) -> io::Result<Vec<Seen>> {
    let mut found = Vec::new();
    let Some(file) = Place::of(path)?.open()? else {
        return Ok(found);
    };
    backwards(&file, NEWEST, |line| {
        // Most lines are somebody else's, and a search is quicker than parsing them.
        let text = str::from_utf8(line).unwrap_or_default();
        if text.contains(id)
            && let Some(seen) = Seen::parse(line)
            && seen.id.as_deref() == Some(id)
        {
            found.push(seen);
        }
        match found.len() < most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(found)
}

/// Shows the lines in the last `most` bytes, the last one first. What does not end in a line break
/// was cut off, and is not shown.
pub(super) fn backwards(
    file: &File,
    most: u64,
    mut see: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut at = file.metadata()?.len();
    let floor = at.saturating_sub(most);
    // What lies behind `at` and belongs to a line that begins before it.
    let mut rest: Vec<u8> = Vec::new();
    // Whether that is so much that the line is none of ours, and passed over.
    let mut is_too_long = false;
    let mut is_end = true;
    while at > floor {
        let from = at.saturating_sub(CHUNK).max(floor);
        let mut chunk = vec![0; usize::try_from(at - from).unwrap_or(0)];
        file.read_exact_at(&mut chunk, from)?;
        at = from;
        chunk.append(&mut rest);
        let mut lines = chunk.split(|byte| *byte == b'\n');
        // The first may begin further up; the last of the file is empty, or was cut off.
        let first = lines.next().unwrap_or_default();
        let mut whole = lines;
        if is_end && whole.next_back().is_some() {
            is_end = false;
        } else if is_too_long && whole.next_back().is_some() {
            is_too_long = false;
        }
        while let Some(line) = whole.next_back() {
            if see(line).is_break() {
                return Ok(());
            }
        }
        if from == 0 && !is_end && !is_too_long {
            let _ = see(first);
        }
        rest = first.to_vec();
        if rest.len() > LONGEST {
            is_too_long = !is_end;
            rest.clear();
        }
    }
    Ok(())
}

/// Reads all events from the beginning on, and those that come later.
pub struct Reader(Source);

enum Source {
    File(FileReader),
    #[cfg(feature = "postgres")]
    Rows(rows::Reader),
}

impl Reader {
    /// Of a file. Nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        Self(Source::File(FileReader::new(path)))
    }

    /// Of a database, where all nodes write.
    #[cfg(feature = "postgres")]
    pub fn in_database(rows: EventRows) -> Self {
        Self(Source::Rows(rows::Reader::new(rows)))
    }

    /// Shows each line that was not shown before. No file is as an empty one.
    ///
    /// # Errors
    ///
    /// Whatever the disk or the database says, or `see`.
    pub fn read(&mut self, mut see: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match &mut self.0 {
            Source::File(file) => file.read(&mut see),
            #[cfg(feature = "postgres")]
            Source::Rows(rows) => rows.read(&mut see),
        }
    }
}

/// Reads all lines of the file from the beginning on, and those that come later.
pub(super) struct FileReader {
    path: PathBuf,
    file: Option<File>,
    /// Up to where the file was shown.
    at: u64,
    /// The line shown last: if the file was replaced by one that has it, what follows there is new.
    last: Vec<u8>,
}

impl FileReader {
    /// Nothing is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            at: 0,
            last: Vec::new(),
        }
    }

    /// Shows each whole line that was not shown before. No file is as an empty one.
    ///
    /// # Errors
    ///
    /// Whatever the disk says, or `see`.
    pub(super) fn read(&mut self, see: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let place = Place::of(&self.path)?;
        loop {
            if self.file.is_none() && !self.begin(&place)? {
                return Ok(());
            }
            let Some(file) = &self.file else {
                return Ok(());
            };
            // Nobody appends to a file once it has been replaced: what is read after is all of it.
            let is_current = place.has(file);
            if file.metadata()?.len() < self.at {
                // Emptied in place, by somebody who rotates by copying.
                self.at = 0;
            }
            let last = &mut self.last;
            self.at = each_from(file, self.at, |line, _| {
                last.clear();
                last.extend_from_slice(line);
                see(line)
            })?;
            if is_current {
                return Ok(());
            }
            self.file = None;
        }
    }

    /// Opens the file, and passes over what was shown of the one before; false if there is none.
    fn begin(&mut self, place: &Place) -> io::Result<bool> {
        let Some(file) = place.open()? else {
            return Ok(false);
        };
        let mut behind = 0;
        if !self.last.is_empty() {
            each_from(&file, 0, |line, end| {
                if line == self.last {
                    behind = end;
                }
                Ok(())
            })?;
        }
        self.at = behind;
        self.file = Some(file);
        Ok(true)
    }
}

/// Shows each whole line from there on, without its end, and where the next one begins; gives where
/// the last one ended.
fn each_from(
    mut file: &File,
    from: u64,
    mut see: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file));
    let mut at = from;
    while let Some((piece, length)) = lines.next()? {
        match piece {
            Piece::Line(line) => see(line, at + length)?,
            Piece::TooLong => {}
            Piece::CutOff => break,
        }
        at += length;
    }
    Ok(at)
}
