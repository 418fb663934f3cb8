//! Using an invitation: making an account by it, or choosing the password of one that was made.

use crate::accounts::Account;
use crate::accounts::invitations::{Invitation, NotRegistered};
use crate::accounts::registration;
use crate::accounts::token::{self, Digest};
use crate::handlers::confirm::link_token;
use crate::handlers::forms::{InvitedForm, Registration, Typed};
use crate::handlers::new_password::refuse_easy;
use crate::handlers::tries::begin;
use crate::handlers::visitor::{is_taken, registered, taken};
use crate::handlers::{Answer, App, hash, logged_in};
use crate::http::Request;
use crate::network::Network;
use crate::pages::invitation::Invitation as InvitationPage;
use crate::pages::message::Way;
use crate::reply::{Outcome, Refusal, Reply};
use crate::store::Invited;

/// `GET /invitation`: the form that uses it. Looking at it changes nothing.
pub(super) fn invitation_page(app: &App, request: &Request) -> Answer {
    let token = link_token(request);
    let invited = find(app, request, &token)?;
    // The page is for everybody, even when the store cannot tell who is asking.
    let me = logged_in(app, request).unwrap_or_default();
    Ok(Reply::page(InvitationPage {
        form: token::cookie(),
        me: me.map(|me| me.account.username.clone()),
        ..page(&token, &invited)
    }))
}

fn page(token: &str, (invitation, made): &Invited) -> InvitationPage {
    let token = token.to_owned();
    match made {
        Some(account) => InvitationPage {
            token,
            made: Some(account.username.clone()),
            address: account.email.clone(),
            ..InvitationPage::default()
        },
        None => InvitationPage {
            token,
            address: invitation.email.clone(),
            ..InvitationPage::default()
        },
    }
}

/// The invitation with this token, if it works here.
fn find(app: &App, request: &Request, token: &str) -> Result<Invited, Refusal> {
    let now = request.received.timestamp();
    let found = app.store.invitation(Digest::of(token), now)?;
    // Where an operator has made the account, nobody registers.
    let is_made = matches!(&found, Some((_, Some(_))));
    if app.registration == registration::Registration::Closed && !is_made {
        return Err(Outcome::RegistrationClosed.into());
    }
    found.ok_or_else(|| Outcome::NoInvitation.into())
}

/// `POST /register` with a token.
pub(super) fn register(app: &App, request: &Request, form: &InvitedForm<'_>) -> Answer {
    let (invitation, made) = find(app, request, &form.token)?;
    if let Some(account) = made {
        return claim(app, request, form, &account);
    }
    let is_mailed = invitation.email.is_some();
    let wanted = form.registration(app, request, invitation.email.as_deref())?;
    refuse_easy(app, &wanted.password, wanted.names())?;

    // Counted before it is known what is taken: asking has its price.
    let (token, now) = (Digest::of(&form.token), request.received.steady);
    let attempt = begin(app, || app.throttle.begin_invited(token, now))?;
    // It may have been used while others were looked at.
    let added = find(app, request, &form.token)
        .and_then(|_| add(app, request, &wanted, (token, invitation)));
    match &added {
        Ok(Err(NotRegistered::Taken(_))) => {
            drop(attempt);
            // Counts like a stranger's, and is not refused for that.
            let _ = app.throttle.registration(request.client, now);
        }
        _ => attempt.forgive(),
    }
    app.results.arrived();
    added?.map_err(|why| match why {
        NotRegistered::NoInvitation => Outcome::NoInvitation.into(),
        NotRegistered::Taken(taken) => is_taken(taken),
    })?;
    if !is_mailed {
        let asker = Network::of(request.client);
        app.errands
            .mail_confirmation(&wanted.username, asker, request.received);
    }
    Ok(registered(&wanted.username, &wanted.rd).by_invitation(token.short()))
}

fn add(
    app: &App,
    request: &Request,
    wanted: &Registration,
    (token, invitation): (Digest, Invitation),
) -> Result<Result<(), NotRegistered>, Refusal> {
    if let Some(taken) = taken(app, request, wanted)? {
        return Ok(Err(NotRegistered::Taken(taken)));
    }
    let standing = app.throttle.standing(request.client)?;
    let hashed = hash(app, request, standing, &wanted.password)?;
    let now = request.received.timestamp();
    let account = Account {
        // Nobody else has the link.
        email_proven: invitation.email.is_some(),
        groups: invitation.groups,
        ..Account::new(&wanted.username, &wanted.email, hashed, now)
    };
    Ok(app.store.register_invited(token, account, now)?)
}

/// Gives an account that was made without a password its first one.
fn claim(app: &App, request: &Request, form: &InvitedForm<'_>, account: &Account) -> Answer {
    let password = form.first_password(account)?;
    refuse_easy(app, &password, account.names())?;

    let standing = app.throttle.standing(request.client)?;
    let hashed = hash(app, request, standing, &password)?;
    let (token, now) = (Digest::of(&form.token), request.received.timestamp());
    let claimed = app.store.claim(token, hashed, now)?;
    let account = claimed.ok_or(Outcome::NoInvitation)?;
    Ok(registered(&account.username, "").by_invitation(token.short()))
}

/// The page of the invitation again, with what is wrong; or the way to the login where it does not
/// work.
pub(super) fn register_again(
    app: &App,
    request: &Request,
    refusal: Refusal,
    form: &InvitedForm<'_>,
) -> Refusal {
    let Ok(invited) = find(app, request, &form.token) else {
        return refusal.leading_to(Way::new("/login", "Log in"));
    };
    let typed = Typed::of(app, request);
    let page = InvitationPage {
        username: typed.username,
        email: typed.email,
        form: typed.form,
        ..page(&form.token, &invited)
    };
    refusal.beside(|problem| page.refused(problem))
}
