//! The outbox in a database, and the rounds of a node through it.
//!
//! # Once
//!
//! A node takes a mail for itself before it sends it, holds it for as long as that lasts, and
//! removes it after the server's last reply. Only if that reply is lost, or the node dies between
//! the reply and the removal, is a mail sent twice, by another node once the first holds it no
//! more; its Message-ID stays the same, so a receiver can tell.

use std::io::{self, Error};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::mail::courier::{Bell, Round, Schedule};
use crate::mail::letter;
use crate::mail::round::MAX_SET_ASIDE;
use crate::mail::server::{Next, Server, TOO_LATE};
use crate::mail::smtp::{Connection, SmtpError};
use crate::mail::smtp_url::SmtpUrl;
use crate::store::Unavailable;
use crate::store::postgres::{HOLD, MailRows, TakenMail};

/// How long a mail that another node has posted may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the hold on a mail is renewed while it is being sent.
const RENEW_EVERY: Duration = Duration::from_secs(HOLD.as_secs() / 4);

/// How long mail waits for a node that can send it.
const WAITS: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the mails that wait are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// The rows, to add to and to look after.
pub(super) struct Rows {
    rows: MailRows,
    counted: Mutex<Option<Instant>>,
}

/// A mail of which nothing is in the database yet.
pub(super) struct Draft {
    rows: MailRows,
    name: String,
    at: u64,
    room: usize,
}

impl Rows {
    pub(super) fn new(rows: MailRows) -> Self {
        let counted = Mutex::default();
        Self { rows, counted }
    }

    /// Begins a mail of this name, from that moment, if fewer than `room` wait.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if there is no room, and if the database does not answer.
    pub(super) fn draft(&self, name: String, at: u64, room: usize) -> io::Result<Draft> {
        if self.rows.count().map_err(away)? >= room {
            return Err(super::is_full());
        }
        let rows = self.rows.clone();
        Ok(Draft {
            rows,
            name,
            at,
            room,
        })
    }

    /// How many mails wait; `None` if that is known already, or cannot be found out. On this
    /// occasion those are set aside that no node has sent in time.
    pub(super) fn count(&self) -> Option<usize> {
        // A moment, or none: a panic leaves nothing half done.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.is_some_and(|counted| counted.elapsed() < COUNT_EVERY) {
            return None;
        }
        *counted = Some(Instant::now());
        drop(counted);
        for mail in self.rows.set_old_aside(WAITS).unwrap_or_default() {
            say_set_aside(&mail, TOO_LATE);
        }
        for mail in self.rows.trim_set_aside(MAX_SET_ASIDE).unwrap_or_default() {
            warn!(mail, "too many mails are set aside; the oldest is removed");
        }
        self.rows.count().ok()
    }
}

impl Draft {
    /// Posts the mail with this text.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if there is no room any more, and if the database does not answer.
    pub(super) fn put(self, text: &[u8]) -> io::Result<()> {
        let posted = self.rows.post(&self.name, self.at, text, self.room);
        match posted.map_err(away)? {
            true => Ok(()),
            false => Err(super::is_full()),
        }
    }
}

fn away(_: Unavailable) -> Error {
    Error::other("the database does not answer")
}

fn say_set_aside(mail: &str, reason: &str) {
    error!(mail, reason, "a mail cannot be sent and was set aside");
}

/// Rounds through the rows: each time what is due is sent, one mail after the other.
pub(super) struct RowRounds {
    rows: MailRows,
    server: Server,
    /// Accepted, but still in the database: they must not be sent again.
    accepted: Vec<String>,
}

impl Round for RowRounds {
    fn go(&mut self, bell: &Bell) -> Duration {
        // While the database does not answer, its own log says so.
        let _ = self.turn(bell);
        LOOK_EVERY
    }

    fn hurry(&mut self) {
        self.server.hurry();
    }
}

impl RowRounds {
    pub(super) fn new(rows: MailRows, url: SmtpUrl, schedule: Schedule, clock: Clock) -> Self {
        Self {
            rows,
            server: Server::new(url, schedule, clock),
            accepted: Vec::new(),
        }
    }

