//! Attempts at passwords and codes, from the first count to the last: begun if it is not too early,
//! and decided by what came of them.

use std::time::Duration;

use crate::accounts::login::{CodeRefused, Tried, is_recovery_code};
use crate::accounts::throttle::{Attempt, CodeFrom, TooEarly};
use crate::accounts::token::Digest;
use crate::accounts::{Account, Accounts};
use crate::clock::Moment;
use crate::handlers::App;
use crate::http::Request;
use crate::mail::Notice;
use crate::reply::{Outcome, Refusal};

/// Begins an attempt, once it is known whether it comes too early.
pub(super) fn begin<'a>(
    app: &App,
    begin: impl Fn() -> Result<Attempt<'a>, TooEarly>,
) -> Result<Attempt<'a>, Refusal> {
    let begun = app.results.wait_for(|| match begin() {
        Ok(attempt) => Some(Ok(attempt)),
        Err(TooEarly::Wait(wait)) => Some(Err(Outcome::Throttled(wait))),
        Err(TooEarly::Undecided) => None,
    })?;
    Ok(begun?)
}

/// Ends an attempt, as a failure or as if it had not been, and tells those who wait for that.
pub(super) fn decide(app: &App, attempt: Attempt<'_>, failed: bool) {
    if failed {
        drop(attempt);
    } else {
        attempt.forgive();
    }
    app.results.arrived();
}

/// A code that somebody tries.
pub(super) struct Code {
    pub(super) username: String,
    pub(super) tried: Tried,
    /// The browser, if the account knows it.
    pub(super) known: Option<Digest>,
    /// Whether a mailed password came first: then the network's wait does not hold it up.
    pub(super) after_mail: bool,
    pub(super) now: Moment,
}

impl Code {
    /// Why it is not to be judged, so far as the account is concerned.
    fn is_stopped(&self, account: &Account) -> Option<CodeRefused> {
        account.stops(&self.tried, self.known, self.now)
    }

    fn from(&self) -> CodeFrom {
        let cannot_be_guessed = match &self.tried {
            Tried::Own(typed) => is_recovery_code(typed),
            Tried::PrintedKey => true,
            Tried::New => false,
        };
        match self.known {
            Some(_) => CodeFrom::KnownBrowser,
            None if cannot_be_guessed || self.after_mail => CodeFrom::Excused,
            None => CodeFrom::Stranger,
        }
    }

    /// Begins an attempt, unless its network has to wait. Then what is told is what is left of both
    /// waits; otherwise the account's is looked at where it is judged, as the file then has it.
    fn begin<'a>(&self, app: &'a App, request: &Request) -> Result<Attempt<'a>, Refusal> {
        let begun = self.begin_after(app, request, None);
        if begun.is_ok() {
            return begun;
        }
        let accounts = app.store.accounts();
        let account = accounts.find(&self.username);
        match account.and_then(|account| self.is_stopped(account)) {
            Some(CodeRefused::RecoveryCodeNeeded) => Err(Outcome::RecoveryCodeNeeded.into()),
            Some(CodeRefused::TooEarly(wait)) => self.begin_after(app, request, Some(wait)),
            Some(CodeRefused::Wrong | CodeRefused::WrongMeanwhile) | None => begun,
        }
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

/// What came of a code: what the change gave, or why it was refused; none if there was nobody to
/// judge it for.
pub(super) type Judged<T> = Option<Result<T, CodeRefused>>;

/// Has a code judged by `change` and the judgement saved; only a wrong one stays counted against
/// its network. Tells the owner if it is the one too many, and a password had to come first.
///
/// # Errors
///
/// If it comes too early, or could not be saved; then it is not counted.
pub(super) fn judge<T: Send + 'static>(
    app: &App,
    request: &Request,
    code: Code,
    change: impl FnOnce(&mut Account) -> Result<T, CodeRefused> + Send + 'static,
    is_still: impl FnOnce(&Account) -> bool + Send + 'static,
) -> Result<Judged<T>, Refusal> {
    let attempt = code.begin(app, request)?;
    let (username, now) = (code.username.clone(), code.now);
    let judged = app.store.update(move |accounts: &mut Accounts| {
        let account = accounts
            .find(&code.username)
            .filter(|account| is_still(account))?;
        // Looked at before the change, so that an attempt made too early costs no save.
        if let Some(why) = code.is_stopped(account) {
            return Some((Err(why), false));
        }
        accounts.change(&code.username, |account| {
            let judged = change(account);
            let is_known = code
                .known
                .is_some_and(|known| account.knows_device(known, now.timestamp()));
            let is_wrong = matches!(judged, Err(CodeRefused::Wrong));
            let is_told = is_wrong && !is_known && account.wrong_codes.is_to_be_told();
            (judged, is_told)
        })
    });
    let is_wrong = matches!(judged, Ok(Some((Err(CodeRefused::Wrong), _))));
    decide(app, attempt, is_wrong);
    let judged = judged?;
    if let Some((_, true)) = judged
        && app.script.is_none()
        && let Some(account) = app.store.resolve(&username)
    {
        app.errands.notify(&account, &Notice::PasswordKnown, now);
    }
    Ok(judged.map(|(judged, _)| judged))
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
