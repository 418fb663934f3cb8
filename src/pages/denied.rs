//! The page for visitors who are logged in but may not enter an application.

use super::fill::{Html, Values, fill};
use super::{Page, Ring, Site};

/// The visitor is not let in at `host`. `site` is the address of this site: the page is shown at
/// the application's host, so its links must be absolute.
#[derive(Clone)]
pub struct Denied {
    pub username: String,
    pub host: String,
    pub site: String,
}

impl Page for Denied {
    fn title(&self) -> &str {
        "You may not enter here"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn main(&self, _: &Site) -> Html {
        let site = &self.site;
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("host", self.host.as_str())
            .text("logout", format!("{site}/logout"))
            .text("account", format!("{site}/account"));
        fill(include_str!("../../static/denied.html"), &values)
    }
}
