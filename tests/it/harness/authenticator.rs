//! The phone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use totp_lite::{Sha1, totp_custom};

use crate::harness::Server;

/// The current step of 30 seconds, which lasts long enough for a request.
fn now_and_not_about_to_change() -> u64 {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let left = Duration::from_secs((now.as_secs() / 30 + 1) * 30) - now;
        if left > Duration::from_millis(1500) {
            return now.as_secs() / 30;
        }
        std::thread::sleep(left);
    }
}

/// An authenticator app that never gives the same code twice, by taking the steps one after the
/// other from the earliest that is still accepted. It gives three at once; after that, use
/// [`Authenticator::forget`].
pub(crate) struct Authenticator {
    key: Vec<u8>,
    last: AtomicU64,
}

impl Authenticator {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: BASE32_NOPAD.decode(key.as_bytes()).unwrap(),
            last: AtomicU64::new(0),
        }
    }

    pub(crate) fn code(&self) -> String {
        let now = now_and_not_about_to_change();
        let step = (self.last.load(Ordering::Relaxed) + 1).max(now - 1);
        assert!(
            step <= now + 1,
            "no code left that the server would accept yet"
        );
        self.last.store(step, Ordering::Relaxed);
        self.at(step)
    }

    /// The code given last.
    pub(crate) fn last_code(&self) -> String {
        self.at(self.last.load(Ordering::Relaxed))
    }

    /// The code of a step.
    pub(crate) fn at(&self, step: u64) -> String {
        totp_custom::<Sha1>(1, 6, &self.key, step)
    }

    /// Makes the server forget which codes it has accepted, by editing its file as an operator
    /// would, so that a test need not wait for the next half minute.
    pub(crate) fn forget(&self, server: &Server, name: &str) {
        server.edit_account(name, |account| account["totp"]["last_step"] = 0.into());
        self.last.store(0, Ordering::Relaxed);
    }
}
