//! Every route: parse, decide, respond.
//!
//! A handler sees no socket, file, lock or clock, and no status number. Routes for visitors without
//! a session are in `visitor`, for links that were mailed in `confirm` and `invitation`, for proxies
//! that ask about a visitor in `authz`, for the two steps of a login in `login` and `code`, for
//! visitors with a session in `account`, `acts`, `tokens` and `new_password`, for administrators in
//! `people`, for passkeys in all of these places in `passkey`; what the original script does is in
//! `script`. The types that forms are parsed into are in `forms`.

use std::sync::Arc;

use crate::accounts::access_token;
use crate::accounts::password::{self, Key, Password, PasswordHash, Work};
use crate::accounts::registration::Registration;
use crate::accounts::regulars::Regulars;
use crate::accounts::session::{Limits, Session};
use crate::accounts::throttle::{Standing, Target};
use crate::accounts::token::Digest;
use crate::accounts::{Account, names};
use crate::cookies::Cookies;
use crate::errands::Errands;
use crate::events::Events;
use crate::gate::Gate;
use crate::health::Health;
use crate::http::{Method, Request, Response};
use crate::metrics;
use crate::network::Network;
use crate::pages::denied::Denied;
use crate::redirect::Targets;
use crate::reply::{Outcome, Presenter, Refusal, Reply};
use crate::results::Results;
use crate::store::counts::Counts;
use crate::store::{Rules, Store, Unavailable};

mod account;
mod acts;
mod address;
mod authz;
mod code;
mod confirm;
mod entry;
mod events;
mod forms;
mod grounds;
mod happened;
mod invitation;
mod journal;
mod login;
mod new_login;
mod new_password;
mod passkey;
mod people;
mod routes;
mod script;
mod second_step;
mod sent_twice;
mod sessions;
mod tokens;
mod tries;
mod visitor;

use sessions::Presented;

pub use journal::Journal;
pub use passkey::Passkeys;
pub use routes::route_of;
pub use script::Script;
pub use sent_twice::SentTwice;

/// What the handlers work with.
pub struct App {
    /// Accounts and sessions.
    pub store: Arc<Store>,
    /// Whether changes could be saved.
    pub health: Arc<Health>,
    /// Who may enter which application.
    pub access: Rules,
    /// Where passwords are hashed.
    pub gate: Gate,
    /// Counts attempts, and says who has to wait.
    pub throttle: Counts,
    /// The networks that accounts log in from.
    pub regulars: Regulars,
    /// Where attempts wait for how others turn out.
    pub results: Results,
    /// When access tokens were last used, as far as that is not on the disk yet.
    pub token_uses: Arc<access_token::Uses>,
    /// What is done apart from the answers, mostly mail.
    pub errands: Errands,
    /// What happened to accounts, for their owners and for operators.
    pub events: Arc<Events>,
    /// The log of what people do.
    pub journal: Journal,
    /// Gives each reply its form.
    pub presenter: Presenter,
    /// Reads and writes the three cookies.
    pub cookies: Cookies,
    /// Where visitors may be sent after a login.
    pub targets: Targets,
    /// How visitors reach the site: scheme, host and port, without a final slash.
    pub public_url: String,
    /// The site's name in authenticator apps.
    pub issuer: String,
    /// How long sessions last.
    pub session_limits: Limits,
    /// Who may make an account.
    pub registration: Registration,
    /// The answers of the last minute, for forms that are sent again.
    pub sent_twice: SentTwice,
    /// What asks for passkeys; `None` where the site can have none.
    pub passkeys: Option<Passkeys>,
    /// Set if the server answers as the original script does.
    pub script: Option<Script>,
}

/// Where the steps of a login are sent.
const LOGIN_STEPS: [&str; 4] = [
    "/login",
    "/login/passkey",
    "/secret_key",
    "/secret_key/passkey",
];

type Answer = Result<Reply, Refusal>;

/// Answers a request, and logs what came of it.
pub fn answer(app: &App, request: &Request) -> Response {
    let reply = route(app, request).unwrap_or_else(Refusal::into_reply);
    count_login(request, &reply);
    let account = account_of(app, &reply);
    app.journal.note(request, &reply, account.as_deref());
    happened::note(app, request, &reply, account.as_deref());
    app.presenter.present(request, reply)
}

/// Has the metrics show how steps of logins end.
fn count_login(request: &Request, reply: &Reply) {
    let is_step = LOGIN_STEPS.contains(&request.path.as_str());
    if is_step && request.method == Method::Post {
        metrics::login(reply.outcome.code());
    }
}

/// Whose account a reply is about, for the log. `None` if there is no such account, since people
/// type their password into the field for the name.
fn account_of(app: &App, reply: &Reply) -> Option<String> {
    let named = reply.user.as_deref()?;
    match (app.store.account(named), &reply.outcome) {
        (Ok(Some(account)), _) => Some(account.username.clone()),
        // The account existed until now.
        (Ok(None), Outcome::AccountDeleted) => Some(named.to_owned()),
        (Ok(None) | Err(_), _) => None,
    }
}

