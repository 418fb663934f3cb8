//! The log on standard error: its two formats, and what happens to lines that cannot be written.
//!
//! A log that cannot be written costs lines, and never a request, a thread or the process.

mod lines;

use std::io::{self, Write};
use std::panic;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use tracing::Level;

use tracing::Dispatch;
use tracing_subscriber::fmt as events;

use crate::terminal::printable;

pub use lines::Lines;

/// How long the program's last words may wait for a reader.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Text,
    Json,
}

/// The longest complaint, in bytes.
const MOST_SAID: usize = 16 * 1024;

/// The running log.
pub struct Log {
    lines: Lines,
}

impl Log {
    /// Starts the log: from now on events are written to standard error, and panics are events.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn start(format: Format) -> io::Result<Self> {
        let notice = Box::new(move |lost| line_about(format, lost));
        let lines = Lines::start(io::stderr(), Some(notice))?;
        let to = lines.clone();
        let dispatch = dispatch(format, Arc::new(move |line: &[u8]| to.put(line)));
        // Fails only if a log was started before; that one stays.
        let _ = tracing::dispatcher::set_global_default(dispatch);
        // The default hook would ignore the log's format, and repeat the panic's message, which may
        // hold secrets.
        panic::set_hook(Box::new(|panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(place, "a thread panicked");
        }));
        Ok(Self { lines })
    }

    /// Waits until everything is written or lost, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        self.lines.flush(patience);
    }
}

/// Prints a line for the operator outside of the log and, if there is a hint, a second one that
/// says what to do. Both are safe for a terminal, whatever they repeat.
///
/// If standard error is closed, or its reader is stuck, nobody can be told.
pub fn complain(what: &str, hint: Option<&str>) {
    let mut text = format!("auth_user: {}\n", shortened(printable(what)));
    if let Some(hint) = hint {
        let hint = shortened(printable(hint));
        text.push_str(&format!("auth_user: hint: {hint}\n"));
    }
    match Lines::start(io::stderr(), None) {
        Ok(lines) => {
            lines.put(text.as_bytes());
            lines.flush(LAST_MOMENT);
        }
        Err(_) => drop(io::stderr().write_all(text.as_bytes())),
    }
}

/// Cuts out the middle of what is too long for anybody to read, and for [`Lines`] to take: it may
/// quote a file. What is wrong stands before that, and often goes on after it.
fn shortened(mut text: String) -> String {
    if text.len() > MOST_SAID {
        let begin = text.floor_char_boundary(MOST_SAID / 2);
        let end = text.ceil_char_boundary(text.len() - MOST_SAID / 2);
        text.replace_range(begin..end, " … ");
    }
    text
}

/// Whatever takes a whole line.
type Taker = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Turns each event into a line and gives it to `taker`.
fn dispatch(format: Format, taker: Taker) -> Dispatch {
    let events = events()
        .log_internal_errors(false)
        .with_writer(move || Escaped(Arc::clone(&taker)));
    match format {
        Format::Text => events.with_ansi(false).with_target(false).finish().into(),
        Format::Json => events.json().flatten_event(true).finish().into(),
    }
}

/// Does some work, and gives what this thread would have logged meanwhile: an event each, as text
/// without a time.
pub fn heard<R>(work: impl FnOnce() -> R) -> (R, Vec<(Level, String)>) {
    let mut heard = Vec::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let taker: Taker = Arc::new(move |line: &[u8]| {
        let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(String::from_utf8_lossy(line).trim().to_owned());
    });
    let events = events()
        .log_internal_errors(false)
        .with_writer(move || Escaped(Arc::clone(&taker)))
        .without_time()
        .with_ansi(false)
        .with_target(false);
    let done = tracing::dispatcher::with_default(&events.finish().into(), work);
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    for line in std::mem::take(&mut *kept) {
        if let Some((level, text)) = line.split_once(' ')
            && let Ok(level) = level.parse()
        {
            heard.push((level, text.trim_start().to_owned()));
        }
    }
    (done, heard)
}

