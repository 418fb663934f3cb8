//! What a stranger can see: whether they are turned away whatever they send, and what the proxy
//! shows of itself.

use time::PrimitiveDateTime;
use time::macros::format_description;
use url::Url;

use crate::deployment::doctor::programs::OPEN;
use crate::deployment::doctor::wire::Answer;
use crate::deployment::doctor::{Finding, Verdict, Visit, fail, get, pass, session, skip};

/// Fields from which some proxy or application takes what was asked for, or who asked.
pub(super) const FORWARDING: [&str; 12] = [
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

/// Targets that a browser would not send, or that servers read in more than one way: `.` and `..`
/// in several spellings, an empty segment, and characters that end a path early.
const MALFORMED: [&str; 12] = [
    "/a/../b",
    "/%2e%2e/b",
    "/a/%2E./b",
    "/a\\..\\b",
    "/a#b",
    "//b",
    "/./b",
    "/b;a",
    "/b%00",
    "/a/..;/b",
    "/a/..%2fb",
    "/a/%252e%252e/b",
];

/// Versions with a hole that lets strangers in or stops the proxy, as the `Server` field names
/// them: from the first version with the hole up to, but not including, the first without.
/// Distributions fix older holes without changing the version, so the table holds only versions
/// that no supported distribution has.
const HOLES: [(&str, [u32; 3], [u32; 3], &str); 2] = [
    ("nginx/", [0, 6, 18], [1, 20, 1], "CVE-2021-23017"),
    ("Caddy/", [2, 10, 0], [2, 11, 2], "GHSA-7r4p-vjf4-gxv4"),
];

/// Seconds that clocks may differ by: one step of a one-time code.
const MAX_DIFFERENCE: u64 = 30;

/// A year, in seconds: the preload lists of browsers take no site with less.
const MIN_HSTS: u64 = 31_536_000;

impl Visit {
    pub(super) fn as_a_stranger(&self) -> Vec<Finding> {
        let findings = [
            self.stranger_is_kept_out(),
            self.identity_is_not_believed(),
            self.forwarding_is_not_believed(),
            self.hosts_have_one_meaning(),
            self.malformed_targets_are_refused(),
            self.forged_session_is_refused(),
        ];
        let guarded = self.if_it_works(self.every_path_is_guarded());
        let findings = findings.map(|finding| match self.opens("/") {
            true => skip(finding.what, OPEN),
            false => self.if_it_works(finding),
        });
        let mut findings = Vec::from(findings);
        // Second, after the path that everybody asks for first.
        findings.insert(1, guarded);
        findings
    }

    /// The finding, but a site that answers nobody does not pass.
    pub(super) fn if_it_works(&self, finding: Finding) -> Finding {
        match finding.verdict {
            Verdict::Pass if is_broken(&self.stranger) => skip(
                finding.what,
                format!("everybody is answered with {}", self.stranger.status),
            ),
            _ => finding,
        }
    }

    /// Whether a URL leads to the host under examination.
    pub(super) fn is_here(&self, url: &Url) -> bool {
        let here = Url::parse(&self.address("/"));
        here.is_ok_and(|here| here.origin() == url.origin())
    }

    /// Where the login is: as the operator said, or where `/` leads.
    pub(super) fn login(&self) -> Option<Url> {
        let told = self.public_url.clone();
        told.or_else(|| self.led_to("/", &self.stranger))
            .filter(|url| url.scheme() == "https")
    }

    /// Where an answer to a request for `target` sends the browser.
    pub(super) fn led_to(&self, target: &str, answer: &Answer) -> Option<Url> {
        let asked = Url::parse(&self.address(target)).ok()?;
        asked.join(answer.field("location")?).ok()
    }

    /// The full URL of a target, as a browser shows it.
    fn address(&self, target: &str) -> String {
        format!("https://{}{target}", self.wire.authority())
    }

    /// Whether a stranger who asked for `target` was turned away, or sent to the login in such a
    /// way that they come back to exactly there. The error says what happened instead.
    fn turned_away(&self, target: &str, answer: &Answer) -> Result<(), String> {
        match answer.status {
            401 | 403 => return Ok(()),
            302 | 303 => {}
            status => return Err(format!("is answered with {status}")),
        }
        let to = self.led_to(target, answer);
        let to = to.ok_or("is redirected to nowhere")?;
        let login = self.login().map(|login| login.origin());
        if Some(to.origin()) != login {
            return Err(format!("is redirected to {to}, which is not the login"));
        }
        let address = self.address(target);
        let back = to.query_pairs().find(|(name, _)| name == "rd");
        match back {
            Some((_, back)) if back == address => Ok(()),
            Some((_, back)) => Err(format!("leads to the login, and back to {back}")),
            None => Err(format!(
                "is redirected to {to}, and not to the login with `rd`"
            )),
        }
    }

    fn stranger_is_kept_out(&self) -> Finding {
        let what = "a stranger is sent to the login";
        match self.turned_away("/", &self.stranger) {
            Ok(()) => pass(what),
            Err(how) => fail(
                what,
                format!("GET / without a cookie {how}; {}", remedy(&self.stranger)),
            ),
        }
    }

    /// Checks a path that nobody can have made an exception for, and the one that `/` leads to.
    fn every_path_is_guarded(&self) -> Finding {
        let what = "every other path leads a stranger to the login too";
        let mut targets = vec![format!("/{0}/{0}/{0}", self.mark)];
        let next = self.led_to("/", &self.stranger);
        targets.extend(next.filter(|next| self.is_here(next)).map(|next| {
            let query = next.query().map(|query| format!("?{query}"));
            format!("{}{}", next.path(), query.unwrap_or_default())
        }));
        targets.retain(|target| !self.opens(target));
        if targets.is_empty() {
            return skip(what, "rules of access.toml open every path that is asked");
        }
        for target in targets {
            let (how, remedy) = match self.ask(&target, &[]) {
                Ok(answer) => (self.turned_away(&target, &answer), remedy(&answer)),
                Err(error) => (Err(format!("is not answered: {error}")), ASK),
            };
            if let Err(how) = how {
                return fail(
                    what,
                    format!("GET {target} without a cookie {how}; {remedy}"),
                );
            }
        }
        pass(what)
    }

    /// Sends fields as a stranger, who must be turned away exactly as without them.
    fn changes_nothing(&self, what: &'static str, names: &[&str], advice: &str) -> Finding {
        // One by one, since one could hide another: the refusal of one would look like a refusal of
        // all.
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
                    "{} from a stranger changes the answer; {advice}",
                    believed.join(", ")
                ),
            )
        }
    }

    fn identity_is_not_believed(&self) -> Finding {
        self.changes_nothing(
            "a stranger cannot say who they are",
            &["Remote-User", "Remote_User", "X-Forwarded-User"],
            "remove it before asking auth_user",
        )
    }

    fn forwarding_is_not_believed(&self) -> Finding {
        self.changes_nothing(
            "a stranger cannot say what they ask for",
            &FORWARDING,
            "set or remove it in the question to auth_user",
        )
    }

    fn hosts_have_one_meaning(&self) -> Finding {
        let what = "no spelling of the host gets past the check";
        let host = self.wire.authority();
        let port = host.rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
        let name = host.strip_suffix(&format!(":{}", port.unwrap_or_default()));
        let dotted = format!("{}.:{}", name.unwrap_or(&host), port.unwrap_or_default());
        for spelling in [
            host.to_ascii_uppercase(),
            dotted.trim_end_matches(':').to_owned(),
        ] {
            // A refused connection is a refusal.
            let answer = self.wire.send(&get("/", &spelling, &[]));
            if answer.is_ok_and(|answer| answer.serves()) {
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
                    "GET {target} is served without a login; let nothing through that auth_user answers with 400 or 403"
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

    pub(super) fn old_session_is_refused(&self, cookie: Option<&str>) -> Finding {
        let what = "a session is over after log-out";
        let Some(cookie) = cookie else {
            return skip(
                what,
                "log a test account out and give its cookie with --old-cookie-file",
            );
        };
        match self.ask("/", &[session(cookie)]) {
            Ok(answer) if answer.is_like(&self.stranger) => self.if_it_works(pass(what)),
            _ => fail(
                what,
                "an old cookie still opens the application; do not cache auth_user's answers",
            ),
        }
    }

    pub(super) fn plain_http_leads_to_https(&self) -> Finding {
        let what = "plain http leads to https only";
        if self.wire.port() != 443 {
            return skip(what, "checked only where https is on port 443");
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

    pub(super) fn browsers_are_told_to_insist(&self) -> Finding {
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

    pub(super) fn version_is_sound(&self) -> Finding {
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

    pub(super) fn clocks_agree(&self, now: u64) -> Finding {
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

/// What to do about a stranger who gets in.
const ASK: &str = "ask auth_user before the application, for every path";

/// What to do about an answer that does not lead a stranger to the login.
fn remedy(answer: &Answer) -> &'static str {
    if is_broken(answer) {
        "the proxy gets no answer from auth_user: see whether it runs, and listens where the proxy \
         asks"
    } else {
        ASK
    }
}

/// Whether the proxy says that something behind it fails: then it neither lets anybody in nor keeps
/// anybody out.
pub(super) fn is_broken(answer: &Answer) -> bool {
    answer.status >= 500
}

/// The three numbers at the beginning of a version.
fn version(text: &str) -> Option<[u32; 3]> {
    let text = text.split(' ').next()?;
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}
