//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

mod framing;
mod harness;
mod life;
mod log;
mod slow;
mod start;
mod transport;
