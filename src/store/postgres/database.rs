//! The store on a database: what is read of it. How it is changed is in [`change`].

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::accounts::pending::Stage;
use crate::accounts::session::{Limits, Sessions};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts};
use crate::clock::Timestamp;
use crate::store::Who;
use crate::store::about::About;
use crate::store::draft::Base;
use crate::store::error::Unavailable;
use crate::store::postgres::keeper;
use crate::store::postgres::open::Opened;
use crate::store::postgres::pending;
use crate::store::postgres::recent::{FRESH, LASTING, Version};
use crate::store::postgres::rows::{ACCOUNT, AccountRow, SESSION, read_session};
use crate::store::postgres::shared::Shared;
use crate::store::postgres::slice::{self, Lock};

mod change;

/// Limits that end no session.
const FOR_EVER: Limits = Limits {
    idle: Duration::MAX,
    max: Duration::MAX,
    remember: Duration::MAX,
};

/// Accounts and sessions in a database.
///
/// No `Debug`: it has the key.
pub struct Database {
    shared: Arc<Shared>,
    /// Ends the thread when it is dropped.
    close: Mutex<Option<Sender<()>>>,
    /// Gives once, when the thread ends, whether everything was saved; `None` after that.
    ended: Mutex<Option<Receiver<bool>>>,
}

impl Database {
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(in crate::store) fn start(opened: Opened, limits: Limits) -> io::Result<Self> {
        let shared = Arc::new(Shared::of(opened, limits));
        let (close, closed) = mpsc::channel();
        let (end, ended) = mpsc::sync_channel(1);
        let kept = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // If nobody is left to hear this, it does not matter.
                let _ = end.send(keeper::keep(&kept, &closed));
            })?;
        Ok(Self {
            shared,
            close: Mutex::new(Some(close)),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// As a command uses it, which comes and goes: nothing is kept true, and no chores are done.
    pub fn of_command(opened: Opened) -> Self {
        Self {
            shared: Arc::new(Shared::of(opened, FOR_EVER)),
            close: Mutex::new(None),
            ended: Mutex::new(None),
        }
    }

    /// All accounts and sessions, however many there are.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn everything(&self) -> Result<(Arc<Accounts>, Arc<Sessions>), Unavailable> {
        let read = self.shared.ask_at_length(async |client| {
            slice::read(client, &About::everything(), &self.shared.seal, Lock::Not).await
        })?;
        Ok((read.accounts, read.sessions))
    }

    /// The accounts that are asked for, and their sessions.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub(crate) fn some(
        &self,
        about: &About,
    ) -> Result<(Arc<Accounts>, Arc<Sessions>), Unavailable> {
        let read = self.look(about)?;
        Ok((read.accounts, read.sessions))
    }

    /// Saves when sessions were last used, and ends the thread, within `patience`. False if that
    /// was not saved.
    pub(in crate::store) fn close(&self, patience: Duration) -> bool {
        drop(taken(&self.close));
        let ended = taken(&self.ended);
        // Whoever asks again has had the answer already.
        ended.is_none_or(|ended| ended.recv_timeout(patience).unwrap_or(false))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the database does not answer.
    pub(in crate::store) fn is_away(&self) -> bool {
        self.shared.pool.is_away()
    }

    /// Whether a change could be saved, as far as is known.
    pub(in crate::store) fn could_change(&self) -> bool {
        self.shared.pool.is_well()
    }

    /// Asks whether the database takes changes.
    pub(in crate::store) fn takes_changes(&self) -> Result<(), Unavailable> {
        let query = "SELECT current_setting('transaction_read_only')";
        let is_read_only: String = self.shared.ask(async |client| {
            let row = client.query_one(query, &[]).await?;
            row.try_get(0).map(Ok)
        })?;
        match is_read_only.as_str() {
            "off" => Ok(()),
            _ => Err(Unavailable),
        }
    }

    /// How many accounts and sessions there are, as counted within the last minute.
    pub(in crate::store) fn counted(&self) -> (usize, usize) {
        self.shared.counted()
    }

    /// The part of the store that is asked for.
    pub(in crate::store) fn look(&self, about: &About) -> Result<Base, Unavailable> {
        let seal = &self.shared.seal;
        self.shared
            .ask(async |client| slice::read(client, about, seal, Lock::Not).await)
    }

    /// A session and its account, of this moment: who has changed something at one node and is sent on
    /// to another finds it there.
    pub(in crate::store) fn who(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        let began = Instant::now();
        let read = self.read_who(id)?;
        Ok(read.map(|(who, version)| self.shared.recent.put(who, version, began)))
    }

    /// As [`Database::who`], of a moment less than a second ago; while the database does not answer,
    /// of one a few seconds ago, if that lets the visitor in.
    pub(in crate::store) fn who_of_late(&self, id: Digest) -> Result<Option<Who>, Unavailable> {
        if let Some(known) = self.known(id, FRESH, Instant::now()) {
            return Ok(Some(known));
        }
        self.who(id).or_else(|unavailable| {
            let known = self.known(id, LASTING, Instant::now());
            known.map(Some).ok_or(unavailable)
        })
    }

    /// What a question about the owner of a token has found, which began then, or what was found last.
    pub(in crate::store) fn owner_of_late(
        &self,
        token: Digest,
        read: Result<Option<Arc<Account>>, Unavailable>,
        began: Instant,
    ) -> Result<Option<Arc<Account>>, Unavailable> {
        let at = match read {
            Ok(_) => began,
            Err(_) => Instant::now(),
        };
        self.shared.owners.of_late(token, read, at)
    }

    fn known(&self, id: Digest, within: Duration, now: Instant) -> Option<Who> {
        let known = self.shared.recent.get(id, within, now);
        known.filter(|(session, account)| session.is_of(account) && !account.disabled)
    }

    /// What waits under an id.
    pub(in crate::store) fn waiting(
        &self,
        id: Digest,
        now: Timestamp,
    ) -> Result<Option<Stage>, Unavailable> {
        let seal = &self.shared.seal;
        let shared = &self.shared;
        shared.ask(async |client| pending::read(client, (id, now), seal).await)
    }

    fn read_who(&self, id: Digest) -> Result<Option<(Who, Version)>, Unavailable> {
        let (id, seal) = (id.text(), &self.shared.seal);
        let late = self.shared.chores_every();
        self.shared.ask(async |client| {
            let query = format!(
                "SELECT {SESSION}, {ACCOUNT}, account.revision FROM session JOIN account USING (name)
                WHERE session.id = $1"
            );
            let row = client.query_opt(&query, &[(&id, Type::TEXT)]).await?;
            let who = row.map(|row| {
                let (session, account) = (read_session(&row, 0)?, AccountRow::read(&row, 3, seal)?);
                let session = session.known_late(late);
                let version = Version {
                    account: row.try_get(3).unwrap_or_default(),
                    revision: row.try_get(7).unwrap_or_default(),
                };
                Ok(((session.into(), account.into()), version))
            });
            Ok(who.transpose())
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close(Duration::MAX);
    }
}

fn taken<T>(kept: &Mutex<Option<T>>) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).take()
}
