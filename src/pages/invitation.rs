//! The page of an invitation: registration, with what the invitation settles.

use super::fill::{Html, Values, fill};
use super::form::States;
use super::register::{email_field, known, password_field, username_field};
use super::{Page, Problem, Site};

/// Asks for what the invitation leaves open.
#[derive(Clone, Default)]
pub struct Invitation {
    pub token: String,
    /// The name of the account, if that was made already; then only a password is asked for.
    pub made: Option<String>,
    /// The address, if the invitation settles that.
    pub address: Option<String>,
    /// What was typed for a name.
    pub username: String,
    /// What was typed for an address.
    pub email: String,
    /// The value of the hidden field that differs in every page; empty for none.
    pub form: String,
    /// The name of the visitor, if they are logged in already.
    pub me: Option<String>,
    pub problem: Option<Problem>,
}

impl Invitation {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem);
        Self { problem, ..self }
    }

    fn asks_for_email(&self) -> bool {
        self.made.is_none() && self.address.is_none()
    }

    /// What is settled, with the words for it.
    fn given(&self) -> Option<Html> {
        let username = self.made.as_deref().map(|name| ("Username", name));
        let email = self.address.as_deref().map(|email| ("E-mail", email));
        let rows: Vec<Html> = username.into_iter().chain(email).map(row).collect();
        let template = include_str!("../../static/parts/given.html");
        (!rows.is_empty()).then(|| fill(template, &Values::new().html("rows", rows)))
    }
}

fn row((name, value): (&'static str, &str)) -> Html {
    let values = Values::new().text("name", name).text("value", value);
    fill(include_str!("../../static/parts/given_row.html"), &values)
}

/// Tells password managers whose password is chosen.
fn own_name(username: &str) -> Html {
    let values = Values::new().text("username", username);
    fill(include_str!("../../static/parts/own_name.html"), &values)
}

impl Page for Invitation {
    fn title(&self) -> &str {
        match self.made {
            Some(_) => "Choose your password",
            None => "Create your account",
        }
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let (lead, button) = match self.made {
            Some(_) => (
                "An account was made for you. Choose a password for it.",
                "Save password",
            ),
            None => (
                "You are invited. Choose a name and a password.",
                "Create account",
            ),
        };
        let mut fields = vec!["password"];
        fields.extend(self.made.is_none().then_some("username"));
        fields.extend(self.asks_for_email().then_some("email"));
        let start = match (&self.made, self.problem()) {
            (None, None) => "username",
            _ => "password",
        };
        let states = States::of(&fields, self.problem(), Some(start));
        let username = || username_field(&self.username, &states);
        let email = || email_field(&self.email, &states);
        let values = Values::new()
            .text("title", self.title())
            .text("lead", lead)
            .text("button", button)
            .text("token", self.token.as_str())
            .html("known", self.me.as_deref().map(known))
            .html("given", self.given())
            .once(&self.form)
            .html("own_name", self.made.as_deref().map(own_name))
            .html("username_field", self.made.is_none().then(username))
            .html("email_field", self.asks_for_email().then(email))
            .html("password_field", [password_field(&states)])
            .html("problem", states.above());
        fill(include_str!("../../static/invitation.html"), &values)
    }

    fn each_secret(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.token);
    }
}
