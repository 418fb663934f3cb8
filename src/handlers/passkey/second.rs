//! The second step of a login, by passkey: the password was right, so whoever is there need not be
//! checked once more.

use crate::accounts::Account;
use crate::accounts::login::Tried;
use crate::accounts::passkey::{Purpose, Refused, Step};
use crate::accounts::pending::PendingLogin;
use crate::accounts::token::Digest;
use crate::handlers::code::{beside_code, waiting};
use crate::handlers::passkey::forms::Shown;
use crate::handlers::passkey::{look, refused};
use crate::handlers::second_step::{Waiting, pass};
use crate::handlers::{Answer, App};
use crate::http::Request;
use crate::reply::Outcome;

/// `POST /secret_key/passkey`: a passkey of the account completes the login.
pub(in crate::handlers) fn second_step(app: &App, request: &Request) -> Answer {
    let (cookie, login) = waiting(app, request)?;

    judge(app, request, cookie, &login)
        .map_err(|refusal| beside_code(app, request, &login, refusal))
}

fn judge(app: &App, request: &Request, cookie: &str, login: &PendingLogin) -> Answer {
    let shown = Shown::parse(request)?;

    let account = app.store.account(&login.username)?;
    let what = (
        Step::AfterPassword,
        Purpose::AfterPassword(Digest::of(cookie)),
    );
    let (used, held, why) = match look(app, request, account.as_deref(), what, &shown)? {
        Ok((used, held)) => (Some(used), Some(held), Refused::Unknown),
        Err(Refused::Expired) => return Err(Outcome::PasskeyExpired.into()),
        Err(why) => (None, None, why),
    };
    let waiting = Waiting {
        cookie,
        login,
        account: account.as_deref(),
    };
    let now = request.received;
    let is_right = used.is_some();
    let accept = move |account: &mut Account, known| {
        let accepted = account.accept_passkey(is_right, known, now, |account| {
            let used = used.as_ref()?;
            account.use_passkey(used, now.timestamp()).ok()
        })?;
        Ok((accepted, Vec::new()))
    };
    match pass(app, request, waiting, Tried::Passkey(is_right), accept)? {
        Ok(reply) => {
            if let Some(held) = held {
                held.use_up();
            }
            Ok(reply)
        }
        Err(stopped) => match Outcome::from(stopped) {
            Outcome::WrongCode => {
                let why = (Step::AfterPassword, why);
                Err(refused(app, request, account.as_deref(), why, &shown))
            }
            outcome => Err(outcome.into()),
        },
    }
}
