//! Sessions that have shown password and code again since their login. What is kept for a while on
//! that ground is kept with the account: so it holds on all nodes, and across a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::accounts::kept::Unknown;
use crate::accounts::session::Session;
use crate::accounts::token::Digest;
use crate::clock::{DRIFT, Timestamp};

/// For how long password and code count as just shown.
const COUNTS: Duration = Duration::from_secs(10 * 60);

/// A session that has shown both again.
#[derive(Clone, Deserialize, Serialize)]
pub struct ShownAgain {
    /// [`Session::id`].
    pub session: Digest,
    /// When.
    pub at: Timestamp,
    /// What somebody else keeps in the file.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Account {
    /// Whether this session of the account has shown both within ten minutes, at its login or since.
    pub fn has_shown_of_late(&self, session: &Session, now: Timestamp) -> bool {
        let mut again = self.shown_again.iter();
        counts(session.logged_in_at(), now)
            || again.any(|shown| shown.session == session.id && counts(shown.at, now))
    }

    /// Notes that this session has just shown both, and forgets whatever counts no more.
    pub fn note_shown(&mut self, session: Digest, now: Timestamp) {
        self.shown_again
            .retain(|shown| shown.session != session && counts(shown.at, now));
        self.shown_again.push(ShownAgain {
            session,
            at: now,
            other: Unknown::default(),
        });
    }
}

/// A time ahead of now was noted while the clock was wrong.
fn counts(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < COUNTS && at <= now.plus(DRIFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::password::PasswordHash;

    const LOGIN: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(LOGIN + seconds)
    }

    fn account() -> Account {
        let hash = PasswordHash::quick();
        Account::new("alice", "a@example.com", hash, at(0))
    }

    fn session(id: &str, created: Timestamp) -> Session {
        let owner = ("alice", account().basis());
        Session::new(Digest::of(id), owner, String::new(), "", created)
    }

    #[test]
    fn a_login_counts_for_ten_minutes_and_so_does_what_is_shown_later() {
        let mut alice = account();
        let (own, other) = (session("own", at(0)), session("other", at(0)));
        assert!(alice.has_shown_of_late(&own, at(599)));
        assert!(!alice.has_shown_of_late(&own, at(600)));

        alice.note_shown(own.id, at(700));
        assert!(alice.has_shown_of_late(&own, at(1299)));
        assert!(!alice.has_shown_of_late(&own, at(1300)));
        assert!(!alice.has_shown_of_late(&other, at(701)), "another session");
    }

    #[test]
    fn a_session_that_a_new_password_began_anew_is_as_old_as_its_login() {
        let alice = account();
        let later = session("later", at(650)).after_login_at(Some(at(0)));
        assert!(!alice.has_shown_of_late(&later, at(651)));
        assert!(alice.has_shown_of_late(&session("later", at(650)), at(651)));
    }

    #[test]
    fn a_login_while_the_clock_was_wrong_does_not_count() {
        let alice = account();
        assert!(alice.has_shown_of_late(&session("a", at(30)), at(0)));
        assert!(!alice.has_shown_of_late(&session("a", at(61)), at(0)));
    }

    #[test]
    fn what_no_longer_counts_is_forgotten() {
        let mut alice = account();
        for n in 0..5 {
            alice.note_shown(Digest::of(&n.to_string()), at(n));
        }
        alice.note_shown(Digest::of("last"), at(602));
        alice.note_shown(Digest::of("last"), at(603));
        assert_eq!(alice.shown_again.len(), 2);
    }
}
