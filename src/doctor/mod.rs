//! Attacks one's own deployment through its proxy, as a stranger and as a visitor could, and says
//! what to change. Two dozen GETs of `/` and the like, to the one host named and to nobody else.
//!
//! It sees what the proxy answers, and what the application received only if the application shows
//! it. What cannot be seen is said to be skipped, never to be well.

mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::accounts::token;
use crate::doctor::wire::{Answer, Wire};

/// What is examined, and what is known of it.
///
/// No `Debug`: the cookies are keys to an account.
pub struct Patient {
    pub host: String,
    pub port: u16,
    /// Where the host is, if not where its name says.
    pub connect: Option<SocketAddr>,
    /// Root certificates beside those of this machine, PEM.
    pub roots: Option<Vec<u8>>,
    /// The session of a test account.
    pub cookie: Option<String>,
    /// A session that its owner has logged out.
    pub old_cookie: Option<String>,
    /// Where the application listens, if the proxy is on the same machine.
    pub upstream_port: Option<u16>,
}

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
        write!(out, " \u{2014} {}", self.advice)
    }
}

/// Makes all checks; `now` is asked once, for the seconds since 1970.
///
/// # Errors
///
/// The proxy cannot be reached at all.
pub fn examine(patient: &Patient, now: impl FnOnce() -> u64) -> io::Result<Vec<Finding>> {
    let roots = patient.roots.as_deref();
    let wire = Wire::to(&patient.host, patient.port, patient.connect, roots)?;
    let stranger = wire.ask("/", &wire.authority(), &[])?;
    let now = now();
    let visit = Visit {
        wire,
        stranger,
        mark: HEXLOWER.encode(&token::random::<8>()),
    };
    let mut findings = vec![
        visit.stranger_is_kept_out(),
        visit.identity_is_not_believed(),
        visit.forwarding_is_not_believed(),
        visit.hosts_have_one_meaning(),
        visit.malformed_targets_are_refused(),
        visit.forged_session_is_refused(),
        visit.old_session_is_refused(patient.old_cookie.as_deref()),
    ];
    findings.extend(visit.as_a_visitor(patient.cookie.as_deref()));
    findings.extend([
        visit.application_is_out_of_reach(patient.upstream_port),
        visit.plain_http_leads_to_https(patient.port),
        visit.browsers_are_told_to_insist(),
        visit.version_is_sound(),
        visit.clocks_agree(now),
    ]);
    Ok(findings)
}

/// One examination.
struct Visit {
    wire: Wire,
    /// How somebody without a session is turned away, which everything else is measured by.
    stranger: Answer,
    /// In every value sent, to know it again.
    mark: String,
}

/// Fields that some application takes for who the visitor is.
const IDENTITY: [&str; 14] = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "Remote_User",
    "Remote_Groups",
    "rEMOTE-uSER",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded-Groups",
    "X-Auth-Request-User",
    "X_Auth_Request_User",
    "X-Remote-User",
    "X-WebAuth-User",
];

/// Fields that some proxy or application takes for what was asked for, and by whom.
const FORWARDING: [&str; 12] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X_Forwarded_Host",
    "X_Forwarded_Uri",
    "X-Forwarded-Prefix",
    "X-Original-URL",
    "X-Original-Method",
    "X-Rewrite-URL",
    "Forwarded",
];

/// What a browser would not send: `.` and `..` in several spellings, and what ends a path early.
const MALFORMED: [&str; 5] = ["/a/../b", "/%2e%2e/b", "/a/%2E./b", "/a\\..\\b", "/a#b"];

/// Those of them that no proxy can make into something harmless: Caddy passes on a backslash as
/// `%5C`, after asking about just that.
const DOTS: usize = 3;

/// Versions with a hole that lets strangers in or stops the proxy, by how `Server` names them: from
/// the first with it up to, but not with, the first without. Distributions mend older holes than
/// these under an old number, so the table holds only what no distribution in service has.
const HOLES: [(&str, [u32; 3], [u32; 3], &str); 2] = [
    ("nginx/", [0, 6, 18], [1, 20, 1], "CVE-2021-23017"),
    ("Caddy/", [2, 10, 0], [2, 11, 2], "GHSA-7r4p-vjf4-gxv4"),
];

/// Seconds that clocks may differ by: one step of a one-time code.
const MAX_DIFFERENCE: u64 = 30;

/// A year, below which browsers' lists do not take a site.
const MIN_HSTS: u64 = 31_536_000;

const NO_COOKIE: &str = "give the session of a test account with --cookie-file";
const NOT_SHOWN: &str =
    "the application does not show what it is sent; put an echo application behind the same proxy";

impl Visit {
    fn ask(&self, target: &str, fields: &[String]) -> io::Result<Answer> {
        self.wire.ask(target, &self.wire.authority(), fields)
    }

    fn spoofed(&self, names: &[&str]) -> Vec<String> {
        let field = |(at, name): (usize, &&str)| format!("{name}: {}", self.canary(at));
        names.iter().enumerate().map(field).collect()
    }

    fn canary(&self, at: usize) -> String {
        format!("{}x{at}x", self.mark)
    }

