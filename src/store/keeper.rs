//! The one thread that changes a document: changes that wait together share one save.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, iter};

use crate::store::document::{Content, Document, Published};
use crate::store::error::NotSaved;

/// How often somebody else's change is looked for. One that is damaged has to be seen twice before
/// it is logged, and that within a second.
const LOOK: Duration = Duration::from_millis(250);

/// A document, and the thread that has it.
pub(super) struct Keeper<T: Content> {
    published: Published<T>,
    queue: Sender<Message<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    closed: NotSaved,
    panicked: NotSaved,
}

/// What is done to the content from time to time and at the end.
pub(super) struct Chores<T> {
    pub(super) every: Duration,
    pub(super) chore: Box<dyn FnMut(&mut T) + Send>,
}

enum Message<T> {
    Change(Box<dyn Change<T>>),
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
    pub(super) fn start(document: Document<T>, chores: Option<Chores<T>>) -> io::Result<Self> {
        let published = document.published();
        let closed = NotSaved::new(document.path(), &"the store is closed");
        let panicked = NotSaved::new(document.path(), &"the change panicked");
        let (queue, messages) = mpsc::channel();
        let worker = Worker {
            document,
            chores_at: Instant::now() + chores.as_ref().map_or(LOOK, |chores| chores.every),
            chores,
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run(&messages))?;
        Ok(Self {
            published,
            queue,
            thread: Mutex::new(Some(thread)),
            closed,
            panicked,
        })
    }

    pub(super) fn get(&self) -> Arc<T> {
        self.published.get()
    }

    /// Makes a change and waits until it is on disk.
    pub(super) fn update<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        let (answer, answered) = mpsc::sync_channel(1);
        let change = Message::Change(Box::new(Waiting {
            change: Some(change),
            result: None,
            answer,
            panicked: self.panicked.clone(),
        }));
        self.queue.send(change).map_err(|_| self.closed.clone())?;
        answered.recv().unwrap_or_else(|_| Err(self.closed.clone()))
    }

    /// Saves what has been asked for so far, does the chores once more, and ends the thread. Later
    /// changes are refused.
    pub(super) fn close(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else { return };
        // If the thread has ended already, joining says so.
        let _ = self.queue.send(Message::Close);
        if thread.join().is_err() {
            tracing::error!("the store's thread ended by a panic");
        }
    }
}

impl<T: Content> Drop for Keeper<T> {
    fn drop(&mut self) {
        self.close();
    }
}

struct Worker<T: Content> {
    document: Document<T>,
    chores: Option<Chores<T>>,
    chores_at: Instant,
}

impl<T: Content> Worker<T> {
    fn run(mut self, messages: &Receiver<Message<T>>) {
        let mut closing = false;
        while !closing {
            let first = match messages.recv_timeout(LOOK) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Close),
            };
            let mut batch = Vec::new();
            for message in first
                .into_iter()
                .chain(iter::from_fn(|| messages.try_recv().ok()))
            {
                match message {
                    Message::Change(change) => batch.push(change),
                    Message::Close => closing = true,
                }
            }
            // Whatever went wrong there, the next change must find somebody at work. Nothing is
            // published half done, so there is nothing to put right.
            let round = panic::catch_unwind(AssertUnwindSafe(|| self.round(batch, closing)));
            if round.is_err() {
                tracing::error!(file = ?self.document.path(), "a save panicked");
            }
        }
    }

    fn round(&mut self, mut batch: Vec<Box<dyn Change<T>>>, closing: bool) {
        let due = closing || Instant::now() >= self.chores_at;
        let has_chores = due && self.has_chores();
        if batch.is_empty() && !has_chores {
            self.document.look();
            return;
        }
        let saved = self.make_and_save(&mut batch, has_chores);
        for change in batch {
            change.answer(saved.clone());
        }
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
        if content.revision() == before.revision() && !touched {
            return Ok(());
        }
        self.document.save(content, &lock)
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
