//! Lasting changes to one's own account: each asks for the password, a code, or both.

use crate::accounts::Account;
use crate::accounts::login::{Accepted, Authenticated, Tried};
use crate::accounts::password::Password;
use crate::accounts::pending::{PendingMove, Stage};
use crate::accounts::person::Person;
use crate::accounts::token::Digest;
use crate::accounts::totp::Secret;
use crate::clock::Moment;
use crate::handlers::account::account_again;
use crate::handlers::code::tell_of_recovery_code;
use crate::handlers::forms::{ConfirmKey, PasswordAndCode};
use crate::handlers::grounds::Grounds;
use crate::handlers::login::check_password;
use crate::handlers::tries::{Begun, Code};
use crate::handlers::{Answer, App, LoggedIn, known_device, require_login};
use crate::http::Request;
use crate::mail::Notice;
use crate::pages::account::AccountForm;
use crate::pages::enrol::Enrol;
use crate::pages::message::{Message, Way};
use crate::pages::recovery_codes::RecoveryCodes;
use crate::reply::{Outcome, Refusal, Reply};

/// Asks for the password again before something that cannot be undone.
pub(super) fn confirm(
    app: &App,
    request: &Request,
    me: &LoggedIn,
    current: Password,
) -> Result<Authenticated, Refusal> {
    let proof = check_password(app, request, &me.account.username, &current)?;
    // A mailed password leads to choosing a new one, and to nothing else.
    let proof = proof.filter(|proof| proof.mailed.is_none());
    Ok(proof.ok_or(Outcome::WrongPassword)?)
}

/// The account page again, with what is wrong beside this form.
pub(super) fn recovery_codes_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::RecoveryCodes)
}

/// As [`recovery_codes_again`].
pub(super) fn move_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::Move)
}

/// As [`recovery_codes_again`].
pub(super) fn delete_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::Delete)
}

/// `POST /account/recovery_codes`: ten new recovery codes; the old ones stop working.
pub(super) fn new_recovery_codes(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let act = confirm_both(app, request, &me)?;
    let (_, codes) = act.judge(|person| person.account_mut().new_recovery_codes())?;
    app.errands.notify(
        &me.account,
        &Notice::RecoveryCodesReplaced,
        request.received,
    );

    let page = RecoveryCodes {
        username: me.account.username.clone(),
        codes: codes.clone(),
        onward: "/account".to_owned(),
    };
    Ok(Reply::from(Outcome::RecoveryCodes(codes))
        .showing(page)
        .about(&me.account.username))
}

/// `POST /account/totp`: a new key, which replaces the old one once a code from it is sent.
pub(super) fn begin_move(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let moving = PendingMove {
        username: me.account.username.clone(),
        secret: Secret::new(),
    };
    let (id, stage) = (me.session.id, Stage::Move(moving.clone()));
    let now = request.received.timestamp();
    let act = confirm_both(app, request, &me)?;
    let accepted = act.judge(move |person| person.begin_pending(id, stage.clone(), now))?;
    if let (Accepted::RecoveryCode { left }, ()) = accepted {
        tell_of_recovery_code(app, request, &me.account.username, left);
    }
    let page = moving_page(app, &moving);
    let outcome = Outcome::EnrolRequired {
        secret: page.key.clone(),
        otpauth: page.otpauth.clone(),
    };

    let username = &me.account.username;
    Ok(Reply::from(outcome).showing(page).about(username))
}

/// `POST /account/totp/confirm`: a code from the new key makes that key the second factor.
pub(super) fn confirm_move(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let now = request.received.timestamp();
    let moving = app.store.moving(me.session.id, now)?;
    let moving =
        moving.ok_or_else(|| Refusal::from(Outcome::NoPendingLogin).showing(too_late()))?;

    replace_secret(app, request, &me, &moving).map_err(|refusal| {
        refusal
            .about(&moving.username)
            .beside(|problem| moving_page(app, &moving).refused(problem))
    })
}

/// The page that shows the new key and asks for a code from it.
fn moving_page(app: &App, moving: &PendingMove) -> Enrol {
    Enrol {
        username: moving.username.clone(),
        key: moving.secret.base32(),
        otpauth: moving.secret.otpauth(&app.issuer, &moving.username),
        moving: true,
        ..Enrol::default()
    }
}

/// The page for visitors who confirm a key that no longer waits for a code.
fn too_late() -> Message {
    Message {
        title: "Set up your new authenticator again".to_owned(),
        text: "That key is no longer waiting for a code. Nothing was changed.".to_owned(),
        advice: "A new key waits five minutes, and a restart of this site may end it too; or it \
                 was confirmed already. Unless it was, remove it from the new app and begin again: \
                 your old authenticator still works."
            .to_owned(),
        onward: Way::new("/account", "Your account"),
        else_to: None,
    }
}

