//! One account: who somebody is, and where they are logged in.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::accounts::listed::{FIELDS, Listed, in_full, open_sessions};
use crate::accounts::session::Session;
use crate::accounts::token;
use crate::as_typed;
use crate::events::Seen;
use crate::form::Form;
use crate::handlers::account::session_views;
use crate::handlers::events::{self, Eyes};
use crate::handlers::people::list;
use crate::handlers::people::{Administrator, decoded, nowhere, path_of};
use crate::handlers::{Answer, App};
use crate::http::Request;
use crate::pages::people::{InvitationInList, listed_groups};
use crate::pages::person::PersonView;
use crate::reply::{Outcome, Refusal, Reply};
use crate::store::Unavailable;

/// `GET /people/NAME`: one account.
pub(super) fn one(app: &App, request: &Request, me: &Administrator, name: &str) -> Answer {
    let account = find(app, name)?;

    let sessions = sessions(app, request, &account)?;
    let happened = events::recent(app, &account);
    let notice = Form::of_query(request)
        .optional("notice", 64)
        .ok()
        .flatten();
    let notice = notice.and_then(|notice| what_was_done(&notice));
    let page = PersonView {
        notice: notice.map(str::to_owned),
        ..view(app, request, me, &account, (&sessions, &happened))
    };
    let json = as_json(app, &account, &sessions, &happened);
    Ok(Reply::from(Outcome::People(json, as_text(&account))).showing(page))
}

/// The account with this name, written as in a path and looked up as at a login.
pub(super) fn find(app: &App, name: &str) -> Result<Arc<Account>, Refusal> {
    let name = decoded(name).ok_or_else(|| nowhere(app))?;
    let account = app.store.account(&as_typed::name(&name))?;
    account.ok_or_else(|| nowhere(app))
}

/// What an act has come to, in words for the page that is shown after it.
fn what_was_done(code: &str) -> Option<&'static str> {
    Some(match code {
        "account_disabled" => "The account is disabled. Nobody can log in to it.",
        "account_enabled" => "The account is enabled. Its owner can log in again.",
        "groups_changed" => "The groups are changed.",
        "password_mailed" => "A new password has been sent to their e-mail address.",
        "second_factor_reset" => {
            "The second step is reset. At the next login a new authenticator app is set up."
        }
        "sessions_ended" => "The sessions have ended.",
        _ => return None,
    })
}

/// The account's sessions that are not over, the most recent first.
fn sessions(
    app: &App,
    request: &Request,
    account: &Account,
) -> Result<Vec<Arc<Session>>, Unavailable> {
    let now = request.received.timestamp();
    let all = app.store.sessions_of(&account.username)?;
    Ok(open_sessions(all, account, app.session_limits, now))
}

fn as_json(app: &App, account: &Account, sessions: &[Arc<Session>], happened: &[Seen]) -> Value {
    let mut told = in_full(account, sessions, app.session_limits);
    told["events"] = json!(events::as_json(happened, Eyes::Administrator));
    told
}

/// The open invitations to choose the first password of this account.
fn invitations(app: &App, request: &Request, account: &Account) -> Vec<InvitationInList> {
    let Ok(everybody) = app.store.everybody() else {
        return Vec::new();
    };
    let open = everybody.listed_invitations(request.received.timestamp());
    let own = open.iter();
    let own = own.filter(|one| one.account.is_some() && one.account == account.id.as_ref());
    own.map(list::invitation).collect()
}

/// A line for each field of the list.
fn as_text(account: &Account) -> String {
    let fields = Listed::from(account).fields();
    let lines = FIELDS.iter().zip(fields);
    let lines: Vec<String> = lines
        .map(|(name, field)| format!("{name}: {field}"))
        .collect();
    lines.join("\n")
}

/// The page of an account as it is now.
pub(super) fn page(
    app: &App,
    request: &Request,
    me: &Administrator,
    account: &Account,
) -> PersonView {
    // What the page is shown for matters more than sessions that cannot be read.
    let sessions = sessions(app, request, account).unwrap_or_default();
    let happened = events::recent(app, account);
    view(app, request, me, account, (&sessions, &happened))
}

fn view(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    account: &Account,
    (sessions, happened): (&[Arc<Session>], &[Seen]),
) -> PersonView {
    let listed = Listed::from(account);
    PersonView {
        path: path_of(listed.username),
        username: listed.username.to_owned(),
        email: listed.email.map(str::to_owned),
        email_proven: listed.email_proven,
        groups: listed_groups(listed.groups),
        typed_groups: None,
        state: listed.state,
        second_factor: listed.second_factor,
        recovery_codes_left: account.recovery_codes.len(),
        created: listed.created.map(|moment| moment.0),
        last_login: listed.last_login.map(|moment| moment.0),
        sessions: session_views(app, me, sessions),
        invitations: invitations(app, request, account),
        events: events::views(happened, Eyes::Administrator),
        is_own: account.id == me.account.id,
        form: token::cookie(),
        notice: None,
        problem: None,
        now: request.received.timestamp().0,
    }
}
