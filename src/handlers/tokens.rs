//! Access tokens on the account page: made, listed, removed.

use serde_json::{Value, json};

use crate::accounts::access_token::{AccessToken, MAX_DAYS, MAX_HOSTS};
use crate::accounts::login::Accepted;
use crate::accounts::password::Password;
use crate::accounts::person::Person;
use crate::accounts::{Account, token};
use crate::as_typed;
use crate::form::{Form, FormError};
use crate::handlers::account::account_again;
use crate::handlers::acts::{confirm, confirm_with};
use crate::handlers::code::tell_of_recovery_code;
use crate::handlers::forms::{PasswordAndCode, label_field, password_field};
use crate::handlers::grounds::{Grounds, gone};
use crate::handlers::{Answer, App, LoggedIn, require_login};
use crate::host;
use crate::http::Request;
use crate::mail::Notice;
use crate::pages::access_token::{TokenMade, TokenView, TypedToken};
use crate::pages::account::AccountForm;
use crate::reply::{MadeToken, Outcome, Refusal, Reply};

/// Longest field `hosts`, in characters: the most hosts of the longest names, with blanks.
const MAX_HOSTS_FIELD: usize = MAX_HOSTS * 256;

/// Whether there are access tokens at all: they open applications, which share the session. The
/// original script knows none.
pub(super) fn are_offered(app: &App) -> bool {
    app.targets.is_shared() && app.script.is_none()
}

/// Whether a path is there only where there are access tokens.
pub(super) fn is_at(path: &str) -> bool {
    path == "/account/tokens" || path.starts_with("/account/tokens/")
}

/// `POST /account/tokens`.
struct NewToken {
    name: String,
    hosts: Vec<String>,
    days: u64,
    proof: PasswordAndCode,
}

impl NewToken {
    fn parse(app: &App, request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        let name = label_field(form, "name")?;
        let name = name.ok_or(FormError::Field("name", "is missing"))?;
        let hosts = form.required_as("hosts", as_typed::name, MAX_HOSTS_FIELD)?;
        let hosts = read_hosts(app, &hosts).ok_or(FormError::Field("hosts", HOSTS))?;
        let days = form.required_as("days", as_typed::name, usize::MAX)?;
        let days = read_days(&days).ok_or(FormError::Field("days", DAYS))?;
        Ok(Self {
            name,
            hosts,
            days,
            proof: PasswordAndCode::read(form)?,
        })
    }
}

/// What is wrong with a list of hosts.
const HOSTS: &str = "must name 1 to 20 hosts of applications here, such as app.example.com, \
                     without ports and wildcards";

/// What is wrong with a number of days.
const DAYS: &str = "must be a number from 1 to 365";