/// Answers what never became a request, or failed on the way. `target` is what was asked for, as
/// far as it is known.
pub fn refuse(app: &App, outcome: Outcome, accept: Option<&str>, target: Option<&str>) -> Response {
    let path = target.and_then(|target| target.split('?').next());
    let reply = authz::refusal(app, outcome, path.unwrap_or_default());
    app.presenter.refuse(reply, accept)
}

/// Applies the rules that hold for every path.
fn route(app: &App, request: &Request) -> Answer {
    use Method::Post;
    // Before the rule about other sites: a proxy asks on behalf of another site and passes on what
    // the browser sent to that site. Nothing is changed here, and only a proxy gets the answer.
    if let Some(dialect) = authz::dialect(&request.path) {
        return authz::check(app, request, dialect);
    }
    if request.method == Post && is_cross_site(app, request) {
        return Err(Outcome::CrossSite.into());
    }
    sent_twice::answer_once(app, request, routes::dispatch)
}

/// `GET /healthz`: whether changes can be saved, in a word. Waits for nothing.
fn health(app: &App, _: &Request) -> Answer {
    Ok(match app.health.fault() {
        Some(fault) => Outcome::Unhealthy(fault.word()).into(),
        None => Outcome::Healthy.into(),
    })
}

/// Whether a page of another site made the browser send this. Requests without either field come
/// from programs, which nobody can trick into sending somebody else's cookie.
fn is_cross_site(app: &App, request: &Request) -> bool {
    match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let scheme = app.public_url.split("://").next().unwrap_or_default();
            // Browsers do not lie about the host they asked, so a page of this site under another
            // of its names counts as ours.
            let host = request.header("host").unwrap_or_default();
            origin != app.public_url && origin != format!("{scheme}://{host}")
        }
        (None, None) => false,
    }
}

/// The browser's digest, if the account knows it from an earlier login.
fn known_device(app: &App, request: &Request, account: Option<&Account>) -> Option<Digest> {
    let id = Digest::of(app.cookies.device(request)?);
    account
        .filter(|account| account.knows_device(id, request.received.timestamp()))
        .map(|_| id)
}

/// Which count a password attempt goes to.
fn target(name: &str, account: Option<&Account>, device: Option<Digest>) -> Target {
    // All spellings of an address count as one, whether or not an account has that address.
    let name = account.map_or_else(|| names::ascii_domain(name), |own| own.username.clone());
    device.map_or_else(
        || Target::Account(Digest::of(&names::key(&name))),
        Target::Device,
    )
}

/// Hashes a password that was chosen.
fn hash(
    app: &App,
    request: &Request,
    standing: Standing,
    new: &Password,
) -> Result<PasswordHash, Refusal> {
    let salt = password::fresh_salt();
    let key = derive(app, request, standing, Work::hashing(new, salt))?;
    Ok(PasswordHash::of(salt, &key))
}

/// Has this computed when its turn comes. Visitors from networks where accounts log in go first, as
/// do those who are known.
fn derive(app: &App, request: &Request, standing: Standing, work: Work) -> Result<Key, Refusal> {
    let network = Network::of(request.client);
    let gather = |now| app.store.regular_networks(now).ok();
    let is_regular = || app.regulars.has(network, request.received, gather);
    let standing = match standing {
        Standing::Stranger { .. } if is_regular() => Standing::Known,
        standing => standing,
    };
    Ok(app.gate.derive(network, standing, work)?)
}

/// A visitor with a session: the proof that handlers of `account` ask for.
struct LoggedIn {
    session: Arc<Session>,
    account: Arc<Account>,
}

/// Whose session this request has. Asking counts as a use of the session.
fn use_session(app: &App, request: &Request) -> Result<Presented, Unavailable> {
    let presented = sessions::presented(app, request)?;
    if let Presented::Of(me) = &presented
        && request.method != Method::Head
    {
        me.session.seen(request.received.timestamp());
    }
    Ok(presented)
}

/// As [`use_session`]; `None` unless there is exactly one session.
fn logged_in(app: &App, request: &Request) -> Result<Option<LoggedIn>, Unavailable> {
    Ok(match use_session(app, request)? {
        Presented::Of(me) => Some(me),
        Presented::Nobodys | Presented::Two => None,
    })
}

/// As [`use_session`], or the refusal that sends a browser to log in and back to `back`.
fn require_login(app: &App, request: &Request, back: &str) -> Result<LoggedIn, Refusal> {
    let login = format!("/login?rd={back}");
    match use_session(app, request)? {
        Presented::Of(me) => Ok(me),
        Presented::Two => Err(sessions::two(app, &request.path, &login)),
        Presented::Nobodys => Err(Refusal::from(Outcome::LoginRequired).then_to(login)),
    }
}

/// The page for visitors that the access rules do not admit at a host.
fn denied(app: &App, account: &Account, host: String) -> Reply {
    Reply::from(Outcome::Denied)
        .showing(Denied {
            username: account.username.clone(),
            host,
            site: app.public_url.clone(),
        })
        .about(&account.username)
}
