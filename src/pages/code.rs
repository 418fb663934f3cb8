//! The second step of a login.

use super::fill::{Html, Values, fill};
use super::{Page, Problem, Ring, Site, short, with_rd};

/// Asks for a code of the authenticator; with `recovery`, for a recovery code instead.
#[derive(Clone, Default)]
pub struct EnterCode {
    pub username: String,
    pub recovery: bool,
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

    fn main(&self, _: &Site) -> Html {
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("rd", self.rd.as_str())
            .text("login", with_rd("/login", short(&self.rd)))
            .form(&["secret"], self.problem(), Some("secret"));
        let template = if self.recovery {
            include_str!("../../static/recovery_code.html")
        } else {
            include_str!("../../static/code.html")
        };
        fill(template, &values)
    }
}
