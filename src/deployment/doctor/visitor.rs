//! What only somebody with a session can see.

use crate::deployment::doctor::machine::{self, Listens};
use crate::deployment::doctor::stranger::{FORWARDING, is_broken};
use crate::deployment::doctor::{Finding, Visit, fail, pass, session, skip};

/// Fields from which some application takes who the visitor is.
const IDENTITY: [&str; 15] = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "Remote-Id",
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

/// The beginnings of field names from which applications take who the visitor is.
const BEGINNINGS: [&str; 4] = ["Remote-", "X-Auth-", "X-Remote-", "X-WebAuth-"];

/// Dot segments in each place of a path, in forms that no proxy makes harmless: a proxy that asks
/// about less than the whole path lets one through.
const DOTS: [&str; 5] = ["/a/../b", "/%2e%2e/b", "/a/%2E./b", "/./a/b", "/a/b/."];

pub(super) const NOT_SHOWN: &str =
    "the application does not show what it is sent; put an echo application behind the same proxy";

/// Why the other checks are skipped when the account was tried.
pub(super) const NOT_IN: &str = "the test account does not get in";

/// The check on which all the others here depend.
pub(super) const ENTRY: &str = "the test account gets in";

/// What to look at if a session is refused.
const REFUSED: &str = "its session is refused; is it fresh, the whole value of the cookie, and may the account enter?";

/// The other checks.
const IDENTITY_CHECK: &str = "the application gets no identity from the visitor";
const SESSION_CHECK: &str = "the application does not get the session";
const TARGETS_CHECK: &str = "a visitor gets nothing by malformed targets";

/// Which of a visitor's fields the application receives.
enum Heard {
    /// These names.
    Names(Vec<String>),
    /// The application does not show what it receives.
    Hidden,
    /// The request was refused because of the fields.
    Refusal,
    /// The fields turned a visitor who may enter into a stranger.
    ShutOut,
}

impl Heard {
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Names(names) => names.as_slice(),
            _ => &[],
        };
        names.iter().map(String::as_str)
    }
}

impl Visit {
    /// Makes all checks with this session, or says why there is none.
    pub(super) fn as_a_visitor(&self, cookie: Result<&str, &str>) -> Vec<Finding> {
        let cookie = match cookie {
            Ok(cookie) => cookie,
            Err(why) => return self.unvisited(skip(ENTRY, why), why),
        };
        let advice = match self.ask("/", &[session(cookie)]) {
            Ok(answer) if self.lets_in(&answer) => None,
            Ok(answer) if is_broken(&answer) => Some(format!(
                "GET / with its session is answered with {}; see whether the application runs, and \
                 listens where the proxy looks for it, and auth_user where it asks",
                answer.status
            )),
            Ok(_) => Some(REFUSED.to_owned()),
            Err(error) => Some(format!("GET / with its session is not answered: {error}")),
        };
        if let Some(advice) = advice {
            return self.unvisited(fail(ENTRY, advice), NOT_IN);
        }
        let mut findings = vec![pass(ENTRY)];
        findings.push(self.identity_is_taken_away(cookie));
        findings.push(self.session_is_kept(cookie));
        findings.push(self.dots_are_refused(cookie));
        findings.extend(self.last_hop(Ok(cookie)));
        findings
    }

    /// The findings where nobody gets in; `entry` says why that is.
    pub(super) fn unvisited(&self, entry: Finding, why: &str) -> Vec<Finding> {
        let others = [IDENTITY_CHECK, SESSION_CHECK, TARGETS_CHECK];
        let mut findings = vec![entry];
        findings.extend(others.map(|what| skip(what, why)));
        findings.extend(self.last_hop(Err(why)));
        findings
    }

    /// Checks the fields by which a visitor says who they are and what they ask for.
    fn identity_is_taken_away(&self, cookie: &str) -> Finding {
        let known = IDENTITY.into_iter().chain(FORWARDING).map(str::to_owned);
        let known: Vec<String> = known.collect();
        // One by one, since the refusal of one would hide the others.
        let mut alone = BEGINNINGS.map(|begin| format!("{begin}Doctor")).to_vec();
        let mut all = Vec::new();
        match self.heard(cookie, &known) {
            Heard::Refusal => alone.extend(known),
            heard => all.push(heard),
        }
        all.extend(alone.chunks(1).map(|name| self.heard(cookie, name)));

        let leaked: Vec<&str> = all.iter().flat_map(Heard::names).collect();
        if !leaked.is_empty() {
            let names = leaked.join(", ");
            return fail(
                IDENTITY_CHECK,
                format!("{names} reaches the application; remove it in the proxy"),
            );
        }
        if all.iter().any(|heard| matches!(heard, Heard::ShutOut)) {
            let advice = "what a visitor says of themselves shuts them out: something believes it";
            return fail(IDENTITY_CHECK, advice);
        }
        let hidden = all.iter().any(|heard| matches!(heard, Heard::Hidden));
        self.seen(IDENTITY_CHECK, !hidden)
    }

