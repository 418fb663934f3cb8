//! The same form sent twice: a double click, a reload, a retry by the browser. Whatever spends a
//! code, begins a session or sends mail is done once; whoever sends the form again within a minute
//! gets the first answer, and whoever sends it while it is being worked on waits for that answer.
//!
//! A form is the same if it comes to the same path from the same browser with the same fields. Of
//! these only a keyed digest is kept. The answers are in memory only, and are wiped after the
//! minute.

use std::io;
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::accounts::Account;
use crate::accounts::token::{Digest, DigestKey};
use crate::as_typed;
use crate::clock::Timestamp;
use crate::form::{Form, FormError};
use crate::handlers::forms::rd_of;
use crate::handlers::sessions::{Presented, lasting, presented};
use crate::handlers::{Answer, App, LoggedIn, people};
use crate::http::{Method, Request};
use crate::network::Network;
use crate::reply::{Outcome, REPEATED, Refusal, Reply, SOON};
use crate::store::Unavailable;

use table::{Begun, Crowded, Table};

mod table;

/// Lengths of the field `form`, in bytes.
const FORM_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// What shows that two forms came from one browser.
#[derive(Clone, Copy, PartialEq)]
enum Browser {
    /// The cookie of a login that waits for its code, or for a new password.
    Login,
    /// The field `form`, which differs from page to page.
    Page,
    /// The cookie of the session.
    Session,
}

/// The forms whose answer is repeated, with the fields that make them the same.
const FORMS: &[(&str, Browser, &[&str])] = &[
    // With an invitation; then without an address, which it may settle; then of an account that was
    // made already.
    (
        "/register",
        Browser::Page,
        &["token", "username", "email", "password"],
    ),
    (
        "/register",
        Browser::Page,
        &["token", "username", "password"],
    ),
    ("/register", Browser::Page, &["token", "password"]),
    (
        "/register",
        Browser::Page,
        &["username", "email", "password"],
    ),
    ("/confirm", Browser::Page, &["token"]),
    ("/confirm", Browser::Session, &["token"]),
    (
        "/account/email",
        Browser::Session,
        &["email", "current_password"],
    ),
    ("/account/email/confirmation", Browser::Session, &[]),
    (
        "/login",
        Browser::Page,
        &["username", "password", "rd", "remember"],
    ),
    ("/forgot_password", Browser::Page, &["username"]),
    ("/secret_key", Browser::Login, &["secret"]),
    (
        "/secret_key/passkey",
        Browser::Login,
        &["client", "data", "signature", "id"],
    ),
    (
        "/account/password",
        Browser::Session,
        &["current_password", "new_password"],
    ),
    ("/account/password", Browser::Login, &["new_password"]),
    (
        "/account/recovery_codes",
        Browser::Session,
        &["current_password", "secret"],
    ),
    (
        "/account/totp",
        Browser::Session,
        &["current_password", "secret"],
    ),
    ("/account/totp/confirm", Browser::Session, &["secret"]),
    (
        "/account/passkeys",
        Browser::Session,
        &["current_password", "secret"],
    ),
    (
        "/account/passkeys/confirm",
        Browser::Session,
        &["client", "attestation"],
    ),
    (
        "/account/passkeys/remove",
        Browser::Session,
        &["passkey", "current_password"],
    ),
    (
        "/account/delete",
        Browser::Session,
        &["current_password", "secret"],
    ),
    (
        "/account/tokens",
        Browser::Session,
        &["name", "hosts", "days", "current_password", "secret"],
    ),
    (
        "/account/tokens/remove",
        Browser::Session,
        &["token", "current_password"],
    ),
    // Repeated only if the visitor's own session ended: ending others twice does no harm.
    ("/account/sessions/end", Browser::Session, &["session"]),
];

/// The browsers that may send a form to this path, and the fields that make it the same.
fn forms_at(path: &str) -> Vec<(Browser, &'static [&'static str])> {
    if people::Rest::is_for(path) {
        return vec![(Browser::Session, people::Rest::FIELDS)];
    }
    let forms = FORMS.iter().filter(|(known, ..)| *known == path);
    forms
        .map(|(_, browser, fields)| (*browser, *fields))
        .collect()
}

