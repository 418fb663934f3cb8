//! The registration page.

use super::fill::{Html, Values, fill};
use super::form::States;
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
        let fields = ["username", "email", "password"];
        let start = self.problem().map(|_| "password");
        let states = States::of(&fields, self.problem(), start);
        let values = Values::new()
            .html("known", self.me.as_deref().map(known))
            .text("rd", self.rd.as_str())
            .text("login", with_rd("/login", short(&self.rd)))
            .once(&self.form)
            .html("username_field", [username_field(&self.username, &states)])
            .html("email_field", [email_field(&self.email, &states)])
            .html("password_field", [password_field(&states)])
            .html("problem", states.above());
        fill(include_str!("../../static/register.html"), &values)
    }
}

/// Says that somebody is logged in already, and as whom.
pub(super) fn known(me: &str) -> Html {
    let template = include_str!("../../static/parts/known.html");
    fill(template, &Values::new().text("username", me))
}

/// The field for the name of a new account.
pub(super) fn username_field(typed: &str, states: &States<'_>) -> Html {
    let values = Values::new()
        .text("username", typed)
        .field("username", states);
    fill(
        include_str!("../../static/parts/username_field.html"),
        &values,
    )
}

/// The field for its address.
pub(super) fn email_field(typed: &str, states: &States<'_>) -> Html {
    let values = Values::new().text("email", typed).field("email", states);
    fill(include_str!("../../static/parts/email_field.html"), &values)
}

/// The field for its password.
pub(super) fn password_field(states: &States<'_>) -> Html {
    let values = Values::new().field("password", states);
    fill(
        include_str!("../../static/parts/password_field.html"),
        &values,
    )
}
