//! The pages for people who have forgotten their password.

use super::fill::{Html, Values, fill};
use super::{Page, Problem, Site, short, with_rd};

/// Asks whose password to replace.
#[derive(Clone, Default)]
pub struct Forgot {
    pub username: String,
    pub rd: String,
    /// The value of the hidden field that differs in every page; empty for none.
    pub form: String,
    pub problem: Option<Problem>,
}

impl Forgot {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem.near("username"));
        Self { problem, ..self }
    }
}

impl Page for Forgot {
    fn title(&self) -> &str {
        "Forgot your password?"
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("rd", self.rd.as_str())
            .text("login", with_rd("/login", short(&self.rd)))
            .once(&self.form)
            .form(&["username"], self.problem(), Some("username"));
        fill(include_str!("../../static/forgot.html"), &values)
    }
}

/// What happens next.
#[derive(Clone)]
pub struct ForgotSent {
    pub message: String,
    pub rd: String,
}

impl Page for ForgotSent {
    fn title(&self) -> &str {
        "Look at your mail"
    }

    fn main(&self, _: &Site) -> Html {
        let values = Values::new()
            .text("message", self.message.as_str())
            .text("login", with_rd("/login", short(&self.rd)))
            .text("again", with_rd("/forgot_password", short(&self.rd)));
        fill(include_str!("../../static/forgot_sent.html"), &values)
    }
}
