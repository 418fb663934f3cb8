//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

mod compat;
mod framing;
mod harness;
mod layers;
mod life;
mod outcomes;
mod rules;
mod slow;
mod start;
mod transport;
