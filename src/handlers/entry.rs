//! How a session begins: it is saved before the account that earns it, and handed out after that.
//!
//! Until then nobody has its cookie, so that the save of the account decides alone: whatever fails
//! or is killed around it, nobody is in who should be out, and nothing is spent on a session that
//! there is not.

use crate::accounts::session::{Basis, MAX_PER_ACCOUNT, Session};
use crate::accounts::throttle::Target;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, names};
use crate::handlers::tries::{Code, Judged};
use crate::handlers::{App, known_device};
use crate::http::Request;
use crate::origin::Origin;
use crate::reply::{Outcome, Refusal, SOON};

/// A session that is saved and not handed out yet.
pub(super) struct Prepared {
    id: Digest,
    basis: Basis,
    cookie: String,
}

/// Has a code judged by `step`, which begins a session if it is right and there `is_still` reason
/// to.
///
/// # Errors
///
/// As [`Begun::judge`](crate::handlers::tries::Begun::judge), or if the session could not be saved:
/// then nothing was judged.
pub(super) fn enter<T: Send + 'static>(
    app: &App,
    request: &Request,
    code: &Code,
    is_still: impl Fn(Option<&Account>) -> Result<(), Outcome> + Clone + Send + 'static,
    step: impl Fn(&mut Account) -> Judged<T> + Clone + Send + 'static,
) -> Result<Judged<(T, Prepared)>, Refusal> {
    // Again if the account is another by the time of the save: the right code had no session then.
    for _ in 0..3 {
        let begun = code.clone().begin(app, request)?;
        let prepared = match prepare_if_right(app, request, code, &is_still, &step) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                begun.forgive();
                return Err(refusal);
            }
        };
        let basis = prepared.as_ref().map(|prepared| prepared.basis);
        let step = step.clone();
        let judged = begun.judge(is_still.clone(), move |account| {
            let has_none = basis != Some(account.basis());
            if has_none && step(&mut account.clone()).is_ok() {
                return Ok(None);
            }
            step(account).map(Some)
        });
        match (judged, prepared) {
            (Ok(Ok(Some(passed))), Some(prepared)) => return Ok(Ok((passed, prepared))),
            (judged, prepared) => {
                if let Some(prepared) = prepared {
                    prepared.give_up(app);
                }
                if let Err(why) = judged? {
                    return Ok(Err(why));
                }
            }
        }
    }
    Err(Outcome::Busy(SOON).into())
}

/// The session that the code would begin as things are; a wrong one must not cost a save.
fn prepare_if_right<T>(
    app: &App,
    request: &Request,
    code: &Code,
    is_still: impl Fn(Option<&Account>) -> Result<(), Outcome>,
    step: impl Fn(&mut Account) -> Judged<T>,
) -> Result<Option<Prepared>, Refusal> {
    let accounts = app.store.accounts();
    let account = accounts.find(&code.username);
    let account = account
        .filter(|account| is_still(Some(account)).is_ok())
        .filter(|account| step(&mut Account::clone(account)).is_ok());
    account
        .map(|own| prepare(app, request, (&own.username, own.basis())))
        .transpose()
}

/// Saves a session of this user, resting on what the account will be.
pub(super) fn prepare(
    app: &App,
    request: &Request,
    (username, basis): (&str, Basis),
) -> Result<Prepared, Refusal> {
    let cookie = token::cookie();
    let id = Digest::of(&cookie);
    let now = request.received.timestamp();
    let address = request.client.to_string();
    let session = Session::new(id, (username, basis), address, agent(request), now);
    app.store
        .update_sessions(move |sessions| sessions.add(session))?;
    Ok(Prepared { id, basis, cookie })
}

impl Prepared {
    /// Takes it away: it will not be handed out.
    pub(super) fn give_up(self, app: &App) {
        // If this cannot be saved either, the store has logged it. Nobody has the cookie.
        let _ = app.store.update_sessions(move |sessions| {
            sessions.retain(|session| session.id != self.id);
        });
    }

    /// Ends what the browser had before, forgives the failures of account and browser, and gives
    /// the cookies that say so.
    pub(super) fn hand_out(
        self,
        app: &App,
        request: &Request,
        username: &str,
        device: Option<String>,
    ) -> Vec<String> {
        let before: Vec<Digest> = app.cookies.sessions(request).map(Digest::of).collect();
        let sessions = app.store.sessions();
        let is_over = before.iter().any(|id| sessions.find(*id).is_some());
        if is_over || sessions.of(username).count() > MAX_PER_ACCOUNT {
            let name = username.to_owned();
            // If this cannot be saved, the store has logged it, and the browser forgets them.
            let _ = app.store.update_sessions(move |sessions| {
                sessions.retain(|session| !before.contains(&session.id));
                sessions.make_room(&name);
            });
        }
        forgive(app, request, username);
        let mut cookies = vec![
            app.cookies.set_session(&self.cookie),
            app.cookies.end_login(),
        ];
        cookies.extend(device.map(|device| app.cookies.set_device(&device)));
        cookies
    }
}

/// Forgives the wrong passwords of account and browser, and has the network count for the account.
fn forgive(app: &App, request: &Request, username: &str) {
    let key = Digest::of(&names::key(username));
    app.throttle.clear(Target::Account(key));
    let account = app.store.resolve(username);
    let logged_in = account
        .as_deref()
        .and_then(|account| account.is_member_of(Origin::of(request.client), request.received));
    if let Some(at) = logged_in {
        app.throttle.note_member(key, request.client, at);
        app.regulars.note(Origin::of(request.client));
    }
    // Not one that another account knows: a login to one's own must not buy guesses at others.
    if let Some(known) = known_device(app, request, account.as_deref()) {
        app.throttle.clear(Target::Device(known));
    }
}

/// What the browser says it is.
pub(super) fn agent(request: &Request) -> &str {
    request.header("user-agent").unwrap_or_default()
}
