//! Accounts in a database.

#[cfg(feature = "databases")]
pub(crate) mod away;
#[cfg(feature = "databases")]
mod backup;
#[cfg(feature = "databases")]
mod copy;
#[cfg(feature = "databases")]
mod encrypted;
#[cfg(feature = "databases")]
pub(crate) mod failover;
#[cfg(feature = "postgres")]
mod flags;
#[cfg(feature = "databases")]
mod half_there;
#[cfg(feature = "postgres")]
mod key;
#[cfg(feature = "databases")]
pub(crate) mod line;
#[cfg(feature = "databases")]
mod migrate;
#[cfg(feature = "databases")]
mod names;
#[cfg(feature = "databases")]
mod pooler;
#[cfg(feature = "databases")]
pub(crate) mod relay;
#[cfg(feature = "databases")]
mod start;
#[cfg(not(feature = "postgres"))]
mod without;

#[cfg(feature = "postgres")]
use std::path::PathBuf;

#[cfg(feature = "postgres")]
use crate::harness::Setup;
#[cfg(feature = "postgres")]
use crate::operator::run;

/// A folder with a key in it; gives the path of the key too.
#[cfg(feature = "postgres")]
pub(crate) fn with_key() -> (Setup, PathBuf) {
    let setup = Setup::new();
    let key = setup.dir().join("store.key");
    let (status, _, err) = run(&setup, &["store", "key", key.to_str().unwrap()], b"");
    assert_eq!(status, 0, "{err}");
    (setup, key)
}

/// The setup on this database, with this key.
#[cfg(feature = "databases")]
pub(crate) fn on(setup: &Setup, url: &str) -> Setup {
    setup
        .clone()
        .with(&["--store", url, "--store-key", "store.key"])
}
