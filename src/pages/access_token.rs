//! Access tokens: their part of the account page, and the page that shows a new one, this once.

use super::account::{ago, day, exact};
use super::fill::{Html, Values, fill};
use super::{Page, Ring, Site};

/// One token in the list. Times are seconds since 1970.
#[derive(Clone)]
pub struct TokenView {
    /// The value of the field `token` that removes it; not the token itself.
    pub id: String,
    pub name: String,
    pub hosts: Vec<String>,
    /// Those of the hosts at which no token is good, as the site is set up now.
    pub outside: Vec<String>,
    pub created: u64,
    pub expires: u64,
    pub is_living: bool,
    /// The hour in which it was last used.
    pub used: Option<u64>,
}

/// What was typed into a form that was refused.
#[derive(Clone, Default)]
pub struct TypedToken {
    pub name: String,
    pub hosts: String,
    pub days: String,
}

/// How long a token lives, in days, unless its owner says otherwise.
const USUAL_DAYS: &str = "90";

impl TypedToken {
    /// The number of days in the form.
    pub(super) fn days(&self) -> &str {
        match self.days.as_str() {
            "" => USUAL_DAYS,
            days => days,
        }
    }
}

/// The list, if there are any.
pub(super) fn list(tokens: &[TokenView], now: u64) -> Option<Html> {
    let values = Values::new().html("tokens", tokens.iter().map(|token| one(token, now)));
    let list = fill(include_str!("../../static/parts/tokens.html"), &values);
    (!tokens.is_empty()).then_some(list)
}

/// The tokens to choose from in the form that removes one.
pub(super) fn choices(tokens: &[TokenView]) -> impl Iterator<Item = Html> {
    tokens.iter().map(|token| {
        let values = Values::new()
            .text("id", token.id.as_str())
            .text("name", token.name.as_str())
            .text("hosts", token.hosts.join(", "));
        fill(
            include_str!("../../static/parts/token_choice.html"),
            &values,
        )
    })
}

fn one(token: &TokenView, now: u64) -> Html {
    let used = token.used.map(|used| {
        let values = Values::new()
            .text("used", ago(used, now))
            .text("exact", exact(used));
        fill(include_str!("../../static/parts/token_used.html"), &values)
    });
    let outside = (!token.outside.is_empty()).then(|| {
        let values = Values::new().text("hosts", token.outside.join(", "));
        fill(
            include_str!("../../static/parts/token_outside.html"),
            &values,
        )
    });
    let values = Values::new()
        .text("name", token.name.as_str())
        .text("hosts", token.hosts.join(", "))
        .text("created", ago(token.created, now))
        .text("created_exact", exact(token.created))
        .text(
            "ends",
            if token.is_living {
                "good until"
            } else {
                "expired"
            },
        )
        .text("expires", day(token.expires))
        .text("expires_exact", exact(token.expires))
        .html("used", used)
        .html("outside", outside);
    fill(include_str!("../../static/parts/token.html"), &values)
}

/// The page that shows a new token, this once.
#[derive(Clone)]
pub struct TokenMade {
    pub username: String,
    pub token: String,
    pub name: String,
    pub hosts: Vec<String>,
    /// Seconds since 1970.
    pub expires: u64,
}

impl Page for TokenMade {
    fn title(&self) -> &str {
        "Your access token"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn each_secret(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.token);
    }

    fn main(&self, _: &Site) -> Html {
        let values = Values::new()
            .text("username", self.username.as_str())
            .text("token", self.token.as_str())
            .text("name", self.name.as_str())
            .text("hosts", self.hosts.join(", "))
            .text("expires", day(self.expires))
            .text("exact", exact(self.expires));
        fill(include_str!("../../static/access_token.html"), &values)
    }
}
