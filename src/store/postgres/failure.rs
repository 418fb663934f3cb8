//! Why the database did not do something, in its own words.

use std::error::Error;
use std::fmt;
use std::io;

use tokio_postgres::error::SqlState;

use crate::store::postgres::tls;

/// Why something was not done. Never has a password in it: neither the database nor the client
/// library repeats one.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    said: String,
    pub(super) cause: Cause,
}

/// What stands behind a failure.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    /// The database said no, and listens for more.
    Refused(SqlState),
    /// The host takes no writes, and some are to be made.
    ReadOnly,
    /// The host is not who it should be, or has no TLS.
    Mistrust,
    /// The login did not come about for another reason than what the database said.
    NoLogin,
    /// The connection ended or was never there: what was asked for last may have been done.
    Lost,
    /// No answer came in time: what was asked for last may have been done.
    Late,
}

impl Failure {
    /// For an answer that did not come in time.
    pub(super) fn late() -> Self {
        Self::new("it does not answer", Cause::Late)
    }

    /// For a host that cannot be written to.
    pub(super) fn read_only() -> Self {
        Self::new("it is read-only", Cause::ReadOnly)
    }

    pub(super) fn new(said: impl Into<String>, cause: Cause) -> Self {
        Self {
            said: said.into(),
            cause,
        }
    }

    /// Whether it says of a COMMIT that nothing was committed. Others do not: a server that is told to
    /// end while it waits for a standby has committed already.
    pub(super) fn is_rollback(&self) -> bool {
        let classes = ["40", "23"];
        matches!(&self.cause, Cause::Refused(said)
            if classes.iter().any(|class| said.code().starts_with(class)))
    }

    /// Whether the same may be done in a moment: nobody could be asked, nothing can be written for
    /// now, or others were in the way.
    pub(super) fn is_of_the_moment(&self) -> bool {
        match &self.cause {
            Cause::Refused(said) => {
                let classes = ["08", "40", "53300", "55P03", "57", "25006"];
                classes.iter().any(|class| said.code().starts_with(class))
            }
            Cause::Lost | Cause::Late | Cause::ReadOnly | Cause::Mistrust | Cause::NoLogin => true,
        }
    }

    /// Whether nobody has said no: there is no connection any more, or none that answers.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.cause, Cause::Lost | Cause::Late)
    }

    /// Whether the database said this.
    pub(super) fn is(&self, state: &SqlState) -> bool {
        matches!(&self.cause, Cause::Refused(said) if said == state)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string(), Cause::Lost)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            let said = match refusal.detail() {
                Some(detail) => format!("{} ({detail})", refusal.message()),
                None => refusal.message().to_owned(),
            };
            return Self::new(said, Cause::Refused(refusal.code().clone()));
        }
        let inner = innermost(&error);
        let said = inner.to_string();
        // The library tells these kinds apart in its words alone.
        let cause = match error.to_string().as_str() {
            "error performing TLS handshake" if tls::is_about_trust(inner) => Cause::Mistrust,
            "authentication error" | "invalid configuration" => Cause::NoLogin,
            _ => Cause::Lost,
        };
        Self::new(said, cause)
    }
}

/// The error that began it; the others only say where it passed through.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    // An error of the system may wrap one of a library without calling that its source.
    let wrapped = inner
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => innermost(wrapped),
        None => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conflicts_say_that_a_commit_did_not_happen() {
        let refused = |state: &SqlState| Failure::new("", Cause::Refused(state.clone()));

        assert!(refused(&SqlState::T_R_SERIALIZATION_FAILURE).is_rollback());
        assert!(refused(&SqlState::T_R_DEADLOCK_DETECTED).is_rollback());
        assert!(refused(&SqlState::UNIQUE_VIOLATION).is_rollback());
        assert!(!refused(&SqlState::ADMIN_SHUTDOWN).is_rollback());
        assert!(!refused(&SqlState::QUERY_CANCELED).is_rollback());
        assert!(!Failure::late().is_rollback());
    }

    #[test]
    fn a_full_disk_is_not_over_in_a_moment() {
        let refused = |state: &SqlState| Failure::new("", Cause::Refused(state.clone()));

        for state in [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ] {
            assert!(refused(&state).is_of_the_moment(), "{}", state.code());
        }
        assert!(!refused(&SqlState::DISK_FULL).is_of_the_moment());
        assert!(!refused(&SqlState::INSUFFICIENT_PRIVILEGE).is_of_the_moment());
        assert!(Failure::late().is_of_the_moment());
    }
}
