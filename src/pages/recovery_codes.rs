//! The page that shows new recovery codes, this once.

use super::fill::{Html, Values, fill};
use super::{Page, Ring, Site};

/// The codes, and the way on.
#[derive(Clone)]
pub struct RecoveryCodes {
    pub username: String,
    pub codes: Vec<String>,
    pub onward: String,
}

impl Page for RecoveryCodes {
    fn title(&self) -> &str {
        "Keep these recovery codes"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn each_secret(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.codes.iter_mut().for_each(visit);
    }

    fn main(&self, site: &Site) -> Html {
        let template = include_str!("../../static/parts/item.html");
        let item = |code: &String| fill(template, &Values::new().text("text", code.as_str()));
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("issuer", site.issuer.as_str())
            .html("codes", self.codes.iter().map(item))
            .text("saved", as_file(&self.codes))
            .text("onward", self.onward.as_str());
        fill(include_str!("../../static/recovery_codes.html"), &values)
    }
}

/// The codes as a `data:` address of a file to save. The file is in the page already, so the server
/// need not keep it and the browser need not ask for it.
fn as_file(codes: &[String]) -> String {
    let lines: String = codes.iter().map(|code| format!("{code}%0D%0A")).collect();
    format!("data:text/plain;charset=utf-8,{lines}")
}
