//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "browser")]
mod browser;
#[cfg(feature = "databases")]
#[path = "../cluster/mod.rs"]
mod cluster;
mod files;
mod harness;
mod layers;
#[cfg(feature = "long")]
mod long;
mod mail;
mod operator;
#[cfg(feature = "packaging")]
mod packaging;
#[cfg(feature = "proxies")]
mod proxies;
mod routes;
mod service;
mod store;
mod wire;
