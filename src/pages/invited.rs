//! An invitation that was just made: shows its link, this once.

use super::account::{day, exact};
use super::fill::{Html, Values, fill};
use super::{Page, Ring, Site};

/// What was made.
#[derive(Clone)]
pub struct Invited {
    pub link: String,
    /// The address that it was mailed to, if it was.
    pub email: Option<String>,
    pub groups: Vec<String>,
    /// When it stops working, in seconds since 1970.
    pub expires: u64,
}

impl Page for Invited {
    fn title(&self) -> &str {
        "Invitation made"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn main(&self, _: &Site) -> Html {
        let lead = match self.email {
            Some(_) => "The link has been sent to their address. You can pass it on yourself, too.",
            None => "Pass this link on to the one you invite.",
        };
        let to = self.email.as_deref().map(|email| {
            let values = Values::new().text("name", "E-mail").text("value", email);
            fill(include_str!("../../static/parts/given_row.html"), &values)
        });
        let values = Values::new()
            .text("lead", lead)
            .text("link", self.link.as_str())
            .html("to", to)
            .text("groups", self.groups.join(", "))
            .text("day", day(self.expires))
            .text("exact", exact(self.expires));
        fill(include_str!("../../static/invited.html"), &values)
    }

    fn each_secret(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.link);
    }
}
