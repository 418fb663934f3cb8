//! The one thread that changes a document: changes that wait together share one save.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::log;
use crate::store::document::{Content, Document, News, Published};
use crate::store::error::NotSaved;

/// How often somebody else's change is looked for. One that is damaged has to be seen twice before
/// it is logged, and that within a second.
const LOOK: Duration = Duration::from_millis(250);

/// How long after a failed save what edits end is tried again.
const OWED_RETRY: Duration = Duration::from_secs(1);

/// Most news told between two looks at the file.
const NEWS_AT_ONCE: usize = 32;

/// A save from which it pays to wait for more changes; measured with 32 writers.
const LONG_SAVE: Duration = Duration::from_millis(10);

/// A document, and the thread that has it.
pub(super) struct Keeper<T: Content> {
    published: Published<T>,
    queue: Sender<Message<T>>,
    /// Says once whether all was saved, when the thread ends; None once it has been asked.
    ended: Mutex<Option<Receiver<bool>>>,
    unreadable: Arc<AtomicBool>,
    closed: NotSaved,
    panicked: NotSaved,
}

/// What is done to the content from time to time and at the end.
pub(super) struct Chores<T> {
    pub(super) every: Duration,
    pub(super) chore: Box<dyn FnMut(&mut T) + Send>,
}

/// What hears the news of a document, on its thread: it must neither wait nor ask for a change.
pub(super) type Hear<T> = Box<dyn FnMut(News<T>) + Send>;

/// Has a document's chores done at once.
pub(super) struct Prompt<T>(Sender<Message<T>>);

impl<T> Prompt<T> {
    pub(super) fn prompt(&self) {
        // One that has ended has done them.
        let _ = self.0.send(Message::Chores);
    }
}

enum Message<T> {
    Change(Box<dyn Change<T>>),
    Chores,
    Close,
}

/// A change on its way through the thread.
trait Change<T>: Send {
    fn make(&mut self, content: &mut T);

    fn answer(self: Box<Self>, saved: Result<(), NotSaved>);
}

struct Waiting<F, R> {
    change: Option<F>,
    result: Option<R>,
    answer: SyncSender<Result<R, NotSaved>>,
    panicked: NotSaved,
}

impl<T, R: Send, F: FnOnce(&mut T) -> R + Send> Change<T> for Waiting<F, R> {
    fn make(&mut self, content: &mut T) {
        if let Some(change) = self.change.take() {
            self.result = Some(change(content));
        }
    }

    fn answer(self: Box<Self>, saved: Result<(), NotSaved>) {
        let Self {
            result,
            answer,
            panicked,
            ..
        } = *self;
        // Nobody may be waiting any more; the change is made all the same.
        let _ = answer.send(saved.and_then(|()| result.ok_or(panicked)));
    }
}

impl<T: Content> Keeper<T> {
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(super) fn start(
        document: Document<T>,
        chores: Option<Chores<T>>,
        hear: Hear<T>,
    ) -> io::Result<Self> {
        let published = document.published();
        let unreadable = document.unreadable();
        let closed = NotSaved::new(document.path(), &"the store is closed");
        let panicked = NotSaved::new(document.path(), &"the change panicked");
        let (queue, messages) = mpsc::channel();
        let worker = Worker {
            document,
            batch: 0,
            save: Duration::ZERO,
            chores_at: Instant::now() + chores.as_ref().map_or(LOOK, |chores| chores.every),
            chores,
            owed_at: Instant::now(),
            hear,
        };
        let (end, ended) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // With nobody left to hear it, it does not matter.
                let _ = end.send(worker.run(&messages));
            })?;
        Ok(Self {
            published,
            queue,
            ended: Mutex::new(Some(ended)),
            unreadable,
            closed,
            panicked,
        })
    }

    pub(super) fn get(&self) -> Arc<T> {
        self.published.get()
    }

    pub(super) fn published(&self) -> Published<T> {
        self.published.clone()
    }

    /// Whether the file cannot be read, and is left to the operator.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
    }

    pub(super) fn prompt(&self) -> Prompt<T> {
        Prompt(self.queue.clone())
    }

    /// Makes a change and waits until it is on disk.
    pub(super) fn update<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        self.ask(change)
            .recv()
            .unwrap_or_else(|_| Err(self.closed.clone()))
    }

    /// Where the result will be; nothing comes if the thread has ended.
    fn ask<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Receiver<Result<R, NotSaved>> {
        let (answer, answered) = mpsc::sync_channel(1);
        let change = Message::Change(Box::new(Waiting {
            change: Some(change),
            result: None,
            answer,
            panicked: self.panicked.clone(),
        }));
        // Of a thread that has ended, the answer is that there is none.
        let _ = self.queue.send(change);
        answered
    }

    /// Tells the thread to save what has been asked for so far, do the chores once more, and end.
    /// Later changes are refused.
    pub(super) fn tell_to_close(&self) {
        // If the thread has ended already, asking how says so.
        let _ = self.queue.send(Message::Close);
    }

    /// Waits for the end, after [`Keeper::tell_to_close`]. False if it did not come in time, or
    /// something could not be saved.
    pub(super) fn wait_closed(&self, patience: Duration) -> bool {
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Who asks again was told.
        ended.is_none_or(|ended| ended.recv_timeout(patience).unwrap_or(false))
    }
}

