//! A users.json to start with, and those in it who log in.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use auth_user::accounts::password::{Password, PasswordHash};
use data_encoding::BASE32_NOPAD;
use totp_lite::{Sha1, totp_custom};

use crate::client::{Answer, Peer, post};

/// Everybody's, so that it is hashed once.
pub(crate) const PASSWORD: &str = "seven wild horses";
pub(crate) const KEY: &[u8] = b"12345678901234567890";

/// As many accounts, called user0, user1, …, each with an authenticator and recovery codes.
pub(crate) fn users(count: usize) -> String {
    let hash = serde_json::to_string(&PasswordHash::new(&Password::new(PASSWORD))).unwrap();
    let key = BASE32_NOPAD.encode(KEY);
    let codes = [r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#; 10].join(", ");
    let mut text = r#"{"version": 1, "users": {"#.to_owned();
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}
            "user{n}": {{
                "email": "user{n}@example.com",
                "password": {hash},
                "created": "2026-11-22T12:00:00Z",
                "groups": ["users"],
                "totp": {{"secret": "{key}", "last_step": 0}},
                "recovery_codes": [{codes}],
                "disabled": false
            }}"#
        )
        .unwrap();
    }
    text.push_str("}}");
    text
}

/// Logs an account in with both factors and gives the field with its cookies. Works once for each
/// account within half a minute: a code is good for one login.
pub(crate) fn log_in(server: &Peer, from: Ipv4Addr, n: usize) -> io::Result<String> {
    let mut connection = server.connect(from)?;
    let form = format!("username=user{n}&password={}", PASSWORD.replace(' ', "+"));
    let answer = connection.ask(&post("/login", "", &form))?;
    expect(&answer, "code_required");
    let cookies = cookie_field(&answer);
    let answer = connection.ask(&post(
        "/secret_key",
        &cookies,
        &format!("secret={}", code()),
    ))?;
    expect(&answer, "login_complete");
    Ok(cookie_field(&answer))
}

/// A password that nobody has, tried on an account.
pub(crate) fn guess(n: usize) -> Vec<u8> {
    post(
        "/login",
        "",
        &format!("username=user{n}&password=seven+tame+horses"),
    )
}

fn expect(answer: &Answer, code: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert!(
        body.contains(&format!("\"{code}\"")),
        "{}{body}",
        answer.head
    );
}

pub(crate) fn cookie_field(answer: &Answer) -> String {
    // The one that ends the login is empty.
    let cookies: Vec<_> = answer
        .cookies()
        .into_iter()
        .filter(|cookie| !cookie.ends_with('='))
        .collect();
    format!("Cookie: {}\r\n", cookies.join("; "))
}

pub(crate) fn code() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    totp_custom::<Sha1>(30, 6, KEY, now)
}
