//! The way from the proxy to the application: whether a visitor who may enter something can send
//! anything there but requests that were asked about.

use std::io;

use crate::doctor::visitor::NOT_SHOWN;
use crate::doctor::wire::Answer;
use crate::doctor::{Finding, Visit, fail, pass, session, skip};

const UPGRADE: &str = "Upgrade opens nothing but a WebSocket";
const CONNECT: &str = "CONNECT and TRACE are refused";
const CONNECTION: &str = "Connection names none of the application's fields";
const NAMES: &str = "a field name of more than letters, digits and hyphens does not pass";

/// Every character that a field name may have beside letters, digits and the hyphen (RFC 9110,
/// section 5.6.2). Many applications make `-`, and some all of these, into `_`.
const ODD: &str = "_.~!#$%&'*+^`|";

impl Visit {
    pub(super) fn last_hop(&self, cookie: &str) -> [Finding; 4] {
        [
            self.upgrades_are_taken_away(cookie),
            self.tunnels_are_refused(Ok(cookie)),
            self.connection_names_nothing(cookie),
            self.odd_names_do_not_pass(cookie),
        ]
    }

    /// The same without a session: only a tunnel for strangers can be found.
    pub(super) fn last_hop_unseen(&self, why: &str) -> [Finding; 4] {
        [
            skip(UPGRADE, why),
            self.tunnels_are_refused(Err(why)),
            skip(CONNECTION, why),
            skip(NAMES, why),
        ]
    }

    /// Asks for `/` as a visitor with these fields, and one that an echo shows.
    fn visit_with(&self, cookie: &str, fields: &[String]) -> io::Result<Answer> {
        let own = [session(cookie), format!("X-Doctor: {}", self.control())];
        self.ask("/", &[&own, fields].concat())
    }

    /// HTTP/2 in clear (RFC 7540, section 3.2) is the tunnel that application servers speak; a
    /// protocol that nobody speaks shows whether the field arrives.
    fn upgrades_are_taken_away(&self, cookie: &str) -> Finding {
        let advice = "pass `Upgrade` on only where it is `websocket`; else a visitor can ask the application anything, as anybody";
        let h2c = [
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let unknown = self.canary(0);
        let odd = [
            "Connection: Upgrade".to_owned(),
            format!("Upgrade: {unknown}"),
        ];
        let mut shown = true;
        for fields in [h2c.map(str::to_owned).to_vec(), odd.to_vec()] {
            let Ok(answer) = self.visit_with(cookie, &fields) else {
                // A connection that ends opens nothing.
                continue;
            };
            let arrives =
                answer.text.contains(&unknown) || answer.body().contains("AAMAAABkAAQAAP__");
            if answer.status == 101 || arrives {
                return fail(UPGRADE, advice);
            }
            shown &= answer.text.contains(&self.control()) || answer.status >= 400;
        }
        self.seen(UPGRADE, shown)
    }

    fn tunnels_are_refused(&self, cookie: Result<&str, &str>) -> Finding {
        let authority = self.wire.authority();
        let host = match self.wire.port() {
            443 => format!("{authority}:443"),
            _ => authority,
        };
        let requests = [("CONNECT", host.as_str()), ("CONNECT", "/"), ("TRACE", "/")];
        let fields: Vec<Vec<String>> = match cookie {
            Ok(cookie) => vec![Vec::new(), vec![session(cookie)]],
            Err(_) => vec![Vec::new()],
        };
        for fields in fields {
            for (method, target) in requests {
                let answer = self.send(method, target, &fields);
                if answer.is_ok_and(|answer| (200..300).contains(&answer.status)) {
                    return fail(
                        CONNECT,
                        format!("{method} {target} is let through; refuse the method in the proxy"),
                    );
                }
            }
        }
        match cookie {
            Ok(_) => pass(CONNECT),
            Err(why) => skip(CONNECT, why),
        }
    }

    /// `Connection` makes a proxy drop the fields it names (RFC 9110, section 7.6.1).
    fn connection_names_nothing(&self, cookie: &str) -> Finding {
        let named = |answer: &Answer| {
            let text = answer.body().to_ascii_lowercase().replace('_', "-");
            text.contains("remote-user")
        };
        let Ok(usual) = self.visit_with(cookie, &[]) else {
            return skip(CONNECTION, NOT_SHOWN);
        };
        let canary = self.canary(0);
        let naming = format!("Connection: close, {canary}, Remote-User, Remote-Groups");
        let Ok(answer) = self.visit_with(cookie, &[naming]) else {
            return skip(CONNECTION, NOT_SHOWN);
        };
        if answer.status >= 400 {
            return pass(CONNECTION);
        }
        let passed_on = answer.text.contains(&canary);
        if passed_on || named(&usual) && !named(&answer) {
            return fail(
                CONNECTION,
                "a visitor's `Connection` takes who they are away from the application; set that field in the proxy",
            );
        }
        self.seen(CONNECTION, answer.text.contains(&self.control()))
    }

    fn odd_names_do_not_pass(&self, cookie: &str) -> Finding {
        let mut passed = Vec::new();
        let mut shown = true;
        for odd in ODD.chars() {
            let name = format!("Remote{odd}User");
            let canary = self.canary(1);
            match self.visit_with(cookie, &[format!("{name}: {canary}")]) {
                Ok(answer) if answer.text.contains(&canary) => passed.push(name),
                Ok(answer) => {
                    shown &= answer.text.contains(&self.control()) || answer.status >= 400;
                }
                Err(_) => {}
            }
        }
        if passed.is_empty() {
            return self.seen(NAMES, shown);
        }
        let names = passed.join(", ");
        fail(
            NAMES,
            format!(
                "{names} reaches the application, which may read it as Remote-User; take it away"
            ),
        )
    }
}
