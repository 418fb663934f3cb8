//! Just so much HTTP/2 (RFC 9113) as it takes to send what no library would send.

use std::io::{Read as _, Write as _};

use crate::harness::Wire;

/// What came of a request.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// If it has one that HPACK writes as a number of its table.
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
}

/// A connection on which one request is sent.
pub(crate) struct Stream {
    wire: Wire,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Stream {
    /// Begins a connection that has agreed on `h2`.
    pub(crate) fn begin(mut wire: Wire) -> Self {
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut stream = Self { wire };
        stream.frame(SETTINGS, 0, 0, b"");
        stream
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The proxy may have refused and closed already; what it said is still to be read.
        let _ = self.wire.write_all(&frame);
    }

    pub(crate) fn head(&mut self, fields: &[(&[u8], &[u8])], last: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal without indexing, its name written out.
            block.push(0);
            string(&mut block, name);
            string(&mut block, value);
        }
        let end = if last { END_STREAM } else { 0 };
        self.frame(HEADERS, END_HEADERS | end, 1, &block);
    }

    pub(crate) fn data(&mut self, bytes: &[u8], last: bool) {
        self.frame(DATA, u8::from(last), 1, bytes);
    }

    /// Reads until the answer has a head, or was refused.
    pub(crate) fn begun(&mut self) -> Outcome {
        self.read(|kind, _| kind == HEADERS)
    }

    /// Reads until the answer ends, or `enough` of its body is there, or it was refused.
    pub(crate) fn outcome(&mut self, enough: usize) -> Outcome {
        self.read(|_, outcome| outcome.body.len() >= enough)
    }

    fn read(&mut self, done: impl Fn(u8, &Outcome) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        loop {
            let mut head = [0; 9];
            if self.wire.read_exact(&mut head).is_err() {
                return outcome;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            if self.wire.read_exact(&mut payload).is_err() {
                return outcome;
            }
            let (kind, flags) = (head[3], head[4]);
            match kind {
                SETTINGS if flags & 1 == 0 => self.frame(SETTINGS, 1, 0, b""),
                HEADERS => outcome.status = outcome.status.or(status(&payload)),
                DATA => outcome.body.push_str(&String::from_utf8_lossy(&payload)),
                RST_STREAM | GOAWAY => return outcome,
                _ => {}
            }
            let ended = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
            if ended || done(kind, &outcome) {
                return outcome;
            }
        }
    }
}

/// A string that is not compressed (RFC 7541, section 5.2).
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend(text);
}

/// The statuses of HPACK's table (RFC 7541, appendix A), behind a change of the table's size.
fn status(block: &[u8]) -> Option<u16> {
    let first = block.iter().find(|byte| **byte & 0xe0 != 0x20)?;
    let known = [200, 204, 206, 304, 400, 404, 500];
    let at = usize::from(first & 0x7f).checked_sub(8)?;
    (first & 0x80 != 0)
        .then(|| known.get(at).copied())
        .flatten()
}
