//! A page without a form.

use super::fill::{Html, Values, fill};
use super::form::link;
use super::{Page, Site};

/// What happened, what to do now, and the ways to do it.
#[derive(Clone)]
pub struct Message {
    pub title: String,
    pub text: String,
    /// May be empty.
    pub advice: String,
    pub onward: Way,
    pub else_to: Option<Way>,
}

/// A way on: an address of this site, and the text of the link to it.
#[derive(Clone)]
pub struct Way {
    to: String,
    label: &'static str,
}

impl Way {
    /// A way to this address, with this label.
    pub fn new(to: impl Into<String>, label: &'static str) -> Self {
        let to = to.into();
        Self { to, label }
    }
}

impl Page for Message {
    fn title(&self) -> &str {
        &self.title
    }

    fn main(&self, _: &Site) -> Html {
        let advice = (!self.advice.is_empty()).then(|| {
            let template = include_str!("../../static/parts/paragraph.html");
            fill(template, &Values::new().text("text", self.advice.as_str()))
        });
        let ways = self.else_to.as_ref().map(|way| link(&way.to, way.label));
        let values = Values::new()
            .text("title", self.title.as_str())
            .text("text", self.text.as_str())
            .html("advice", advice)
            .text("href", self.onward.to.as_str())
            .text("label", self.onward.label)
            .html("ways", ways);
        fill(include_str!("../../static/message.html"), &values)
    }
}
