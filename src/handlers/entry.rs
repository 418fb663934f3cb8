//! How a session begins: in the save of the change that earns it. The cookie is handed out after.

use crate::accounts::person::Person;
use crate::accounts::session::Session;
use crate::accounts::throttle::Target;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, names};
use crate::clock::Timestamp;
use crate::handlers::{App, known_device};
use crate::http::Request;
use crate::network::Network;

/// A session that a change of the account will begin.
pub(super) struct Entry {
    cookie: String,
    start: Start,
}

/// What the change needs to begin the session.
#[derive(Clone)]
pub(super) struct Start {
    id: Digest,
    address: String,
    agent: String,
    now: Timestamp,
    /// The login at which its owner chose to stay logged in.
    remembered: Option<Timestamp>,
    /// When the login was, if the session is only begun anew.
    login: Option<Timestamp>,
    /// The sessions that the browser had before.
    before: Vec<Digest>,
}

impl Entry {
    pub(super) fn new(app: &App, request: &Request) -> Self {
        let cookie = token::cookie();
        let start = Start {
            id: Digest::of(&cookie),
            address: request.client.to_string(),
            agent: agent(request).to_owned(),
            now: request.received.timestamp(),
            remembered: None,
            login: None,
            before: app.cookies.sessions(request).map(Digest::of).collect(),
        };
        Self { cookie, start }
    }

    /// The same, of an owner who chose at this login to stay logged in.
    pub(super) fn remembered(mut self, login: Option<Timestamp>) -> Self {
        self.start.remembered = login;
        self
    }

    /// The same, in place of this session: no code was asked for.
    pub(super) fn in_place_of(mut self, session: &Session) -> Self {
        self.start.login = Some(session.logged_in_at());
        self.remembered(session.remembered)
    }

    pub(super) fn start(&self) -> Start {
        self.start.clone()
    }

    /// After the save: forgives the failures of the account and the browser, and gives the cookies
    /// to set.
    pub(super) fn hand_out(
        self,
        app: &App,
        request: &Request,
        username: &str,
        device: Option<String>,
    ) -> Vec<String> {
        forgive(app, request, username);
        let now = self.start.now;
        let login = self.start.remembered;
        let stays = login.and_then(|login| app.session_limits.stay_until(login));
        let mut cookies = vec![
            app.cookies
                .set_session(&self.cookie, stays.map(|end| end.since(now))),
            app.cookies.end_login(),
        ];
        cookies.extend(device.map(|device| app.cookies.set_device(&device)));
        cookies
    }
}

impl Start {
    /// Begins the session for the account as it is now, and ends those the browser had before.
    pub(super) fn begin(&self, person: &mut Person<'_>) {
        let account = person.account();
        let owner = (account.username.as_str(), account.basis());
        let session = Session::new(self.id, owner, self.address.clone(), &self.agent, self.now)
            .remembered(self.remembered)
            .after_login_at(self.login);
        person.end_sessions(&self.before);
        person.begin_session(session);
    }
}

/// Forgives the wrong passwords of the account and the browser, and notes the network as one of
/// the account's, if it is.
fn forgive(app: &App, request: &Request, username: &str) {
    let key = Digest::of(&names::key(username));
    app.throttle.clear(Target::Account(key));
    let account = app.store.account(username).ok().flatten();
    let member_since =
        |account: &Account| account.is_member_of(Network::of(request.client), request.received);
    if let Some(at) = account.as_deref().and_then(member_since) {
        app.throttle.note_member(key, request.client, at);
        app.regulars.note(Network::of(request.client));
    }
    // Only a browser that this account knows: logging in here must not buy guesses at others.
    if let Some(known) = known_device(app, request, account.as_deref()) {
        app.throttle.clear(Target::Device(known));
    }
}

/// What the browser says it is.
pub(super) fn agent(request: &Request) -> &str {
    request.header("user-agent").unwrap_or_default()
}
