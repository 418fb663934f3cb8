//! The page that shows the key for an authenticator app.

use super::fill::{Html, Values, fill};
use super::form::{fixed, link};
use super::{Page, Problem, Ring, Site, qr, short, with_rd};

/// The key (base32) for an authenticator app, and the field to confirm it. With `moving`, the new
/// app replaces another one, from within the account.
#[derive(Clone, Default)]
pub struct Enrol {
    pub username: String,
    pub key: String,
    pub otpauth: String,
    pub moving: bool,
    pub rd: String,
    pub problem: Option<Problem>,
}

impl Enrol {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem.near("secret"));
        Self { problem, ..self }
    }
}

impl Page for Enrol {
    fn title(&self) -> &str {
        if self.moving {
            "Set up your new authenticator"
        } else {
            "Set up your authenticator"
        }
    }

    fn ring(&self) -> Ring {
        if self.moving { Ring::Whole } else { Ring::Half }
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn each_secret(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.key);
        visit(&mut self.otpauth);
    }

    fn main(&self, _: &Site) -> Html {
        let values = if self.moving {
            moving_to_new_key()
        } else {
            first_key(&self.rd)
        };
        let qr = qr::draw(&self.otpauth);
        let key_hint = match qr {
            Some(_) => "If you cannot scan it, type this key:",
            None => "Type this key into the app:",
        };
        let values = values
            .text("username", self.username.as_str())
            .text("key_hint", key_hint)
            .html("key", in_fours(&self.key))
            .text("otpauth", self.otpauth.as_str())
            .html("qr", qr)
            // The field for the code gets the focus only after a wrong code: focusing it would
            // scroll the key out of sight.
            .form(&["secret"], self.problem(), None);
        fill(include_str!("../../static/enrol.html"), &values)
    }
}

/// The texts of an enrolment that replaces another authenticator.
fn moving_to_new_key<'a>() -> Values<'a> {
    Values::new()
        .text("step", "")
        .text("heading", "Set up your new authenticator")
        .text(
            "intro",
            "Add the new key to an app and confirm it with a code. Until then the old \
                 authenticator keeps working; after that only the new one does. This key is good \
                 for five minutes.",
        )
        .html("action", [fixed(" action=\"/account/totp/confirm\"")])
        .text("next", "Then the new authenticator replaces the old one.")
        .text("rd", "")
        .html("back", [link("/account", "Keep the old authenticator")])
}

/// The texts of the enrolment at a first login.
fn first_key(rd: &str) -> Values<'_> {
    Values::new()
        .text("step", "Step 2 of 2")
        .text("heading", "Set up your authenticator")
        .text(
            "intro",
            "Do this once: connect an app on your phone. From then on you log in with your \
                 password and a code from that app. This key is good for five minutes; after \
                 that, log in again for a new one.",
        )
        // The form is sent to the address at which it is shown; without an action, a browser keeps
        // what stands behind `#` there.
        .html("action", [])
        .text(
            "next",
            "Then you are logged in, and shown recovery codes to keep.",
        )
        .text("rd", short(rd))
        .html("back", [link(&with_rd("/login", short(rd)), "Start again")])
}

/// The key in groups that are easy to type from. The gaps between them are only visual: a copied
/// key has none.
fn in_fours(key: &str) -> impl Iterator<Item = Html> {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(String::from_iter).collect();
    groups.into_iter().map(|group| {
        let template = include_str!("../../static/parts/group.html");
        fill(template, &Values::new().text("text", group))
    })
}
