//! The pages around logging out.

use super::fill::{Html, Values, fill};
use super::form::link;
use super::{Page, Ring, Site};

/// The button that logs out, for visitors who came by a link.
#[derive(Clone)]
pub struct LogoutQuestion {
    pub username: Option<String>,
}

impl Page for LogoutQuestion {
    fn title(&self) -> &str {
        "Log out?"
    }

    fn ring(&self) -> Ring {
        match self.username {
            Some(_) => Ring::Whole,
            None => Ring::Open,
        }
    }

    fn main(&self, _: &Site) -> Html {
        let (intro, back) = match &self.username {
            Some(username) => (
                format!(
                    "You are logged in as {username}. Logging out ends this session; the others \
                     go on."
                ),
                link("/account", "Stay logged in"),
            ),
            None => (
                "Log out to make sure that no session is left in this browser.".to_owned(),
                link("/login", "Back to log in"),
            ),
        };
        let values = Values::new().text("intro", intro).html("back", [back]);
        fill(include_str!("../../static/logout.html"), &values)
    }
}

/// What is said after that.
#[derive(Clone)]
pub struct LoggedOut {
    pub message: String,
}

impl Page for LoggedOut {
    fn title(&self) -> &str {
        "Logged out"
    }

    fn main(&self, _: &Site) -> Html {
        let values = Values::new().text("message", self.message.as_str());
        fill(include_str!("../../static/logged_out.html"), &values)
    }
}
