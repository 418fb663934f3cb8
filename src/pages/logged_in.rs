//! The login page for visitors who are logged in already.

use super::fill::{Html, Values, fill};
use super::form::{fixed, notice};
use super::{Page, Ring, Site};

/// Who the visitor is, and the way on.
#[derive(Clone, Default)]
pub struct AlreadyLoggedIn {
    pub username: String,
    pub onward: String,
    /// Whether they came here by a step that was taken already.
    pub missed: bool,
    /// Why the visitor may be here again.
    pub notice: Option<String>,
}

impl Page for AlreadyLoggedIn {
    fn title(&self) -> &str {
        "You are logged in"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn main(&self, _: &Site) -> Html {
        let missed = include_str!("../../static/parts/missed.html");
        let values = Values::new()
            .html("missed", self.missed.then(|| fixed(missed)))
            .html("notice", self.notice.as_deref().map(notice))
            .text("username", self.username.as_str())
            .text("onward", self.onward.as_str());
        fill(include_str!("../../static/logged_in.html"), &values)
    }
}
