//! Why a stranger's bytes were not taken as a request. What is answered is a row of the outcome
//! table.

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