    fn lets_in(&self, answer: &Answer) -> bool {
        !answer.is_like(&self.stranger) && !matches!(answer.status, 400 | 401 | 403 | 500..)
    }

    fn stranger_is_kept_out(&self) -> Finding {
        let what = "a stranger is sent to the login";
        match self.stranger.status {
            300..=399 | 401 | 403 => pass(what),
            status => fail(
                what,
                format!(
                    "GET / without a cookie is answered by {status}; ask auth_user before the application, for every path"
                ),
            ),
        }
    }

    /// Sends fields as a stranger, who must be turned away just as without them.
    fn changes_nothing(&self, what: &'static str, names: &[&str], advice: &str) -> Finding {
        // One by one where one could hide another: a refusal for the first is a refusal.
        let mut believed = Vec::new();
        for name in names {
            let value = match *name {
                "X-Forwarded-Method" | "X-Original-Method" => "TRACE".to_owned(),
                "X-Forwarded-Proto" => "http".to_owned(),
                _ => self.canary(0),
            };
            match self.ask("/", &[format!("{name}: {value}")]) {
                Ok(answer) if answer.is_like(&self.stranger) => {}
                Ok(_) | Err(_) => believed.push(*name),
            }
        }
        if believed.is_empty() {
            pass(what)
        } else {
            fail(
                what,
                format!(
                    "{} of a stranger changes the answer; {advice}",
                    believed.join(", ")
                ),
            )
        }
    }

    fn identity_is_not_believed(&self) -> Finding {
        self.changes_nothing(
            "a stranger cannot say who he is",
            &["Remote-User", "Remote_User", "X-Forwarded-User"],
            "take it away before asking auth_user",
        )
    }

    fn forwarding_is_not_believed(&self) -> Finding {
        self.changes_nothing(
            "a stranger cannot say what he asks for",
            &FORWARDING,
            "set or take it away in the question to auth_user",
        )
    }

    fn hosts_have_one_meaning(&self) -> Finding {
        let what = "no spelling of the host gets past the check";
        let host = self.wire.authority();
        let (name, port) = host.split_once(':').unwrap_or((&host, ""));
        let dotted = format!("{name}.:{port}");
        for spelling in [
            host.to_ascii_uppercase(),
            dotted.trim_end_matches(':').to_owned(),
        ] {
            // A refused connection is a refusal.
            if self
                .wire
                .ask("/", &spelling, &[])
                .is_ok_and(|answer| answer.serves())
            {
                return fail(
                    what,
                    format!(
                        "Host: {spelling} is served without a login; compare hosts without case, and refuse what you do not know"
                    ),
                );
            }
        }
        pass(what)
    }

    fn malformed_targets_are_refused(&self) -> Finding {
        let what = "a stranger gets nothing by malformed targets";
        let served = |target: &&&str| self.ask(target, &[]).is_ok_and(|answer| answer.serves());
        match MALFORMED.iter().find(served) {
            None => pass(what),
            Some(target) => fail(
                what,
                format!(
                    "GET {target} is served without a login; let nothing through that auth_user answers by 400 or 403"
                ),
            ),
        }
    }

    fn forged_session_is_refused(&self) -> Finding {
        let what = "a made-up session is refused";
        let cookie = format!("Cookie: __Secure-session={}", self.canary(0));
        match self.ask("/", &[cookie]) {
            Ok(answer) if answer.is_like(&self.stranger) => pass(what),
            _ => fail(
                what,
                "ask auth_user, instead of looking whether there is a cookie",
            ),
        }
    }

    fn old_session_is_refused(&self, cookie: Option<&str>) -> Finding {
        let what = "a session is over after log-out";
        let Some(cookie) = cookie else {
            return skip(
                what,
                "log a test account out and give its cookie with --old-cookie-file",
            );
        };
        match self.ask("/", &[session(cookie)]) {
            Ok(answer) if answer.is_like(&self.stranger) => pass(what),
            _ => fail(
                what,
                "an old cookie still opens the application; do not cache auth_user's answers",
            ),
        }
    }

