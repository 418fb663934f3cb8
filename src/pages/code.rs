//! The second step of a login.

use super::fill::{Html, Values, fill};
use super::form::link;
use super::{Page, Problem, Ring, Site, passkey, short, with_rd};

/// Asks for a code of the authenticator; with `recovery`, for a recovery code instead.
#[derive(Clone, Default)]
pub struct EnterCode {
    pub username: String,
    pub recovery: bool,
    /// Whether the account has an authenticator; if not, the code is a recovery code.
    pub has_app: bool,
    /// What asks for a passkey, as JSON; `None` if the account has none here.
    pub passkey: Option<String>,
    pub rd: String,
    pub problem: Option<Problem>,
}

impl EnterCode {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem.near("secret"));
        Self { problem, ..self }
    }
}

const TO_APP: &str = "Use the authenticator app";

impl Page for EnterCode {
    fn title(&self) -> &str {
        if self.recovery {
            "Enter a recovery code"
        } else {
            "Enter your code"
        }
    }

    fn ring(&self) -> Ring {
        Ring::Half
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn needs_script(&self) -> bool {
        self.passkey.is_some()
    }

    fn main(&self, _: &Site) -> Html {
        let passkey = self.passkey.as_deref().map(passkey::second);
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("rd", self.rd.as_str())
            .html("passkey", passkey)
            .text("login", with_rd("/login", short(&self.rd)))
            .form(&["secret"], self.problem(), Some("secret"));
        if !self.recovery {
            return fill(include_str!("../../static/code.html"), &values);
        }
        let (place, to_app) = match self.has_app {
            true => ("your authenticator app", Some(link("/secret_key", TO_APP))),
            false => ("your passkey", None),
        };
        let values = values.text("place", place).html("to_app", to_app);
        fill(include_str!("../../static/recovery_code.html"), &values)
    }
}