fn replace_secret(app: &App, request: &Request, me: &LoggedIn, moving: &PendingMove) -> Answer {
    let typed = ConfirmKey::parse(request)?.secret.to_string();

    let device = known_device(app, request, Some(&me.account));
    let (secret, now) = (moving.secret.clone(), request.received);
    let (grounds, id) = (Grounds::session(me), me.session.id);
    let code = Code {
        pending: Some(id),
        ..code(request, me, Tried::New, device)
    };
    let (still, asked) = (grounds, secret.clone());
    let judged = code.begin(app, request)?.judge(
        move |person| {
            still.hold(person)?;
            let moving = person.and_then(|person| person.moving());
            let waits = moving.is_some_and(|moving| moving.secret == asked);
            waits.then_some(()).ok_or(Outcome::NoPendingLogin)
        },
        move |person| {
            let account = person.account_mut();
            account.move_to_secret(&secret, &typed, device, now)?;
            person.end_pending(id);
            person.forget_pending();
            Ok(())
        },
    )?;
    judged.map_err(Outcome::from)?;
    app.errands
        .notify(&me.account, &Notice::AuthenticatorChanged, request.received);

    Ok(Reply::from(Outcome::AuthenticatorChanged)
        .then_to("/account?notice=authenticator_changed")
        .about(&me.account.username))
}

/// `POST /account/delete`: deletes the account and all its sessions.
pub(super) fn delete(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let now = request.received.timestamp();
    confirm_both(app, request, &me)?.judge(move |person| {
        person.remove(now);
        person.forget_pending();
    })?;
    app.errands
        .notify(&me.account, &Notice::AccountDeleted, request.received);

    Ok(Reply::from(Outcome::AccountDeleted)
        .then_to("/login?notice=account_deleted")
        .with_cookie(app.cookies.end_session())
        .clearing_site_data()
        .of_gone(me.account.id.clone())
        .about(&me.account.username))
}

/// An act whose password was right. Its code is judged in the same save as the act itself.
pub(super) struct Act<'a> {
    begun: Begun<'a>,
    grounds: Grounds,
    typed: String,
    device: Option<Digest>,
    now: Moment,
}

/// Asks for the password, and for a code or a recovery code.
fn confirm_both<'a>(app: &'a App, request: &Request, me: &LoggedIn) -> Result<Act<'a>, Refusal> {
    let sent = PasswordAndCode::parse(request)?;
    confirm_with(app, request, me, sent)
}

/// As [`confirm_both`], with what was sent.
pub(super) fn confirm_with<'a>(
    app: &'a App,
    request: &Request,
    me: &LoggedIn,
    sent: PasswordAndCode,
) -> Result<Act<'a>, Refusal> {
    let PasswordAndCode { current, secret } = sent;
    let typed = secret.to_string();

    let proof = confirm(app, request, me, current)?;
    let device = known_device(app, request, Some(&me.account));
    let code = code(request, me, Tried::Own(typed.clone()), device);
    Ok(Act {
        begun: code.begin(app, request)?,
        grounds: Grounds::password(me, &proof),
        typed,
        device,
        now: request.received,
    })
}

impl Act<'_> {
    /// Uses up the code and makes the change in one save; gives the kind of code, and what
    /// `change` gave.
    pub(super) fn judge<T: Send + 'static>(
        self,
        change: impl Fn(&mut Person<'_>) -> T + Send + 'static,
    ) -> Result<(Accepted, T), Refusal> {
        self.judge_if(|_| Ok(()), change)
    }

    /// As [`Act::judge`], unless `may` refuses it to the account as it is then: no code is used up by
    /// what is refused.
    pub(super) fn judge_if<T: Send + 'static>(
        self,
        may: impl Fn(&Account) -> Result<(), Outcome> + Send + 'static,
        change: impl Fn(&mut Person<'_>) -> T + Send + 'static,
    ) -> Result<(Accepted, T), Refusal> {
        let Self {
            begun,
            grounds,
            typed,
            device,
            now,
        } = self;
        let judged = begun.judge(
            move |person| {
                grounds.hold(person)?;
                person.map_or(Ok(()), |person| may(person.account()))
            },
            move |person| {
                let accepted = person.account_mut().accept_code(&typed, device, now)?;
                Ok((accepted, change(person)))
            },
        )?;
        judged.map_err(|why| Outcome::from(why).into())
    }
}

/// A code tried by a visitor who is logged in.
fn code(request: &Request, me: &LoggedIn, tried: Tried, known: Option<Digest>) -> Code {
    Code {
        username: me.account.username.clone(),
        tried,
        known,
        after_mail: false,
        pending: None,
        now: request.received,
    }
}
