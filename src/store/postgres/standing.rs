//! How the database stands, as far as a node knows; each turn of it is a line in the log.

use std::time::Instant;

use crate::store::postgres::connection::Connection;

/// How the database stands.
pub(super) struct Standing {
    state: State,
    since: Instant,
}

/// What the database does.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// It reads and writes.
    Well,
    /// It reads.
    ReadOnly,
    /// It has no connection to give, and the node has none.
    Full,
    /// It does not answer, with the reason.
    Away(String),
}

impl State {
    /// As the host of this connection has said.
    pub(super) fn of(connection: &Connection) -> Self {
        match connection.takes_writes {
            true => Self::Well,
            false => Self::ReadOnly,
        }
    }
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            state: State::Well,
            since: Instant::now(),
        }
    }
}

impl Standing {
    /// Why it does not answer, if it does not.
    pub(super) fn away(&self) -> Option<&str> {
        match &self.state {
            State::Away(why) => Some(why),
            _ => None,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.state, State::Full)
    }

    /// Whether a change could be saved.
    pub(super) fn is_well(&self) -> bool {
        matches!(self.state, State::Well)
    }

    /// Notes how it stands now, and says so if that is another state; gives whether it is.
    pub(super) fn turn(&mut self, now: State) -> bool {
        if std::mem::discriminant(&self.state) == std::mem::discriminant(&now) {
            return false;
        }
        let seconds = self.since.elapsed().as_secs();
        match &now {
            State::Well => tracing::info!(seconds, "the database is back"),
            State::ReadOnly => {
                tracing::error!(reason = "it is read-only", "the database takes no changes");
            }
            State::Full => tracing::error!(
                reason = "it has no more connections to give",
                "the database takes no changes"
            ),
            State::Away(reason) => tracing::error!(reason, "the database is away"),
        }
        self.state = now;
        self.since = Instant::now();
        true
    }
}
