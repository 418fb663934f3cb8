//! One file and its content in memory, kept in agreement in both directions.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};
use crate::durable::Failure;
use crate::log;
use crate::store::error::{Damage, NotSaved};
use crate::store::flat_file::{FlatFile, Found, Stamp};
use crate::store::lock::Lock;

/// How long a save waits for another process to finish its own before the change is refused. A
/// save takes a tenth of a second at most; a lock held this long belongs to a stopped process, or
/// to an operator's script.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What is said of a lock that did not come.
pub(super) fn held() -> io::Error {
    io::Error::other("another process holds its lock")
}

/// What a file holds.
pub(super) trait Content: Clone + Default + Send + Sync + 'static {
    /// What is kept of the file besides the content, for writing it.
    type Format: Default + Send + 'static;

    /// Something that was changed in the file by hand.
    type Edited: Send + 'static;

    /// What the log calls the file.
    const NAME: &'static str;

    /// Whether a damaged file is moved away and written anew from memory. If not, it stays, and
    /// changes are refused until the operator who wrote it mends it.
    const REPLACED_WHEN_DAMAGED: bool;

    /// Whether nobody but the owner may read or write it.
    const PRIVATE: bool = true;

    /// What the last good content does while the file is damaged, for the log.
    const UNTIL_MENDED: &'static str =
        "goes on being served and no change is saved until the file is mended";

    fn parse(bytes: &[u8]) -> Result<(Self, Self::Format), Damage>;

    /// What is odd in a file that was just read and taken up all the same; for the log.
    fn oddities(_format: &mut Self::Format) -> Vec<String> {
        Vec::new()
    }

    /// Ends what edits in the file that was just read must end. Gives the edits, to tell people,
    /// and whether there is anything to save.
    ///
    /// `before` is what memory and the file last agreed on, and when that was; `None` at the start.
    fn settle(
        &mut self,
        _format: &mut Self::Format,
        _before: Option<(&Self, Timestamp)>,
    ) -> (Vec<Self::Edited>, bool) {
        (Vec::new(), false)
    }

    /// Makes ready for [`Content::write`]. Gives what is to be added to the name of the file for a copy
    /// of it as it is before, if an earlier program may need that.
    fn prepare(&self, _format: &mut Self::Format) -> io::Result<Option<&'static str>> {
        Ok(None)
    }

    /// Notes that the file is as it was last written.
    fn saved(_format: &mut Self::Format) {}

    fn write(&self, format: &mut Self::Format, out: &mut dyn Write) -> io::Result<()>;

    /// A number that changes when there is something new that may be saved at leisure.
    fn touches(&self) -> u64 {
        0
    }

    /// Takes over from `before`, which was in memory, what is newer than in the file just read.
    fn inherit(&self, _before: &Self) {}
}

/// The content as it is on disk, for everybody to read without waiting for a save.
pub(super) struct Published<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Published<T> {
    fn new(content: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(content))))
    }

    pub(super) fn get(&self) -> Arc<T> {
        // Only a pointer is copied under the lock, so nothing can be found half done.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, content: Arc<T>) {
        let mut published = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *published, content);
        drop(published);
        // Outside the lock: freeing many accounts takes a while.
        drop(before);
    }
}

/// What a document has to report.
pub(super) enum News<T: Content> {
    /// An edit whose consequences are saved.
    Edited(T::Edited),
    /// Another version was taken up.
    TakenUp,
    /// The file can no longer be read, and is left to the operator. Reported once until it can.
    Unreadable(Damage),
}

