//! What is done after an answer: new passwords and notices on their way to the outbox.
//!
//! Whether a user exists, and what disk and mail server do, must show neither in an answer nor in
//! its time; so the asking and the doing are two threads.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::accounts::mailed::LIFETIME;
use crate::accounts::token::{self, Digest};
use crate::clock::Moment;
use crate::mail::{Mail, Outbox};
use crate::origin::Origin;
use crate::store::Store;

/// Most errands that wait: a burst of requests, no more than a disk works off in seconds.
const MAX_WAITING: usize = 256;

enum Errand {
    /// Somebody asked for a new password for this name.
    NewPassword {
        name: String,
        asker: Origin,
        asked_at: Moment,
    },
    Notice(Mail),
}

/// The thread that runs errands.
pub struct Errands {
    /// None once it is closed.
    running: Mutex<Option<(SyncSender<Errand>, JoinHandle<()>)>>,
}

impl Errands {
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(store: Arc<Store>, outbox: Arc<Outbox>, login_url: String) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let thread = thread::Builder::new()
            .name("errands".to_owned())
            .spawn(move || run(&receiver, &store, &outbox, &login_url))?;
        Ok(Self {
            running: Mutex::new(Some((sender, thread))),
        })
    }

    /// Has a new password mailed, if there is such a user, for somebody in this network.
    pub fn mail_new_password(&self, name: &str, asker: Origin, asked_at: Moment) {
        self.add(Errand::NewPassword {
            name: name.to_owned(),
            asker,
            asked_at,
        });
    }

    pub fn mail_notice(&self, mail: Mail) {
        self.add(Errand::Notice(mail));
    }

    /// Runs what waits and ends.
    pub fn close(&self) {
        let running = self.running().take();
        if let Some((sender, thread)) = running {
            drop(sender);
            // A panic there was logged where it happened.
            let _ = thread.join();
        }
    }

    fn add(&self, errand: Errand) {
        let full = match &*self.running() {
            Some((sender, _)) => sender.try_send(errand).is_err(),
            None => true,
        };
        if full {
            tracing::error!(
                event = "mail",
                result = "dropped",
                "too many mails wait to be written"
            );
        }
    }

    /// Held for a send that never waits, so a panic cannot happen meanwhile.
    fn running(&self) -> MutexGuard<'_, Option<(SyncSender<Errand>, JoinHandle<()>)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(errands: &Receiver<Errand>, store: &Store, outbox: &Outbox, login_url: &str) {
    for errand in errands {
        // The next one must find somebody here: even closing a directory can panic, in std.
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            let mail = match errand {
                Errand::NewPassword {
                    name,
                    asker,
                    asked_at,
                } => new_password(store, &name, asker, asked_at, login_url),
                Errand::Notice(mail) => Some(mail),
            };
            mail.map(|mail| outbox.post(&mail))
        }));
        let cause = match ran {
            Ok(None | Some(Ok(_))) => continue,
            Ok(Some(Err(error))) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        };
        tracing::error!(event = "mail", result = "not_written", cause);
    }
}

/// Keeps a new password with the account, if there is one and it has not had its share of mails.
fn new_password(
    store: &Store,
    name: &str,
    asker: Origin,
    asked_at: Moment,
    login_url: &str,
) -> Option<Mail> {
    let log = |result| tracing::info!(event = "new_password", user = name, result);
    let Some(account) = store.resolve(name).filter(|account| !account.disabled) else {
        log("unknown_user");
        return None;
    };
    let password = token::mailed_password();
    let (digest, username) = (Digest::of(&password), account.username.clone());
    let kept = store.update(move |accounts| {
        accounts.change(&username, |account| {
            account.mail_password(digest, Some(asker), asked_at.timestamp())
        })
    });
    match kept {
        Ok(Some(true)) => log("written"),
        Ok(_) => {
            log("too_many");
            return None;
        }
        Err(_) => {
            log("not_saved");
            return None;
        }
    }
    Some(Mail::new_password(
        &account.email,
        &account.username,
        &password,
        asked_at,
        LIFETIME.as_secs() / 60,
        login_url,
    ))
}
