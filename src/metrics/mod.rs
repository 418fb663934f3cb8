//! What the program counts, in the text that Prometheus reads, and the small server that shows it.
//!
//! Like the log, this belongs to the process as a whole: whoever does something counts it here, and
//! knows nothing of who reads it. What can be looked up at any time is not counted but given when
//! somebody reads, in [`Now`].
//!
//! Labels are words of ours. Nothing that a visitor sent becomes one, so there is a bounded number
//! of them, whatever is asked for.

mod requests;
pub mod server;

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::http::Method;
use crate::metrics::requests::Requests;

pub use requests::OTHER;

/// What is so at the moment somebody reads.
pub struct Now {
    /// Password checks that wait.
    pub hash_queue: usize,
    /// Sessions that are not over.
    pub sessions: usize,
    /// Accounts, disabled ones too.
    pub accounts: usize,
    /// Mails in the outbox.
    pub mail_waiting: usize,
    /// When the certificate ends, in seconds since 1970; `None` without TLS.
    pub certificate_expiry: Option<i64>,
    /// Connections open on the main port.
    pub connections: usize,
    /// Whether `/healthz` says so.
    pub is_healthy: bool,
}

/// Counts an answer. `route` is the path as documents write it.
pub fn request(method: Method, route: &'static str, status: u16) {
    FAMILIES.requests.count(method, route, status);
}

/// Counts the answer to a step of a login by its code.
pub fn login(code: &'static str) {
    FAMILIES.logins.with_label_values(&[code]).inc();
}

/// Notes how long a password check waited for its turn.
pub fn hash_waited(waited: Duration) {
    FAMILIES.hash_wait.observe(waited.as_secs_f64());
}

/// Notes how long a password check was computed.
pub fn hash_took(took: Duration) {
    FAMILIES.hash.observe(took.as_secs_f64());
}

/// Counts a save of the accounts, which took so long and went well or not.
pub fn saved(took: Duration, is_saved: bool) {
    FAMILIES.save.observe(took.as_secs_f64());
    count_save(is_saved);
}

/// Counts a save of the accounts that was given up before it began.
pub fn not_saved() {
    count_save(false);
}

fn count_save(is_saved: bool) {
    let result = if is_saved { SAVED } else { NOT_SAVED };
    FAMILIES.saves.with_label_values(&[result]).inc();
}

/// Counts a mail that a mail server has taken.
pub fn mail_sent() {
    FAMILIES.mail_sent.inc();
}

/// Counts an attempt to send a mail that failed, or a mail that could not be written.
pub fn mail_failed() {
    FAMILIES.mail_failed.inc();
}

/// Everything as text, version 0.0.4 of Prometheus's format.
pub fn text(now: &Now) -> String {
    let families = &*FAMILIES;
    families.gauges.set(now);
    let mut gathered = families.registry.gather();
    if let Some(end) = now.certificate_expiry {
        families.certificate_expiry.set(end);
        gathered.extend(families.certificate_expiry.collect());
    }
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&gathered, &mut text) {
        tracing::error!(%error, "cannot write the metrics");
    }
    text
}

/// What each name begins with.
const PREFIX: &str = "auth_user";

const SAVED: &str = "ok";
const NOT_SAVED: &str = "failed";

/// Codes of steps of a login that are there from the first look on, for alerts that compare two.
const COMMON_CODES: [&str; 8] = [
    "login_complete",
    "code_required",
    "enrol_required",
    "wrong_credentials",
    "wrong_code",
    "throttled",
    "busy",
    "not_saved",
];

/// Bounds of waits and of computations, in seconds: a hash takes some hundredths, and nobody waits
/// longer than twenty.
const HASH_BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 20.0,
];

/// Bounds of saves, in seconds: a few milliseconds on a good disk, and more than a second on one
/// that is in trouble.
const SAVE_BOUNDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

static FAMILIES: LazyLock<Families> = LazyLock::new(Families::new);

struct Families {
    registry: Registry,
    requests: Requests,
    logins: IntCounterVec,
    hash_wait: Histogram,
    hash: Histogram,
    saves: IntCounterVec,
    save: Histogram,
    mail_sent: IntCounter,
    mail_failed: IntCounter,
    gauges: Gauges,
    /// Not registered: without TLS there is none.
    certificate_expiry: IntGauge,
}

/// The gauges that are always there.
struct Gauges {
    hash_queue: IntGauge,
    sessions: IntGauge,
    accounts: IntGauge,
    mail_waiting: IntGauge,
    connections: IntGauge,
    healthy: IntGauge,
}

