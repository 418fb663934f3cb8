//! Accounts and sessions by the thousand, as files have them, and what their owners know.

use std::time::{SystemTime, UNIX_EPOCH};

use auth_user::accounts::password::{Password, PasswordHash};
use auth_user::accounts::session::{Basis, Session};
use auth_user::accounts::token::{self, Digest};
use auth_user::clock::Timestamp;
use data_encoding::BASE32_NOPAD;
use serde_json::{Map, Value, json};

use crate::accounts::{KEY, PASSWORD};
use crate::client::get;

/// Everybody, all with the same password and authenticator.
pub(super) struct People {
    hash: PasswordHash,
    pub(super) recovery_codes: Vec<String>,
    now: Timestamp,
}

impl People {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            hash: PasswordHash::new(&Password::new(PASSWORD)),
            recovery_codes: (0..10).map(|_| token::recovery_code()).collect(),
            now: Timestamp(now.as_secs()),
        }
    }

    /// A users.json with user0, user1, …; each can be invited too, by [`invitation`], and has been
    /// mailed a password, [`mailed`].
    pub(super) fn users(&self, count: usize) -> String {
        let hour = serde_json::to_value(Timestamp(self.now.0 + 1500)).unwrap();
        let codes = self.recovery_codes.iter().map(|code| Digest::of(code));
        let codes: Vec<Digest> = codes.collect();
        let account = |n: usize| {
            json!({
                "email": format!("user{n}@example.com"),
                "email_proven": true,
                "password": self.hash,
                "created": "2026-11-22T12:00:00Z",
                "groups": ["users"],
                "totp": { "secret": BASE32_NOPAD.encode(KEY), "last_step": 0 },
                "recovery_codes": codes,
                "mailed_passwords": [{ "digest": Digest::of(&mailed(n)), "expires": hour }],
                "disabled": false,
            })
        };
        let invited = json!({ "groups": ["users"], "by": "root", "expires": hour });
        let users = (0..count).map(|n| (format!("user{n}"), account(n)));
        let users: Map<String, Value> = users.collect();
        let open = (0..count).map(|n| (Digest::of(&invitation(n)).text(), invited.clone()));
        let open: Map<String, Value> = open.collect();
        json!({ "version": 1, "users": users, "invitations": open }).to_string()
    }

    /// A sessions.json with a session of each, by its cookie, [`cookie`].
    pub(super) fn sessions(&self, count: usize) -> String {
        let basis = Basis {
            password_id: self.hash.id(),
            generation: 0,
        };
        let session = |n: usize| {
            let name = format!("user{n}");
            let (id, address) = (Digest::of(&cookie(n)), "127.0.0.1".to_owned());
            Session::new(id, (&name, basis), address, "bench", self.now)
        };
        let sessions: Vec<Session> = (0..count).map(session).collect();
        json!({ "version": 1, "sessions": sessions }).to_string()
    }
}

fn cookie(n: usize) -> String {
    format!("{n:0>43}")
}

pub(super) fn mailed(n: usize) -> String {
    format!("{n:a>26}")
}

pub(super) fn invitation(n: usize) -> String {
    format!("invitation{n:0>12}")
}

/// The field that a browser with this session sends.
pub(super) fn session_of(n: usize) -> String {
    format!("Cookie: __Secure-session={}\r\n", cookie(n))
}

/// What a proxy asks about whoever brings this field.
pub(super) fn question(who: &str) -> Vec<u8> {
    get(
        "/api/authz/forward-auth",
        &format!(
            "Accept: application/json\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: app.example.com\r\nX-Forwarded-Uri: /some/path?and=query\r\n\
             X-Forwarded-For: 192.0.2.1\r\n{who}"
        ),
    )
}