/// Answers with `handle`, or repeats what it answered to the same form.
pub(super) fn answer_once(
    app: &App,
    request: &Request,
    handle: fn(&App, &Request) -> Answer,
) -> Answer {
    let Some(same) = Same::of(app, request) else {
        return handle(app, request);
    };
    let key = same.key(app, &same.who);
    loop {
        match app.sent_twice.answers.begin(key)? {
            Begun::First(under_way) => {
                let reply = same.keeping_login(app, handle(app, request)?);
                if let Some(rests_on) = RestsOn::of(app, request, &same, &reply) {
                    let (mut kept, moved) = (reply.clone(), same.moved(app, &reply));
                    let (bytes, from) = (bytes(&mut kept), Network::of(request.client));
                    let kept = Kept {
                        reply: kept,
                        rests_on,
                    };
                    under_way.keep(kept, bytes, from, moved);
                }
                return Ok(reply);
            }
            Begun::Again(kept) if kept.stands(app, request) => {
                return Ok(kept.reply.clone().noted_as(REPEATED));
            }
            Begun::Again(kept) => app.sent_twice.answers.forget(key, &kept),
        }
    }
}

/// How much memory a kept answer takes, in bytes.
fn bytes(reply: &mut Reply) -> usize {
    let mut bytes = size_of::<Kept>() + reply.page_bytes() + reply.place().len();
    reply.each_secret(|secret| bytes = bytes.saturating_add(secret.capacity()));
    bytes
}

/// Checks the field `form` of a page, which a program may send too.
pub(super) fn check_form_field(form: &Form<'_>) -> Result<(), FormError> {
    let value = form.optional("form", usize::MAX)?;
    if value.is_none_or(|value| is_form_value(&value)) {
        return Ok(());
    }
    let what = "must be 16 to 64 letters, digits, hyphens and underscores";
    Err(FormError::Field("form", what))
}

/// The field `form` as it was sent, for a page that is shown again; empty if there was none.
pub(super) fn sent_form(form: &Form<'_>) -> String {
    let value = form.optional("form", usize::MAX).ok().flatten();
    let value = value.filter(|value| is_form_value(value));
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn is_form_value(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    FORM_LENGTHS.contains(&value.len()) && value.bytes().all(plain)
}

/// What makes a form the same as another.
struct Same<'a> {
    browser: Browser,
    path: &'a str,
    /// What the browser is known by.
    who: Zeroizing<String>,
    values: Vec<Zeroizing<String>>,
}

impl<'a> Same<'a> {
    /// `None` if the form is not one of those that are answered once.
    fn of(app: &App, request: &'a Request) -> Option<Self> {
        if request.method != Method::Post {
            return None;
        }
        let forms = forms_at(&request.path);
        if forms.is_empty() {
            return None;
        }
        let form = Form::of_body(request).ok()?;
        let mut same = forms.into_iter().filter_map(|(browser, fields)| {
            let who = who(app, request, &form, browser)?;
            let values = fields.iter().map(|field| value(app, request, &form, field));
            let values = values.collect::<Option<_>>()?;
            Some(Self {
                browser,
                path: &request.path,
                who,
                values,
            })
        });
        same.next()
    }

    /// The key of the form when it comes from this browser.
    fn key(&self, app: &App, who: &str) -> Digest {
        let values = self.values.iter().map(|value| value.as_str());
        let texts = [self.path, who].into_iter().chain(values);
        app.sent_twice.key.digest(texts)
    }

    /// The key of the same form sent with the cookie that the answer puts in place of its own:
    /// that is how a browser reloads a page that shows something once.
    fn moved(&self, app: &App, reply: &Reply) -> Option<Digest> {
        let login = app.cookies.given_login(reply.cookies())?;
        let is_other = self.browser == Browser::Login && login != self.who.as_str();
        is_other.then(|| self.key(app, login))
    }

    /// Leaves the cookie of a finished login in the browser for the minute: it opens nothing but
    /// the same answer.
    fn keeping_login(&self, app: &App, mut reply: Reply) -> Reply {
        let is_done = app.cookies.given_session(reply.cookies()).is_some();
        if self.browser == Browser::Login && is_done {
            let kept = app.cookies.keep_login(&self.who);
            reply.exchange_cookie(&app.cookies.end_login(), kept);
        }
        reply
    }
}

