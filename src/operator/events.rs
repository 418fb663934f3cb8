//! Which events an operator asks for.

use std::time::Duration;

use crate::accounts::names;
use crate::as_typed;
use crate::events::{Seen, written};
use crate::operator::{Refused, Source, check_is_name};
use crate::store::About;

/// Which events are wanted.
pub struct Wanted {
    whose: Whose,
    /// As the file has its times.
    since: Option<String>,
}

enum Whose {
    Anybody,
    /// Of the account with this id.
    Id(String),
    /// Of accounts that had this name and are gone.
    Name(String),
}

impl Wanted {
    /// Events of the account called `user`, or of all; since a moment since 1970, or all.
    ///
    /// # Errors
    ///
    /// If a name is given, and the accounts cannot be read, or it is an address.
    pub fn new(
        source: Source<'_>,
        user: Option<&str>,
        since: Option<Duration>,
    ) -> Result<Self, Refused> {
        let whose = match user {
            Some(name) => whose(source, &as_typed::name(name))?,
            None => Whose::Anybody,
        };
        let since = since.map(written);
        Ok(Self { whose, since })
    }

    /// Whether this is one of them.
    pub fn has(&self, seen: &Seen) -> bool {
        let is_theirs = match &self.whose {
            Whose::Anybody => true,
            Whose::Id(id) => seen.id.as_ref() == Some(id),
            Whose::Name(name) => seen
                .user
                .as_ref()
                .is_some_and(|user| names::is_same(user, name)),
        };
        let is_late = self.since.as_ref().is_none_or(|since| seen.time >= *since);
        is_theirs && is_late
    }
}

fn whose(source: Source<'_>, name: &str) -> Result<Whose, Refused> {
    let (accounts, _) = source.some(|| About::account(name))?;
    check_is_name(&accounts, name)?;
    let id = accounts
        .find(name)
        .and_then(|account| account.id.as_ref())
        .map(|id| id.as_str().to_owned());
    Ok(id.map_or_else(|| Whose::Name(name.to_owned()), Whose::Id))
}
