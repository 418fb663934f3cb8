//! A server of its own for every test, and visitors to send to it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

mod answer;
mod authenticator;
#[cfg(feature = "browser")]
mod browser;
pub(crate) mod directory;
mod held;
#[cfg(feature = "makers")]
pub(crate) mod makers;
#[cfg(feature = "databases")]
pub(crate) mod nodes;
pub(crate) mod passkey;
pub(crate) mod place;
mod server;
mod setup;
pub(crate) mod smtp_sink;
pub(crate) mod terminal;
pub(crate) mod three_forms;
pub(crate) mod tls;
pub(crate) mod tokens;
mod visitor;
mod wire;

pub(crate) use answer::Answer;
pub(crate) use authenticator::Authenticator;
#[cfg(feature = "browser")]
pub(crate) use browser::{Browser, SecurityKey};
pub(crate) use held::Held;
pub(crate) use server::Server;
pub(crate) use setup::{Setup, certificate_in, write_pair};
pub(crate) use visitor::{Accept, CONFIRMATION, NEW_LOGIN, Visitor};
pub(crate) use wire::Wire;

/// A password no list has.
pub(crate) const PASSWORD: &str = "seven wild horses";

/// Every path that takes a form.
pub(crate) const FORMS: [&str; 17] = [
    "/register",
    "/login",
    "/login/passkey",
    "/secret_key",
    "/secret_key/passkey",
    "/forgot_password",
    "/logout",
    "/account/email",
    "/account/password",
    "/account/recovery_codes",
    "/account/totp",
    "/account/totp/confirm",
    "/account/passkeys",
    "/account/passkeys/confirm",
    "/account/passkeys/remove",
    "/account/sessions/end",
    "/account/delete",
];

/// How long anything may take before a test calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that another process does and cannot announce.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port of this machine that nobody listens at, and that nobody else is given.
///
/// One that the system gave and that was let go of is given to another test in the next moment; and
/// some proxies share the port with whoever listens there. So each is given once, and from below
/// those that the system gives.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Tests of another checkout may run beside these.
    let first = 10_000 + u16::try_from(std::process::id() % 100).unwrap() * 200;
    loop {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The time so many seconds from now, as the files have it.
pub(crate) fn from_now(seconds: i64) -> String {
    let then = OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    then.replace_nanosecond(0)
        .unwrap()
        .format(&Rfc3339)
        .unwrap()
}

pub(crate) fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
