//! Invitations, as administrators make and withdraw them.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::accounts::groups;
use crate::accounts::invitations::{self, Invitation};
use crate::accounts::kept::Unknown;
use crate::accounts::registration::Registration;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Taken, names};
use crate::as_typed;
use crate::events::{Event, Kind};
use crate::form::{Form, FormError};
use crate::handlers::code::about_code;
use crate::handlers::forms::{PasswordAndCode, optional_email};
use crate::handlers::people::act::{MAX_GROUPS, odd_groups};
use crate::handlers::people::confirmed::{self, Whom, confirm, is_about_confirmation, sent};
use crate::handlers::people::list::{self, TypedInvitation};
use crate::handlers::people::{Administrator, ROOT, not_heard};
use crate::handlers::sent_twice::check_form_field;
use crate::handlers::{Answer, App, happened};
use crate::http::Request;
use crate::mail::Mail;
use crate::pages::Problem;
use crate::pages::confirm_act::ConfirmAct;
use crate::pages::invited::Invited as InvitedPage;
use crate::reply::{Invited, Outcome, Refusal, Reply};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The fields in which the page that asks for password and code carries an act along.
const CARRIED: [&str; 4] = ["email", "groups", "days", "invitation"];

/// `POST /people/invite`.
struct InviteForm {
    email: Option<String>,
    groups: Vec<String>,
    valid: Duration,
    confirmation: Option<PasswordAndCode>,
}

impl InviteForm {
    fn parse(request: &Request) -> Result<Self, Refusal> {
        let form = &Form::of_body(request)?;
        check_form_field(form)?;
        let groups = form.optional("groups", MAX_GROUPS)?.unwrap_or_default();
        Ok(Self {
            email: optional_email(form)?,
            groups: groups::of_new_account(&groups).map_err(odd_groups)?,
            valid: days(form)?,
            confirmation: PasswordAndCode::read_if_sent(form)?,
        })
    }
}

/// For how many days an invitation works, if that is said.
fn days(form: &Form<'_>) -> Result<Duration, FormError> {
    let sent = form.optional_as("days", as_typed::name, usize::MAX)?;
    let Some(sent) = sent.filter(|sent| !sent.is_empty()) else {
        return Ok(invitations::USUAL_LIFETIME);
    };
    let is_number = sent.bytes().all(|byte| byte.is_ascii_digit());
    let days: Option<u32> = is_number.then(|| sent.parse().ok()).flatten();
    let valid = days.map(|days| DAY.saturating_mul(days));
    valid
        .filter(|valid| (DAY..=invitations::MAX_LIFETIME).contains(valid))
        .ok_or(FormError::Field("days", "must be a number from 1 to 90"))
}

/// `POST /people/invite`: a link that makes an account.
pub(super) fn invite(app: &App, request: &Request, me: &Administrator) -> Answer {
    let reply = make(app, request, me);
    let reply = reply.map_err(|refusal| again(app, request, me, refusal));
    about(me, reply)
}

fn make(app: &App, request: &Request, me: &Administrator) -> Answer {
    let form = InviteForm::parse(request)?;
    if app.registration == Registration::Closed {
        return Err(Outcome::RegistrationClosed.into());
    }
    confirm(app, request, me, form.confirmation)?;

    let (token, now) = (token::link(), request.received);
    let invitation = Invitation {
        email: form.email,
        groups: form.groups,
        by: me.0.account.username.clone(),
        expires: now.timestamp().plus(form.valid),
        account: None,
        other: Unknown::default(),
    };
    let digest = Digest::of(&token);
    let asker = &me.0.account.username;
    let entry = (digest, invitation.clone());
    let made = app
        .store
        .invite_for(asker, me.may(), entry, now.timestamp())?;
    match made {
        Ok(Ok(())) => {}
        Ok(Err(Taken::Email | Taken::Username)) => return Err(Outcome::EmailExists.into()),
        Err(why) => return Err(not_heard(app, request, why)),
    }

    let link = Zeroizing::new(format!(
        "{}/invitation?token={}",
        app.public_url,
        token.as_str()
    ));
    note(
        app,
        request,
        me,
        Kind::Invited,
        (&digest.short(), &invitation),
    );
    if let Some(email) = &invitation.email {
        let ends = (now, invitation.expires);
        let mail = Mail::invitation(email, None, &link, ends, &app.public_url);
        app.errands.mail_invitation(mail, now);
    }
    Ok(told(&link, digest, invitation))
}

