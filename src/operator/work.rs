//! A change by a command: of the accounts, with its mails and its events. All of it happens, or
//! nothing.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::events::Event;
use crate::mail::{self, Mail, Outbox};
use crate::operator::{Posting, Refused, Source};
use crate::store::{self, About, Draft, KeptMail};

/// Where a command works.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where the accounts are.
    pub source: Source<'a>,
    /// How long events are kept; zero: none are written.
    pub events_kept: Duration,
    /// What mails need to know, if any are written.
    pub posting: Option<&'a Posting>,
    /// Counts the mails that are written.
    pub progress: Option<&'a AtomicUsize>,
}

/// What was done.
pub struct Done<R> {
    pub gave: R,
    /// The file that was made, if there was none.
    pub made: Option<PathBuf>,
    /// Why the events were not written, if they were not.
    pub untold: Option<io::Error>,
    /// Where each mail waits, `None` for the database, or why it could not be written in the end.
    pub mails: Vec<io::Result<Option<PathBuf>>>,
}

impl<R> Done<R> {
    /// There was nothing to do.
    pub(super) fn nothing(gave: R) -> Self {
        Self {
            gave,
            made: None,
            untold: None,
            mails: Vec::new(),
        }
    }

    /// The same, giving this.
    pub(super) fn giving<T>(self, gave: T) -> Done<T> {
        let Self {
            made,
            untold,
            mails,
            ..
        } = self;
        Done {
            gave,
            made,
            untold,
            mails,
        }
    }
}

impl Place<'_> {
    /// Makes a change of what it is about and saves it, mails what the change drafts, and writes its events.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing has happened then.
    pub(super) fn change<R>(
        &self,
        about: impl FnOnce() -> About,
        mut change: impl FnMut(&mut Draft, &mut Post<'_>, Moment) -> Result<(R, Vec<Event>), Refused>,
    ) -> Result<Done<R>, Refused> {
        let now = Clock::start().now();
        let mut post = Post::of(self);
        let ((gave, happened), made) = self.source.change(about, |draft| {
            // What an attempt has drafted that others were in the way of is not sent.
            post.drafts.clear();
            post.letters.clear();
            let changed = change(draft, &mut post, now)?;
            draft.mails = post.letters.clone();
            Ok(changed)
        })?;
        let mails = post.send();
        let untold = self.source.note(self.events_kept, &happened).err();
        Ok(Done {
            gave,
            made,
            untold,
            mails,
        })
    }
}

/// The mails of a change: drafted before it is saved, since what cannot be mailed is not done, and
/// sent after.
pub(super) struct Post<'a> {
    place: &'a Place<'a>,
    outbox: Option<Outbox>,
    /// Whether the outbox was made for these mails.
    is_new: bool,
    drafts: Vec<mail::Draft>,
    /// Those that are saved with the change, where that is in a database.
    letters: Vec<KeptMail>,
}

impl<'a> Post<'a> {
    fn of(place: &'a Place<'a>) -> Self {
        Self {
            place,
            outbox: None,
            is_new: false,
            drafts: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Writes a mail, if there is one to write, without sending it. `of` is given how visitors reach
    /// the server, without a final slash.
    pub(super) fn draft(&mut self, of: impl FnOnce(&str) -> Option<Mail>) -> Result<(), Refused> {
        let Some(posting) = self.place.posting else {
            return Ok(());
        };
        let Some(mail) = of(&posting.site) else {
            return Ok(());
        };
        let outbox = match self.outbox.take() {
            Some(outbox) => outbox,
            None => {
                let Some(opened) = self.place.source.outbox(posting.from.clone()) else {
                    let letter = mail::letter(&posting.from, &mail);
                    self.letters.push(letter.map_err(Refused::NoMail)?);
                    return Ok(());
                };
                let (outbox, is_new) = opened?;
                self.is_new = is_new;
                outbox
            }
        };
        let draft = self.outbox.insert(outbox).draft(&mail);
        self.drafts.push(draft.map_err(Refused::NoMail)?);
        Ok(())
    }

    fn send(mut self) -> Vec<io::Result<Option<PathBuf>>> {
        self.is_new = false;
        let saved = std::mem::take(&mut self.letters)
            .into_iter()
            .map(|_| Ok(None));
        let drafts = std::mem::take(&mut self.drafts).into_iter();
        let sent = drafts.filter_map(|draft| {
            let sent = self.outbox.as_ref()?.send(draft);
            if let Some(progress) = self.place.progress {
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Some(sent)
        });
        let sent = sent.map(|mail| mail.map(|path| path.map(|path| store::full_path(&path))));
        sent.chain(saved).collect()
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        self.drafts.clear();
        if let Some(outbox) = self.outbox.take().filter(|_| self.is_new) {
            outbox.unmake();
        }
    }
}
