//! Logs in at the login that guards the application, as a program does, and out again.

use std::io;

use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::deployment::doctor::wire::{Answer, Endpoint, Sent, Trust};
use crate::deployment::doctor::{Ask, Patient, Question, Visit, session};

/// A session that was begun for this examination.
///
/// No `Debug`: the cookie is a key to an account.
pub(super) struct Guest {
    login: Endpoint,
    pub(super) cookie: String,
}

/// Why there is no session.
pub(super) enum NotIn {
    /// No name was given.
    Declined,
    /// What is wrong, for the report.
    Refused(String),
}

impl From<io::Error> for NotIn {
    fn from(error: io::Error) -> Self {
        Self::Refused(format!("the login cannot be reached: {error}"))
    }
}

impl Guest {
    /// Asks for a name, a password and a code, and logs in with them.
    pub(super) fn log_in(
        visit: &Visit,
        patient: &Patient,
        trust: &Trust,
        ask: Ask<'_>,
    ) -> Result<Self, NotIn> {
        let name = ask(Question::Name)?;
        if name.trim().is_empty() {
            return Err(NotIn::Declined);
        }
        let url = visit.login().ok_or_else(|| {
            NotIn::Refused("cannot tell where the login is; say so with --public-url".to_owned())
        })?;
        let login = wire_to(&url, patient, trust)?;
        let password = ask(Question::Password)?;
        let form = [("username", name.as_str()), ("password", &password)];
        let answer = post(&login, "/login", &[], &form)?;
        let pending = match said(&answer, "code").as_deref() {
            Some("code_required") => cookie_of(&answer, "__Host-login"),
            Some("enrol_required") => {
                let why = "that account has no authenticator yet; log in once in a browser";
                return Err(NotIn::Refused(why.to_owned()));
            }
            _ => None,
        };
        let pending = pending.ok_or_else(|| refused(&answer))?;
        let code = ask(Question::Code)?;
        let pending = [format!("Cookie: __Host-login={pending}")];
        let answer = post(&login, "/secret_key", &pending, &[("secret", &code)])?;
        let cookie = cookie_of(&answer, "__Secure-session");
        let cookie = cookie.ok_or_else(|| refused(&answer))?;
        Ok(Self { login, cookie })
    }

    /// Ends the session; true if the login confirms it.
    pub(super) fn log_out(&self) -> bool {
        let answer = post(&self.login, "/logout", &[session(&self.cookie)], &[]);
        answer.is_ok_and(|answer| answer.status == 200)
    }
}

/// The way to the login.
pub(super) fn wire_to(url: &Url, patient: &Patient, trust: &Trust) -> io::Result<Endpoint> {
    let port = url.port_or_known_default().unwrap_or(443);
    let connect = patient.connect.filter(|_| port == patient.port);
    Endpoint::to(url.host_str().unwrap_or_default(), port, connect, trust)
}

fn post(
    login: &Endpoint,
    target: &str,
    fields: &[String],
    form: &[(&str, &str)],
) -> io::Result<Answer> {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    let mut fields = fields.to_vec();
    fields.push("Accept: application/json".to_owned());
    login.send(&Sent {
        method: "POST",
        target,
        host: &login.authority(),
        fields: &fields,
        body: &body.finish(),
    })
}

/// The login's own words, or the status if it gave none.
fn refused(answer: &Answer) -> NotIn {
    let words = said(answer, "message").unwrap_or_else(|| format!("status {}", answer.status));
    NotIn::Refused(format!("the login answers: {words}"))
}

/// A field of an answer in JSON.
fn said(answer: &Answer, field: &str) -> Option<String> {
    let start = answer.body().find('{')?;
    let end = answer.body().rfind('}')?;
    let json: Value = serde_json::from_str(answer.body().get(start..=end)?).ok()?;
    Some(json.get(field)?.as_str()?.to_owned())
}

/// The value that an answer gives a cookie.
fn cookie_of(answer: &Answer, name: &str) -> Option<String> {
    let value = answer.fields("set-cookie").find_map(|cookie| {
        let (own, rest) = cookie.split_once('=')?;
        (own == name).then(|| rest.split(';').next().unwrap_or_default().to_owned())
    })?;
    (!value.is_empty()).then_some(value)
}
