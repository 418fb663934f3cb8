//! Attacks the operator's own deployment through its proxy, as a stranger or a visitor could, and
//! says what to change. Sends some ninety requests that change nothing to the application's host
//! and, to log in, to the login's.
//!
//! The doctor sees what the proxy answers, but sees what the application received only if the
//! application shows that. A check that cannot be made is reported as skipped, never as passed.

mod files;
mod last_hop;
mod login;
mod machine;
mod programs;
mod registration;
mod stranger;
mod visitor;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use url::Url;

use crate::access::Access;
use crate::accounts::token;
pub use crate::deployment::doctor::files::Files;
use crate::deployment::doctor::login::Guest;
use crate::deployment::doctor::programs::OPEN;
use crate::deployment::doctor::wire::{Answer, Endpoint, Sent, Trust};
use crate::host;
use crate::terminal;

/// What is examined, and what is known about it.
///
/// No `Debug`: the cookies are keys to an account.
pub struct Patient {
    /// As in a URL, with brackets around an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Where the login is; if `None`, where the application's `/` leads.
    pub public_url: Option<Url>,
    /// Where the host is, if not where its name leads; for the login too, if it has the same port.
    pub connect: Option<SocketAddr>,
    /// Certificates to trust besides those of this machine, PEM.
    pub trusted: Option<Vec<u8>>,
    /// The session of a test account.
    pub cookie: Option<String>,
    /// A session that its owner has logged out.
    pub old_cookie: Option<String>,
    /// An access token of a test account.
    pub token: Option<String>,
    /// Who may enter, or why that cannot be read.
    pub access: Result<Access, String>,
    /// The port on which the application listens, if the proxy is on the same machine.
    pub upstream_port: Option<u16>,
    /// Whether strangers may make themselves an account.
    pub open_registration: bool,
}

/// What the doctor asks for to log in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    Name,
    Password,
    Code,
}

/// Asks a question and gives what was typed; an empty name means not to log in.
pub type Ask<'a> = &'a mut dyn FnMut(Question) -> io::Result<String>;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Pass,
    Fail,
    Skip,
}

/// One line of the report.
pub struct Finding {
    pub verdict: Verdict,
    what: &'static str,
    advice: String,
}

impl fmt::Display for Finding {
    /// The line is safe for a terminal, whatever the site sent.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        };
        write!(out, "{word}  {}", self.what)?;
        if self.advice.is_empty() {
            return Ok(());
        }
        write!(out, " \u{2014} {}", terminal::printable(&self.advice))
    }
}

/// Makes all checks. `now` gives the seconds since 1970 and is called once. `ask` is `None` where
/// nobody can be asked; then, without a cookie, the checks that need a session are skipped.
///
/// # Errors
///
/// [`NotExamined`].
pub fn examine(
    patient: &Patient,
    ask: Option<Ask<'_>>,
    now: impl FnOnce() -> u64,
) -> Result<Vec<Finding>, NotExamined> {
    let trust = Trust::new(patient.trusted.as_deref()).map_err(NotExamined::untrusted)?;
    let (wire, stranger) = reach(patient, &trust)?;
    let now = now();
    let visit = Visit {
        wire,
        stranger,
        public_url: patient.public_url.clone(),
        access: patient.access.clone().unwrap_or_default(),
        host: host::plain(&patient.host),
        mark: HEXLOWER.encode(&token::random::<8>()),
    };
    if visit.is_the_login() {
        return Err(NotExamined::the_login(patient));
    }
    let mut findings = visit.as_a_stranger();
    findings.push(visit.strangers_cannot_register(patient, &trust));
    let is_open = visit.opens("/");
    match ask.filter(|_| patient.cookie.is_none()) {
        // A visitor cannot be told from a stranger there.
        _ if is_open => findings.extend(visit.unvisited(skip(visitor::ENTRY, OPEN), OPEN)),
        Some(ask) => findings.extend(visit.as_a_guest(patient, &trust, ask)),
        None => {
            findings.push(visit.old_session_is_refused(patient.old_cookie.as_deref()));
            findings.extend(visit.as_a_visitor(patient.cookie.as_deref().ok_or(NO_COOKIE)));
        }
    }
    let (token, cookie) = (patient.token.as_deref(), patient.cookie.as_deref());
    findings.push(visit.token_is_kept(token, cookie));
    findings.extend(patient.unread_rules());
    findings.extend([
        visit.application_is_out_of_reach(patient.upstream_port),
        visit.plain_http_leads_to_https(),
        visit.browsers_are_told_to_insist(),
        visit.version_is_sound(),
        visit.clocks_agree(now),
    ]);
    Ok(findings)
}

/// The way to the host, and what a stranger is answered there.
fn reach(patient: &Patient, trust: &Trust) -> Result<(Endpoint, Answer), NotExamined> {
    let host = &patient.host;
    let wire = Endpoint::to(host, patient.port, patient.connect, trust);
    let wire = wire.map_err(|error| NotExamined::unreached(host, &error, UNKNOWN.to_owned()))?;
    let stranger = wire.send(&get("/", &wire.authority(), &[]));
    let stranger = stranger
        .map_err(|error| NotExamined::unreached(host, &error, wire.what_to_do_about(&error)))?;
    Ok((wire, stranger))
}

