//! The lines of a file that others may have damaged: one that is longer than ours ever are is passed
//! over, and never in memory as a whole.

use std::io::{self, BufRead};

/// Most bytes of a line that is looked at. An account's groups, set by hand, may be many; what a
/// disk leaves after a power cut may be millions of zeros.
pub(super) const LONGEST: usize = 1 << 18;

/// What was read up to the end of a line, or of the file.
pub(super) enum Piece<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line that is none of ours.
    TooLong,
    /// What nobody has ended yet.
    CutOff,
}

/// Lines, one after the other.
pub(super) struct Lines<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        let line = Vec::new();
        Self { from, line }
    }

    /// The next one, and how many bytes it has with its end; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    pub(super) fn next(&mut self) -> io::Result<Option<(Piece<'_>, u64)>> {
        self.line.clear();
        let (mut length, mut is_too_long) = (0, false);
        loop {
            let bytes = self.from.fill_buf()?;
            if bytes.is_empty() {
                return Ok((length > 0).then_some((Piece::CutOff, length)));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let of_line = &bytes[..end.unwrap_or(bytes.len())];
            is_too_long |= self.line.len() + of_line.len() > LONGEST;
            if !is_too_long {
                self.line.extend_from_slice(of_line);
            }
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.from.consume(taken);
            length += taken as u64;
            if end.is_some() {
                let piece = match is_too_long {
                    true => Piece::TooLong,
                    false => Piece::Line(&self.line),
                };
                return Ok(Some((piece, length)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_passed_over_and_what_follows_is_read() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!("a\n\n{long}\nb\n{}\nc", &long[1..]);
        let mut lines = Lines::new(io::BufReader::with_capacity(1000, text.as_bytes()));
        let mut read = 0;
        let mut next = || {
            let (piece, length) = lines.next().unwrap()?;
            read += length;
            Some(match piece {
                Piece::Line(line) => line.len().to_string(),
                Piece::TooLong => "too long".to_owned(),
                Piece::CutOff => "cut off".to_owned(),
            })
        };
        let longest = LONGEST.to_string();
        for wanted in ["1", "0", "too long", "1", &longest, "cut off"] {
            assert_eq!(next().as_deref(), Some(wanted));
        }
        assert_eq!(next(), None);
        assert_eq!(read, text.len() as u64);
    }
}
