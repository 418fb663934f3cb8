//! One account and its sessions, as a change finds and leaves them.

use std::sync::Arc;

use crate::accounts::Account;
use crate::accounts::login::SecondStep;
use crate::accounts::password::PasswordHash;
use crate::accounts::pending::{Effect, Ids, PendingChoice, PendingLogin, PendingMove, Stage};
use crate::accounts::session::{MAX_PER_ACCOUNT, Session, Sessions};
use crate::accounts::token::Digest;
use crate::clock::Timestamp;

/// An account, its sessions, and what a change makes of both: all of it is saved, or nothing.
///
/// No `Debug`: it holds the key of the second factor.
pub struct Person<'a> {
    before: &'a Arc<Account>,
    account: Arc<Account>,
    sessions: &'a Sessions,
    begun: Vec<Session>,
    ended: Vec<Digest>,
    removed: Option<Timestamp>,
    /// Whether the password is the same as before, with a hash that is harder to break.
    strengthened: bool,
    /// Whether a change of its address that was asked for before may no longer happen, whatever
    /// becomes of the password.
    voids_changes: bool,
    /// What waits under the id that the change is about.
    waiting: Option<&'a Stage>,
    pending: Effect,
}

/// What a change has made of a person.
pub struct Changed {
    /// What becomes of the account.
    pub account: Fate,
    /// Sessions to save before the account: saving that uses up what they were earned with.
    pub begun: Vec<Arc<Session>>,
    /// Ids of sessions that end once the account is saved; some may belong to other accounts.
    pub ended: Vec<Digest>,
    /// Whether a change of its address that was asked for before may no longer happen.
    pub ends_changes: bool,
    /// What becomes of what is pending.
    pub pending: Effect,
}

/// What becomes of an account.
pub enum Fate {
    Stays,
    Changes(Arc<Account>),
    /// At this moment.
    Goes(Timestamp),
}

impl<'a> Person<'a> {
    /// `sessions` holds those of the account, and perhaps others.
    pub fn new(account: &'a Arc<Account>, sessions: &'a Sessions) -> Self {
        Self {
            before: account,
            account: Arc::clone(account),
            sessions,
            begun: Vec::new(),
            ended: Vec::new(),
            removed: None,
            strengthened: false,
            voids_changes: false,
            waiting: None,
            pending: Effect::default(),
        }
    }

    /// With what waits under the id that the change is about.
    pub fn with(mut self, waiting: Option<&'a Stage>) -> Self {
        self.waiting = waiting;
        self
    }

    /// The account as the change leaves it so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The account, to be changed in all but its name and e-mail. Asking for it means a save.
    pub fn account_mut(&mut self) -> &mut Account {
        Arc::make_mut(&mut self.account)
    }

    /// Keeps the password, with a hash that is harder to break.
    pub fn strengthen_password(&mut self, hash: PasswordHash) {
        self.strengthened = true;
        self.account_mut().password = Some(hash);
    }

    /// Whether there is a session with this id when the change begins; it may be over.
    pub fn has_session(&self, id: Digest) -> bool {
        self.sessions.find(id).is_some()
    }

    /// Whether the account has a session for which `which` is true when the change begins.
    pub fn has_session_that(&self, which: impl Fn(&Session) -> bool) -> bool {
        let mut all = self.sessions.of(&self.account.username);
        all.any(|session| which(session))
    }

    /// Begins a session; if there are too many, the least recently used one ends.
    pub fn begin_session(&mut self, session: Session) {
        self.begun.push(session);
        let left = MAX_PER_ACCOUNT.saturating_sub(self.begun.len());
        let over = self.sessions.least_used(&self.account.username, left);
        self.ended.extend(over);
    }

    /// Ends the sessions with these ids, even those of other accounts: a browser may have had one.
    pub fn end_sessions(&mut self, ids: &[Digest]) {
        self.ended.extend(ids);
    }

    /// Ends those of the account's sessions for which `which` is true.
    pub fn end_sessions_that(&mut self, which: impl Fn(&Session) -> bool) {
        let all = self.sessions.of(&self.account.username);
        let over = all.filter(|session| which(session));
        self.ended.extend(over.map(|session| session.id));
    }

    /// Voids the links that would change its address: whoever had a session that was not theirs may
    /// have asked for one, and it must not outlive that session.
    pub fn void_changes(&mut self) {
        self.voids_changes = true;
    }

    /// Removes the account and ends all its sessions; its name is held for a while.
    pub fn remove(&mut self, now: Timestamp) {
        self.removed = Some(now);
    }

    /// The login that waits for a code when the change begins.
    pub fn login(&self) -> Option<&'a PendingLogin> {
        match self.waiting? {
            Stage::Code(login) => Some(login),
            Stage::Choice(_) | Stage::Move(_) => None,
        }
    }

    /// The login that waits for a new password when the change begins.
    pub fn choice(&self) -> Option<&'a PendingChoice> {
        match self.waiting? {
            Stage::Choice(choice) => Some(choice),
            Stage::Code(_) | Stage::Move(_) => None,
        }
    }

    /// The move to a new authenticator that waits for a code when the change begins.
    pub fn moving(&self) -> Option<&'a PendingMove> {
        match self.waiting? {
            Stage::Move(moving) => Some(moving),
            Stage::Code(_) | Stage::Choice(_) => None,
        }
    }

    /// Ends what waits under this id, whoever's it is.
    pub fn end_pending(&mut self, id: Digest) {
        self.pending.ends = Some(id);
    }

    /// Counts a wrong code for the login that waits under this id.
    pub fn count_wrong_code(&mut self, id: Digest) {
        self.pending.was_wrong = Some(id);
    }

    /// Has the login whose code was right wait for a new password.
    pub fn must_choose(&mut self, by: SecondStep, ids: Ids, now: Timestamp) {
        if let Some(login) = self.login() {
            self.pending.must_choose(login, by, ids, now);
        }
    }

    /// Has something wait under this id, in place of what did.
    pub fn begin_pending(&mut self, id: Digest, stage: Stage, now: Timestamp) {
        self.pending = Effect::begin(id, stage, now);
    }

    /// Ends all that is pending for the account: its password or its authenticator has changed.
    pub fn forget_pending(&mut self) {
        self.pending.forgets = Some(self.account.username.clone());
    }

    /// What the change has come to. Sessions end if what they rested on has changed.
    pub fn changed(mut self) -> Changed {
        let stays = Arc::ptr_eq(self.before, &self.account);
        let (before, after) = (self.before, Arc::clone(&self.account));
        if self.removed.is_some() {
            self.end_sessions_that(|_| true);
        } else if !stays {
            self.end_sessions_that(|session| session.is_of(before) && !session.is_of(&after));
        }
        let is_disabled = after.disabled && !before.disabled;
        let has_new_password = !self.strengthened && after.password_id() != before.password_id();
        Changed {
            ends_changes: !stays && (is_disabled || has_new_password || self.voids_changes),
            account: match (self.removed, stays) {
                (Some(now), _) => Fate::Goes(now),
                (None, true) => Fate::Stays,
                (None, false) => Fate::Changes(after),
            },
            begun: self.begun.into_iter().map(Arc::new).collect(),
            ended: self.ended,
            pending: self.pending,
        }
    }
}
