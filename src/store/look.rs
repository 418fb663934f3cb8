//! The files as a start finds them, looked at without a trace.

use std::path::Path;
use std::sync::Arc;

use crate::accounts::Accounts;
use crate::accounts::session::Sessions;
use crate::clock::Clock;
use crate::store::document::Document;
use crate::store::error::OpenError;
use crate::store::{check_directory, fit, unreadable};

/// What there is.
pub struct Looked {
    /// The accounts; `None` without a file, or with one that cannot be used.
    pub accounts: Option<Arc<Accounts>>,
    /// How many sessions; `None` without a file, or with one that will be written anew.
    pub sessions: Option<usize>,
    /// For what a server could not start.
    pub wrong: Vec<OpenError>,
}

/// Looks at the accounts at `users` and the sessions beside them as [`super::Store::open`] does, and
/// says the same in the log. Unlike that it goes on after what is wrong, and changes nothing.
pub fn look(users: &Path, clock: &Arc<Clock>) -> Looked {
    let mut looked = Looked {
        accounts: None,
        sessions: None,
        wrong: Vec::new(),
    };
    if let Err(error) = check_directory(users) {
        looked.wrong.push(error);
        return looked;
    }
    match Document::<Accounts>::look_at(users, clock) {
        Ok(accounts) => looked.accounts = accounts,
        Err(damage) => looked.wrong.push(unreadable(users, damage)),
    }
    let path = users.with_file_name("sessions.json");
    // What is wrong with the folder is wrong for both.
    let fit = fit::look(users).and_then(|()| fit::look(&path));
    looked.wrong.extend(fit.err().map(OpenError::from));
    match Document::<Sessions>::look_at(&path, clock) {
        Ok(sessions) => looked.sessions = sessions.map(|sessions| sessions.len()),
        Err(damage) => {
            let error = OpenError::new(&path, damage, "move the file away");
            looked.wrong.push(error);
        }
    }
    looked
}