/// What to do about a name that leads nowhere.
const UNKNOWN: &str = "see whether the name is right; --connect ADDR:PORT says where the host is";

/// Why there is no report.
pub struct NotExamined {
    pub what: String,
    pub hint: String,
    /// Whether the call is wrong, not the site.
    pub is_wrong_call: bool,
}

impl NotExamined {
    fn unreached(host: &str, error: &io::Error, hint: String) -> Self {
        Self {
            what: format!("cannot reach {host}: {error}"),
            hint,
            is_wrong_call: false,
        }
    }

    fn untrusted(error: io::Error) -> Self {
        Self {
            what: format!("cannot tell which certificate to trust: {error}"),
            hint: "give a file with certificates in PEM: --ca /etc/ssl/house.pem".to_owned(),
            is_wrong_call: true,
        }
    }

    /// About a file that the operator named.
    fn unusable(what: String, hint: &str) -> Self {
        Self {
            what,
            hint: hint.to_owned(),
            is_wrong_call: true,
        }
    }

    fn the_login(patient: &Patient) -> Self {
        Self {
            what: format!("{} is the login itself, not an application", patient.host),
            hint: "give an application that it guards, such as https://app.example.com".to_owned(),
            is_wrong_call: true,
        }
    }
}

/// Why the checks with a session are skipped where standard input is not a terminal.
const NO_COOKIE: &str = "run this at a terminal, where it can ask for a name, a password and a code, or give the session of a test account with --cookie-file";

/// One examination.
struct Visit {
    wire: Endpoint,
    /// How somebody without a session is turned away; all other answers are compared with this.
    stranger: Answer,
    /// Where the login is, if the operator said so.
    public_url: Option<Url>,
    /// Who may enter, as far as is known.
    access: Access,
    /// The host as rules name it.
    host: String,
    /// Part of every value sent, to recognize it again.
    mark: String,
}

impl Visit {
    /// Whether the host is the login itself instead of an application: because the operator said
    /// so, or by something that only the login has.
    fn is_the_login(&self) -> bool {
        if let Some(login) = &self.public_url {
            return self.is_here(login);
        }
        let leads_within = self.led_to("/", &self.stranger);
        let leads_within = leads_within.is_some_and(|to| self.is_here(&to));
        if self.stranger.status != 200 && !leads_within {
            return false;
        }
        let is_well = |answer: Answer| answer.status == 200 && answer.body() == "ok";
        let change = "/.well-known/change-password";
        self.ask("/healthz", &[]).is_ok_and(is_well)
            && self.ask(change, &[]).is_ok_and(|answer| {
                let to = self.led_to(change, &answer);
                to.is_some_and(|to| self.is_here(&to) && to.path() == "/account/password")
            })
    }

    fn ask(&self, target: &str, fields: &[String]) -> io::Result<Answer> {
        self.send("GET", target, fields)
    }

    fn send(&self, method: &str, target: &str, fields: &[String]) -> io::Result<Answer> {
        self.wire.send(&Sent {
            method,
            ..get(target, &self.wire.authority(), fields)
        })
    }

    fn canary(&self, at: usize) -> String {
        format!("{}x{at}x", self.mark)
    }

    /// Whether somebody is let in, as far as that can be told: they are answered differently from a
    /// stranger.
    fn lets_in(&self, answer: &Answer) -> bool {
        !answer.is_like(&self.stranger) && !matches!(answer.status, 400 | 401 | 403 | 500..)
    }

    /// Logs in with name, password and code, makes every check that needs a session, and logs out.
    fn as_a_guest(&self, patient: &Patient, trust: &Trust, ask: Ask<'_>) -> Vec<Finding> {
        let guest = Guest::log_in(self, patient, trust, ask);
        let cookie = guest.as_ref().map(|guest| guest.cookie.as_str());
        let mut findings = match cookie {
            Ok(cookie) => self.as_a_visitor(Ok(cookie)),
            Err(login::NotIn::Declined) => self.as_a_visitor(Err("no name was given")),
            Err(login::NotIn::Refused(why)) => {
                self.unvisited(fail(visitor::ENTRY, why.clone()), visitor::NOT_IN)
            }
        };
        let over = guest.as_ref().ok().and_then(|guest| {
            let out = guest.log_out();
            out.then_some(guest.cookie.as_str())
        });
        findings.push(self.old_session_is_refused(over.or(patient.old_cookie.as_deref())));
        findings
    }
}

/// A request such as most checks send.
fn get<'a>(target: &'a str, host: &'a str, fields: &'a [String]) -> Sent<'a> {
    Sent {
        method: "GET",
        target,
        host,
        fields,
        body: "",
    }
}

fn session(cookie: &str) -> String {
    format!("Cookie: __Secure-session={cookie}")
}

fn pass(what: &'static str) -> Finding {
    finding(Verdict::Pass, what, "")
}

fn fail(what: &'static str, advice: impl Into<String>) -> Finding {
    finding(Verdict::Fail, what, advice)
}

fn skip(what: &'static str, advice: impl Into<String>) -> Finding {
    finding(Verdict::Skip, what, advice)
}

fn finding(verdict: Verdict, what: &'static str, advice: impl Into<String>) -> Finding {
    let advice = advice.into();
    Finding {
        verdict,
        what,
        advice,
    }
}