    /// What only somebody with a session can see.
    fn as_a_visitor(&self, cookie: Option<&str>) -> Vec<Finding> {
        let entry = "the test account gets in";
        let whats = [
            "the application gets no identity from the visitor",
            "the application does not get the session",
            "a visitor gets nothing by malformed targets",
        ];
        let Some(cookie) = cookie else {
            let all = [entry].into_iter().chain(whats);
            return all.map(|what| skip(what, NO_COOKIE)).collect();
        };
        let enters = self.ask("/", &[session(cookie)]);
        if !enters.is_ok_and(|answer| self.lets_in(&answer)) {
            let advice = "its session is refused; is it fresh, and the whole value of the cookie?";
            return vec![fail(entry, advice)];
        }
        let names: Vec<&str> = IDENTITY.into_iter().chain(FORWARDING).collect();
        let control = format!("{}control", self.mark);
        let mut fields = self.spoofed(&names);
        fields.extend([session(cookie), format!("X-Doctor: {control}")]);
        let answer = match self.ask("/", &fields) {
            Ok(answer) if self.lets_in(&answer) => answer,
            _ => {
                let advice = "what a visitor says of himself shuts him out: something believes it";
                return vec![pass(entry), fail(whats[0], advice)];
            }
        };
        let shows = answer.text.contains(&control);
        let leaked: Vec<&str> = names
            .iter()
            .enumerate()
            .filter(|(at, _)| answer.text.contains(&self.canary(*at)))
            .map(|(_, name)| *name)
            .collect();
        let identity = if !leaked.is_empty() {
            fail(
                whats[0],
                format!(
                    "{} reaches it; take it away before the application",
                    leaked.join(", ")
                ),
            )
        } else if shows {
            pass(whats[0])
        } else {
            skip(whats[0], NOT_SHOWN)
        };
        let kept = if answer.text.contains(cookie) {
            fail(
                whats[1],
                "take __Secure-session out of Cookie before the application",
            )
        } else if shows {
            pass(whats[1])
        } else {
            skip(whats[1], NOT_SHOWN)
        };
        vec![
            pass(entry),
            identity,
            kept,
            self.dots_are_refused(whats[2], cookie),
        ]
    }

    fn dots_are_refused(&self, what: &'static str, cookie: &str) -> Finding {
        let served = |target: &&&str| {
            let answer = self.ask(target, &[session(cookie)]);
            answer.is_ok_and(|answer| answer.serves())
        };
        match MALFORMED.iter().take(DOTS).find(served) {
            None => pass(what),
            Some(target) => fail(
                what,
                format!(
                    "GET {target} is served; ask auth_user about the target as it was sent, not as the proxy reads it"
                ),
            ),
        }
    }

    fn application_is_out_of_reach(&self, port: Option<u16>) -> Finding {
        let what = "the application cannot be reached past the proxy";
        match port {
            None => skip(
                what,
                "say where it listens with --upstream-port, and run this from another machine",
            ),
            Some(port) if self.wire.is_open(port) => fail(
                what,
                format!(
                    "port {port} takes connections; let the application listen on 127.0.0.1, or close the port"
                ),
            ),
            Some(_) => pass(what),
        }
    }

    fn plain_http_leads_to_https(&self, port: u16) -> Finding {
        let what = "plain http leads to https only";
        if port != 443 {
            return skip(what, "looked at only where https is at port 443");
        }
        match self.wire.ask_plainly(80) {
            Ok(answer) if answer.status < 300 => fail(what, "port 80 serves; redirect it to https"),
            Ok(answer) => match answer.field("location") {
                Some(to) if to.starts_with("http://") => {
                    fail(what, "port 80 redirects to http; redirect it to https")
                }
                _ => pass(what),
            },
            Err(_) => pass(what),
        }
    }

    fn browsers_are_told_to_insist(&self) -> Finding {
        let what = "browsers are told to insist on https";
        let age = self
            .stranger
            .field("strict-transport-security")
            .and_then(|value| {
                let parts = value.split(';').map(str::trim);
                parts
                    .filter_map(|part| part.strip_prefix("max-age=")?.parse::<u64>().ok())
                    .next()
            });
        match age {
            Some(seconds) if seconds >= MIN_HSTS => pass(what),
            _ => fail(
                what,
                "send Strict-Transport-Security: max-age=63072000 with every answer",
            ),
        }
    }

    fn version_is_sound(&self) -> Finding {
        let what = "the proxy has no known hole";
        let server = self.stranger.field("server").unwrap_or_default();
        for (name, since, until, hole) in HOLES {
            let Some(version) = server.strip_prefix(name).and_then(version) else {
                continue;
            };
            if (since..until).contains(&version) {
                return fail(what, format!("{server} has {hole}; update it"));
            }
            return pass(what);
        }
        skip(
            what,
            "it does not say its version; Caddy 2.10.0 to 2.11.1, and Traefik before 2.11.43 or 3.6.14 have one",
        )
    }

    fn clocks_agree(&self, now: u64) -> Finding {
        let what = "its clock and the one here agree";
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let date = self.stranger.field("date");
        let Some(date) = date.and_then(|date| PrimitiveDateTime::parse(date, &format).ok()) else {
            return skip(what, "it does not say its time");
        };
        let difference = i64::try_from(now)
            .unwrap_or(i64::MAX)
            .abs_diff(date.assume_utc().unix_timestamp());
        if difference <= MAX_DIFFERENCE {
            pass(what)
        } else {
            fail(
                what,
                format!(
                    "they differ by {difference} s, and one-time codes last 30 s; set both by NTP"
                ),
            )
        }
    }
}

/// The value of a session cookie as a file has it: with its name or without.
pub fn cookie(text: &str) -> String {
    let text = text.trim();
    let value = text.strip_prefix("__Secure-session=").unwrap_or(text);
    value.chars().filter(char::is_ascii_graphic).collect()
}

fn session(cookie: &str) -> String {
    format!("Cookie: __Secure-session={cookie}")
}

/// The three numbers a version begins with.
fn version(text: &str) -> Option<[u32; 3]> {
    let text = text.split(' ').next()?;
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
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
