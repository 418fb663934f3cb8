//! The events as the bytes that their file would have, read as they are wanted.

use std::io::{self, Cursor, Read};

use super::{EVENTS, Side, column, damaged};
use crate::store::postgres::refusal::Refusal;

/// Events of one moment, each with the end of its line.
pub struct EventLines {
    side: Side,
    /// Those that were read last.
    some: Cursor<Vec<u8>>,
}

impl EventLines {
    /// # Errors
    ///
    /// If the database does not answer.
    pub(super) fn begin(mut side: Side) -> Result<Self, Refusal> {
        side.begin_rows(EVENTS)?;
        let some = Cursor::default();
        Ok(Self { side, some })
    }

    /// The next ones; nothing at the end.
    fn next(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut lines = Vec::new();
        for row in self.side.next_rows()? {
            let line: &str = column(&row, 0, "event").map_err(damaged)?;
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

impl Read for EventLines {
    /// An error of the database has its [`Refusal`] in it.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.some.read(bytes)?;
        if read > 0 || bytes.is_empty() {
            return Ok(read);
        }
        self.some = Cursor::new(self.next().map_err(io::Error::other)?);
        self.some.read(bytes)
    }
}
