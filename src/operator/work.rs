//! A change by a command: of the accounts, with its mails and its events. All of it happens, or
//! nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::events::{self, Event};
use crate::mail::{self, Mail, Outbox};
use crate::operator::{Posting, Refused};
use crate::store::{self, Draft, Made, Unmade};

/// Where a command works.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The accounts file.
    pub users: &'a Path,
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
    /// Makes a change and saves it, mails what the change drafts, and writes its events.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing has happened then.
    pub(super) fn change<R>(
        &self,
        change: impl FnOnce(&mut Draft, &mut Post<'_>, Moment) -> Result<(R, Vec<Event>), Refused>,
    ) -> Result<Done<R>, Refused> {
        let now = Clock::start().now();
        let mut post = Post::of(self);
        let made = store::once(self.users, |draft| change(draft, &mut post, now));
        let made = match made {
            Ok(Ok(made)) => made,
            Ok(Err(why)) => return Err(why),
            Err(Unmade::Unreadable(error)) => return Err(Refused::NoFile(error)),
            Err(Unmade::NotSaved(error)) => return Err(Refused::NotSaved(error)),
        };
        let Made { gave, is_new } = made;
        let (gave, happened) = gave;
        let mails = post.send();
        let untold = events::append(self.users, self.events_kept, &happened).err();
        Ok(Done {
            gave,
            made: is_new.then(|| store::full_path(self.users)),
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
}

impl<'a> Post<'a> {
    fn of(place: &'a Place<'a>) -> Self {
        Self {
            place,
            outbox: None,
            is_new: false,
            drafts: Vec::new(),
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
                let (outbox, is_new) = posting.outbox(self.place.users)?;
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
        let drafts = std::mem::take(&mut self.drafts).into_iter();
        let sent = drafts.filter_map(|draft| {
            let sent = self.outbox.as_ref()?.send(draft);
            if let Some(progress) = self.place.progress {
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Some(sent)
        });
        sent.map(|mail| mail.map(|path| path.map(|path| store::full_path(&path))))
            .collect()
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