/// The line that says how many were lost, in the log's own format.
fn line_about(format: Format, lost: u64) -> Vec<u8> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let taker = move |line: &[u8]| {
        let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(line);
    };
    tracing::dispatcher::with_default(&dispatch(format, Arc::new(taker)), || {
        tracing::warn!(lost, "the log could not be written, and lines are lost");
    });
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut kept)
}

/// Escapes what JSON allows in a string but a terminal obeys: DEL, the upper control characters,
/// and characters that break lines or change their direction. The text format escapes them itself.
struct Escaped(Taker);

impl Write for Escaped {
    /// Takes whole lines, so no character is split over two writes. Never fails, or the library
    /// would print a complaint of its own to standard error.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut safe = String::with_capacity(bytes.len());
        for letter in String::from_utf8_lossy(bytes).chars() {
            match letter {
                '\u{7f}'..='\u{9f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}' => safe.push_str(&format!("\\u{:04x}", u32::from(letter))),
                _ => safe.push(letter),
            }
        }
        (self.0)(safe.as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path as a field of an event. The log's formats quote and escape text themselves; a path's
/// `Debug` would be quoted twice in JSON.
pub fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{self, Command, Stdio};
    use std::{env, thread};

    use super::*;

    /// The variable that tells a child process to panic, and the name of the test that it runs.
    const PANICS: &str = "AUTH_USER_TEST_PANICS";
    const NAME: &str = "log::tests::a_panic_is_an_event_without_its_message";

    /// The message may hold what the thread was working on, and the log's reader may be gone.
    #[test]
    fn a_panic_is_an_event_without_its_message() {
        if env::var_os(PANICS).is_some() {
            let log = Log::start(Format::Json).unwrap();
            let password = "hunter2".to_owned();
            assert!(thread::spawn(move || panic!("{password}")).join().is_err());
            log.flush(LAST_MOMENT);
            return;
        }
        let said = |stderr: Stdio| {
            let ran = Command::new(env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(PANICS, "1")
                .stdout(Stdio::null())
                .stderr(stderr)
                .spawn()
                .and_then(process::Child::wait_with_output)
                .unwrap();
            assert!(ran.status.success(), "{:?}", ran.status);
            String::from_utf8(ran.stderr).unwrap()
        };
        let (reader, gone) = io::pipe().unwrap();
        drop(reader);
        said(gone.into());
        said(
            File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
        );

        let line = said(Stdio::piped());
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["message"], "a thread panicked");
        assert!(event["place"].as_str().unwrap().contains("src/log/mod.rs:"));
        assert!(!line.contains("hunter2"), "{line}");
    }

    #[test]
    fn what_a_work_would_have_logged_is_heard_and_not_logged() {
        let (done, heard) = heard(|| {
            tracing::info!("one");
            tracing::warn!(file = "a\u{9b}b", "two");
            7
        });
        tracing::warn!("three");
        assert_eq!(done, 7);
        let two = "two file=\"a\\u{9b}b\"".to_owned();
        assert_eq!(heard, [(Level::INFO, "one".to_owned()), (Level::WARN, two)]);
    }

    #[test]
    fn lost_lines_are_told_of_in_the_logs_own_format() {
        let text = String::from_utf8(line_about(Format::Text, 7)).unwrap();
        assert!(
            text.contains(" WARN ") && text.ends_with(" lost=7\n"),
            "{text}"
        );

        let json = line_about(Format::Json, 7);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["level"], &json["lost"]), (&"WARN".into(), &7.into()));
    }

    #[test]
    fn a_complaint_that_quotes_too_much_keeps_its_begin_and_its_end() {
        let long = format!("begin{}end", "\u{e9}".repeat(300 * 1024));

        let said = shortened(long);

        assert!(said.len() < MOST_SAID + 16, "{}", said.len());
        assert!(said.starts_with("begin\u{e9}") && said.ends_with("\u{e9}end"));
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
