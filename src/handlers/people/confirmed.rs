//! How long ago a session showed password and code: an administrator's act asks for both again
//! after ten minutes.
//!
//! The login counts, and its time is on disk. What was shown since is in memory only: after a
//! restart one is asked once more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::login::Accepted;
use crate::accounts::session::Session;
use crate::accounts::token::{self, Digest};
use crate::clock::{DRIFT, Timestamp};
use crate::form::Form;
use crate::handlers::App;
use crate::handlers::acts::confirm_with;
use crate::handlers::code::tell_of_recovery_code;
use crate::handlers::forms::PasswordAndCode;
use crate::handlers::people::Administrator;
use crate::handlers::people::act::MAX_GROUPS;
use crate::http::Request;
use crate::pages::confirm_act::ConfirmAct;
use crate::reply::{Outcome, Refusal};

/// For how long password and code count as just shown.
const COUNTS: Duration = Duration::from_secs(10 * 60);

/// The sessions that have shown password and code again, and when. Only administrators are here,
/// and none for longer than ten minutes after another came.
#[derive(Default)]
pub struct Confirmed(Mutex<HashMap<Digest, Timestamp>>);

impl Confirmed {
    /// Whether this session has shown both of late.
    pub(super) fn is_fresh(&self, session: &Session, now: Timestamp) -> bool {
        let later = self.lock().get(&session.id).copied();
        counts(session.logged_in_at(), now) || later.is_some_and(|at| counts(at, now))
    }

    fn note(&self, session: Digest, now: Timestamp) {
        let mut sessions = self.lock();
        sessions.retain(|_, at| counts(*at, now));
        sessions.insert(session, now);
    }

    /// Each change is one insertion or removal, so a panic elsewhere leaves the table whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time ahead of now was noted while the clock was wrong.
fn counts(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < COUNTS && at <= now.plus(DRIFT)
}

/// Looks at password and code if they were sent, or else at how long ago they were shown.
pub(super) fn confirm(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    sent: Option<PasswordAndCode>,
) -> Result<(), Refusal> {
    let now = request.received.timestamp();
    let Some(sent) = sent else {
        return match app.confirmed.is_fresh(&me.session, now) {
            true => Ok(()),
            false => Err(Outcome::ConfirmFirst.into()),
        };
    };
    let (accepted, ()) = confirm_with(app, request, me, sent)?.judge(|_| ())?;
    if let Accepted::RecoveryCode { left } = accepted {
        tell_of_recovery_code(app, request, &me.account.username, left);
    }
    app.confirmed.note(me.session.id, now);
    Ok(())
}

/// Whether a refusal comes before the act itself, from what confirms it.
pub(super) fn is_about_confirmation(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    outcome: &Outcome,
) -> bool {
    match outcome {
        Outcome::ConfirmFirst
        | Outcome::RecoveryCodeNeeded
        | Outcome::WrongCode
        | Outcome::WrongPassword => true,
        Outcome::BadField(field, _) | Outcome::TooLong(field, ..) => {
            matches!(*field, "current_password" | "secret")
        }
        // Once both were right, the refusal is one of the act.
        Outcome::Busy(_) | Outcome::NotSaved | Outcome::Throttled(_) => {
            let now = request.received.timestamp();
            sent(request, "current_password").is_some() && !app.confirmed.is_fresh(&me.session, now)
        }
        _ => false,
    }
}

/// What an act is about, in the words of the page that asks for password and code.
pub(super) struct Whom {
    /// The page to go back to.
    pub(super) back: String,
    /// What is done, as it stands before the name.
    pub(super) what: &'static str,
    pub(super) name: String,
}

/// The page that asks for both, and carries these fields of the act along.
pub(super) fn page(
    request: &Request,
    Administrator(me): &Administrator,
    carried: &[&'static str],
    whom: Whom,
) -> ConfirmAct {
    let carried = carried.iter();
    ConfirmAct {
        action: request.path.clone(),
        back: whom.back,
        what: whom.what,
        username: whom.name,
        own_name: me.account.username.clone(),
        carried: carried
            .filter_map(|field| Some((*field, sent(request, field)?)))
            .collect(),
        form: token::cookie(),
        problem: None,
    }
}

/// A field of the form as it was sent.
pub(super) fn sent(request: &Request, field: &'static str) -> Option<String> {
    let form = Form::of_body(request).ok()?;
    let value = form.optional(field, MAX_GROUPS).ok().flatten()?;
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Account;
    use crate::accounts::password::PasswordHash;

    const LOGIN: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(LOGIN + seconds)
    }

    fn session(id: &str, created: Timestamp) -> Session {
        let hash = format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${}", "A".repeat(43));
        let hash = PasswordHash::parse(&hash).ok().unwrap();
        let account = Account::new("alice", "a@example.com", hash, at(0));
        let owner = ("alice", account.basis());
        Session::new(Digest::of(id), owner, String::new(), "", created)
    }

    #[test]
    fn a_login_counts_for_ten_minutes_and_so_does_what_is_shown_later() {
        let confirmed = Confirmed::default();
        let (own, other) = (session("own", at(0)), session("other", at(0)));
        assert!(confirmed.is_fresh(&own, at(599)));
        assert!(!confirmed.is_fresh(&own, at(600)));

        confirmed.note(own.id, at(700));
        assert!(confirmed.is_fresh(&own, at(1299)));
        assert!(!confirmed.is_fresh(&own, at(1300)));
        assert!(!confirmed.is_fresh(&other, at(701)), "another session");
    }

    #[test]
    fn a_session_that_a_new_password_began_anew_is_as_old_as_its_login() {
        let confirmed = Confirmed::default();
        let later = session("later", at(650)).after_login_at(Some(at(0)));
        assert!(!confirmed.is_fresh(&later, at(651)));
        assert!(confirmed.is_fresh(&session("later", at(650)), at(651)));
    }

    #[test]
    fn a_login_while_the_clock_was_wrong_does_not_count() {
        let confirmed = Confirmed::default();
        assert!(confirmed.is_fresh(&session("a", at(30)), at(0)));
        assert!(!confirmed.is_fresh(&session("a", at(61)), at(0)));
    }

    #[test]
    fn what_no_longer_counts_is_forgotten() {
        let confirmed = Confirmed::default();
        for n in 0..5 {
            confirmed.note(Digest::of(&n.to_string()), at(n));
        }
        confirmed.note(Digest::of("last"), at(602));
        assert_eq!(confirmed.lock().len(), 3);
    }
}
