//! Accounts by the thousand to start with, each with an authenticator, and their honest owners.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use auth_user::accounts::password::{Password, PasswordHash};
use data_encoding::BASE32_NOPAD;
use serde_json::{Map, Value, json};

use crate::harness::{Authenticator, PASSWORD, Server};
use crate::long::client::{Client, post};

const KEY: &[u8] = b"12345678901234567890";

/// A users.json with accounts called user0, user1, …
pub(super) fn users(count: usize) -> String {
    let hash = serde_json::to_value(PasswordHash::new(&Password::new(PASSWORD))).unwrap();
    let account = |n| {
        json!({
            "email": format!("user{n}@example.com"),
            "password": hash,
            "totp": { "secret": BASE32_NOPAD.encode(KEY), "last_step": 0 },
        })
    };
    let users: Map<String, Value> = (0..count)
        .map(|n| (format!("user{n}"), account(n)))
        .collect();
    json!({ "version": 1, "users": users }).to_string()
}

pub(super) struct Account {
    name: String,
}

/// What a login gives: the field to send with what follows.
pub(super) struct LoggedIn {
    pub(super) cookies: String,
}

impl Account {
    pub(super) fn numbered(n: usize) -> Self {
        Self {
            name: format!("user{n}"),
        }
    }

    /// Logs in with both factors, trying again as told for as long as `patience` lasts.
    pub(super) fn log_in(&self, server: &Server, source: Ipv4Addr, patience: Duration) -> LoggedIn {
        let begun = Instant::now();
        let mut said = String::new();
        while begun.elapsed() < patience {
            match self.log_in_at_once(server, source) {
                Ok(logged_in) => return logged_in,
                Err(refused) => said = refused,
            }
            thread::sleep(Duration::from_millis(200));
        }
        panic!("no login in {patience:?}: {said}");
    }

    /// Logs in with both factors, or says what they are told who try.
    pub(super) fn log_in_at_once(
        &self,
        server: &Server,
        source: Ipv4Addr,
    ) -> Result<LoggedIn, String> {
        let password = PASSWORD.replace(' ', "+");
        let form = format!("username={}&password={password}", self.name);
        let mut client = Client::connect(server, source).map_err(|error| error.to_string())?;
        let answer = client
            .ask(&post("/login", "", &form))
            .map_err(|error| error.to_string())?;
        let pending = cookies(&answer, "\"code_required\"")?;
        let code = Authenticator::new(&BASE32_NOPAD.encode(KEY)).code();
        let answer = client
            .ask(&post("/secret_key", &pending, &format!("secret={code}")))
            .map_err(|error| error.to_string())?;
        let cookies = cookies(&answer, "\"login_complete\"")?;
        Ok(LoggedIn { cookies })
    }
}

/// The cookies that an answer with this code sets, as a field to send.
fn cookies(answer: &str, code: &str) -> Result<String, String> {
    if !answer.contains(code) {
        return Err(answer.to_owned());
    }
    let set: Vec<&str> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("Set-Cookie: ")?.split(';').next())
        .filter(|cookie| !cookie.ends_with('='))
        .collect();
    Ok(format!("Cookie: {}\r\n", set.join("; ")))
}
