//! A browser that comes by way of the balancer and makes of every answer, and of none, one of three
//! things: it was done, it was not, nobody knows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// Longer than the balancer waits for a node.
const PATIENCE: Duration = Duration::from_secs(15);

/// The name of a session's cookie.
pub(super) const SESSION: &str = "__Secure-session";

/// What a program is told.
pub(super) enum Told {
    Done(Value),
    /// With the code of the refusal.
    Refused(String),
    Unknown,
}

pub(super) struct Browser {
    agent: ureq::Agent,
    base: String,
    /// Where it says it comes from.
    address: String,
    jar: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new(port: u16, address: &str) -> Self {
        let config = ureq::Agent::config_builder()
            // Each request goes another way.
            .max_idle_connections(0)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            agent: config.into(),
            base: format!("http://127.0.0.1:{port}"),
            address: address.to_owned(),
            jar: BTreeMap::new(),
        }
    }

    /// The session that it has.
    pub(super) fn session(&self) -> Option<String> {
        self.jar.get(SESSION).cloned()
    }

    pub(super) fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Told {
        let jar = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("accept", "application/json")
            .header("x-forwarded-for", &self.address)
            .header("cookie", jar.collect::<Vec<_>>().join("; "));
        let Ok(mut response) = request.send_form(form.iter().copied()) else {
            return Told::Unknown;
        };
        let status = response.status().as_u16();
        let Ok(body) = response.body_mut().read_to_string() else {
            return Told::Unknown;
        };
        for cookie in response.headers().get_all("set-cookie") {
            self.take(cookie.to_str().unwrap());
        }
        judged(status, &body)
    }

    fn take(&mut self, cookie: &str) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        match cookie.contains("Max-Age=0") {
            true => self.jar.remove(name),
            false => self.jar.insert(name.to_owned(), value.to_owned()),
        };
    }
}

/// What an answer means. One that is not JSON is the balancer's own: 503 if it has reached no node,
/// others if it has, and has heard nothing.
fn judged(status: u16, body: &str) -> Told {
    let Ok(said) = serde_json::from_str::<Value>(body) else {
        return match status {
            503 => Told::Refused("no node".to_owned()),
            _ => Told::Unknown,
        };
    };
    match said["code"].as_str().unwrap_or_default() {
        "unknown" => Told::Unknown,
        _ if status < 300 => Told::Done(said),
        code => Told::Refused(code.to_owned()),
    }
}

/// What a proxy is told of whoever has this session, by the node or balancer at this port.
pub(super) fn checked(agent: &ureq::Agent, port: u16, session: &str) -> Option<u16> {
    let url = format!("http://127.0.0.1:{port}/api/authz/forward-auth");
    let request = agent
        .get(url)
        .header("accept", "application/json")
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "app.example.com")
        .header("x-forwarded-uri", "/")
        .header("cookie", format!("{SESSION}={session}"));
    request.call().ok().map(|answer| answer.status().as_u16())
}

/// To ask with.
pub(super) fn asker() -> ureq::Agent {
    Browser::new(0, "").agent
}
