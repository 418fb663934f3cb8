//! The body of a request, put together as its bytes come, with chunked coding undone.

use crate::front::head::Framing;
use crate::front::lines::Lines;
use crate::rejection::Rejection;

/// The largest decoded body, in bytes. The largest form of the site has a few KiB.
pub const MAX_BODY: usize = 64 * 1024;
/// Bytes that a chunked body may have on the wire, so that tiny chunks cost a client more than us.
const MAX_CHUNKED: usize = 4 * MAX_BODY;
/// Bytes of a line with a chunk's size and extensions.
const MAX_SIZE_LINE: usize = 256;
/// The most digits of a chunk's size: as many as an honest 64-bit writer that pads could send.
const MAX_SIZE_DIGITS: usize = 16;

/// A body being read. No `Debug`: it may hold a password.
pub struct Body {
    decoded: Vec<u8>,
    raw: usize,
    state: State,
}

enum State {
    /// How many bytes of a body of known length are missing.
    Counted(usize),
    Size(Vec<u8>),
    Chunk(usize),
    /// The CRLF after a chunk, and how much of it was seen.
    ChunkEnd(usize),
    Trailers(Lines, Vec<u8>),
    Done,
}

impl Body {
    /// A body whose end is found like this.
    pub fn new(framing: Framing) -> Self {
        Self {
            decoded: Vec::new(),
            raw: 0,
            state: match framing {
                Framing::Chunked => State::Size(Vec::new()),
                Framing::Length(0) => State::Done,
                Framing::Length(length) => State::Counted(length),
            },
        }
    }

    /// Takes what belongs to the body from the front of `bytes` and gives the number of bytes
    /// taken.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let mut taken = 0;
        while !self.is_done() && taken < bytes.len() {
            let step = self.step(&bytes[taken..])?;
            taken += step;
            self.raw += step;
            // A counted body is bounded by its length.
            if self.raw > MAX_CHUNKED {
                return Err(Rejection::BodyTooLarge);
            }
        }
        Ok(taken)
    }

    /// Whether the end of the body has come.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The decoded body.
    pub fn into_bytes(self) -> Vec<u8> {
        self.decoded
    }

    /// Takes at least one byte; `bytes` is not empty.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        match &mut self.state {
            State::Counted(missing) => {
                let taken = take(&mut self.decoded, bytes, missing);
                if *missing == 0 {
                    self.state = State::Done;
                }
                Ok(taken)
            }
            State::Size(line) => {
                let size = take_size_line(line, bytes[0])?;
                self.start_chunk(size)?;
                Ok(1)
            }
            State::Chunk(missing) => {
                let taken = take(&mut self.decoded, bytes, missing);
                if *missing == 0 {
                    self.state = State::ChunkEnd(0);
                }
                Ok(taken)
            }
            State::ChunkEnd(seen) => {
                if bytes[0] != b"\r\n"[*seen] {
                    return Err(Rejection::Malformed("no CRLF after a chunk"));
                }
                self.state = match seen {
                    0 => State::ChunkEnd(1),
                    _ => State::Size(Vec::new()),
                };
                Ok(1)
            }
            State::Trailers(lines, section) => {
                section.push(bytes[0]);
                if lines.advance(section)?.is_some() {
                    check_trailers(section)?;
                    self.state = State::Done;
                }
                Ok(1)
            }
            State::Done => Ok(0),
        }
    }

    fn start_chunk(&mut self, size: Option<usize>) -> Result<(), Rejection> {
        match size {
            None => {}
            Some(0) => self.state = State::Trailers(Lines::of_trailers(), Vec::new()),
            Some(size) if size > MAX_BODY - self.decoded.len() => {
                return Err(Rejection::BodyTooLarge);
            }
            Some(size) => self.state = State::Chunk(size),
        }
        Ok(())
    }
}

/// Adds a byte to the line with a chunk's size; gives the size when the line ends.
fn take_size_line(line: &mut Vec<u8>, byte: u8) -> Result<Option<usize>, Rejection> {
    let after_cr = line.last() == Some(&b'\r');
    match byte {
        b'\n' if after_cr => return chunk_size(&line[..line.len() - 1]).map(Some),
        b'\r' if !after_cr => {}
        b'\t' | b' '..=b'~' | 0x80.. if !after_cr => {}
        _ => return Err(Rejection::Malformed("a control byte in a chunk's size")),
    }
    if line.len() == MAX_SIZE_LINE {
        return Err(Rejection::Malformed("a chunk's size line is too long"));
    }
    line.push(byte);
    Ok(None)
}

/// Reads hex digits, then nothing, or `;` and extensions, which mean nothing to us (RFC 9112,
/// section 7.1.1). A space before the `;` is refused: some readers take what follows it for the
/// next line.
fn chunk_size(line: &[u8]) -> Result<usize, Rejection> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    let good = (1..=MAX_SIZE_DIGITS).contains(&digits.len()) && matches!(rest, [] | [b';', ..]);
    let digits = str::from_utf8(digits).ok().filter(|_| good);
    let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let size = size.ok_or(Rejection::Malformed("a bad chunk size"))?;
    usize::try_from(size).map_err(|_| Rejection::BodyTooLarge)
}

/// Checks that trailers are fields. They are then dropped, since they do harm when they are merged
/// with the head.
fn check_trailers(section: &[u8]) -> Result<(), Rejection> {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    match httparse::parse_headers(section, &mut slots) {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Rejection::HeadTooLarge),
        _ => Err(Rejection::Malformed("a bad trailer")),
    }
}
/// Takes up to `missing` bytes of those that came; how many.
fn take(decoded: &mut Vec<u8>, bytes: &[u8], missing: &mut usize) -> usize {
    let taken = bytes.len().min(*missing);
    decoded.extend_from_slice(&bytes[..taken]);
    *missing -= taken;
    taken
}