/// A file, its content, and what keeps them from agreeing.
pub(super) struct Document<T: Content> {
    file: FlatFile,
    /// Whether the rights of the file are left as they are.
    only_looks: bool,
    format: T::Format,
    published: Published<T>,
    /// What memory and the file last agreed on, with nothing left to save; `None` before that.
    agreed: Option<Arc<T>>,
    /// When they last agreed.
    agreed_at: Timestamp,
    /// Edits whose consequences are not saved yet.
    owed: Option<Vec<T::Edited>>,
    news: VecDeque<News<T>>,
    /// Whether the file has been unreadable for long enough to report it.
    unreadable: Arc<AtomicBool>,
    clock: Arc<Clock>,
    /// [`Content::touches`] of what was saved last.
    saved_touches: u64,
    trouble: Option<Trouble>,
    /// What the last save failed with, so that it is logged once.
    failing: Option<NotSaved>,
    /// How long damage has to last before it is logged: an editor that writes in place leaves half
    /// a file for a moment.
    pub(super) patience: Duration,
}

/// A version of the file that cannot be used.
struct Trouble {
    /// `None` if the file could not even be looked at, or is gone.
    stamp: Option<Stamp>,
    damage: Damage,
    since: Instant,
    logged: bool,
}

impl<T: Content> Document<T> {
    /// Reads the file; a missing one has no content yet.
    ///
    /// # Errors
    ///
    /// What is wrong with the file. It is left alone, unless it is of the kind that is replaced.
    pub(super) fn open(path: &Path, clock: &Arc<Clock>) -> Result<Self, Damage> {
        let mut document = Self::unread(path, clock);
        match document.load() {
            Err(_) if T::REPLACED_WHEN_DAMAGED => {
                let lock = document.file.lock(LOCK_PATIENCE)?.ok_or_else(held)?;
                // Another process may have replaced the file since.
                if let Err(damage) = document.load() {
                    document.make_room(&damage, &lock)?;
                }
            }
            loaded => loaded?,
        }
        // Without a file yet, memory and disk agree on having nothing.
        if document.owed.is_none() {
            document.agreed = Some(document.published.get());
        }
        Ok(document)
    }

    /// Reads the file as [`Document::open`] does, says the same in the log, and changes nothing;
    /// `None` if there is no file, or one that would be written anew.
    ///
    /// # Errors
    ///
    /// As [`Document::open`].
    pub(super) fn look_at(path: &Path, clock: &Arc<Clock>) -> Result<Option<Arc<T>>, Damage> {
        let mut document = Self::unread(path, clock);
        document.only_looks = true;
        if matches!(document.file.look(), Ok(None)) {
            return Ok(None);
        }
        match document.load() {
            Err(damage) if T::REPLACED_WHEN_DAMAGED => {
                written_anew::<T>(path, "", &damage);
                Ok(None)
            }
            loaded => loaded.map(|()| Some(document.published.get())),
        }
    }

    fn unread(path: &Path, clock: &Arc<Clock>) -> Self {
        Self {
            file: FlatFile::new(path),
            only_looks: false,
            format: T::Format::default(),
            published: Published::new(T::default()),
            agreed: None,
            agreed_at: clock.now().timestamp(),
            owed: None,
            news: VecDeque::new(),
            unreadable: Arc::default(),
            clock: Arc::clone(clock),
            saved_touches: 0,
            trouble: None,
            failing: None,
            patience: Duration::from_millis(300),
        }
    }

    fn load(&mut self) -> Result<(), Damage> {
        if self.file.look()?.is_some() {
            let found = self.file.read()?;
            self.take_up(found)?;
        }
        Ok(())
    }

    pub(super) fn published(&self) -> Published<T> {
        self.published.clone()
    }

    /// Changes what was just read, before anybody has seen it; the next save writes it.
    pub(super) fn amend(&self, change: impl FnOnce(&mut T)) {
        let mut content = T::clone(&self.published.get());
        change(&mut content);
        self.published.set(Arc::new(content));
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Set while the file cannot be read.
    pub(super) fn unreadable(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unreadable)
    }

