//! What reverse proxies ask before they let a request through to an application: who is this
//! visitor, and may they enter? Nothing is changed but the time a session was last used.
//!
//! An application behind a proxy is as safe as these answers. So a yes needs a target that can be
//! read in one way only, and a rule that lets everybody in, or the account of a session or of an
//! access token; all else is a no.

mod asked;
mod program;
mod reader;

use crate::access::Ruling;
use crate::accounts::Account;
use crate::handlers::authz::asked::{Asked, Unfit};
use crate::handlers::authz::program::Brought;
use crate::handlers::sessions::{self, Presented};
use crate::handlers::{Answer, App, denied};
use crate::http::{FOREIGN_FIELD, Request};
use crate::pages::message::{Message, Way};
use crate::redirect;
use crate::rejection::Rejection;
use crate::reply::{Dialect, Identity, Outcome, Refusal, Reply, SOON, WRONG_TOKEN};

/// Where proxies ask.
pub(super) const PATHS: [&str; 3] = [
    "/api/authz/auth-request",
    "/api/authz/forward-auth",
    "/api/verify",
];

/// How proxies ask at this path, if they do.
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    match path {
        "/api/authz/auth-request" => Some(Dialect::AuthRequest),
        "/api/authz/forward-auth" => Some(Dialect::ForwardAuth),
        "/api/verify" => Some(Dialect::Verify),
        _ => None,
    }
}

/// Any method at these paths: whether the visitor may have what the proxy was asked for.
pub(super) fn check(app: &App, request: &Request, dialect: Dialect) -> Answer {
    if is_strict(request)
        && let Some(why) = request.header(FOREIGN_FIELD)
    {
        return Err(not_the_visitors(app, why));
    }
    let access = app.access.get();
    let two_readings = |host: &str, path: &str| access.two_readings(host, path);
    let asked = Asked::read(request, dialect, &app.targets, &two_readings)
        .map_err(|unfit| unanswerable(app, dialect, unfit))?;

    let host = asked.target.host_str().unwrap_or_default();
    let ruling = access.ruling(host, asked.target.path());
    let brought = Brought::of(request);
    if ruling.is_public() {
        return Ok(admitted(app, request, brought, nobody()));
    }

    let account = match sessions::presented_of_late(app, request).map_err(|_| busy(app, request))? {
        Presented::Of(me) => {
            // Whatever method the proxy uses: even one that asks by HEAD asks on behalf of a
            // visitor.
            me.session.seen(request.received.timestamp());
            me.account
        }
        Presented::Nobodys => {
            let owner = program::owner(app, request, &asked, &ruling, &brought);
            let owner = owner.map_err(|_| busy(app, request))?;
            owner.ok_or_else(|| to_login(app, request, dialect, &asked, (&ruling, &brought)))?
        }
        Presented::Two => return Err(two(app, request, dialect, &asked)),
    };
    if !ruling.admits(&account.groups) {
        return Ok(turned_away(app, &account, dialect, &asked));
    }

    Ok(admitted(app, request, brought, identity(&account)))
}

/// The yes, with who the visitor is, and with what the application gets of what they sent.
fn admitted(app: &App, request: &Request, brought: Brought, who: Identity) -> Reply {
    Reply::from(Outcome::Admitted).identifying(Identity {
        cookies: takes_cookies(request).then(|| app.cookies.others(request)),
        authorization: brought.into_foreign(),
        ..who
    })
}

/// The refusal of a question that cannot be answered.
fn unanswerable(app: &App, dialect: Dialect, unfit: Unfit) -> Refusal {
    let (dialect, why) = match unfit {
        Unfit::Unreadable(why) => (dialect, why),
        // The old endpoint has no status of its own for a method.
        Unfit::Method(why) if dialect == Dialect::Verify => (Dialect::ForwardAuth, why),
        Unfit::Method(why) => (dialect, why),
        Unfit::TwoReadings(why, site) => {
            let outcome = Outcome::TwoReadings(why);
            let page = Message {
                title: "Not a plain address".to_owned(),
                text: outcome.message().into_owned(),
                advice: "Applications differ in what they find there, so nobody is let in. Go on \
                         from the start page; if a link led here, tell whoever runs the site."
                    .to_owned(),
                onward: Way::new(site, "Start page"),
                else_to: Some(Way::new(
                    format!("{}/account", app.public_url),
                    "Your account",
                )),
            };
            return Refusal::from(outcome).showing(page);
        }
    };
    Outcome::BadTarget(dialect, why).into()
}

/// The answer to two sessions, which cannot both be the visitor's.
fn two(app: &App, request: &Request, dialect: Dialect, asked: &Asked) -> Refusal {
    let refusal = sessions::two(app, asked.target.path(), &login_url(app, asked));
    if dialect == Dialect::AuthRequest || asked.by_original_url || !reader::can_follow(request) {
        return refusal.pointing_to(login_url(app, asked));
    }
    refusal
}

