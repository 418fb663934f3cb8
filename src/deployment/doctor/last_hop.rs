//! The way from the proxy to the application: whether a visitor with a session can send anything
//! there other than requests that auth_user was asked about.

use std::io;

use crate::deployment::doctor::visitor::NOT_SHOWN;
use crate::deployment::doctor::wire::Answer;
use crate::deployment::doctor::{Finding, Visit, fail, pass, session, skip};

const UPGRADE: &str = "Upgrade opens nothing but a WebSocket";
const CONNECT: &str = "CONNECT and TRACE are refused";
const CONNECTION: &str = "Connection names none of the application's fields";
const NAMES: &str = "a field name of more than letters, digits and hyphens does not pass";

/// Every character that a field name may have besides letters, digits and the hyphen (RFC 9110,
/// section 5.6.2). Many applications turn `-`, and some turn all of these, into `_`.
const ODD: &str = "_.~!#$%&'*+^`|";

/// What a browser sends to open a WebSocket, from the example in RFC 6455, section 1.2.
const WEBSOCKET: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The value of an `HTTP2-Settings` field.
const SETTINGS: &str = "AAMAAABkAAQAAP__";

/// Fields that a proxy sets for the application, in place of the visitor's.
const OURS: [&str; 8] = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "Remote-Id",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
];

impl Visit {
    /// Makes these checks with a session, or with the reason why there is none: then only a hole
    /// for strangers can be found.
    pub(super) fn last_hop(&self, cookie: Result<&str, &str>) -> [Finding; 4] {
        let of_visitors = |check: &dyn Fn(&str) -> Finding, what| match cookie {
            Ok(cookie) => check(cookie),
            Err(why) => skip(what, why),
        };
        [
            self.upgrades_are_taken_away(cookie),
            self.tunnels_are_refused(cookie),
            of_visitors(&|cookie| self.connection_names_nothing(cookie), CONNECTION),
            of_visitors(&|cookie| self.odd_names_do_not_pass(cookie), NAMES),
        ]
    }

    /// Asks for `/` as a visitor, with these fields and one more that shows whether the application
    /// echoes what it is sent.
    pub(super) fn visit_with(&self, cookie: &str, fields: &[String]) -> io::Result<Answer> {
        let own = [session(cookie), format!("X-Doctor: {}", self.control())];
        self.ask("/", &[&own, fields].concat())
    }

    fn upgrades_are_taken_away(&self, cookie: Result<&str, &str>) -> Finding {
        let tunnels = |answer: &Answer| answer.status == 101 || answer.serves();
        let upgrades = self.upgrades();
        for fields in upgrades.iter().chain([&lines(&WEBSOCKET)]) {
            if self.ask("/", fields).is_ok_and(|answer| tunnels(&answer)) {
                return fail(
                    UPGRADE,
                    "a stranger gets through with an upgrade; ask auth_user about upgrades too",
                );
            }
        }
        let cookie = match cookie {
            Ok(cookie) => cookie,
            Err(why) => return skip(UPGRADE, why),
        };
        let mut shown = true;
        for fields in upgrades {
            // A connection that breaks has opened nothing.
            let Ok(answer) = self.visit_with(cookie, &fields) else {
                continue;
            };
            let websocket = |to: &str| to.eq_ignore_ascii_case("websocket");
            let opens = answer.status == 101 && !answer.field("upgrade").is_some_and(websocket);
            let arrives = answer.text.contains(&self.canary(0)) || answer.body().contains(SETTINGS);
            if opens || arrives {
                return fail(
                    UPGRADE,
                    "pass `Upgrade` on only where it is `websocket`, and never `HTTP2-Settings`; else a visitor can ask the application anything, as anybody",
                );
            }
            shown &= answer.text.contains(&self.control()) || !matches!(answer.status, 200..400);
        }
        self.seen(UPGRADE, shown)
    }

    /// Ways to ask for a protocol other than WebSocket. HTTP/2 in the clear (RFC 7540, section 3.2)
    /// is one that application servers speak, and opens a tunnel; a protocol that nobody speaks
    /// shows whether the field arrives.
    fn upgrades(&self) -> [Vec<String>; 5] {
        let unknown = self.canary(0);
        let settings = format!("HTTP2-Settings: {SETTINGS}");
        let [connection, websocket, version, key] = WEBSOCKET;
        let upgrade = format!("Upgrade: {unknown}");
        [
            lines(&[
                "Connection: Upgrade, HTTP2-Settings",
                "Upgrade: h2c",
                &settings,
            ]),
            lines(&["Connection: HTTP2-Settings", &settings]),
            lines(&[connection, &upgrade]),
            lines(&[connection, &format!("{websocket}, {unknown}"), version, key]),
            lines(&[connection, websocket, &upgrade, version, key]),
        ]
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
        let missing_in = |answer: &Answer| {
            let text = answer.body().to_ascii_lowercase().replace('_', "-");
            OURS.map(|name| !text.contains(&name.to_ascii_lowercase()))
        };
        let Ok(usual) = self.visit_with(cookie, &[]) else {
            return skip(CONNECTION, NOT_SHOWN);
        };
        let canary = self.canary(0);
        let naming = format!("Connection: close, {canary}, {}", OURS.join(", "));
        let Ok(answer) = self.visit_with(cookie, &[naming]) else {
            return skip(CONNECTION, NOT_SHOWN);
        };
        if answer.status >= 400 {
            return pass(CONNECTION);
        }
        let (before, after) = (missing_in(&usual), missing_in(&answer));
        let gone = OURS.iter().zip(before.iter().zip(after));
        let gone: Vec<&str> = gone
            .filter(|(_, (before, after))| !**before && *after)
            .map(|(name, _)| *name)
            .collect();
        if answer.text.contains(&canary) {
            return fail(
                CONNECTION,
                "a visitor's Connection reaches the application; set that field in the proxy",
            );
        }
        if !gone.is_empty() {
            let names = gone.join(", ");
            return fail(
                CONNECTION,
                format!(
                    "a visitor's Connection takes {names} away; set that field in the proxy before anything reads it"
                ),
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
                "{names} reaches the application, which may read it as Remote-User; remove it in the proxy"
            ),
        )
    }
}

fn lines(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}
