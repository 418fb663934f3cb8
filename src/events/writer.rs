//! The thread that writes events.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::clock::{self, Clock};
use crate::events::kept::Kept;
use crate::events::line::Event;
use crate::events::shares::Shares;
use crate::events::{Message, Shared};

/// Time between two syncs, while there is something to sync: an event is kept within a second.
const SYNC: Duration = Duration::from_millis(900);

/// Time from an event to its sync, so that the disk is left to the request that it is about.
const LEAVE_DISK: Duration = Duration::from_millis(400);

/// How often counts are written.
const COUNTS: Duration = Duration::from_secs(60);

/// How often old lines go.
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Writer {
    log: Kept,
    kept: Duration,
    clock: Arc<Clock>,
    shared: Arc<Shared>,
    shares: Shares,
    /// When what has not been synced yet will be.
    sync_at: Option<Duration>,
    synced: Duration,
    counts_at: Duration,
    keep_at: Duration,
    /// Whether the last line could not be written.
    failing: bool,
}

impl Writer {
    pub(super) fn new(log: Kept, kept: Duration, clock: Arc<Clock>, shared: Arc<Shared>) -> Self {
        let now = clock.now().steady;
        Self {
            log,
            kept,
            clock,
            shared,
            shares: Shares::default(),
            sync_at: None,
            synced: Duration::ZERO,
            counts_at: now + COUNTS,
            keep_at: now,
            failing: false,
        }
    }

    /// Writes what comes, until it is told to end and nothing waits.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            self.chores();
            match messages.recv_timeout(self.until_next_chore()) {
                Ok(Message::Note(event)) => self.take(&event),
                Ok(Message::Wake) => {}
                Err(RecvTimeoutError::Timeout) if !self.is_closing() => {}
                Err(_) => break,
            }
        }
        self.write_counts();
        self.sync();
        let lost = self.log.unsynced() + self.shared.lost.load(Ordering::Relaxed);
        if lost > 0 {
            say_lost(lost);
        }
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }

    fn until_next_chore(&self) -> Duration {
        if self.is_closing() {
            return Duration::ZERO;
        }
        let next = self.counts_at.min(self.keep_at);
        let next = self.sync_at.map_or(next, |sync| sync.min(next));
        next.saturating_sub(self.clock.now().steady)
    }

    fn chores(&mut self) {
        let now = self.clock.now().steady;
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync();
        }
        if self.counts_at <= now {
            self.counts_at = now + COUNTS;
            self.write_counts();
        }
        if self.keep_at <= now {
            self.keep_at = now + DAY;
            self.keep();
        }
    }

    /// Lists an event, or counts it if its account has had its share.
    fn take(&mut self, event: &Event) {
        if self.shares.has_room(event, self.clock.now().steady) {
            self.write(event);
        } else {
            let (kind, result) = event.what();
            self.shared.counts.add(kind, result);
        }
    }

    fn write_counts(&mut self) {
        for event in self.shared.counts.take() {
            self.write(&event);
        }
    }

    fn write(&mut self, event: &Event) {
        if let Err(error) = self.log.append(event) {
            self.failed(&error);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.log.unsynced() == 0 {
            self.succeeded();
        }
        let now = self.clock.now().steady;
        self.sync_at
            .get_or_insert((now + LEAVE_DISK).max(self.synced + SYNC));
    }

    /// Tells what was lost before this.
    fn succeeded(&mut self) {
        self.failing = false;
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            say_lost(lost);
        }
    }

    /// Tells of the first of several failures.
    fn failed(&mut self, cause: &io::Error) {
        // Of a database that is away the store tells once, for all that is in it.
        if !self.failing && !self.log.is_in_database() {
            let file = &self.log;
            tracing::error!(%file, %cause, "events cannot be written");
        }
        self.failing = true;
    }

    fn sync(&mut self) {
        if self.sync_at.take().is_none() {
            return;
        }
        let is_any_unsynced = self.log.unsynced() > 0;
        let synced = self.log.sync();
        self.synced = self.clock.now().steady;
        match synced {
            Ok(()) if is_any_unsynced => self.succeeded(),
            Ok(()) => {}
            Err(error) => {
                self.failed(&error);
                // What can be tried again is.
                self.sync_at = (self.log.unsynced() > 0).then_some(self.synced + SYNC);
            }
        }
    }

    fn keep(&mut self) {
        let oldest = clock::since_epoch().saturating_sub(self.kept);
        if let Err(cause) = self.log.drop_before(oldest) {
            let file = &self.log;
            tracing::error!(%file, %cause, "old events cannot be dropped");
        }
    }
}

fn say_lost(lost: u64) {
    tracing::warn!(lost, "events were lost: they could not be written");
}