impl<T: Content> Drop for Keeper<T> {
    fn drop(&mut self) {
        self.tell_to_close();
        self.wait_closed(Duration::MAX);
    }
}

struct Worker<T: Content> {
    document: Document<T>,
    chores: Option<Chores<T>>,
    chores_at: Instant,
    /// How many changes the last save was for.
    batch: usize,
    /// How long it took.
    save: Duration,
    /// When what is owed to edits may be saved: after a failure not at once.
    owed_at: Instant,
    hear: Hear<T>,
}

impl<T: Content> Worker<T> {
    /// Whether the last save went well, if there was one.
    fn run(mut self, messages: &Receiver<Message<T>>) -> bool {
        let mut closing = false;
        let mut saved = true;
        while !closing {
            let batch = self.gather(messages, &mut closing);
            // Whatever went wrong there, the next change must find somebody at work. Nothing is
            // published half done, so there is nothing to put right.
            let round = panic::catch_unwind(AssertUnwindSafe(|| self.round(batch, closing)));
            saved = round.unwrap_or_else(|_| {
                tracing::error!(file = log::path(self.document.path()), "a save panicked");
                false
            });
            self.tell();
        }
        saved
    }

    /// Takes all changes that wait; none, if for a while there are none.
    ///
    /// Those who were answered together come back one by one. Taking the first alone would let
    /// the others wait for a whole save, so it waits for as many again, for a fraction of one.
    /// That pays for large files only: being woken by each of them costs as much as a short save.
    fn gather(
        &mut self,
        messages: &Receiver<Message<T>>,
        closing: &mut bool,
    ) -> Vec<Box<dyn Change<T>>> {
        let mut batch = Vec::new();
        let mut wait = LOOK;
        let mut end = Instant::now() + wait;
        while !*closing {
            match messages.recv_timeout(wait) {
                Ok(Message::Change(change)) => batch.push(change),
                Ok(Message::Chores) => {
                    self.chores_at = Instant::now();
                    wait = Duration::ZERO;
                    continue;
                }
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

    /// Whether nothing is left to save.
    fn round(&mut self, mut batch: Vec<Box<dyn Change<T>>>, closing: bool) -> bool {
        let due = closing || Instant::now() >= self.chores_at;
        let has_chores = due && self.has_chores();
        if batch.is_empty() && !has_chores {
            self.document.look();
            // At the end there is nobody left to be told: the next start sees the edit again.
            if closing || !self.document.is_owed() || Instant::now() < self.owed_at {
                return true;
            }
        }
        let start = Instant::now();
        let saved = self.make_and_save(&mut batch, has_chores);
        if saved.is_err() {
            self.owed_at = Instant::now() + OWED_RETRY;
        }
        self.batch = batch.len();
        self.save = start.elapsed();
        for change in batch {
            change.answer(saved.clone());
        }
        saved.is_ok()
    }

    /// Makes the changes one after another and saves them together. If that fails all of them
    /// fail, also one that changed nothing: it may have seen what another did before it.
    fn make_and_save(
        &mut self,
        batch: &mut [Box<dyn Change<T>>],
        chores: bool,
    ) -> Result<(), NotSaved> {
        let lock = self.document.begin()?;
        let before = self.document.published().get();
        let mut content = T::clone(&before);
        for change in batch {
            // One that panics has no result, and gets its refusal when the others are answered.
            let _ = content.attempt(|content| change.make(content));
        }
        let touched = chores && {
            self.do_chores(&mut content);
            self.document.is_touched(&content)
        };
        let owed = self.document.is_owed();
        if content.revision() == before.revision() && !touched && !owed {
            return Ok(());
        }
        self.document.save(content, &lock)
    }

    /// Tells the news, not too much at once: whoever hears it has a queue that ends somewhere.
    fn tell(&mut self) {
        for _ in 0..NEWS_AT_ONCE {
            let Some(news) = self.document.next_news() else {
                return;
            };
            (self.hear)(news);
        }
    }

    /// Whether the chores, which are due, would have anything to save; if not, no file is touched.
    fn has_chores(&mut self) -> bool {
        let Some(chores) = &self.chores else {
            return false;
        };
        self.chores_at = Instant::now() + chores.every;
        let before = self.document.published().get();
        let mut content = T::clone(&before);
        self.do_chores(&mut content);
        content.revision() != before.revision() || self.document.is_touched(&content)
    }

    fn do_chores(&mut self, content: &mut T) {
        if let Some(chores) = &mut self.chores {
            let _ = content.attempt(|content| (chores.chore)(content));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::*;
    use crate::accounts::session::{Basis, Session, Sessions};
    use crate::accounts::token::Digest;
    use crate::clock::{Clock, Timestamp};

    fn keeper(path: &Path, chores: Option<Chores<Sessions>>) -> Keeper<Sessions> {
        let document = Document::open(path, &Arc::new(Clock::start()))
            .ok()
            .unwrap();
        Keeper::start(document, chores, Box::new(|_| ())).unwrap()
    }

    fn session(id: &str) -> Session {
        let address = "127.0.0.1".to_owned();
        Session::new(
            Digest::of(id),
            (
                "alice",
                Basis {
                    password_id: Digest::of("hash"),
                    generation: 0,
                },
            ),
            address,
            "curl",
            Timestamp(1000),
        )
    }

    #[test]
    fn changes_that_wait_together_share_one_save() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.json");
        let keeper = keeper(&path, None);
        let (release, released) = mpsc::channel();

        let first = keeper.ask(move |sessions: &mut Sessions| {
            sessions.add(session("first"));
            released.recv().unwrap();
        });
        let others: Vec<_> = (0..10)
            .map(|n| {
                let path = path.clone();
                keeper.ask(move |sessions: &mut Sessions| {
                    sessions.add(session(&n.to_string()));
                    fs::metadata(path).map(|metadata| metadata.ino()).ok()
                })
            })
            .collect();
        release.send(()).unwrap();

        assert!(first.recv().unwrap().is_ok());
        let mut seen: Vec<_> = others
            .into_iter()
            .map(|other| other.recv().unwrap().unwrap())
            .collect();
        seen.dedup();
        // The first may have been taken together with some of the others, before any save.
        assert!(seen.len() <= 2, "{seen:?}");
        assert_eq!(keeper.get().len(), 11);
    }

    #[test]
    fn when_a_session_was_last_used_is_saved_from_time_to_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.json");
        let chores = Chores {
            every: Duration::ZERO,
            chore: Box::new(|_| ()),
        };
        let keeper = keeper(&path, Some(chores));
        keeper
            .update(|sessions| sessions.add(session("cookie")))
            .unwrap();

        keeper
            .get()
            .find(Digest::of("cookie"))
            .unwrap()
            .seen(Timestamp(2000));

        let end = Instant::now() + Duration::from_secs(20);
        while !fs::read_to_string(&path)
            .unwrap()
            .contains("1970-01-01T00:33:20Z")
        {
            assert!(Instant::now() < end, "it was never saved");
            thread::yield_now();
        }
    }
}
