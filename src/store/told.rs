//! What people must be told about the accounts. A module above the store tells them.

use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::Accounts;
use crate::accounts::edits::Edited;
use crate::store::document::{Document, News};
use crate::store::worker;

/// Something that people must be told.
pub enum Told {
    /// An operator changed an account by hand, and what that ends is saved.
    Edited(Edited),
    /// The accounts can no longer be read. Told once until they can.
    Unreadable {
        /// The accounts as they were last good.
        accounts: Arc<Accounts>,
        /// The path of the file.
        file: String,
        /// What is wrong with the file, quoting no value from it.
        reason: String,
    },
}

type Hear = Box<dyn FnMut(Told) + Send>;

/// The one that tells people, and what there was to tell before there was one.
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

/// Has people told the news of the accounts.
pub(super) fn hear_accounts(
    document: &Document<Accounts>,
    listener: &Arc<Listener>,
) -> worker::Hear {
    let (published, listener) = (document.published(), Arc::clone(listener));
    let file = document.path().display().to_string();
    Box::new(move |news| match news {
        News::TakenUp => {}
        News::Edited(edited) => {
            let user = &edited.account.username;
            let was = edited.name_before.as_deref();
            tracing::info!(event = "edited_by_hand", user, was, changed = edited.what);
            listener.tell(Told::Edited(edited));
        }
        News::Unreadable(damage) => listener.tell(Told::Unreadable {
            accounts: published.get(),
            file: file.clone(),
            reason: damage.to_string(),
        }),
    })
}
