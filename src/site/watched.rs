//! What the metrics show of a site that is open, beside what was counted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::front::tls::Tls;
use crate::handlers::App;
use crate::mail::Outbox;
use crate::metrics::{self, Now};

/// What is looked at when somebody reads the metrics. Nothing here waits for a disk.
pub(super) struct Watched {
    pub(super) app: Arc<App>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) clock: Arc<Clock>,
}

impl Watched {
    /// The metrics as text.
    pub(super) fn text(&self, connections: usize) -> String {
        let app = &self.app;
        let now = self.clock.now().timestamp();
        let (accounts, sessions) = app.store.count(app.session_limits, now);
        metrics::text(&Now {
            hash_queue: app.gate.waiting(),
            sessions,
            accounts,
            mail_waiting: self.outbox.waiting(),
            certificate_expiry: self.tls.as_ref().map(|tls| tls.not_after()),
            connections,
            is_healthy: app.health.fault().is_none(),
        })
    }
}
