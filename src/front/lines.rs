//! Finds the empty line that ends a head or a trailer section, byte by byte as the bytes come.
//!
//! A line ends in CRLF and in nothing else: a bare LF, a bare CR, NUL or another control byte is
//! where two readers start to disagree, so it is refused (RFC 9112, section 2.2).

use crate::rejection::Rejection;

/// The longest request line without its CRLF, in bytes. RFC 9112, section 3, asks for at least
/// 8000.
const MAX_REQUEST_LINE: usize = 8 * 1024;
/// The longest request line and fields, in bytes: twice what a browser with all our cookies sends.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest trailers, in bytes. They are dropped, so long ones have no use.
const MAX_TRAILERS: usize = 4 * 1024;

/// How far a section has been looked at. The caller keeps the bytes, which only ever grow.
pub struct Lines {
    section: Section,
    max: usize,
    /// Where the section begins: after the empty line before the request line, if there is one.
    start: usize,
    line: usize,
    seen: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Section {
    /// No request line yet; one empty line before it is tolerated (RFC 9112, section 2.2).
    RequestLine,
    Fields,
    Trailers,
}

impl Lines {
    /// For a head of at most `max` bytes.
    pub fn of_head(max: usize) -> Self {
        Self::new(Section::RequestLine, max)
    }

    /// For a trailer section.
    pub fn of_trailers() -> Self {
        Self::new(Section::Trailers, MAX_TRAILERS)
    }

    fn new(section: Section, max: usize) -> Self {
        Self {
            section,
            max,
            start: 0,
            line: 0,
            seen: 0,
        }
    }

    /// Looks at the bytes not seen yet. Gives where the section starts and ends, the empty line
    /// included, once that is there.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, Rejection> {
        while let Some(&byte) = bytes.get(self.seen) {
            let after_cr = self.seen > self.line && bytes[self.seen - 1] == b'\r';
            self.seen += 1;
            self.check_size(byte)?;
            match byte {
                b'\n' if after_cr => {
                    if self.end_line()? {
                        return Ok(Some((self.start, self.seen)));
                    }
                }
                b'\n' => return Err(Rejection::Malformed("a line ends in a bare LF")),
                _ if after_cr => return Err(Rejection::Malformed("a bare CR")),
                b'\r' | b'\t' | b' '..=b'~' | 0x80.. => {}
                _ => return Err(Rejection::Malformed("a control byte")),
            }
        }
        Ok(None)
    }

    /// Notes that a line has ended with the byte just seen. True if it was empty, which ends the
    /// section.
    fn end_line(&mut self) -> Result<bool, Rejection> {
        let empty = self.seen - self.line == 2;
        self.line = self.seen;
        match (self.section, empty) {
            (Section::RequestLine, true) if self.start == 0 => self.start = self.seen,
            (Section::RequestLine, true) => {
                return Err(Rejection::Malformed("empty lines before the request line"));
            }
            (Section::RequestLine, false) => self.section = Section::Fields,
            (Section::Fields | Section::Trailers, empty) => return Ok(empty),
        }
        Ok(false)
    }

    fn check_size(&self, last: u8) -> Result<(), Rejection> {
        let ending = match last {
            b'\n' => 2,
            b'\r' => 1,
            _ => 0,
        };
        let line = (self.seen - self.line).saturating_sub(ending);
        if self.section == Section::RequestLine && line > MAX_REQUEST_LINE {
            return Err(Rejection::TargetTooLong);
        }
        if self.seen - self.start > self.max {
            return Err(Rejection::HeadTooLarge);
        }
        Ok(())
    }
}