    /// What happens to fields with these names that a visitor sends.
    fn heard(&self, cookie: &str, names: &[String]) -> Heard {
        let fields: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(at, name)| format!("{name}: {}", self.canary(at)))
            .collect();
        let Ok(answer) = self.visit_with(cookie, &fields) else {
            return Heard::ShutOut;
        };
        let arrives = |(at, _): &(usize, &String)| answer.text.contains(&self.canary(*at));
        let arrived = names.iter().enumerate().filter(arrives);
        let arrived: Vec<String> = arrived.map(|(_, name)| name.clone()).collect();
        if !arrived.is_empty() {
            return Heard::Names(arrived);
        }
        match answer.status {
            403 => Heard::Refusal,
            _ if !self.lets_in(&answer) => Heard::ShutOut,
            _ if answer.text.contains(&self.control()) => Heard::Names(Vec::new()),
            _ => Heard::Hidden,
        }
    }

    /// Sends the session in every form in which applications find it among other cookies.
    fn session_is_kept(&self, cookie: &str) -> Finding {
        let named = format!("__Secure-session={cookie}");
        let mut shown = true;
        for cookies in [
            named.clone(),
            format!("doctor=1;\t{named}"),
            format!("{named};__Secure-session={}", self.canary(0)),
        ] {
            let control = format!("X-Doctor: {}", self.control());
            match self.ask("/", &[format!("Cookie: {cookies}"), control]) {
                Ok(answer) if answer.text.contains(cookie) => {
                    let advice = "take __Secure-session out of Cookie before the application, whatever stands before and behind it";
                    return fail(SESSION_CHECK, advice);
                }
                Ok(answer) => {
                    shown &= answer.text.contains(&self.control()) || !self.lets_in(&answer);
                }
                Err(_) => {}
            }
        }
        self.seen(SESSION_CHECK, shown)
    }

    /// A pass if the application shows what it is sent; what was looked for was not there.
    pub(super) fn seen(&self, what: &'static str, shown: bool) -> Finding {
        if shown {
            pass(what)
        } else {
            skip(what, NOT_SHOWN)
        }
    }

    /// A value that an application that shows its fields will show.
    pub(super) fn control(&self) -> String {
        format!("{}control", self.mark)
    }

    fn dots_are_refused(&self, cookie: &str) -> Finding {
        let served = |target: &&&str| {
            let answer = self.ask(target, &[session(cookie)]);
            answer.is_ok_and(|answer| answer.serves())
        };
        match DOTS.iter().find(served) {
            None => pass(TARGETS_CHECK),
            Some(target) => fail(
                TARGETS_CHECK,
                format!(
                    "GET {target} is served; ask auth_user about the target as it was sent, not as the proxy reads it"
                ),
            ),
        }
    }

    pub(super) fn application_is_out_of_reach(&self, port: Option<u16>) -> Finding {
        let what = "the application cannot be reached past the proxy";
        let Some(port) = port else {
            return skip(
                what,
                "say where it listens with --upstream-port, on this machine or from another",
            );
        };
        // From this machine itself every port can be reached; what counts is on which address it
        // listens.
        let open = if self.wire.leads_here() {
            match machine::listens(port) {
                Ok(Listens::Openly(address)) => Some(address),
                Ok(Listens::Locally) => None,
                Ok(Listens::Nowhere) => {
                    return skip(
                        what,
                        format!(
                            "nothing listens on port {port} of this machine; is that the \
                             application's?"
                        ),
                    );
                }
                Err(error) => {
                    return skip(
                        what,
                        format!("where this machine listens cannot be read: {error}"),
                    );
                }
            }
        } else {
            self.wire.is_open(port).then(|| self.wire.address())
        };
        match open {
            None => pass(what),
            Some(address) => fail(
                what,
                format!(
                    "port {port} takes connections at {address}; let the application listen on 127.0.0.1, or close the port"
                ),
            ),
        }
    }
}
