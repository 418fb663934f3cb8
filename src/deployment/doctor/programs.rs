//! What `access.toml` opens, and whether an access token stays out of the application.

use crate::deployment::doctor::visitor::NOT_SHOWN;
use crate::deployment::doctor::{Finding, Patient, Visit, fail, pass, session, skip};
use crate::host;

const TOKEN_CHECK: &str = "the application does not get an access token";

const RULES_CHECK: &str = "no rule opens anything unawares";

/// Why checks of a path that a rule opens are skipped.
pub(super) const OPEN: &str = "a rule of access.toml opens / to everybody";

impl Patient {
    /// Each address of the host that a rule opens to everybody, a line each.
    pub fn public(&self) -> Vec<String> {
        let Ok(access) = &self.access else {
            return Vec::new();
        };
        let paths = access.public_paths(&host::plain(&self.host));
        paths
            .iter()
            .map(|path| format!("public: https://{}{path}", self.host))
            .collect()
    }

    /// A finding only if the rules are there and cannot be read.
    pub(super) fn unread_rules(&self) -> Option<Finding> {
        let why = self.access.as_ref().err()?;
        Some(skip(RULES_CHECK, why.as_str()))
    }
}

impl Visit {
    /// Whether a rule opens this target to everybody.
    pub(super) fn opens(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        self.access.ruling(&self.host, path).is_public()
    }

    /// Asks with an access token, by itself and in each form of `Authorization`, and with the session
    /// too if there is one.
    pub(super) fn token_is_kept(&self, token: Option<&str>, cookie: Option<&str>) -> Finding {
        let Some(token) = token else {
            return skip(
                TOKEN_CHECK,
                "give the access token of a test account with --token-file",
            );
        };
        let cookies = [None, cookie];
        let cookies = if cookie.is_some() {
            &cookies[..]
        } else {
            &cookies[..1]
        };
        let (mut entered, mut shown) = (false, true);
        for cookie in cookies {
            let control = format!("X-Doctor: {}", self.control());
            let mut fields = vec![format!("Authorization: Bearer {token}"), control];
            fields.extend(cookie.map(session));
            let Ok(answer) = self.ask("/", &fields) else {
                continue;
            };
            if answer.text.contains(token) {
                let advice =
                    "delete the visitor's Authorization, and set it from auth_user's answer";
                return fail(TOKEN_CHECK, advice);
            }
            if self.lets_in(&answer) {
                entered = true;
                shown &= answer.text.contains(&self.control());
            }
        }
        match (entered, shown) {
            (false, _) => skip(
                TOKEN_CHECK,
                "the token is refused; is it for this host, and has the rule tokens = true?",
            ),
            (true, false) => skip(TOKEN_CHECK, NOT_SHOWN),
            (true, true) => pass(TOKEN_CHECK),
        }
    }
}
