//! The thread that saves accounts and sessions. What waits together is saved together.
//!
//! A change of both is saved in this order: sessions that begin, the account that earned them,
//! sessions that end. A kill at any moment then leaves nobody logged in who should be out, and
//! nothing spent on a session that does not exist. Until the account is saved, nobody has the
//! cookie of a new session; after that, sessions that rested on the account as it was no longer
//! count, whatever their file says.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::accounts::Accounts;
use crate::accounts::session::Sessions;
use crate::log;
use crate::metrics;
use crate::store::asked::{Asked, Held, answer};
use crate::store::document::{Document, LOCK_PATIENCE, News};
use crate::store::draft::{Base, Draft, Touched};
use crate::store::error::NotSaved;
use crate::store::lock::Lock;

/// How often changes by others are looked for. Damage has to be seen twice before it is logged, and
/// that should happen within a second.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// How long after a failed save the consequences of edits are saved again.
const OWED_RETRY: Duration = Duration::from_secs(1);

/// Most pieces of news told between two looks at the file.
const NEWS_AT_ONCE: usize = 32;

/// How long to wait for other processes at a time; what needs no turn is done in between.
const TURN: Duration = Duration::from_millis(20);

/// How long a save must take for waiting for more changes to pay; measured with 32 writers.
const LONG_SAVE: Duration = Duration::from_millis(10);

/// What is done to the sessions from time to time and at the end.
pub(super) struct Chores {
    pub(super) every: Duration,
    pub(super) prune: Box<Prune>,
}

/// Ends the sessions that are over or belong to no account.
pub(super) type Prune = dyn Fn(&mut Sessions, &Accounts) + Send;

/// Hears the news of the accounts, on this thread: it must neither wait nor ask for a change.
pub(super) type Hear = Box<dyn FnMut(News<Accounts>) + Send>;

pub(super) enum Message {
    Change(Asked),
    Close,
}

/// What the thread of both files works with.
pub(super) struct Worker {
    accounts: Document<Accounts>,
    sessions: Document<Sessions>,
    chores: Chores,
    chores_at: Instant,
    /// Changes that wait for other processes.
    aside: Vec<Asked>,
    /// How many changes the last save was for.
    batch: usize,
    /// How long the last save took.
    save: Duration,
    /// When the consequences of edits may be saved: after a failure not at once.
    owed_at: Instant,
    /// When to look at the files even if changes keep coming.
    looks_at: Instant,
    hear: Hear,
}

/// What keeps other processes from saving, each taken when it is needed.
#[derive(Default)]
struct Locks {
    accounts: Option<Result<Lock, NotSaved>>,
    sessions: Option<Result<Lock, NotSaved>>,
}

/// What must be saved besides the changes.
#[derive(Clone, Copy)]
struct Chore {
    /// The consequences of edits in the accounts.
    owed: bool,
    /// Which sessions are over, and when the others were last used.
    prune: bool,
}

/// Which part of a batch could not be saved.
enum Failed {
    Accounts(NotSaved),
    Sessions(NotSaved),
    /// Sessions that were to end; the accounts are saved.
    Ends(NotSaved),
}

impl Failed {
    /// Whether a change that has touched this is not saved. A session that was to end because of
    /// the account no longer counts in any case.
    fn concerns(&self, touched: Touched) -> bool {
        let of_sessions_alone = touched.ends && !touched.accounts;
        match self {
            Self::Accounts(_) => touched.accounts,
            Self::Sessions(_) => touched.begins || of_sessions_alone,
            Self::Ends(_) => of_sessions_alone,
        }
    }

    fn why(&self) -> &NotSaved {
        match self {
            Self::Accounts(why) | Self::Sessions(why) | Self::Ends(why) => why,
        }
    }
}

impl Worker {
    pub(super) fn new(
        accounts: Document<Accounts>,
        sessions: Document<Sessions>,
        chores: Chores,
        hear: Hear,
    ) -> Self {
        Self {
            accounts,
            sessions,
            // Sessions that the start has found to be over leave the file now.
            chores_at: Instant::now(),
            chores,
            aside: Vec::new(),
            batch: 0,
            save: Duration::ZERO,
            owed_at: Instant::now(),
            looks_at: Instant::now(),
            hear,
        }
    }

