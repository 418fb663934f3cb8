//! The list of all accounts, or of those that somebody looks for.

use serde_json::{Value, json};

use crate::accounts::listed::{Found, Listed, ListedInvitation};
use crate::accounts::registration::Registration;
use crate::accounts::{Account, Accounts, names, token};
use crate::as_typed;
use crate::form::{Form, FormError};
use crate::handlers::people::path_of;
use crate::handlers::{Answer, App};
use crate::http::Request;
use crate::pages::people::{InvitationInList, PeopleView, PersonInList};
use crate::reply::{Outcome, Reply};

/// Stands in the form that invites: as many days as if nothing is said.
const USUAL_DAYS: &str = "7";

/// What is looked for.
struct Sought {
    /// Part of a name or address, or a group; everybody if empty.
    text: String,
    page: usize,
}

impl Sought {
    fn parse(query: &Form<'_>) -> Result<Self, FormError> {
        let text = query.optional_as("q", as_typed::name, names::MAX_EMAIL)?;
        let page = query.optional("page", usize::MAX)?.unwrap_or_default();
        Ok(Self {
            text: text.map(|text| text.to_string()).unwrap_or_default(),
            page: page_of(&page).ok_or(FormError::Field("page", "must be a number from 1 on"))?,
        })
    }
}

/// The number of a page; the first, if it is not said. One too great to count is beyond the last.
fn page_of(sent: &str) -> Option<usize> {
    if sent.is_empty() {
        return Some(1);
    }
    let is_number = sent.bytes().all(|byte| byte.is_ascii_digit());
    let page = is_number.then(|| sent.parse().unwrap_or(usize::MAX))?;
    (page > 0).then_some(page)
}

/// `GET /people`: a page of the list.
pub(super) fn list(app: &App, request: &Request) -> Answer {
    let query = Form::of_query(request);
    let sought = Sought::parse(&query)?;

    let everybody = app.store.everybody()?;
    let found = everybody.found(&sought.text, sought.page);

    let notice = query.optional("notice", 64).ok().flatten();
    let invitations = everybody.listed_invitations(request.received.timestamp());
    let page = PeopleView {
        notice: notice.and_then(|notice| what_was_done(&notice)),
        ..view(app, request, &found, &sought, &invitations)
    };
    let json = as_json(&found, page.page, &invitations);
    let told = Outcome::People(json, as_text(&found));
    Ok(Reply::from(told).showing(page))
}

/// What an act has come to, in words for the list, which is shown after it.
fn what_was_done(code: &str) -> Option<String> {
    let said = match code {
        "account_removed" => "The account has been removed.",
        "invitation_ended" => "The invitation is withdrawn. Its link opens nothing any more.",
        _ => return None,
    };
    Some(said.to_owned())
}

/// What somebody typed into the form that invites.
pub(super) struct TypedInvitation {
    pub(super) email: String,
    pub(super) groups: String,
    pub(super) days: String,
}

/// The first page of everybody, with what was typed into the form that invites.
pub(super) fn first_page(
    app: &App,
    request: &Request,
    everybody: &Accounts,
    typed: TypedInvitation,
) -> PeopleView {
    let sought = Sought {
        text: String::new(),
        page: 1,
    };
    let found = everybody.found(&sought.text, sought.page);
    let invitations = everybody.listed_invitations(request.received.timestamp());
    PeopleView {
        typed_email: typed.email,
        typed_groups: typed.groups,
        typed_days: typed.days,
        ..view(app, request, &found, &sought, &invitations)
    }
}

fn view(
    app: &App,
    request: &Request,
    found: &Found<'_>,
    sought: &Sought,
    invitations: &[ListedInvitation<'_>],
) -> PeopleView {
    PeopleView {
        people: found.people.iter().map(|one| in_list(one)).collect(),
        total: found.total,
        page: sought.page,
        pages: found.pages(),
        sought: sought.text.clone(),
        can_invite: app.registration != Registration::Closed,
        invitations: shown_with(sought, invitations),
        typed_email: String::new(),
        typed_groups: String::new(),
        typed_days: USUAL_DAYS.to_owned(),
        form: token::cookie(),
        notice: None,
        problem: None,
        now: request.received.timestamp().0,
    }
}

/// The invitations that are shown with these people: on the first page, and of those looked for.
/// Those of accounts that were made are on the pages of these.
fn shown_with(sought: &Sought, invitations: &[ListedInvitation<'_>]) -> Vec<InvitationInList> {
    let text = names::key(&sought.text);
    let is_sought = |one: &&ListedInvitation<'_>| {
        let email = names::key(one.email.unwrap_or_default());
        sought.page == 1 && one.account.is_none() && email.contains(text.as_ref())
    };
    let shown = invitations.iter().filter(is_sought);
    shown.map(invitation).collect()
}

/// An invitation as a page shows it.
pub(super) fn invitation(listed: &ListedInvitation<'_>) -> InvitationInList {
    InvitationInList {
        id: listed.id.clone(),
        email: listed.email.map(str::to_owned),
        groups: listed.groups.to_vec(),
        by: listed.by.to_owned(),
        expires: listed.expires.0,
    }
}

fn in_list(account: &Account) -> PersonInList {
    let listed = Listed::from(account);
    PersonInList {
        path: path_of(listed.username),
        username: listed.username.to_owned(),
        email: listed.email.map(str::to_owned),
        groups: listed.groups.to_vec(),
        state: listed.state,
        second_factor: listed.second_factor,
        last_login: listed.last_login.map(|moment| moment.0),
    }
}

fn as_json(found: &Found<'_>, page: usize, invitations: &[ListedInvitation<'_>]) -> Value {
    let people: Vec<Listed<'_>> = found.people.iter().map(|one| Listed::from(*one)).collect();
    json!({
        "people": people,
        "total": found.total,
        "page": page,
        "pages": found.pages(),
        "invitations": invitations,
    })
}

/// A line for each person.
fn as_text(found: &Found<'_>) -> String {
    let people = found.people.iter().map(|one| Listed::from(*one));
    let lines: Vec<String> = people.map(|one| one.fields().join("\t")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn a_page_is_a_number_from_one_on() {
        for (sent, page) in [
            ("", Some(1)),
            ("1", Some(1)),
            ("007", Some(7)),
            ("99999999999999999999999", Some(usize::MAX)),
            ("0", None),
            ("000", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            (" 1", None),
            ("x", None),
            ("\u{661}", None),
        ] {
            assert_eq!(page_of(sent), page, "{sent:?}");
        }
    }
}