    /// Whether an edit's consequences wait to be saved.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.is_some()
    }

    /// The next piece of news.
    pub(super) fn next_news(&mut self) -> Option<News<T>> {
        self.news.pop_front()
    }

    /// Checks whether somebody else changed the file, and takes that up or logs what is wrong.
    pub(super) fn look(&mut self) {
        // The trouble is noted and logged; nobody waits for an answer.
        let _ = self.catch_up();
    }

    /// Waits for our turn to save, and takes up what others have saved. `None` if the turn has not
    /// come after `patience`; the place in the line is then kept until [`Document::give_up`].
    pub(super) fn begin(&mut self, patience: Duration) -> Result<Option<Lock>, NotSaved> {
        let lock = self.file.lock(patience);
        let Some(lock) = lock.map_err(|error| self.fail(&error))? else {
            return Ok(None);
        };
        let mut agreed = self.catch_up();
        if let Err(damage) = &agreed
            && T::REPLACED_WHEN_DAMAGED
        {
            agreed = self.make_room(damage, &lock);
        }
        match agreed {
            Ok(()) => Ok(Some(lock)),
            Err(damage) => Err(NotSaved::unreadable(self.file.path(), &damage)),
        }
    }

    /// Gives up the place in the line.
    pub(super) fn give_up(&mut self) {
        self.file.give_up();
    }

    /// The answer to changes whose turn has not come within [`LOCK_PATIENCE`].
    pub(super) fn held(&mut self) -> NotSaved {
        self.fail(&held())
    }

    /// Saves the content if it differs from what is published, and publishes it.
    pub(super) fn save(&mut self, content: T, _lock: &Lock) -> Result<(), NotSaved> {
        // Read before the write: what is touched meanwhile counts as not saved.
        let touches = content.touches();
        let format = &mut self.format;
        let keep = content.prepare(format).map_err(Failure::Before);
        let replaced = keep.and_then(|keep| {
            let write = |out: &mut dyn Write| content.write(format, out);
            self.file.replace(keep, write)
        });
        if !matches!(replaced, Err(Failure::Before(_))) {
            T::saved(&mut self.format);
        }
        match replaced {
            Err(Failure::Before(error)) => return Err(self.fail(&error)),
            Err(Failure::After(error)) => {
                // Readers should see what a restart would read.
                self.agree(Arc::new(content));
                return Err(self.fail(&error));
            }
            Ok(()) => {}
        }
        self.saved_touches = touches;
        self.agree(Arc::new(content));
        if self.failing.take().is_some() {
            tracing::info!(
                file = log::path(self.file.path()),
                "the {} can be saved again",
                T::NAME
            );
        }
        Ok(())
    }

    /// Notes that this is what the file now holds, and publishes it.
    fn agree(&mut self, content: Arc<T>) {
        let settled = self.owed.take().unwrap_or_default();
        self.news.extend(settled.into_iter().map(News::Edited));
        self.agreed = Some(Arc::clone(&content));
        self.agreed_at = self.clock.now().timestamp();
        self.published.set(content);
    }

    /// Whether there is anything to save at leisure.
    pub(super) fn is_touched(&self, content: &T) -> bool {
        content.touches() != self.saved_touches
    }

    fn fail(&mut self, error: &io::Error) -> NotSaved {
        let failure = NotSaved::new(self.file.path(), error);
        if self.failing.as_ref().map(ToString::to_string) != Some(failure.to_string()) {
            tracing::error!("{failure}");
            self.failing = Some(failure.clone());
        }
        failure
    }

    /// Brings memory into agreement with the file.
    fn catch_up(&mut self) -> Result<(), Damage> {
        let stamp = match self.file.look() {
            Ok(stamp) if self.file.is_known(stamp) => {
                self.end_trouble();
                if self.owed.is_none() {
                    self.agreed_at = self.clock.now().timestamp();
                }
                return Ok(());
            }
            Ok(None) => return self.in_trouble(None, Damage::new("is gone")),
            Ok(stamp) => stamp,
            Err(error) => return self.in_trouble(None, error.into()),
        };
        if let Some(trouble) = &self.trouble
            && trouble.stamp == stamp
        {
            let damage = trouble.damage.clone();
            return self.in_trouble(stamp, damage);
        }
        match self.file.read().map_err(Damage::from) {
            Ok(found) => match self.take_up(found) {
                Ok(()) => {
                    tracing::info!(
                        file = log::path(self.file.path()),
                        "took up a changed {}",
                        T::NAME
                    );
                    self.news.push_back(News::TakenUp);
                    self.end_trouble();
                    Ok(())
                }
                Err(damage) => self.in_trouble(stamp, damage),
            },
            Err(damage) => self.in_trouble(stamp, damage),
        }
    }

    fn take_up(&mut self, found: Found) -> Result<(), Damage> {
        let (mut content, mut format) = T::parse(&found.bytes)?;
        for oddity in T::oddities(&mut format) {
            tracing::warn!("{:?}, {oddity}", self.file.path());
        }
        self.saved_touches = content.touches();
        content.inherit(&self.published.get());
        let agreed = self.agreed.clone();
        let before = agreed.as_deref().map(|agreed| (agreed, self.agreed_at));
        let (edited, owes) = content.settle(&mut format, before);
        let found = match (T::PRIVATE, self.only_looks) {
            (true, false) => self.file.close(found),
            (true, true) => self.file.tell_rights(found),
            (false, _) => found,
        };
        self.file.know(found);
        self.format = format;
        let content = Arc::new(content);
        if owes {
            // Replaces what an earlier version owed: both were compared to the same `before`.
            self.owed = Some(edited);
            self.published.set(content);
        } else {
            // What was owed has been saved by another process, which tells people about it.
            self.owed = None;
            self.news.extend(edited.into_iter().map(News::Edited));
            self.agree(content);
        }
        Ok(())
    }

    /// Logs damage that has lasted for a while, once per version of the file.
    fn in_trouble(&mut self, stamp: Option<Stamp>, damage: Damage) -> Result<(), Damage> {
        let known = self.trouble.take();
        let mut trouble = known
            .filter(|known| known.stamp == stamp && known.damage == damage)
            .unwrap_or_else(|| Trouble {
                stamp,
                damage: damage.clone(),
                since: Instant::now(),
                logged: false,
            });
        let stays = !T::REPLACED_WHEN_DAMAGED;
        if stays && !trouble.logged && trouble.since.elapsed() >= self.patience {
            trouble.logged = true;
            if !self.unreadable.swap(true, Ordering::Relaxed) {
                self.news.push_back(News::Unreadable(damage.clone()));
            }
            tracing::error!(
                "cannot read {:?}: {damage}. The last good {} {}",
                self.file.path(),
                T::NAME,
                T::UNTIL_MENDED,
            );
        }
        self.trouble = Some(trouble);
        Err(damage)
    }

    fn end_trouble(&mut self) {
        self.unreadable.store(false, Ordering::Relaxed);
        if self.trouble.take().is_some_and(|trouble| trouble.logged) {
            tracing::info!(
                file = log::path(self.file.path()),
                "the {} is good again",
                T::NAME
            );
        }
    }

    /// Makes room for the next save to write a damaged or lost file anew from memory. Done under
    /// the lock, or another process's new file might be moved away.
    fn make_room(&mut self, damage: &Damage, _lock: &Lock) -> Result<(), Damage> {
        let aside = match self.file.look() {
            Ok(None) => None,
            _ => Some(self.file.set_aside()?),
        };
        self.file.forget();
        self.trouble = None;
        let aside = aside.map_or_else(String::new, |path| format!(", kept as {path:?}"));
        written_anew::<T>(self.file.path(), &aside, damage);
        Ok(())
    }
}

fn written_anew<T: Content>(path: &Path, aside: &str, damage: &Damage) {
    tracing::warn!(
        file = log::path(path),
        "the {} is damaged and is written anew{aside}: {damage}",
        T::NAME,
    );
}

#[cfg(test)]
mod tests;