impl Families {
    fn new() -> Self {
        let registry = Registry::new();
        let requests = counters("requests_total", "Answers.", &["method", "route", "status"]);
        let logins = counters(
            "logins_total",
            "Steps of logins, by how they ended.",
            &["result"],
        );
        let saves = counters("saves_total", "Saves of the accounts.", &["result"]);
        let build = gauges("build_info", "The version that runs.", &["version"]);
        let families = Self {
            requests: Requests::new(requests.clone()),
            logins,
            hash_wait: histogram(
                "hash_wait_seconds",
                "How long password checks waited for their turn.",
                &HASH_BOUNDS,
            ),
            hash: histogram(
                "hash_seconds",
                "How long password checks were computed.",
                &HASH_BOUNDS,
            ),
            saves,
            save: histogram(
                "save_seconds",
                "How long saves of the accounts took.",
                &SAVE_BOUNDS,
            ),
            mail_sent: counter("mail_sent_total", "Mails that the mail server has taken."),
            mail_failed: counter(
                "mail_failed_total",
                "Attempts to send a mail that failed, and mails that could not be written.",
            ),
            gauges: Gauges::new(),
            certificate_expiry: gauge(
                "certificate_expiry_timestamp_seconds",
                "When the certificate ends.",
            ),
            registry,
        };
        families.begin(&requests, &build);
        families
    }

    /// Has every family there from the first look on.
    fn begin(&self, requests: &IntCounterVec, build: &prometheus::IntGaugeVec) {
        for code in COMMON_CODES {
            self.logins.with_label_values(&[code]);
        }
        for result in [SAVED, NOT_SAVED] {
            self.saves.with_label_values(&[result]);
        }
        requests.with_label_values(&["GET", "/login", "200"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let gauges = &self.gauges;
        let all: [Box<dyn prometheus::core::Collector>; 15] = [
            Box::new(requests.clone()),
            Box::new(build.clone()),
            Box::new(self.logins.clone()),
            Box::new(self.saves.clone()),
            Box::new(self.hash_wait.clone()),
            Box::new(self.hash.clone()),
            Box::new(self.save.clone()),
            Box::new(self.mail_sent.clone()),
            Box::new(self.mail_failed.clone()),
            Box::new(gauges.hash_queue.clone()),
            Box::new(gauges.sessions.clone()),
            Box::new(gauges.accounts.clone()),
            Box::new(gauges.mail_waiting.clone()),
            Box::new(gauges.connections.clone()),
            Box::new(gauges.healthy.clone()),
        ];
        for family in all {
            self.registry.register(family).expect(ONCE);
        }
    }
}

/// Holds for every name above.
const ONCE: &str = "each name is valid and is there once";

impl Gauges {
    fn new() -> Self {
        Self {
            hash_queue: gauge("hash_queue", "Password checks that wait now."),
            sessions: gauge("sessions", "Sessions that are not over."),
            accounts: gauge("accounts", "Accounts, disabled ones too."),
            mail_waiting: gauge("mail_waiting", "Mails in the outbox."),
            connections: gauge("connections", "Connections open on the main port."),
            healthy: gauge("healthy", "Whether /healthz says ok."),
        }
    }

    fn set(&self, now: &Now) {
        let set = |gauge: &IntGauge, to: usize| gauge.set(i64::try_from(to).unwrap_or(i64::MAX));
        set(&self.hash_queue, now.hash_queue);
        set(&self.sessions, now.sessions);
        set(&self.accounts, now.accounts);
        set(&self.mail_waiting, now.mail_waiting);
        set(&self.connections, now.connections);
        set(&self.healthy, usize::from(now.is_healthy));
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::with_opts(opts(name, help)).expect(ONCE)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(opts(name, help), labels).expect(ONCE)
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::with_opts(opts(name, help)).expect(ONCE)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::IntGaugeVec {
    prometheus::IntGaugeVec::new(opts(name, help), labels).expect(ONCE)
}

fn histogram(name: &str, help: &str, bounds: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help).namespace(PREFIX);
    Histogram::with_opts(opts.buckets(bounds.to_vec())).expect(ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_there_before_anything_has_happened() {
        let mut now = Now {
            hash_queue: 1,
            sessions: 2,
            accounts: 3,
            mail_waiting: 4,
            certificate_expiry: Some(5),
            connections: 6,
            is_healthy: true,
        };

        let shown = text(&now);

        let families: Vec<&str> = shown
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE auth_user_"))
            .collect();
        assert_eq!(
            families,
            [
                "accounts gauge",
                "build_info gauge",
                "connections gauge",
                "hash_queue gauge",
                "hash_seconds histogram",
                "hash_wait_seconds histogram",
                "healthy gauge",
                "logins_total counter",
                "mail_failed_total counter",
                "mail_sent_total counter",
                "mail_waiting gauge",
                "requests_total counter",
                "save_seconds histogram",
                "saves_total counter",
                "sessions gauge",
                "certificate_expiry_timestamp_seconds gauge",
            ]
        );
        for line in ["hash_queue 1", "sessions 2", "accounts 3", "mail_waiting 4"] {
            assert!(
                shown.contains(&format!("\nauth_user_{line}\n")),
                "{line}: {shown}"
            );
        }
        now.certificate_expiry = None;
        assert!(!text(&now).contains("certificate"));
    }
}