/// A field as it is compared; `None` if the form cannot be used.
fn value(
    app: &App,
    request: &Request,
    form: &Form<'_>,
    field: &'static str,
) -> Option<Zeroizing<String>> {
    if field == "rd" {
        return rd_of(app, request, form).ok().map(Zeroizing::new);
    }
    let may_lack = field == "remember" || people::Rest::is_for(&request.path);
    if may_lack {
        let value = form.optional_as(field, as_meant(field), usize::MAX);
        return value.ok().map(Option::unwrap_or_default);
    }
    form.required_as(field, as_meant(field), usize::MAX).ok()
}

fn who(
    app: &App,
    request: &Request,
    form: &Form<'_>,
    browser: Browser,
) -> Option<Zeroizing<String>> {
    let who = match browser {
        // The original script knows no such cookie.
        Browser::Login if app.script.is_some() => return None,
        Browser::Login => Zeroizing::new(app.cookies.login(request)?.to_owned()),
        Browser::Page => {
            let value = form.optional("form", usize::MAX).ok().flatten()?;
            is_form_value(&value).then_some(value)?
        }
        // All cookies that came: a planted one comes again too.
        Browser::Session => {
            let all: Vec<&str> = app.cookies.sessions(request).collect();
            Zeroizing::new(all.join(";"))
        }
    };
    (!who.is_empty()).then_some(who)
}

/// How a field is read before it is compared.
fn as_meant(field: &str) -> fn(&str) -> Zeroizing<String> {
    match field {
        "secret" => as_typed::code,
        "username" | "email" => as_typed::name,
        _ => |value| Zeroizing::new(value.to_owned()),
    }
}

/// What must still be there for an answer to be given again.
#[derive(Clone, Copy)]
enum RestsOn {
    Nothing,
    /// The account that was made.
    Account,
    /// What an administrator's act left.
    Act(people::Rest),
    /// The login that the answer's cookie names.
    Login,
    Session(Digest),
    /// A session, and an address of its account that is not proven, by its digest.
    Unproven(Digest, Digest),
    /// A session, and the address of its account, by its digest.
    Address(Digest, Digest),
}

impl RestsOn {
    /// `None` if that is gone already, or the answer is not to be repeated.
    fn of(app: &App, request: &Request, same: &Same<'_>, reply: &Reply) -> Option<Self> {
        if let Some(session) = app.cookies.given_session(reply.cookies()) {
            return Some(Self::Session(Digest::of(session)));
        }
        if people::Rest::is_for(same.path) {
            return people::Rest::after(app, request, &reply.outcome).map(Self::Act);
        }
        let ends_own = app.cookies.ends_session(reply.cookies());
        match (same.browser, &reply.outcome) {
            (_, Outcome::Registered) => Some(Self::Account),
            (Browser::Session, Outcome::AccountDeleted) => Some(Self::Nothing),
            (Browser::Session, Outcome::SessionsEnded) => ends_own.then_some(Self::Nothing),
            (Browser::Session, _) => match presented(app, request) {
                Ok(Presented::Of(me)) => Some(Self::own(&me, &reply.outcome)),
                Ok(Presented::Nobodys | Presented::Two) | Err(Unavailable) => None,
            },
            _ if app.cookies.given_login(reply.cookies()).is_some() => Some(Self::Login),
            _ => Some(Self::Nothing),
        }
    }

    fn own(me: &LoggedIn, outcome: &Outcome) -> Self {
        let id = me.session.id;
        match outcome {
            Outcome::ConfirmationSent => Self::Unproven(id, address(&me.account)),
            Outcome::ChangeMailed => Self::Address(id, address(&me.account)),
            _ => Self::Session(id),
        }
    }
}

fn address(account: &Account) -> Digest {
    Digest::of(account.email.as_deref().unwrap_or_default())
}

struct Kept {
    reply: Reply,
    rests_on: RestsOn,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.reply.each_secret(Zeroize::zeroize);
    }
}

impl Kept {
    /// Whether everything that the answer would give again is still there.
    fn stands(&self, app: &App, request: &Request) -> bool {
        let now = request.received.timestamp();
        match self.rests_on {
            RestsOn::Nothing => true,
            RestsOn::Account => {
                let name = self.reply.user.as_deref();
                name.is_some_and(|name| matches!(app.store.account(name), Ok(Some(_))))
            }
            RestsOn::Act(rest) => rest.stands(app, request, now),
            RestsOn::Login => {
                let login = app.cookies.given_login(self.reply.cookies());
                login.is_some_and(|cookie| {
                    let code = app.store.pending_login(cookie, now);
                    let choice = || app.store.pending_choice(cookie, now);
                    matches!(code, Ok(Some(_))) || matches!(choice(), Ok(Some(_)))
                })
            }
            RestsOn::Session(id) => {
                let me = lasting(app, id, now).ok().flatten();
                me.is_some_and(|me| self.still_opens(app, (id, &me.account), now))
            }
            RestsOn::Address(id, email) => {
                let me = lasting(app, id, now).ok().flatten();
                me.is_some_and(|me| address(&me.account) == email)
            }
            RestsOn::Unproven(id, email) => {
                let me = lasting(app, id, now).ok().flatten();
                me.is_some_and(|me| !me.account.email_proven && address(&me.account) == email)
            }
        }
    }

