//! What only somebody with a session can see.

use crate::doctor::stranger::{FORWARDING, MALFORMED};
use crate::doctor::{Finding, Visit, fail, machine, pass, session, skip};

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

/// Those of them that no proxy can make into something harmless: Caddy passes on a backslash as
/// `%5C`, after asking about just that.
const DOTS: usize = 3;

pub(super) const NOT_SHOWN: &str =
    "the application does not show what it is sent; put an echo application behind the same proxy";

/// The check that all the others here rest on.
pub(super) const ENTRY: &str = "the test account gets in";

/// The others.
const IDENTITY_CHECK: &str = "the application gets no identity from the visitor";
const SESSION_CHECK: &str = "the application does not get the session";
const TARGETS_CHECK: &str = "a visitor gets nothing by malformed targets";

impl Visit {
    /// Looks at everything with this session, or says why there is none.
    pub(super) fn as_a_visitor(&self, cookie: Result<&str, &str>) -> Vec<Finding> {
        let cookie = match cookie {
            Ok(cookie) => cookie,
            Err(why) => {
                let whats = [ENTRY, IDENTITY_CHECK, SESSION_CHECK, TARGETS_CHECK];
                let mut findings: Vec<Finding> =
                    whats.into_iter().map(|what| skip(what, why)).collect();
                findings.extend(self.last_hop_unseen(why));
                return findings;
            }
        };
        let enters = self.ask("/", &[session(cookie)]);
        if !enters.is_ok_and(|answer| self.lets_in(&answer)) {
            let advice = "its session is refused; is it fresh, the whole value of the cookie, and may the account enter?";
            return vec![fail(ENTRY, advice)];
        }
        let mut findings = vec![pass(ENTRY)];
        findings.extend(self.fields_are_taken_away(cookie));
        findings.push(self.dots_are_refused(cookie));
        findings.extend(self.last_hop(cookie));
        findings
    }

    /// What the visitor says of themselves and of the request, and their session.
    fn fields_are_taken_away(&self, cookie: &str) -> [Finding; 2] {
        let names: Vec<&str> = IDENTITY.into_iter().chain(FORWARDING).collect();
        let mut fields = self.spoofed(&names);
        let control = self.control();
        fields.extend([session(cookie), format!("X-Doctor: {control}")]);
        let answer = match self.ask("/", &fields) {
            // Refusing whoever says such things is as good as taking them away.
            Ok(answer) if self.lets_in(&answer) || answer.status == 403 => answer,
            _ => {
                let advice =
                    "what a visitor says of themselves shuts them out: something believes it";
                return [fail(IDENTITY_CHECK, advice), skip(SESSION_CHECK, NOT_SHOWN)];
            }
        };
        let leaked: Vec<&str> = names
            .iter()
            .enumerate()
            .filter(|(at, _)| answer.text.contains(&self.canary(*at)))
            .map(|(_, name)| *name)
            .collect();
        let identity = if leaked.is_empty() {
            self.seen(
                IDENTITY_CHECK,
                answer.text.contains(&control) || answer.status == 403,
            )
        } else {
            let names = leaked.join(", ");
            fail(
                IDENTITY_CHECK,
                format!("{names} reaches it; take it away before the application"),
            )
        };
        [identity, self.session_is_kept(cookie)]
    }

    fn session_is_kept(&self, cookie: &str) -> Finding {
        let control = self.control();
        let fields = [session(cookie), format!("X-Doctor: {control}")];
        match self.ask("/", &fields) {
            Ok(answer) if answer.text.contains(cookie) => fail(
                SESSION_CHECK,
                "take __Secure-session out of Cookie before the application",
            ),
            Ok(answer) => self.seen(SESSION_CHECK, answer.text.contains(&control)),
            Err(_) => skip(SESSION_CHECK, NOT_SHOWN),
        }
    }

    /// A pass if the application shows what it is sent, and what was looked for was not there.
    pub(super) fn seen(&self, what: &'static str, shown: bool) -> Finding {
        if shown {
            pass(what)
        } else {
            skip(what, NOT_SHOWN)
        }
    }

    /// What an application that shows its fields shows.
    pub(super) fn control(&self) -> String {
        format!("{}control", self.mark)
    }

    fn dots_are_refused(&self, cookie: &str) -> Finding {
        let served = |target: &&&str| {
            let answer = self.ask(target, &[session(cookie)]);
            answer.is_ok_and(|answer| answer.serves())
        };
        match MALFORMED.iter().take(DOTS).find(served) {
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
        // On this machine everything is in reach; what counts is where the port listens.
        let open = if self.wire.leads_here() {
            machine::open_at(port)
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