    /// Works until it is told to close; gives whether the last save went well, if there was one.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> bool {
        let mut closing = false;
        let mut saved = true;
        while !closing || !self.aside.is_empty() {
            let batch = self.gather(messages, &mut closing);
            // Whatever goes wrong there, the thread must go on for the next change. Nothing is
            // published half done, so there is nothing to put right.
            let round = panic::catch_unwind(AssertUnwindSafe(|| self.round(batch, closing)));
            saved = round.unwrap_or_else(|_| {
                tracing::error!(file = log::path(self.accounts.path()), "a save panicked");
                false
            });
            self.tell();
        }
        saved
    }

    /// Takes all changes that wait; none if none come for a while.
    ///
    /// Callers that were answered together come back one by one. Taking the first alone would make
    /// the others wait for a whole save, so this waits for as many again, for a fraction of a save.
    /// That pays for large files only: being woken by each caller costs as much as a short save.
    fn gather(&mut self, messages: &Receiver<Message>, closing: &mut bool) -> Vec<Asked> {
        let mut batch = std::mem::take(&mut self.aside);
        let due = !batch.is_empty() || Instant::now() >= self.chores_at;
        let mut wait = if due { Duration::ZERO } else { LOOK };
        let mut end = Instant::now() + wait;
        while !*closing {
            match messages.recv_timeout(wait) {
                Ok(Message::Change(change)) => batch.push(change),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => *closing = true,
                Err(RecvTimeoutError::Timeout) => break,
            }
            if batch.len() == 1 {
                let pays = self.save >= LONG_SAVE;
                end = Instant::now() + if pays { self.save / 16 } else { Duration::ZERO };
            }
            wait = match batch.len() < self.batch {
                true => end.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
        }
        batch
    }

    /// Saves what there is to save; true if nothing is left.
    fn round(&mut self, batch: Vec<Asked>, closing: bool) -> bool {
        let due = closing || Instant::now() >= self.chores_at;
        let prune = due && self.has_chores();
        let idle = batch.is_empty() && !prune;
        if idle || Instant::now() >= self.looks_at {
            self.looks_at = Instant::now() + LOOK;
            self.accounts.look();
            self.sessions.look();
        }
        if idle {
            // At the end nobody is left to tell people: the next start sees the edit again.
            if closing || !self.accounts.is_owed() || Instant::now() < self.owed_at {
                return true;
            }
        }
        let start = Instant::now();
        self.batch = batch.len();
        let saved = self.make_and_save(batch, prune, closing);
        if !saved {
            self.owed_at = Instant::now() + OWED_RETRY;
        }
        self.save = start.elapsed();
        saved
    }

    /// Makes the changes one after another, saves them together and answers them. Those that cannot
    /// be saved are refused, and those that must wait for another process are set aside. The rest
    /// are then made again without them, since a change sees what those before it did. False if
    /// something could not be saved, the chores of the end included.
    fn make_and_save(&mut self, mut batch: Vec<Asked>, prune: bool, closing: bool) -> bool {
        let owed = self.accounts.is_owed();
        let mut chore = Chore { owed, prune };
        let until = Instant::now() + LOCK_PATIENCE;
        let mut locks = Locks::default();
        let mut good = true;
        loop {
            if let Err(held) = self.lock(&batch, chore, &mut locks) {
                if closing && chore.prune {
                    // There is no later time for them.
                    if Instant::now() < until {
                        continue;
                    }
                    good = false;
                }
                (chore.owed, chore.prune) = (false, false);
                batch = self.set_aside(batch, held);
                continue;
            }
            // There may be something owed only since the changes of others were taken up.
            chore.owed |= good && self.accounts.is_owed() && locks.accounts.is_some();
            let draft = self.make(&mut batch, chore);
            if draft.changes_sessions() && locks.sessions.is_none() {
                // Made again once we have the lock: others may have changed the sessions.
                continue;
            }
            let Err(failed) = self.save(draft, chore, &locks) else {
                answer(batch, &Ok(()));
                return good;
            };
            good = false;
            (chore.owed, chore.prune) = (false, false);
            let (refused, others) = batch
                .into_iter()
                .partition(|asked| failed.concerns(asked.change.touched()));
            answer(refused, &Err(failed.why().clone()));
            batch = others;
            if matches!(failed, Failed::Ends(_)) {
                answer(batch, &Ok(()));
                return false;
            }
        }
    }

    /// Sets aside changes that wait for another process, and refuses those that have waited for
    /// long enough. Gives the others.
    fn set_aside(&mut self, batch: Vec<Asked>, held: Held) -> Vec<Asked> {
        let (mut waits, others): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|asked| asked.needs(held));
        let now = Instant::now();
        let over: Vec<_> = waits.extract_if(.., |asked| asked.until <= now).collect();
        if waits.is_empty() {
            // Otherwise the lock would come to nobody here, and be kept from others.
            match held {
                Held::Accounts => self.accounts.give_up(),
                Held::Sessions => self.sessions.give_up(),
            }
        }
        if !over.is_empty() {
            let why = match held {
                Held::Accounts => {
                    metrics::not_saved();
                    self.accounts.held()
                }
                Held::Sessions => self.sessions.held(),
            };
            answer(over, &Err(why));
        }
        self.aside.extend(waits);
        others
    }

    fn base(&self) -> Base {
        Base {
            accounts: self.accounts.published().get(),
            sessions: self.sessions.published().get(),
        }
    }

    fn make(&self, batch: &mut [Asked], chore: Chore) -> Draft {
        let mut draft = Draft::of(self.base());
        for asked in batch {
            asked.change.make(&mut draft);
        }
        if chore.prune {
            draft.end_with(&self.chores.prune);
        }
        draft
    }

    /// Takes the locks that are needed, and takes up what others have saved.
    ///
    /// # Errors
    ///
    /// The file that another process holds.
    fn lock(&mut self, batch: &[Asked], chore: Chore, locks: &mut Locks) -> Result<(), Held> {
        let needed = |file| batch.iter().any(|asked| asked.needs(file));
        if (chore.owed || needed(Held::Accounts)) && locks.accounts.is_none() {
            let lock = self.accounts.begin(TURN).transpose();
            locks.accounts = Some(lock.ok_or(Held::Accounts)?);
        }
        if (chore.prune || needed(Held::Sessions)) && locks.sessions.is_none() {
            let lock = self.sessions.begin(TURN).transpose();
            locks.sessions = Some(lock.ok_or(Held::Sessions)?);
        }
        Ok(())
    }

    fn save(&mut self, draft: Draft, chore: Chore, locks: &Locks) -> Result<(), Failed> {
        let touched = chore.prune && self.sessions.is_touched(&draft.sessions);
        if !draft.changes_accounts() && !chore.owed {
            let changed = draft.changes_sessions() || touched;
            let saved = changed.then(|| self.save_sessions(draft.sessions, locks));
            return saved.unwrap_or(Ok(())).map_err(Failed::Sessions);
        }
        let begun = draft.begun();
        if let Some(begun) = &begun {
            if let Some(Err(why)) = &locks.accounts {
                return Err(Failed::Accounts(why.clone()));
            }
            let saved = self.save_sessions(Arc::clone(begun), locks);
            saved.map_err(Failed::Sessions)?;
        }
        if let Err(why) = self.save_accounts(draft.accounts, locks) {
            if begun.is_some() {
                // If this cannot be saved either, nobody has the cookies of the new sessions.
                let _ = self.save_sessions(draft.base.sessions, locks);
            }
            return Err(Failed::Accounts(why));
        }
        let ended = (draft.ends > 0 || touched).then(|| self.save_sessions(draft.sessions, locks));
        ended.unwrap_or(Ok(())).map_err(Failed::Ends)
    }

    fn save_accounts(&mut self, accounts: Arc<Accounts>, locks: &Locks) -> Result<(), NotSaved> {
        let begun = Instant::now();
        match &locks.accounts {
            Some(Ok(lock)) => {
                let saved = self.accounts.save(Arc::unwrap_or_clone(accounts), lock);
                metrics::saved(begun.elapsed(), saved.is_ok());
                saved
            }
            Some(Err(why)) => {
                metrics::not_saved();
                Err(why.clone())
            }
            None => Ok(()),
        }
    }

    fn save_sessions(&mut self, sessions: Arc<Sessions>, locks: &Locks) -> Result<(), NotSaved> {
        match &locks.sessions {
            Some(Ok(lock)) => self.sessions.save(Arc::unwrap_or_clone(sessions), lock),
            Some(Err(why)) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Tells the news, not too much at once: the listener's queue is bounded.
    fn tell(&mut self) {
        while self.sessions.next_news().is_some() {}
        for _ in 0..NEWS_AT_ONCE {
            let Some(news) = self.accounts.next_news() else {
                return;
            };
            if matches!(news, News::TakenUp) {
                // Sessions that an edit has ended leave their file.
                self.chores_at = Instant::now();
            }
            (self.hear)(news);
        }
    }

    /// Whether the chores, now due, have anything to save; if not, no file is touched.
    fn has_chores(&mut self) -> bool {
        self.chores_at = Instant::now() + self.chores.every;
        let mut draft = Draft::of(self.base());
        draft.end_with(&self.chores.prune);
        draft.changes_sessions() || self.sessions.is_touched(&draft.sessions)
    }
}
