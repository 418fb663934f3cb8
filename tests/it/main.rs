//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

/// Ends a test that is about one machine by nature where the tests are run on a database, and says
/// so past the harness of the tests, which shows only what failed.
macro_rules! of_one_machine {
    ($why:literal) => {
        if $crate::harness::place::is_left_out($why) {
            return;
        }
    };
}

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
