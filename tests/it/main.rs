//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

mod faults;
mod harness;
mod layers;
mod life;
mod mail;
mod restart;
mod users_file;
