//! The button that proves an address. Programs that scan mail open links and press no buttons.

use super::fill::{Html, Values, fill};
use super::{Page, Site};

/// Names no account: whoever has the link may not be the one whose account it is.
#[derive(Clone)]
pub struct Confirm {
    pub token: String,
    /// The value of the hidden field that differs in every page.
    pub form: String,
}

impl Page for Confirm {
    fn title(&self) -> &str {
        "Confirm your address"
    }

    fn main(&self, _: &Site) -> Html {
        let values = Values::new()
            .text("token", self.token.as_str())
            .once(&self.form);
        fill(include_str!("../../static/confirm.html"), &values)
    }
}
