//! The operator's terminal: what is written to it, and what is asked there.

use std::io::{self, BufRead as _, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

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

/// Whether a terminal acts on a character instead of showing it.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
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
    write!(err, "{question} ")?;
    err.flush()?;
    let hidden = (echo == Echo::Hidden).then(Hidden::begin).transpose()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if hidden.is_some() {
        // The line break was not shown either.
        writeln!(err)?;
    }
    let typed = line.strip_suffix('\n').unwrap_or(&line);
    Ok(typed.strip_suffix('\r').unwrap_or(typed).to_owned())
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
    fn nothing_that_a_terminal_obeys_reaches_it() {
        for (text, shown) in [
            ("nginx/1.22", "nginx/1.22"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\x7f", "\\u{7f}"),
            ("user\u{202e}txt", "user\\u{202e}txt"),
            ("\u{2028}\u{feff}", "\\u{2028}\\u{feff}"),
            ("Jörg 東京", "Jörg 東京"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