    fn turn(&mut self, bell: &Bell) -> Result<(), Unavailable> {
        for mail in std::mem::take(&mut self.accepted) {
            self.remove(mail);
        }
        let mut connection = None;
        let mut took = Ok(());
        while !bell.is_stopping() && !self.server.is_left_alone() {
            let mail = match self.rows.take() {
                Ok(Some(mail)) => mail,
                Ok(None) => break,
                Err(unavailable) => {
                    took = Err(unavailable);
                    break;
                }
            };
            if matches!(self.try_one(mail, &mut connection), Next::Break) {
                break;
            }
        }
        if let Some(connection) = connection {
            connection.close();
        }
        took
    }

    fn try_one(&mut self, mail: TakenMail, connection: &mut Option<Connection>) -> Next {
        if self.accepted.contains(&mail.name) {
            self.remove(mail.name);
            return Next::Go;
        }
        let letter = match mail.text.as_ref().map(|text| letter::parse(text)) {
            Some(Ok(letter)) => letter,
            Some(Err(error)) => {
                self.set_aside(&mail, &error.to_string());
                return Next::Go;
            }
            None => {
                self.set_aside(&mail, "its text is not sealed to it");
                return Next::Go;
            }
        };
        let server = &mut self.server;
        let sent = held(&self.rows, &mail.name, || server.send(&letter, connection));
        match sent {
            Some(sent) => self.note(mail, sent),
            None => {
                // Whatever fails here, the hold ends by itself.
                let _ = self.rows.let_go(&mail.name);
                Next::Break
            }
        }
    }

    /// What becomes of a mail that was sent, or was not.
    fn note(&mut self, mail: TakenMail, sent: Result<(), SmtpError>) -> Next {
        match sent {
            Ok(()) => {
                self.remove(mail.name);
                Next::Go
            }
            Err(SmtpError::Permanent(reason)) => {
                self.set_aside(&mail, &reason);
                Next::Go
            }
            Err(SmtpError::Later(reason)) => {
                self.put_off(&mail, &reason);
                Next::Go
            }
            Err(SmtpError::Broken(reason)) => {
                // It may be this mail that breaks the server, so it counts against both.
                self.put_off(&mail, &reason);
                self.server.failed(&reason);
                Next::Break
            }
        }
    }

    fn put_off(&self, mail: &TakenMail, reason: &str) {
        if self.server.is_too_old(mail.age) {
            self.set_aside(mail, reason);
            return;
        }
        let name = &mail.name;
        warn!(
            mail = name,
            reason, "a mail was put off and is tried again later"
        );
        let pause = self.server.pause(mail.failures.saturating_add(1));
        // If that cannot be noted, it is tried again once the hold ends.
        let _ = self.rows.put_off(name, pause);
    }

    fn set_aside(&self, mail: &TakenMail, reason: &str) {
        match self.rows.set_aside(&mail.name) {
            Ok(()) => say_set_aside(&mail.name, reason),
            Err(Unavailable) => {
                let mail = &mail.name;
                error!(mail, reason, "a mail cannot be sent, nor set aside");
            }
        }
    }

    fn remove(&mut self, mail: String) {
        match self.rows.remove(&mail) {
            Ok(()) => info!(mail, "a mail was sent"),
            Err(Unavailable) => {
                error!(
                    mail,
                    "a mail was sent but cannot be removed from the database"
                );
                self.accepted.push(mail);
            }
        }
    }
}

/// Does something while no other node may take the mail, however long it lasts.
fn held<R>(rows: &MailRows, mail: &str, work: impl FnOnce() -> R) -> R {
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let renewing = thread::Builder::new().name("mail hold".to_owned());
        // Without a thread it is held for as long as nearly every mail takes.
        let _ = renewing.spawn_scoped(scope, move || {
            while ended.recv_timeout(RENEW_EVERY) == Err(RecvTimeoutError::Timeout) {
                // Tried again, while there is time.
                let _ = rows.renew(mail);
            }
        });
        let worked = work();
        drop(done);
        worked
    })
}
