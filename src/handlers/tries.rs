//! Attempts at passwords and codes: begun unless they come too early, and counted as failures until
//! they are decided.

use std::time::Duration;

use crate::accounts::Account;
use crate::accounts::login::{CodeRefused, Tried, is_recovery_code};
use crate::accounts::person::Person;
use crate::accounts::throttle::CodeFrom;
use crate::accounts::token::Digest;
use crate::clock::Moment;
use crate::handlers::App;
use crate::handlers::grounds::gone;
use crate::http::Request;
use crate::mail::Notice;
use crate::reply::{Outcome, Refusal};
use crate::store::Unavailable;
use crate::store::counts::{Attempt, NotBegun, Refused};

/// Begins an attempt, once it is known whether it comes too early.
pub(super) fn begin<T>(app: &App, begin: impl Fn() -> Result<T, NotBegun>) -> Result<T, Refusal> {
    let again = app.throttle.ask_again();
    app.results.wait_for(again, || match begin() {
        Ok(attempt) => Some(Ok(attempt)),
        Err(NotBegun::Wait(wait)) => Some(Err(Outcome::Throttled(wait).into())),
        Err(NotBegun::Unavailable) => Some(Err(Unavailable.into())),
        Err(NotBegun::Undecided) => None,
    })?
}

/// The refusal of what has been done too often within the hour.
pub(super) fn too_often(why: Refused) -> Refusal {
    match why {
        Refused::Wait(wait) => Outcome::Throttled(wait).into(),
        Refused::Unavailable => Unavailable.into(),
    }
}

/// Ends an attempt, as a failure or as if it had never been made, and wakes those who wait for it.
pub(super) fn decide(app: &App, attempt: Attempt<'_>, failed: bool) {
    if failed {
        drop(attempt);
    } else {
        attempt.forgive();
    }
    app.results.arrived();
}

/// A code that somebody tries.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) username: String,
    pub(super) tried: Tried,
    /// The browser, if the account knows it.
    pub(super) known: Option<Digest>,
    /// Whether a mailed password came first: then the network's wait does not apply.
    pub(super) after_mail: bool,
    /// The id of the login, or of the move to a new authenticator, that waits for it.
    pub(super) pending: Option<Digest>,
    pub(super) now: Moment,
}

impl Code {
    /// The account's reason not to have this code judged, if there is one.
    fn is_stopped(&self, account: &Account) -> Option<CodeRefused> {
        account.stops(&self.tried, self.known, self.now)
    }

    /// Whether the owner is told of this wrong code: it is one too many, and not from a browser
    /// that the account knows.
    fn is_told(&self, account: &Account) -> bool {
        let now = self.now.timestamp();
        let is_known = self.known.is_some_and(|own| account.knows_device(own, now));
        !is_known && account.wrong_codes.is_to_be_told()
    }

    fn from(&self) -> CodeFrom {
        let cannot_be_guessed = match &self.tried {
            Tried::Own(typed) => is_recovery_code(typed),
            Tried::Passkey(_) | Tried::PrintedKey => true,
            Tried::New => false,
        };
        match self.known {
            Some(_) => CodeFrom::KnownBrowser,
            None if cannot_be_guessed || self.after_mail => CodeFrom::Excused,
            None => CodeFrom::Stranger,
        }
    }

    /// Begins an attempt, unless its network has to wait; the refusal then names what is left of
    /// both waits, the network's and the account's. Otherwise the account's wait is checked when
    /// the code is judged, against the account as it then is.
    pub(super) fn begin<'a>(self, app: &'a App, request: &Request) -> Result<Begun<'a>, Refusal> {
        let begun = self.begin_after(app, request, None);
        let why = match begun {
            Ok(attempt) => {
                let code = self;
                return Ok(Begun { app, code, attempt });
            }
            Err(why) => why,
        };
        let account = app.store.account(&self.username)?;
        Err(
            match account.and_then(|account| self.is_stopped(&account)) {
                Some(CodeRefused::RecoveryCodeNeeded) => Outcome::RecoveryCodeNeeded.into(),
                Some(CodeRefused::TooEarly(wait)) => {
                    let both = self.begin_after(app, request, Some(wait));
                    both.err().unwrap_or(why)
                }
                Some(CodeRefused::Wrong | CodeRefused::WrongMeanwhile) | None => why,
            },
        )
    }

    fn begin_after<'a>(
        &self,
        app: &'a App,
        request: &Request,
        of_account: Option<Duration>,
    ) -> Result<Attempt<'a>, Refusal> {
        begin(app, || {
            let (from, now) = (self.from(), self.now.steady);
            app.throttle
                .begin_code(from, request.client, of_account, now)
        })
    }
}

/// A code that is being tried. It counts as wrong until it is decided.
pub(super) struct Begun<'a> {
    app: &'a App,
    code: Code,
    attempt: Attempt<'a>,
}

/// What came of a code: what the change gave, or why it was refused.
pub(super) type Judged<T> = Result<T, CodeRefused>;

impl Begun<'_> {
    /// Has `change` judge the code and saves the result, if `is_still` finds reason to; only a
    /// wrong code stays counted against its network. Tells the owner if it is one too many, except
    /// in compatibility mode, where the code may come without a password.
    ///
    /// # Errors
    ///
    /// If there is no reason left, or the result could not be saved; the code is not counted then.
    pub(super) fn judge<T: Send + 'static>(
        self,
        is_still: impl Fn(Option<&Person<'_>>) -> Result<(), Outcome> + Send + 'static,
        change: impl Fn(&mut Person<'_>) -> Judged<T> + Send + 'static,
    ) -> Result<Judged<T>, Refusal> {
        let Self { app, code, attempt } = self;
        let (username, pending, now) = (code.username.clone(), code.pending, code.now);
        let if_gone = is_still(None).err().unwrap_or(Outcome::LoginRequired);
        let judge = move |person: &mut Person<'_>| {
            is_still(Some(person))?;
            // Checked before the change, so that an attempt made too early costs no save.
            if let Some(why) = code.is_stopped(person.account()) {
                return Ok((Err(why), false));
            }
            let judged = change(person);
            let is_wrong = matches!(judged, Err(CodeRefused::Wrong));
            let is_told = is_wrong && code.is_told(person.account());
            Ok((judged, is_told))
        };
        let judged = match pending {
            Some(id) => {
                let at = (id, now.timestamp());
                app.store.change_pending(at, &username, judge)
            }
            None => app.store.change(&username, judge),
        };
        let judged = judged.map(|judged| judged.unwrap_or(Err(if_gone)));
        let is_wrong = matches!(judged, Ok(Ok((Err(CodeRefused::Wrong), _))));
        decide(app, attempt, is_wrong);
        let judged = judged
            .map_err(Refusal::from)
            .and_then(|judged| judged.map_err(gone));
        let (judged, is_told) = judged.map_err(|refusal| refusal.about(&username))?;
        if is_told
            && app.script.is_none()
            && let Ok(Some(account)) = app.store.account(&username)
        {
            app.errands.notify(&account, &Notice::PasswordKnown, now);
        }
        Ok(judged)
    }
}

impl From<CodeRefused> for Outcome {
    fn from(why: CodeRefused) -> Self {
        match why {
            CodeRefused::RecoveryCodeNeeded => Self::RecoveryCodeNeeded,
            CodeRefused::TooEarly(wait) => Self::Throttled(wait),
            CodeRefused::Wrong | CodeRefused::WrongMeanwhile => Self::WrongCode,
        }
    }
}
