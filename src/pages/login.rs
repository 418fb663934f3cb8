//! The first step of a login.

use super::fill::{Html, Values, fill};
use super::form::{link, notice};
use super::{Page, Problem, Site, register_with_rd, short, with_rd};

/// Asks for name and password.
#[derive(Clone, Default)]
pub struct Login {
    pub username: String,
    /// Where to go after the login; may be empty.
    pub rd: String,
    /// The value of the hidden field that differs in every page; empty for none.
    pub form: String,
    pub notice: Option<String>,
    pub problem: Option<Problem>,
}

impl Login {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem.near("password"));
        Self { problem, ..self }
    }
}

impl Page for Login {
    fn title(&self) -> &str {
        "Log in"
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, site: &Site) -> Html {
        let rd = short(&self.rd);
        let register = site
            .registration_open
            .then(|| link(&register_with_rd(rd), "Create an account"));
        let start = if self.username.is_empty() {
            "username"
        } else {
            "password"
        };
        let values = Values::new()
            .html("notice", self.notice.as_deref().map(notice))
            .text("username", self.username.as_str())
            .text("rd", self.rd.as_str())
            .text("forgot", with_rd("/forgot_password", rd))
            .html("register", register)
            .once(&self.form)
            .form(&["username", "password"], self.problem(), Some(start));
        fill(include_str!("../../static/login.html"), &values)
    }
}
