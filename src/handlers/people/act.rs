//! What administrators do to an account.
//!
//! An act is judged twice: when it comes, and in the save that carries it out, where both the one
//! who asks and the one it is about may have changed.

use crate::accounts::acts::{Act, Done, Undone};
use crate::accounts::groups::{self, Odd};
use crate::accounts::{Account, names};
use crate::as_typed;
use crate::events::{Event, Kind as EventKind};
use crate::form::{Form, FormError};
use crate::handlers::code::about_code;
use crate::handlers::forms::PasswordAndCode;
use crate::handlers::people::confirmed::{self, Whom, confirm, is_about_confirmation, sent};
use crate::handlers::people::{Administrator, ROOT, decoded, not_heard, nowhere, one, path_of};
use crate::handlers::sent_twice::check_form_field;
use crate::handlers::{Answer, App, happened};
use crate::http::Request;
use crate::mail::Notice;
use crate::pages::confirm_act::ConfirmAct;
use crate::pages::person::PersonView;
use crate::reply::{Outcome, Refusal, Reply};

/// The kinds of acts, each with a path of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Disable,
    Enable,
    EndSessions,
    Groups,
    NewPassword,
    Remove,
    ResetSecondFactor,
}

/// The path, the kind, and what a page says before the name.
const KINDS: [(&str, Kind, &str); 7] = [
    (
        "/people/NAME/disable",
        Kind::Disable,
        "disable the account of",
    ),
    ("/people/NAME/enable", Kind::Enable, "enable the account of"),
    (
        "/people/NAME/end_sessions",
        Kind::EndSessions,
        "end the sessions of",
    ),
    ("/people/NAME/groups", Kind::Groups, "change the groups of"),
    (
        "/people/NAME/new_password",
        Kind::NewPassword,
        "mail a new password to",
    ),
    ("/people/NAME/remove", Kind::Remove, "remove the account of"),
    (
        "/people/NAME/reset_2fa",
        Kind::ResetSecondFactor,
        "reset the second step of",
    ),
];

impl Kind {
    /// The kind with this last part of the path.
    pub(super) fn named(word: &str) -> Option<Self> {
        let last = |path: &'static str| path.rsplit('/').next();
        let found = KINDS.iter().find(|(path, ..)| last(path) == Some(word));
        found.map(|(_, kind, _)| *kind)
    }

    /// The path as documents write it.
    pub(super) fn route(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind, _)| *kind == self);
        found.map_or("", |(path, ..)| path)
    }

    /// "Disable the account of", and the like.
    fn in_words(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind, _)| *kind == self);
        found.map_or("", |(.., words)| words)
    }
}

/// Longest list of groups that is read, in characters: the longest that can be given, with room for
/// blanks.
pub(super) const MAX_GROUPS: usize = 8_192;

/// The fields in which the page that asks for password and code carries an act along.
const CARRIED: [&str; 2] = ["groups", "username"];

/// An act as it was asked for.
struct Asked {
    act: Act,
    confirmation: Option<PasswordAndCode>,
}

impl Asked {
    fn parse(request: &Request, name: &str, kind: Kind) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        check_form_field(form)?;
        let act = match kind {
            Kind::Disable => Act::Disable,
            Kind::Enable => Act::Enable,
            Kind::EndSessions => Act::EndSessions,
            Kind::Groups => Act::Groups(groups_field(form)?),
            Kind::NewPassword => Act::NewPassword,
            Kind::Remove => {
                check_name_again(form, name)?;
                Act::Remove
            }
            Kind::ResetSecondFactor => Act::ResetSecondFactor,
        };
        let confirmation = PasswordAndCode::read_if_sent(form)?;
        Ok(Self { act, confirmation })
    }
}

/// All the groups of an account, perhaps none. The field itself must be there, or a form that lost
/// it on the way would take them all.
fn groups_field(form: &Form<'_>) -> Result<Vec<String>, FormError> {
    let list = form.optional("groups", MAX_GROUPS)?;
    let list = list.ok_or(FormError::Field("groups", "is missing"))?;
    groups::parse(&list).map_err(odd_groups)
}

/// The refusal of a list of groups that cannot be given.
pub(super) fn odd_groups(odd: Odd) -> FormError {
    match odd {
        Odd::Name => FormError::Field(
            "groups",
            "may hold names of 1 to 64 ASCII letters, digits and . _ - with commas between",
        ),
        Odd::Many => FormError::TooLong("groups", groups::MAX, "groups"),
    }
}

fn check_name_again(form: &Form<'_>, name: &str) -> Result<(), FormError> {
    let again = form.required_as("username", as_typed::name, usize::MAX)?;
    let name = as_typed::name(&decoded(name).unwrap_or_default());
    match names::is_same(&again, &name) {
        true => Ok(()),
        false => Err(FormError::Field(
            "username",
            "is not the name of this account",
        )),
    }
}

