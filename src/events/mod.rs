//! What happened to accounts, a line an event, in `events.jsonl` beside the accounts; or a row an
//! event, where accounts are in a database, of all nodes.
//!
//! Nothing waits for it: whoever has something to tell puts it into a bounded queue, and a thread
//! writes it. What cannot be written is lost and counted, and no request fails for it. Strangers
//! cannot fill the file: what costs them nothing is counted and written once a minute, and an
//! account has a share of lines an hour.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::accounts::ids::AccountId;
use crate::clock::Clock;
#[cfg(feature = "postgres")]
use crate::store::postgres::{EventRow, EventRows};

mod file;
mod keeper;
mod kept;
mod line;
mod lines;
mod reader;
#[cfg(feature = "postgres")]
mod rows;
mod shares;
#[cfg(test)]
mod tests;
mod writer;

use file::Log;
use kept::Kept;
use lines::{Lines, Piece};
#[cfg(feature = "postgres")]
use rows::Rows;
use shares::Counts;
use writer::Writer;

pub use line::{Event, Kind, OPERATOR, Origin, Seen, written};
pub use reader::Reader;

/// Most events that wait to be written: a burst, and no more than a disk works off in a second.
const MOST_WAITING: usize = 1024;

/// How many events an owner is shown.
const SHOWN: usize = 20;

/// Where the events of the accounts at `users` are kept.
pub fn beside(users: &Path) -> PathBuf {
    users.with_file_name("events.jsonl")
}

/// The way to the thread that writes events.
pub struct Events {
    source: Source,
    /// `None` if none are kept.
    queue: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
    /// Gives once, when the thread has ended; `None` after that.
    ended: Mutex<Option<Receiver<()>>>,
}

/// Where the last events of an account are read.
enum Source {
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Rows(EventRows),
}

/// What the thread and those who tell it something both see.
#[derive(Default)]
struct Shared {
    counts: Counts,
    /// Events that were not written since that was last said.
    lost: AtomicU64,
    closing: AtomicBool,
}

/// What the thread is sent.
enum Message {
    Note(Box<Event>),
    /// Wakes it, so that it sees that it is to end.
    Wake,
}

impl Events {
    /// Starts the thread, which drops what is older than `kept` now and once a day; a `kept` of
    /// zero writes nothing.
    ///
    /// # Errors
    ///
    /// If the system has no thread left. A file that cannot be opened is no error: the log says so
    /// once there is something to write.
    pub fn open(users: &Path, kept: Duration, clock: Arc<Clock>) -> io::Result<Self> {
        let path = beside(users);
        let log = Kept::File(Log::new(path.clone()));
        Self::start(Source::File(path), log, kept, clock)
    }

    /// As [`Events::open`], in a database, with the name of this node.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    #[cfg(feature = "postgres")]
    pub fn in_database(
        rows: EventRows,
        node: String,
        kept: Duration,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        let log = Kept::Rows(Rows::new(rows.clone(), node));
        Self::start(Source::Rows(rows), log, kept, clock)
    }

    fn start(source: Source, log: Kept, kept: Duration, clock: Arc<Clock>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        if kept.is_zero() {
            return Ok(Self {
                source,
                queue: None,
                shared,
                ended: Mutex::new(None),
            });
        }
        let (queue, messages) = mpsc::sync_channel(MOST_WAITING);
        let (end, ended) = mpsc::sync_channel(1);
        let writer = Writer::new(log, kept, clock, Arc::clone(&shared));
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                writer.run(&messages);
                // If nobody is left to hear this, it does not matter.
                let _ = end.send(());
            })?;
        Ok(Self {
            source,
            queue: Some(queue),
            shared,
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Has an event written. Waits for nothing.
    pub fn note(&self, event: Event) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Message::Note(Box::new(event))).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a refusal that names nobody. Waits for nothing, and takes no place in the queue.
    pub fn count(&self, result: &'static str) {
        if self.queue.is_some() {
            self.shared.counts.add(Kind::Refused, result);
        }
    }

    /// The last events of an account, the newest first. Nothing, if they cannot be read.
    pub fn recent(&self, id: &AccountId) -> Vec<Seen> {
        match &self.source {
            Source::File(path) => recent(path, id),
            #[cfg(feature = "postgres")]
            Source::Rows(rows) => recent_in_database(rows, id),
        }
    }

    /// Has everything written that waits, and the thread end; false if that took longer than
    /// `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(receiver) = ended.take() else {
            return true;
        };
        self.shared.closing.store(true, Ordering::Relaxed);
        if let Some(queue) = &self.queue {
            // A full queue wakes it too.
            let _ = queue.try_send(Message::Wake);
        }
        receiver.recv_timeout(patience).is_ok()
    }
}

/// The file of events beside the accounts at `users`, and its length at a moment at which nobody
/// was writing a line; `None` if there is none.
///
/// # Errors
///
/// Whatever the disk says, and if it is a link or no regular file.
pub fn at_a_moment(users: &Path) -> io::Result<Option<(File, u64)>> {
    let Some(file) = file::open_locked(&beside(users))? else {
        return Ok(None);
    };
    let length = file.metadata()?.len();
    file.unlock()?;
    Ok(Some((file, length)))
}

/// Shows the events in the first `length` bytes of their file, each as its line without the end. What
/// is none is passed over.
///
/// # Errors
///
/// Whatever the disk says.
pub fn each_line(file: &File, length: u64, see: &mut dyn FnMut(&str)) -> io::Result<()> {
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file.take(length)));
    while let Some((piece, _)) = lines.next()? {
        if let Piece::Line(line) = piece
            && Seen::parse(line).is_some()
            && let Ok(line) = str::from_utf8(line)
        {
            see(line);
        }
    }
    Ok(())
}

/// The row of an event that is in a line already; `None` if that is none.
#[cfg(feature = "postgres")]
pub(crate) fn row_of(line: &str) -> Option<EventRow> {
    let seen = Seen::parse(line.as_bytes())?;
    let at = i64::try_from(seen.milliseconds()).unwrap_or(i64::MAX);
    Some(EventRow::new(at, seen.id, line.to_owned()))
}

/// As [`Events::recent`], for the file at `path`.
pub fn recent(path: &Path, id: &AccountId) -> Vec<Seen> {
    reader::newest_of(path, id.as_str(), SHOWN).unwrap_or_default()
}

/// As [`Events::recent`], in a database.
#[cfg(feature = "postgres")]
pub fn recent_in_database(rows: &EventRows, id: &AccountId) -> Vec<Seen> {
    let lines = rows.newest_of(id.as_str(), SHOWN).unwrap_or_default();
    let lines = lines.iter();
    lines
        .filter_map(|line| Seen::parse(line.as_bytes()))
        .collect()
}

/// Writes events at once, for commands, and waits until they are on disk; a `kept` of zero writes
/// nothing.
///
/// # Errors
///
/// Whatever the disk says. What the events tell of has happened all the same.
pub fn append(users: &Path, kept: Duration, events: &[Event]) -> io::Result<()> {
    if kept.is_zero() {
        return Ok(());
    }
    let mut log = Log::new(beside(users));
    for event in events {
        log.append(&event.line())?;
    }
    log.sync()
}

/// As [`append`], into a database; `node` is where the command runs.
///
/// # Errors
///
/// If the database does not answer.
#[cfg(feature = "postgres")]
pub fn append_in_database(
    rows: &EventRows,
    node: &str,
    kept: Duration,
    events: &[Event],
) -> io::Result<()> {
    if kept.is_zero() || events.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = events.iter().map(|event| rows::row(event, node)).collect();
    rows.add(&new).map_err(rows::away)
}
