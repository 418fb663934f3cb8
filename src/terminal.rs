//! The operator's terminal: what is written to it, and what is asked there.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use zeroize::Zeroizing;

/// Escapes everything that a terminal would obey: control characters, and characters that break
/// lines or change their direction. For any text that comes from a site, a file or a name.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) {
            safe.extend(letter.escape_default());
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// As [`printable`], for a JSON document: the same characters, escaped as JSON has it.
pub fn printable_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for letter in document.chars() {
        // Line breaks between fields stay; those within texts are escaped already.
        if letter == '\r' {
            safe.push(' ');
        } else if letter > '\u{7e}' && is_obeyed(letter) {
            safe.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Whether a terminal acts on a character instead of showing it.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// Whether typed characters appear on the screen.
#[derive(Clone, Copy, PartialEq)]
pub enum Echo {
    Shown,
    Hidden,
}

/// Asks on standard error, since standard output is for the report, and reads one line from
/// standard input, without its line break. Empty at the end of the input.
///
/// # Errors
///
/// If the terminal cannot be read, or cannot be told to hide what is typed.
pub fn ask(question: &str, echo: Echo) -> io::Result<String> {
    let mut err = io::stderr();
    // Before the question: whoever sees it may type at once.
    let hidden = (echo == Echo::Hidden).then(Hidden::begin).transpose()?;
    write!(err, "{question} ")?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if hidden.is_some() {
        // The line break was not shown either.
        writeln!(err)?;
    }
    let typed = line.strip_suffix('\n').unwrap_or(&line);
    Ok(typed.strip_suffix('\r').unwrap_or(typed).to_owned())
}

/// How far some work is, shown on standard error once it has taken longer than a second, if that is
/// a terminal.
pub struct Progress {
    done: Arc<AtomicUsize>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    shows: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins; `what` is done, in so many steps, or in none that are counted if `total` is zero.
    pub fn begin(what: String, total: usize) -> Self {
        let done = Arc::new(AtomicUsize::new(0));
        let (end, ended) = mpsc::channel::<()>();
        let shown = Arc::clone(&done);
        let shows = io::stderr().is_terminal().then(|| {
            thread::spawn(move || {
                let mut is_shown = false;
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(SECOND) {
                    let done = shown.load(Ordering::Relaxed);
                    is_shown = true;
                    let steps = match total {
                        0 => "...".to_owned(),
                        total => format!("{done} of {total}"),
                    };
                    let _ = write!(io::stderr(), "\r{what}: {steps}");
                }
                if is_shown {
                    // The line is cleared for what is said at the end.
                    let _ = write!(io::stderr(), "\r\u{1b}[K");
                }
            })
        });
        let end = Some(end);
        Self { done, end, shows }
    }

    /// Where whoever does the work counts.
    pub fn done(&self) -> &AtomicUsize {
        &self.done
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(shows) = self.shows.take() {
            // If it panicked, nobody misses it.
            let _ = shows.join();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Why standard input holds no line to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotALine {
    /// There is nothing at all.
    Nothing,
    /// There is more after the first line.
    More,
    /// It is longer than any line that is wanted.
    Long,
    /// It is not UTF-8.
    NotText,
}

/// Longest input that is read for one line, in bytes.
const LONGEST_INPUT: usize = 1 << 16;

/// Reads all of standard input, which is to be one line, and gives it to the letter, without its
/// line end.
///
/// # Errors
///
/// If standard input cannot be read; the inner error, if it is something else than one line.
pub fn only_line() -> io::Result<Result<Zeroizing<String>, NotALine>> {
    // With room for all of it: growing would leave pieces of a password behind.
    let mut input = Zeroizing::new(Vec::with_capacity(LONGEST_INPUT + 1));
    let longest = u64::try_from(LONGEST_INPUT + 1).unwrap_or(u64::MAX);
    io::stdin().lock().take(longest).read_to_end(&mut input)?;
    Ok(line_of(&input))
}

fn line_of(input: &[u8]) -> Result<Zeroizing<String>, NotALine> {
    if input.is_empty() {
        return Err(NotALine::Nothing);
    }
    if input.len() > LONGEST_INPUT {
        return Err(NotALine::Long);
    }
    let (line, rest) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &input[..end];
            (line.strip_suffix(b"\r").unwrap_or(line), &input[end + 1..])
        }
        None => (input, &[][..]),
    };
    if rest.iter().any(|byte| !b"\r\n".contains(byte)) {
        return Err(NotALine::More);
    }
    let text = std::str::from_utf8(line).map_err(|_| NotALine::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// While this lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut hiding = before.clone();
        hiding.local_modes.remove(LocalModes::ECHO);
        // Not `Flush`, which would discard what was typed ahead.
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &hiding)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // If this fails, the terminal is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_to_the_letter_and_nothing_may_follow() {
        for (input, line) in [
            (&b"one"[..], Ok("one")),
            (b"one\n", Ok("one")),
            (b" one \r\n", Ok(" one ")),
            (b"one\r", Ok("one\r")),
            (b"\n", Ok("")),
            (b"one\n\n\r\n", Ok("one")),
            (b"", Err(NotALine::Nothing)),
            (b"one\ntwo", Err(NotALine::More)),
            (b"one\n \n", Err(NotALine::More)),
            (b"\xff\n", Err(NotALine::NotText)),
            (&[b'x'; LONGEST_INPUT + 1], Err(NotALine::Long)),
        ] {
            let read = line_of(input);
            assert_eq!(
                read.as_ref().map(|line| line.as_str()).map_err(|why| *why),
                line
            );
        }
    }

    #[test]
    fn a_document_stays_one_and_no_terminal_obeys_it() {
        let document = serde_json::to_string("a\u{9b}b\u{7f}\u{202e}\x1b\n\u{fc}").unwrap();
        let safe = printable_json(&document);
        assert_eq!(
            safe,
            r#""a\u009bb\u007f\u202e\u001b\n\u00fc""#.replace(r"\u00fc", "\u{fc}")
        );
        let read: String = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, "a\u{9b}b\u{7f}\u{202e}\x1b\n\u{fc}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_reaches_it() {
        for (text, shown) in [
            ("nginx/1.22", "nginx/1.22"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\x7f", "\\u{7f}"),
            ("user\u{202e}txt", "user\\u{202e}txt"),
            ("\u{2028}\u{feff}", "\\u{2028}\\u{feff}"),
            ("\u{61c}a\u{2066}", "\\u{61c}a\\u{2066}"),
            ("Jörg 東京", "Jörg 東京"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
