//! What is pending: in memory beside files, as rows in a database. A change of an account ends it,
//! counts for it and begins it in the same save.

use std::mem;
use std::sync::Arc;

use crate::accounts::pending::{Effect, Hold, PendingChoice, PendingLogin, PendingMove, Stage};
use crate::accounts::person::Person;
use crate::accounts::token::{self, Digest};
use crate::clock::Timestamp;
use crate::store::about::About;
use crate::store::draft::Draft;
use crate::store::error::{NotSaved, Unavailable};
use crate::store::{Kept, Store};

impl Store {
    /// Has a login wait for its code; gives the value of its cookie.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn begin_login(&self, login: PendingLogin, now: Timestamp) -> Result<String, NotSaved> {
        let cookie = token::cookie();
        let stage = Stage::Code(login);
        self.make_pending(Effect::begin(Digest::of(&cookie), stage, now))?;
        Ok(cookie)
    }

    /// The login of this cookie that waits for a code.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn pending_login(
        &self,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<PendingLogin>, Unavailable> {
        Ok(match self.waiting(Digest::of(cookie), now)? {
            Some(Stage::Code(login)) => Some(login),
            _ => None,
        })
    }

    /// The login of this cookie that must choose a password.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn pending_choice(
        &self,
        cookie: &str,
        now: Timestamp,
    ) -> Result<Option<PendingChoice>, Unavailable> {
        Ok(match self.waiting(Digest::of(cookie), now)? {
            Some(Stage::Choice(choice)) => Some(choice),
            _ => None,
        })
    }

    /// The key that a session moves to.
    ///
    /// # Errors
    ///
    /// If it cannot be read now.
    pub fn moving(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PendingMove>, Unavailable> {
        Ok(match self.waiting(session, now)? {
            Some(Stage::Move(moving)) => Some(moving),
            _ => None,
        })
    }

    /// Ends what is pending under this cookie, if anything is.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn end_pending(&self, cookie: &str) -> Result<(), NotSaved> {
        self.make_pending(Effect {
            ends: Some(Digest::of(cookie)),
            ..Effect::default()
        })
    }

    /// As [`Store::change`], of an account and of what waits under this id. The person has it, and
    /// no other change finds it that would end it too.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    pub fn change_pending<R: Send + 'static>(
        &self,
        (id, now): (Digest, Timestamp),
        username: &str,
        change: impl Fn(&mut Person<'_>) -> R + Send + 'static,
    ) -> Result<Option<R>, NotSaved> {
        let about = About::account(username).and_pending(id, now);
        let username = username.to_owned();
        self.change_of(about, move |draft| draft.change(&username, &change))
    }

    /// As [`Store::update_of`], and in the same save what the change makes of what is pending.
    pub(super) fn change_of<R: Send + 'static>(
        &self,
        about: About,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        #[cfg(feature = "postgres")]
        if let Kept::Database(database) = &self.kept {
            return database.update(&about, change);
        }
        let (pending, hold) = (Arc::clone(&self.pending), Hold::default());
        let (held, waiting) = (hold.clone(), about.pending);
        let (made, effect) = self.update_of(about, move |draft| {
            draft.waiting = waiting.and_then(|(id, now)| pending.hold(id, now, &held));
            let made = change(draft);
            let effect = mem::take(&mut draft.pending);
            if let Some((id, _)) = waiting.filter(|(id, _)| effect.ends != Some(*id)) {
                pending.let_go(id, &held);
            }
            (made, effect)
        })?;
        self.pending.apply(effect);
        // Not before: until then nobody else may find what has ended.
        drop(hold);
        Ok(made)
    }

    fn make_pending(&self, effect: Effect) -> Result<(), NotSaved> {
        match &self.kept {
            Kept::Files(_) => {}
            #[cfg(feature = "postgres")]
            Kept::Database(database) => {
                let about = About::default().plain();
                return database.update(&about, |draft| draft.pending = effect.clone());
            }
            #[cfg(test)]
            Kept::Memory(memory) => memory.update(|_| ())?,
        }
        self.pending.apply(effect);
        Ok(())
    }

    fn waiting(&self, id: Digest, now: Timestamp) -> Result<Option<Stage>, Unavailable> {
        match &self.kept {
            Kept::Files(_) => {}
            #[cfg(feature = "postgres")]
            Kept::Database(database) => return database.waiting(id, now),
            #[cfg(test)]
            Kept::Memory(memory) => drop(memory.read()?),
        }
        Ok(self.pending.find(id, now))
    }
}
