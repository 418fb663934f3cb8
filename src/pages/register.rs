//! The registration page.

use super::fill::{Html, Values, fill};
use super::{Page, Problem, Site, short, with_rd};

/// Asks for what an account needs.
#[derive(Clone, Default)]
pub struct Register {
    pub username: String,
    pub email: String,
    pub rd: String,
    /// The value of the hidden field that differs in every page; empty for none.
    pub form: String,
    /// The name of the visitor, if they are logged in already.
    pub me: Option<String>,
    pub problem: Option<Problem>,
}

impl Register {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem);
        Self { problem, ..self }
    }
}

impl Page for Register {
    fn title(&self) -> &str {
        "Create an account"
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let known = self.me.as_deref().map(|me| {
            let template = include_str!("../../static/parts/known.html");
            fill(template, &Values::new().text("username", me))
        });
        let fields = &["username", "email", "password"];
        let start = self.problem().map(|_| "password");
        let values = Values::new()
            .html("known", known)
            .text("username", self.username.as_str())
            .text("email", self.email.as_str())
            .text("rd", self.rd.as_str())
            .text("login", with_rd("/login", short(&self.rd)))
            .once(&self.form)
            .form(fields, self.problem(), start);
        fill(include_str!("../../static/register.html"), &values)
    }
}