fn read_days(text: &str) -> Option<u64> {
    let days = text
        .parse()
        .ok()
        .filter(|days| (1..=MAX_DAYS).contains(days));
    // A sign is no part of a number of days.
    days.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The hosts in a list with blanks or commas between; `None` if it is none.
fn read_hosts(app: &App, list: &str) -> Option<Vec<String>> {
    let mut hosts: Vec<String> = Vec::new();
    let named = list.split(|c: char| c == ',' || c.is_whitespace());
    for name in named.filter(|name| !name.is_empty()) {
        let name = idna::domain_to_ascii(name).ok()?;
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        if !host::is_name(&name) || !app.targets.takes_tokens_at(&name) {
            return None;
        }
        if !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    (1..=MAX_HOSTS).contains(&hosts.len()).then_some(hosts)
}

/// `POST /account/tokens`: a new token, shown once.
pub(super) fn make(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let asked = NewToken::parse(app, request)?;
    let now = request.received.timestamp();
    // Before the code is used up.
    if !me.account.may_add_token(now) {
        return Err(Outcome::TooManyTokens.into());
    }

    let secret = token::access_token();
    let made = AccessToken::new(&secret, &asked.name, asked.hosts, asked.days, now);
    let (id, expires, added) = (made.id.clone(), made.expires, made.clone());
    let act = confirm_with(app, request, &me, asked.proof)?;
    let may = move |account: &Account| match account.may_add_token(now) {
        true => Ok(()),
        false => Err(Outcome::TooManyTokens),
    };
    let add = move |person: &mut Person<'_>| person.account_mut().add_token(added.clone(), now);
    let (accepted, added) = act.judge_if(may, add)?;
    if let Accepted::RecoveryCode { left } = accepted {
        tell_of_recovery_code(app, request, &me.account.username, left);
    }
    added.map_err(|_| Outcome::TooManyTokens)?;
    let notice = Notice::TokenMade {
        name: made.name.clone(),
        hosts: made.hosts.clone(),
        expires,
    };
    app.errands.notify(&me.account, &notice, request.received);

    let page = TokenMade {
        username: me.account.username.clone(),
        token: secret.to_string(),
        name: made.name,
        hosts: made.hosts,
        expires: expires.0,
    };
    let token = secret.to_string();
    let outcome = Outcome::TokenMade(Box::new(MadeToken { token, id, expires }));
    Ok(Reply::from(outcome)
        .showing(page)
        .about(&me.account.username))
}

/// The account page again, with what is wrong beside this form.
pub(super) fn make_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    account_again(app, request, refusal, AccountForm::NewToken)
}

/// `POST /account/tokens/remove`.
struct RemoveToken {
    id: String,
    current: Password,
}

impl RemoveToken {
    fn parse(request: &Request) -> Result<Self, FormError> {
        let form = &Form::of_body(request)?;
        Ok(Self {
            id: form.required("token", 64)?.to_string(),
            current: password_field(form, "current_password")?,
        })
    }
}

/// `POST /account/tokens/remove`: the token is good for nothing from now on.
pub(super) fn remove(app: &App, request: &Request) -> Answer {
    let me = require_login(app, request, "%2Faccount")?;
    let RemoveToken { id, current } = RemoveToken::parse(request)?;

    let proof = confirm(app, request, &me, current)?;
    let grounds = Grounds::password(&me, &proof);
    let removed = app.store.change(&me.account.username, move |person| {
        grounds.hold(Some(person))?;
        // Looked for first, since asking to change an account means a save.
        if person.account().token(&id).is_none() {
            return Err(Outcome::NotFound);
        }
        person
            .account_mut()
            .remove_token(&id)
            .ok_or(Outcome::NotFound)
    })?;
    let removed = removed
        .unwrap_or(Err(Outcome::LoginRequired))
        .map_err(gone)?;
    let notice = Notice::TokenRemoved { name: removed.name };
    app.errands.notify(&me.account, &notice, request.received);

    Ok(Reply::from(Outcome::TokenRemoved)
        .then_to("/account?notice=token_removed")
        .about(&me.account.username))
}

/// As [`make_again`].
pub(super) fn remove_again(app: &App, request: &Request, refusal: Refusal) -> Refusal {
    match refusal.outcome() {
        // Another page of the same account has removed it; this one still lists it.
        Outcome::NotFound => refusal,
        _ => account_again(app, request, refusal, AccountForm::RemoveToken),
    }
}

/// What programs are told of an account's tokens; `None` where there are none to be had.
pub(super) fn as_json(app: &App, me: &LoggedIn) -> Option<Value> {
    let one = |token: &AccessToken| {
        json!({
            "id": token.id,
            "name": token.name,
            "hosts": token.hosts,
            "created": token.created,
            "expires": token.expires,
            "used": app.token_uses.of(token),
        })
    };
    are_offered(app).then(|| me.account.tokens.iter().map(one).collect())
}

/// The account's tokens as its page lists them; `None` where there are none to be had.
pub(super) fn views(app: &App, request: &Request, me: &LoggedIn) -> Option<Vec<TokenView>> {
    let now = request.received.timestamp();
    let one = |token: &AccessToken| TokenView {
        id: token.id.clone(),
        name: token.name.clone(),
        hosts: token.hosts.clone(),
        outside: token
            .hosts
            .iter()
            .filter(|host| !app.targets.takes_tokens_at(host))
            .cloned()
            .collect(),
        created: token.created.0,
        expires: token.expires.0,
        is_living: token.is_living(now),
        used: app.token_uses.of(token).map(|used| used.0),
    };
    are_offered(app).then(|| me.account.tokens.iter().map(one).collect())
}

/// What was typed into the form for a new token, for the form again.
pub(super) fn typed(request: &Request) -> TypedToken {
    let form = Form::of_body(request).ok().filter(|_| is_at(&request.path));
    let typed = |field| {
        let value = form.as_ref()?.optional(field, MAX_HOSTS_FIELD).ok()?;
        value.map(|value| value.to_string())
    };
    TypedToken {
        name: typed("name").unwrap_or_default(),
        hosts: typed("hosts").unwrap_or_default(),
        days: typed("days").unwrap_or_default(),
    }
}
