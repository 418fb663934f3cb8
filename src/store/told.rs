//! What people have to be told of the accounts, and who tells them: somebody above the store.

use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::Accounts;
use crate::accounts::edits::Edited;

/// Something that people are to be told of.
pub enum Told {
    /// An operator changed an account by hand, and what that ends is saved.
    Edited(Edited),
    /// The accounts cannot be read any more. Once until they can.
    Unreadable {
        /// As they were last good.
        accounts: Arc<Accounts>,
        file: String,
        /// Holds nothing of what is in the file.
        reason: String,
    },
}

type Hear = Box<dyn FnMut(Told) + Send>;

/// Whoever tells people, and what there was to tell before there was anybody.
#[derive(Default)]
pub(super) struct Listener {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hear: Option<Hear>,
    untold: Vec<Told>,
}

impl Listener {
    pub(super) fn listen(&self, mut hear: Hear) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.untold.drain(..).for_each(&mut hear);
        state.hear = Some(hear);
    }

    pub(super) fn tell(&self, told: Told) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.hear {
            Some(hear) => hear(told),
            None => state.untold.push(told),
        }
    }
}
