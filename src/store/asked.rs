//! Changes on their way through the store's thread.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Instant;

use crate::store::document::LOCK_PATIENCE;
use crate::store::draft::{Draft, Touched};
use crate::store::error::NotSaved;

/// A change that is asked for.
pub(super) struct Asked {
    pub(super) change: Box<dyn Change>,
    /// Whether it concerns sessions alone, so that the state of the accounts does not matter.
    of_sessions: bool,
    /// Until when it may wait for other processes that are saving.
    pub(super) until: Instant,
}

/// A change on its way through the thread.
pub(super) trait Change: Send {
    /// Makes the change; again each time that others have changed something before it is saved, or
    /// what was made before could not be.
    fn make(&mut self, draft: &mut Draft);

    fn touched(&self) -> Touched;

    fn answer(self: Box<Self>, saved: Result<(), NotSaved>);
}

struct Waiting<F, R> {
    change: F,
    result: Option<R>,
    touched: Touched,
    answer: SyncSender<Result<R, NotSaved>>,
    panicked: NotSaved,
}

impl<R: Send, F: Fn(&mut Draft) -> R + Send> Change for Waiting<F, R> {
    fn make(&mut self, draft: &mut Draft) {
        let change = &self.change;
        // A change that panics has changed nothing and has no result.
        let (result, touched) =
            draft.note(|draft| panic::catch_unwind(AssertUnwindSafe(|| change(draft))));
        (self.result, self.touched) = (result.ok(), touched);
    }

    fn touched(&self) -> Touched {
        self.touched
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

/// A file that only one process saves at a time.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Held {
    Accounts,
    Sessions,
}

impl Asked {
    /// A change, and where its result will come; nothing comes if nobody makes the change.
    /// `panicked` is the answer if the change panics.
    pub(super) fn new<R: Send + 'static>(
        change: impl Fn(&mut Draft) -> R + Send + 'static,
        of_sessions: bool,
        panicked: NotSaved,
    ) -> (Self, Receiver<Result<R, NotSaved>>) {
        let (answer, answered) = mpsc::sync_channel(1);
        let change = Box::new(Waiting {
            change,
            result: None,
            touched: Touched::default(),
            answer,
            panicked,
        });
        let asked = Self {
            change,
            of_sessions,
            until: Instant::now() + LOCK_PATIENCE,
        };
        (asked, answered)
    }

    /// Whether the change has to wait for this file. More is known once it has been made.
    pub(super) fn needs(&self, file: Held) -> bool {
        let touched = self.change.touched();
        match file {
            Held::Accounts => !self.of_sessions,
            Held::Sessions => self.of_sessions || touched.begins || touched.ends,
        }
    }
}

/// Answers changes that have been saved or could not be.
pub(super) fn answer(batch: Vec<Asked>, saved: &Result<(), NotSaved>) {
    for asked in batch {
        asked.change.answer(saved.clone());
    }
}