/// `POST /people/NAME/…`: the account is changed.
pub(super) fn act(
    app: &App,
    request: &Request,
    me: &Administrator,
    name: &str,
    kind: Kind,
) -> Answer {
    let own_name = &me.0.account.username;
    let reply = carry_out(app, request, me, name, kind);
    let reply = reply.map_err(|refusal| again(app, request, me, (name, kind), refusal));
    match reply {
        Ok(reply) => Ok(reply.about(own_name)),
        Err(refusal) => Err(refusal.about(own_name)),
    }
}

fn carry_out(app: &App, request: &Request, me: &Administrator, name: &str, kind: Kind) -> Answer {
    let Asked { act, confirmation } = Asked::parse(request, name, kind)?;
    let account = one::find(app, name)?;
    if account.id == me.0.account.id && act.shuts_out() {
        return Err(Outcome::NotYourself.into());
    }
    confirm(app, request, me, confirmation)?;

    let done = save(app, request, me, &account, &act)?;
    follow_up(app, request, me, (&account, &act), done);

    let place = match &act {
        Act::Remove => ROOT.to_owned(),
        _ => path_of(&account.username),
    };
    let outcome = Outcome::of_act(act);
    let next = format!("{place}?notice={}", outcome.code());
    // The event is that of the account which it was done to.
    Ok(Reply::from(outcome).then_to(next).changing_nothing())
}

/// Carries out an act, if the one who asks may still do so and the account is still the same.
fn save(
    app: &App,
    request: &Request,
    asker: &Administrator,
    account: &Account,
    act: &Act,
) -> Result<Done, Refusal> {
    let me = &asker.0;
    let own = (account.id == me.account.id).then_some(me.session.id);
    let (act, id, now) = (
        act.clone(),
        account.id.clone(),
        request.received.timestamp(),
    );
    let (name, username) = (&me.account.username, &account.username);
    let done = app
        .store
        .change_for(name, asker.may(), username, move |person| {
            let is_same = person.account().id == id;
            is_same.then(|| act.change(person, own, now))
        })?;
    match done {
        Ok(Some(Some(Ok(done)))) => Ok(done),
        Ok(Some(Some(Err(Undone::Disabled)))) => Err(Outcome::AccountIsDisabled.into()),
        Ok(Some(Some(Err(Undone::NoAddress)))) => Err(Outcome::NoAddress.into()),
        Ok(Some(Some(Err(Undone::TooManyMails(wait))))) => Err(Outcome::Throttled(wait).into()),
        Ok(Some(None) | None) => Err(nowhere(app)),
        Err(why) => Err(not_heard(app, request, why)),
    }
}

/// What follows from an act that is saved.
fn follow_up(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    (account, act): (&Account, &Act),
    done: Done,
) {
    let (username, by) = (&account.username, &me.account.username);
    let (now, origin) = (request.received, happened::origin(request));
    let Some(kind) = EventKind::of_act(act) else {
        // That is an event once the mail is written.
        let errands = &app.errands;
        return errands.mail_counted_password(username, by, now, origin);
    };
    if done.is_told {
        app.errands.notify(account, &Notice::SecondFactorReset, now);
    }
    if done.is_change {
        let event = Event::of(kind).about(account).by(by).from(origin);
        app.events.note(match act {
            Act::Groups(groups) => event.groups(groups),
            _ => event,
        });
    }
}

/// Shows a refusal on the account's page, or on the one that asks for password and code.
fn again(
    app: &App,
    request: &Request,
    me: &Administrator,
    (name, kind): (&str, Kind),
    refusal: Refusal,
) -> Refusal {
    if matches!(refusal.outcome(), Outcome::NotFound) {
        return refusal;
    }
    let Ok(account) = one::find(app, name) else {
        return refusal;
    };
    if is_about_confirmation(app, request, me, refusal.outcome()) {
        let page = confirm_page(me, &account, request, kind);
        return refusal.beside(|problem| page.refused(about_code(request, problem)));
    }
    refusal.beside(|problem| {
        let page = PersonView {
            typed_groups: sent(request, "groups"),
            ..one::page(app, request, me, &account)
        };
        page.refused(problem)
    })
}

fn confirm_page(
    me: &Administrator,
    account: &Account,
    request: &Request,
    kind: Kind,
) -> ConfirmAct {
    confirmed::page(
        request,
        me,
        &CARRIED,
        Whom {
            back: path_of(&account.username),
            what: kind.in_words(),
            name: account.username.clone(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_path_and_words_of_its_own() {
        for (n, (path, kind, words)) in KINDS.iter().enumerate() {
            let word = path.strip_prefix("/people/NAME/").unwrap();
            assert!(Kind::named(word) == Some(*kind) && kind.in_words() == *words);
            assert_eq!(kind.route(), *path);
            let others = KINDS.iter().skip(n + 1);
            assert!(others.clone().all(|(other, ..)| other != path));
            assert!(others.clone().all(|(.., other)| other != words));
        }
    }
}
