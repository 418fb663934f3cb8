//! A strict, bounded reader of HTTP/1.1 requests: bytes in, one complete request out, or a refusal.
//!
//! The reader knows no sockets and no time. Every careful reader frames what it accepts in the same
//! way; it refuses whatever could be framed in two ways.

use std::mem;

use crate::front::body::Body;
use crate::front::head::{self, Head, MAX_FIELDS};
use crate::front::lines::{Lines, MAX_HEAD};
use crate::http::Method;
use crate::rejection::Rejection;

/// A whole request. No `Debug`: it may hold a password.
#[derive(Clone, PartialEq)]
pub struct Accepted {
    pub head: Head,
    /// Decoded: without the framing of chunks.
    pub body: Vec<u8>,
}

/// How large a head may be.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Bytes, request line and empty line included.
    pub head: usize,
    pub fields: usize,
}

impl Bounds {
    /// For trusted proxies: visitors send the cookies of many applications, and a proxy asks about
    /// requests with all of them.
    pub const OF_PROXIES: Self = Self {
        head: 40 * 1024,
        fields: MAX_FIELDS,
    };
}

impl Default for Bounds {
    /// Ten times as many fields as a browser sends.
    fn default() -> Self {
        Self {
            head: MAX_HEAD,
            fields: 100,
        }
    }
}

/// Reads the requests of one connection, one after the other.
pub struct Reader {
    bounds: Bounds,
    /// Bytes that came and were not used yet. Bounded, since more are read only if they are needed.
    buffer: Vec<u8>,
    state: State,
}

enum State {
    Head(Lines),
    Body {
        head: Box<Head>,
        body: Body,
        /// Whether `100 Continue` was already asked for, or is not wanted.
        continued: bool,
    },
}

/// What a reader is waiting for.
pub enum Step {
    Complete(Box<Accepted>),
    MoreBody {
        /// Whether the client waits for `100 Continue`. True once, and not if the body is on its
        /// way.
        say_continue: bool,
    },
    MoreHead,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Reader {
    /// A reader of requests within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            buffer: Vec::new(),
            state: State::Head(Lines::of_head(bounds.head)),
        }
    }

    /// Adds bytes that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing of the next request has come.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && matches!(self.state, State::Head(_))
    }

    /// Goes on with what has come. After a refusal the reader must not be used again.
    pub fn step(&mut self) -> Result<Step, Rejection> {
        if let State::Head(lines) = &mut self.state {
            let Some((start, end)) = lines.advance(&self.buffer)? else {
                return Ok(Step::MoreHead);
            };
            let head = head::parse(&self.buffer[start..end], self.bounds.fields)?;
            self.buffer.drain(..end);
            self.state = State::Body {
                body: Body::new(head.framing),
                continued: !head.expects_continue,
                head: Box::new(head),
            };
        }
        let State::Body {
            body, continued, ..
        } = &mut self.state
        else {
            return Ok(Step::MoreHead);
        };

        let arrived = !self.buffer.is_empty();
        let taken = body.take(&self.buffer)?;
        self.buffer.drain(..taken);
        if !body.is_done() {
            let say_continue = !*continued && !arrived;
            *continued = true;
            return Ok(Step::MoreBody { say_continue });
        }
        Ok(self.complete())
    }

    fn complete(&mut self) -> Step {
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = Vec::new();
        }
        match mem::replace(
            &mut self.state,
            State::Head(Lines::of_head(self.bounds.head)),
        ) {
            State::Body { head, body, .. } => Step::Complete(Box::new(Accepted {
                head: *head,
                body: body.into_bytes(),
            })),
            State::Head(_) => Step::MoreHead,
        }
    }

    /// The head of the request whose body is being read.
    pub fn head(&self) -> Option<&Head> {
        match &self.state {
            State::Head(_) => None,
            State::Body { head, .. } => Some(head),
        }
    }

    /// The method of the request that is being read, as far as that can be told.
    pub fn method(&self) -> Method {
        let name = match &self.state {
            State::Head(_) => {
                let line = self.buffer.trim_ascii_start();
                let end = line.iter().position(|&byte| byte == b' ');
                &line[..end.unwrap_or(0)]
            }
            State::Body { head, .. } => head.method.as_bytes(),
        };
        Method::parse(str::from_utf8(name).unwrap_or_default())
    }

    /// The target of the request that is being read, as far as that can be told.
    pub fn target(&self) -> Option<String> {
        match &self.state {
            State::Body { head, .. } => Some(head.target.clone()),
            State::Head(_) => {
                let line = self.buffer.trim_ascii_start();
                let line = line.split(|&byte| byte == b'\n').next()?;
                let target = line.split(|&byte| byte == b' ').nth(1)?;
                str::from_utf8(target).ok().map(str::to_owned)
            }
        }
    }

    /// The client's `Accept`, for a refusal; found even in a head that is refused.
    pub fn accept(&self) -> Option<String> {
        let value = match &self.state {
            State::Body { head, .. } => head.values("accept").next(),
            State::Head(_) => self
                .buffer
                .split(|&byte| byte == b'\n')
                .find_map(|line| match line.split_at_checked(7) {
                    Some((name, value)) if name.eq_ignore_ascii_case(b"accept:") => Some(value),
                    _ => None,
                })
                .map(<[u8]>::trim_ascii),
        };
        value
            .filter(|value| value.is_ascii())
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Reads the first request in `bytes` and says how many bytes it took; `None` if it needs more.
pub fn parse(bytes: &[u8]) -> Result<Option<(Accepted, usize)>, Rejection> {
    let mut reader = Reader::default();
    reader.push(bytes);
    match reader.step()? {
        Step::Complete(request) => Ok(Some((*request, bytes.len() - reader.buffer.len()))),
        Step::MoreBody { .. } | Step::MoreHead => Ok(None),
    }
}

#[cfg(test)]
mod tests;