    /// Whether what the answer shows can still be used: the key waits for its code, the access
    /// token or the passkey is there, or one of the recovery codes is left.
    fn still_opens(&self, app: &App, (id, account): (Digest, &Account), now: Timestamp) -> bool {
        if let Outcome::EnrolRequired { secret, .. } = &self.reply.outcome {
            let moving = app.store.moving(id, now);
            return matches!(moving, Ok(Some(moving)) if moving.secret.base32() == *secret);
        }
        if let Outcome::TokenMade(made) = &self.reply.outcome {
            return account.token(&made.id).is_some();
        }
        if let Outcome::PasskeyAdded(Some(made)) = &self.reply.outcome {
            return account.passkey(made).is_some();
        }
        let codes = self.reply.outcome.recovery_codes();
        let left = &account.recovery_codes;
        let is_left = |code: &String| left.iter().any(|digest| digest.matches(code));
        codes.is_empty() || codes.iter().any(is_left)
    }
}

/// The answers of the last minute, and the forms that are being worked on.
pub struct SentTwice {
    answers: Table<Kept>,
    /// Passwords can be guessed, and a digest without a key would confirm a right guess.
    key: DigestKey,
}

impl SentTwice {
    /// Starts the thread that forgets answers. `now` is the steady clock.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(now: impl Fn() -> Duration + Send + Sync + 'static) -> io::Result<Self> {
        Ok(Self {
            answers: Table::open(now)?,
            key: DigestKey::new(),
        })
    }
}

impl From<Crowded> for Refusal {
    fn from(_: Crowded) -> Self {
        Outcome::Busy(SOON).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::enrol::Enrol;
    use crate::pages::recovery_codes::RecoveryCodes;

    #[test]
    fn the_value_of_a_page_is_plain_and_neither_short_nor_long() {
        for value in ["0123456789abcdef", &"_-Az".repeat(16)] {
            assert!(is_form_value(value));
        }
        for value in [
            "",
            "0123456789abcde",
            &"a".repeat(65),
            "0123456789abcde+",
            "0123456789abcd\u{e9}",
        ] {
            assert!(!is_form_value(value), "{value}");
        }
    }

    #[test]
    fn what_is_shown_once_is_wiped_and_counted() {
        let codes = vec!["aaaa-bbbb".to_owned(), "cccc-dddd".to_owned()];
        let page = RecoveryCodes {
            username: "alice".to_owned(),
            codes: codes.clone(),
            onward: "/account".to_owned(),
        };
        let key = || "KEY".to_owned();
        let enrol = Enrol {
            key: key(),
            otpauth: key(),
            ..Enrol::default()
        };
        let outcome = Outcome::EnrolRequired {
            secret: key(),
            otpauth: key(),
        };
        for (reply, secrets) in [
            (Reply::from(Outcome::RecoveryCodes(codes.clone())), 2),
            (Reply::from(Outcome::LoginComplete(codes.clone())), 2),
            (Reply::from(Outcome::PasswordChangeRequired(codes)), 2),
            (Reply::from(Outcome::Script("new".to_owned())), 1),
            (Reply::from(outcome), 2),
            (Reply::from(Outcome::Registered).showing(page), 2),
            (Reply::from(Outcome::Registered).showing(enrol), 2),
            (
                Reply::from(Outcome::Registered).with_cookie("name=value".to_owned()),
                1,
            ),
        ] {
            let (mut reply, mut seen) = (reply, 0);
            reply.each_secret(|secret| seen += usize::from(!secret.is_empty()));
            assert_eq!(seen, secrets, "{}", reply.outcome.code());
            assert!(bytes(&mut reply) > size_of::<Kept>());
            reply.each_secret(Zeroize::zeroize);
            reply.each_secret(|secret| assert!(secret.is_empty()));
        }
    }
}
