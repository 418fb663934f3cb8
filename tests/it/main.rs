//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

mod access;
#[cfg(feature = "browser")]
mod browser;
mod compat;
#[cfg(feature = "faults")]
mod faults;
mod forward_auth;
mod framing;
mod harness;
mod layers;
mod life;
mod log;
#[cfg(feature = "long")]
mod long;
mod mail;
mod outcomes;
#[cfg(feature = "proxies")]
mod proxies;
mod restart;
mod rules;
mod slow;
mod start;
mod transport;
mod users_file;
