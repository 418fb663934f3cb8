//! Why a stranger's bytes were not taken as a request.

/// A request that is not passed on. The connection closes after the answer, since nobody can tell
/// where the next request would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    BodyTooLarge,
    /// tiny_http did not take the request, or the visitor's network has too many under way.
    Busy,
    ExpectationFailed,
    HeadTooLarge,
    /// Not HTTP, or HTTP that different readers could read differently. The text is for the log.
    Malformed(&'static str),
    /// Plain HTTP on the port that speaks TLS.
    PlainHttp,
    TargetTooLong,
    /// Head or body did not arrive before its deadline.
    TooSlow,
    UnknownCoding,
    UnknownMethod,
    UnknownVersion,
}

impl Rejection {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge => 413,
            Self::Busy => 503,
            Self::ExpectationFailed => 417,
            Self::HeadTooLarge => 431,
            Self::Malformed(_) | Self::PlainHttp => 400,
            Self::TargetTooLong => 414,
            Self::TooSlow => 408,
            Self::UnknownCoding | Self::UnknownMethod => 501,
            Self::UnknownVersion => 505,
        }
    }

    /// The code for programs to read.
    pub fn code(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "too_large",
            Self::Busy => "busy",
            Self::ExpectationFailed => "expectation_failed",
            Self::HeadTooLarge => "head_too_large",
            Self::Malformed(_) => "malformed",
            Self::PlainHttp => "plain_http",
            Self::TargetTooLong => "target_too_long",
            Self::TooSlow => "too_slow",
            Self::UnknownCoding => "unknown_coding",
            Self::UnknownMethod => "unknown_method",
            Self::UnknownVersion => "unknown_version",
        }
    }

    /// The sentence for the visitor; fixed text, so that nothing sent is echoed.
    pub fn message(self) -> &'static str {
        match self {
            Self::BodyTooLarge => "The request is too large.",
            Self::Busy => "The server is busy. Try again in a moment.",
            Self::ExpectationFailed => "This server does not know that expectation.",
            Self::HeadTooLarge => "The header fields of the request are too large.",
            Self::Malformed(_) => "The request is not well-formed.",
            Self::PlainHttp => "This port speaks HTTPS.",
            Self::TargetTooLong => "The address of the request is too long.",
            Self::TooSlow => "The request took too long to arrive.",
            Self::UnknownCoding => "This server does not know that transfer coding.",
            Self::UnknownMethod => "This server does not know that method.",
            Self::UnknownVersion => "This server speaks HTTP/1.1 and HTTP/1.0.",
        }
    }
}