/// The answer that shows the link, this once.
fn told(link: &str, token: Digest, invitation: Invitation) -> Reply {
    let page = InvitedPage {
        link: link.to_owned(),
        email: invitation.email.clone(),
        groups: invitation.groups.clone(),
        expires: invitation.expires.0,
    };
    let made = Invited {
        id: token.short(),
        link: link.to_owned(),
        expires: invitation.expires,
        email: invitation.email,
        groups: invitation.groups,
    };
    Reply::from(Outcome::Invited(Box::new(made))).showing(page)
}

/// `POST /people/invitations/end`: an invitation is withdrawn.
pub(super) fn end(app: &App, request: &Request, me: &Administrator) -> Answer {
    let reply = withdraw(app, request, me);
    let reply = reply.map_err(|refusal| again(app, request, me, refusal));
    about(me, reply)
}

fn withdraw(app: &App, request: &Request, me: &Administrator) -> Answer {
    let form = &Form::of_body(request)?;
    check_form_field(form)?;
    let id = form.required("invitation", names::MAX_EMAIL)?;
    confirm(app, request, me, PasswordAndCode::read_if_sent(form)?)?;

    let (asker, now) = (&me.0.account.username, request.received.timestamp());
    let ended = app
        .store
        .end_invitation_for(asker, me.may(), &id, now)?
        .map_err(|why| not_heard(app, request, why))?;
    let ended = ended.ok_or(Outcome::NoInvitation)?;
    note(app, request, me, Kind::InvitationEnded, (&id, &ended));
    let outcome = Outcome::InvitationEnded;
    let next = format!("{ROOT}?notice={}", outcome.code());
    Ok(Reply::from(outcome).then_to(next))
}

/// Notes what became of an invitation.
fn note(
    app: &App,
    request: &Request,
    Administrator(me): &Administrator,
    kind: Kind,
    (id, invitation): (&str, &Invitation),
) {
    let event = Event::of(kind)
        .by(&me.account.username)
        .invitation(id)
        .groups(&invitation.groups)
        .from(happened::origin(request));
    app.events.note(match &invitation.email {
        Some(email) => event.email(email),
        None => event,
    });
}

/// Names the administrator for the log.
fn about(me: &Administrator, reply: Answer) -> Answer {
    let name = &me.0.account.username;
    match reply {
        Ok(reply) => Ok(reply.about(name)),
        Err(refusal) => Err(refusal.about(name)),
    }
}

/// Shows a refusal on the list, or on the page that asks for password and code.
fn again(app: &App, request: &Request, me: &Administrator, refusal: Refusal) -> Refusal {
    if matches!(refusal.outcome(), Outcome::NotFound) {
        return refusal;
    }
    if is_about_confirmation(app, request, me, refusal.outcome()) {
        let page = confirm_page(request, me);
        return refusal.beside(|problem| page.refused(about_code(request, problem)));
    }
    let Ok(everybody) = app.store.everybody() else {
        return refusal;
    };
    let field = |name| sent(request, name).unwrap_or_default();
    let typed = TypedInvitation {
        email: field("email"),
        groups: field("groups"),
        days: field("days"),
    };
    let is_there = matches!(refusal.outcome(), Outcome::EmailExists);
    refusal.beside(|problem| {
        let advice = match is_there {
            // The usual advice is for whoever wants the account.
            true => "They have an account already: find them below.".to_owned(),
            false => problem.advice.clone(),
        };
        let problem = Problem { advice, ..problem };
        list::first_page(app, request, &everybody, typed).refused(problem)
    })
}

fn confirm_page(request: &Request, me: &Administrator) -> ConfirmAct {
    let email = sent(request, "email").filter(|email| !email.is_empty());
    let whom = match sent(request, "invitation") {
        Some(_) => Whom {
            back: ROOT.to_owned(),
            what: "withdraw",
            name: "an invitation".to_owned(),
        },
        None => Whom {
            back: ROOT.to_owned(),
            what: "invite",
            name: email.unwrap_or_else(|| "somebody by a link".to_owned()),
        },
    };
    confirmed::page(request, me, &CARRIED, whom)
}