/// Sends a visitor to log in and come back. nginx and programs get 401, browsers a redirect.
fn to_login(
    app: &App,
    request: &Request,
    dialect: Dialect,
    asked: &Asked,
    (ruling, brought): (&Ruling<'_>, &Brought),
) -> Refusal {
    // Browsers would ask for a password, which is none that opens anything here.
    let asks_for_token = program::takes_tokens(app, ruling) && reader::is_program(request);
    let told = dialect == Dialect::AuthRequest
        || asked.by_original_url
        || asks_for_token
        || brought.is_ours()
        || !reader::can_follow(request);
    let outcome = if told {
        Outcome::LoginRequired
    } else {
        let by_get = !matches!(asked.method.as_str(), "" | "GET" | "HEAD" | "OPTIONS");
        Outcome::SentToLogin { by_get }
    };
    let refusal = Refusal::from(outcome).pointing_to(login_url(app, asked));
    let refusal = match program::refused(app, request, brought) {
        Some(refused) => with_wrong_token(refusal, &refused),
        None => refusal,
    };
    match asked.target.host_str() {
        Some(host) if asks_for_token => refusal.challenging(host),
        _ => refusal,
    }
}

/// The same answer, of which the log tells: a guess at a token looks like any other question.
fn with_wrong_token(refusal: Refusal, refused: &program::Refused) -> Refusal {
    let refusal = refusal.telling_refused(WRONG_TOKEN);
    match &refused.owner {
        Some(owner) => refusal.about(&owner.username),
        None => refusal,
    }
}

/// nginx shows a page of its own; with the address it is given, it may lead to ours instead.
fn turned_away(app: &App, account: &Account, dialect: Dialect, asked: &Asked) -> Reply {
    let host = asked.target.host_str().unwrap_or_default();
    let reply = denied(app, account, host.to_owned());
    if dialect == Dialect::AuthRequest || asked.by_original_url {
        return reply.pointing_to(login_url(app, asked));
    }
    reply
}

/// Whether the proxy wants requests refused that carry fields its application would believe. One
/// that overwrites such fields, or whose applications read none, asks without this.
fn is_strict(request: &Request) -> bool {
    let mut parts = request.query.split('&');
    parts.any(|part| part == "strict" || part.starts_with("strict="))
}

/// Whether the proxy passes the cookies in the answer on to the application, in place of the
/// visitor's: Traefik cannot take one out of many.
fn takes_cookies(request: &Request) -> bool {
    request.query.split('&').any(|part| part == "cookie")
}

/// The page is shown at the application's host, so its links are absolute.
fn not_the_visitors(app: &App, why: &str) -> Refusal {
    let outcome = Outcome::ForeignField(why.to_owned());
    let page = Message {
        title: "Not let through".to_owned(),
        text: outcome.message().into_owned(),
        advice: "Browsers do not send such a field by themselves: an extension, a program or \
                 another proxy on your way has added it. Without it you are let through."
            .to_owned(),
        onward: Way::new(format!("{}/account", app.public_url), "Your account"),
        else_to: None,
    };
    Refusal::from(outcome).showing(page)
}

/// What a path answers if the question was not considered: too busy, not understood, a defect of
/// ours. nginx takes anything but 401 and 403 for an error: those who may come back later get 401,
/// those who must ask in another way 403.
pub(super) fn refusal(app: &App, outcome: Outcome, path: &str) -> Reply {
    if dialect(path) != Some(Dialect::AuthRequest) {
        return outcome.into();
    }
    match outcome {
        Outcome::Rejected(Rejection::BodyTooLarge) => {
            Outcome::BadTarget(Dialect::AuthRequest, "The request is too large.").into()
        }
        Outcome::Rejected(why) if !matches!(why, Rejection::Busy | Rejection::TooSlow) => {
            Outcome::RejectedQuestion(why).into()
        }
        _ => Reply::from(Outcome::LoginRequired).pointing_to(format!("{}/login", app.public_url)),
    }
}

/// The answer while the store cannot tell who the visitor is.
fn busy(app: &App, request: &Request) -> Refusal {
    refusal(app, Outcome::Busy(SOON), &request.path).into()
}

fn login_url(app: &App, asked: &Asked) -> String {
    let mut url = format!(
        "{}/login?rd={}",
        app.public_url,
        redirect::encode(asked.way_back())
    );
    if (1..=MAX_METHOD).contains(&asked.method.len()) {
        url.push_str("&rm=");
        url.push_str(&redirect::encode(&asked.method));
    }
    url
}

/// Longest method passed to the login page, in bytes; the longest registered one has 17.
const MAX_METHOD: usize = 32;

/// Stands for what is not known of a visitor: a field that is empty or missing might let a
/// visitor's own through.
const UNKNOWN: &str = "-";

fn identity(account: &Account) -> Identity {
    let id = account.id.as_ref();
    Identity {
        user: account.username.clone(),
        email: match &account.email {
            Some(email) if account.email_proven => email.clone(),
            Some(_) | None => UNKNOWN.to_owned(),
        },
        name: account.username.clone(),
        groups: account.groups.clone(),
        id: id.map_or_else(|| UNKNOWN.to_owned(), |id| id.to_string()),
        ..nobody()
    }
}

/// Who a visitor is where everybody may enter.
fn nobody() -> Identity {
    Identity {
        user: UNKNOWN.to_owned(),
        email: UNKNOWN.to_owned(),
        name: UNKNOWN.to_owned(),
        groups: Vec::new(),
        id: UNKNOWN.to_owned(),
        cookies: None,
        authorization: Vec::new(),
    }
}
