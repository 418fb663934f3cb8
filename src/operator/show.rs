//! One account, with where it is logged in and what happened to it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::accounts::listed::{in_full, open_sessions};
use crate::accounts::session::{Limits, Session};
use crate::clock::Clock;
use crate::events::Seen;
use crate::operator::{Refused, Source, find};
use crate::store::About;

/// What is shown of an account.
pub struct Shown {
    pub account: Arc<Account>,
    /// Those that are not over, the most recent first.
    pub sessions: Vec<Arc<Session>>,
    /// The last events, the newest first.
    pub events: Vec<Seen>,
}

/// Reads what is to be shown of the account called `name`; sessions are over by these limits.
///
/// # Errors
///
/// If there is no such account, or the accounts cannot be read.
pub fn show(source: Source<'_>, name: &str, limits: Limits) -> Result<Shown, Refused> {
    let (accounts, all) = source.some(|| About::account(name))?;
    let account = Arc::clone(find(&accounts, name)?);
    let all = all.of(&account.username).cloned().collect();
    let sessions = open_sessions(all, &account, limits, Clock::start().now().timestamp());
    let id = account.id.as_ref();
    let events = id.map(|id| source.recent(id));
    Ok(Shown {
        account,
        sessions,
        events: events.unwrap_or_default(),
    })
}

impl Shown {
    /// What programs are told, as at `/people/NAME`.
    pub fn told(&self, limits: Limits) -> Value {
        let mut told = in_full(&self.account, &self.sessions, limits);
        let events: Vec<Value> = self.events.iter().map(Seen::told).collect();
        told["events"] = json!(events);
        told
    }
}
