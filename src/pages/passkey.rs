//! Passkeys on pages: the forms that a script fills in and sends, and the list on the account page.
//!
//! The one script of this site is here. It asks the browser for a passkey by what a form's
//! `data-passkey` says, puts the answer into that form's fields and sends it off as a person would.
//! What is of no use without it stays hidden until it runs.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::account::{ago, day, exact};
use super::compact;
use super::fill::{Html, Values, fill};
use super::form::{States, fixed};

/// The script as it is in pages, without what stands in its file for readers alone.
static SCRIPT: LazyLock<&'static str> =
    LazyLock::new(|| compact(include_str!("../../static/passkey.js"), "//").leak());

/// The script of the pages that offer passkeys.
pub(super) fn script() -> Html {
    let values = Values::new().html("script", [fill(*SCRIPT, &Values::new())]);
    fill(include_str!("../../static/parts/script.html"), &values)
}

/// The script's hash as a `script-src` source expression, `sha256-…` without quotes.
pub fn script_hash() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(*SCRIPT)))
}

/// What a person reads if the browser gives no passkey.
const FAILED: &str = "That did not work: nothing was confirmed, or this device has no passkey for \
    this site. Browsers also refuse where they do not trust the site’s certificate.";

/// The form by which a passkey logs in alone: it goes on to `rd`, and has a box of its own.
pub(super) fn alone(options: &str, rd: &str, remember: Option<Html>) -> Html {
    let values = using(options).text("rd", rd).html("remember", remember);
    fill(
        include_str!("../../static/parts/passkey_alone.html"),
        &values,
    )
}

/// The form by which a passkey is the second step.
pub(super) fn second(options: &str) -> Html {
    let template = include_str!("../../static/parts/passkey_second.html");
    fill(template, &using(options))
}

fn using(options: &str) -> Values<'_> {
    let fields = include_str!("../../static/parts/passkey_fields.html");
    Values::new()
        .text("options", options)
        .text("failed", FAILED)
        .html("fields", [fixed(fields)])
}

/// The passkeys of an account, and what it takes to make another.
#[derive(Clone, Default)]
pub struct PasskeysView {
    /// Whether this site can have any.
    pub offered: bool,
    /// Whether there is no room for another.
    pub full: bool,
    /// In the order to be shown.
    pub listed: Vec<Listed>,
    /// What asks for the passkey that is about to be made, as JSON.
    pub making: Option<String>,
    /// What that passkey is called unless its owner says otherwise.
    pub name: String,
    /// The id of the one whose removal was refused.
    pub removing: Option<String>,
}

/// One passkey in the list. Times are seconds since 1970.
#[derive(Clone)]
pub struct Listed {
    /// The value of the field `passkey` that removes it.
    pub id: String,
    pub name: String,
    pub created: u64,
    pub used: Option<u64>,
    /// Whether its owner's other devices may have it too.
    pub synced: bool,
    /// The host that it is for, if that is not this one.
    pub elsewhere: Option<String>,
}

/// What a form of the account page needs to know of the page: whose it is, what is wrong with the
/// form, if it was refused, and the moment from which times are told.
pub(super) struct Around<'a> {
    pub(super) username: &'a str,
    pub(super) adding: Option<&'a super::Problem>,
    pub(super) removing: Option<&'a super::Problem>,
    pub(super) now: u64,
}

impl PasskeysView {
    /// Whether the script has something to do.
    pub(super) fn needs_script(&self) -> bool {
        self.making.is_some() || self.may_add()
    }

    fn may_add(&self) -> bool {
        self.offered && !self.full && self.making.is_none()
    }

    /// The section of the account page, if there is anything to show.
    pub(super) fn section(&self, around: &Around<'_>) -> Option<Html> {
        if !self.offered && self.listed.is_empty() {
            return None;
        }
        let all = self.listed.iter().enumerate();
        let all = all.map(|(number, one)| self.one(one, number, around));
        let listed = Values::new().html("passkeys", all);
        let listed = fill(include_str!("../../static/parts/passkeys.html"), &listed);
        let lead = if self.offered {
            include_str!("../../static/parts/passkeys_lead.html")
        } else {
            include_str!("../../static/parts/passkeys_not_here.html")
        };
        let may_add = self.may_add();
        let is_beside = |one: &Listed| self.offered && self.removing.as_ref() == Some(&one.id);
        let removing = around
            .removing
            .filter(|_| !self.listed.iter().any(is_beside));
        // What has no form to stand beside.
        let problem = around.adding.filter(|_| !may_add).or(removing);
        let values = Values::new()
            .html("lead", [fixed(lead)])
            .html("problem", States::of(&[], problem, None).above())
            .html("listed", (!self.listed.is_empty()).then_some(listed))
            .html("making", self.making.as_deref().map(|o| self.making(o)))
            .html("add", may_add.then(|| add(around)));
        Some(fill(
            include_str!("../../static/parts/account_passkeys.html"),
            &values,
        ))
    }

    fn making(&self, options: &str) -> Html {
        let values = Values::new()
            .text("options", options)
            .text("failed", FAILED)
            .text("name", self.name.as_str());
        fill(
            include_str!("../../static/parts/passkey_making.html"),
            &values,
        )
    }

    fn one(&self, one: &Listed, number: usize, around: &Around<'_>) -> Html {
        let kind = match one.synced {
            true => "synced between devices",
            false => "on one device only",
        };
        let elsewhere = one.elsewhere.as_ref();
        let elsewhere = elsewhere.map(|host| format!(" It is for {host} and does not work here."));
        let used = match one.used {
            Some(at) => format!("last used {}", ago(at, around.now)),
            None => "not used yet".to_owned(),
        };
        let values = Values::new()
            .text("name", one.name.as_str())
            .text("created", day(one.created))
            .text("created_exact", exact(one.created))
            .text("used", used)
            .text("kind", kind)
            .text("elsewhere", elsewhere.unwrap_or_default())
            .html(
                "remove",
                self.offered.then(|| self.remove(one, number, around)),
            );
        fill(include_str!("../../static/parts/passkey.html"), &values)
    }

    fn remove(&self, one: &Listed, number: usize, around: &Around<'_>) -> Html {
        let is_this = self.removing.as_ref() == Some(&one.id);
        let problem = around.removing.filter(|_| is_this);
        let states = States::of(&["current_password"], problem, None);
        let part = format!("passkey-{number}");
        let values = Values::new()
            .html("open", problem.map(|_| fixed(" open")))
            .text("username", around.username)
            .text("id", one.id.as_str())
            .text("name", one.name.as_str())
            .own_password(&part, &states)
            .html("problem", states.above());
        fill(
            include_str!("../../static/parts/passkey_remove.html"),
            &values,
        )
    }
}

fn add(around: &Around<'_>) -> Html {
    let states = States::of(&["current_password", "secret"], around.adding, None);
    let values = Values::new()
        .html("open", around.adding.map(|_| fixed(" open")))
        .text("username", around.username)
        .own_password("passkey", &states)
        .field("secret", &states)
        .html("problem", states.above());
    fill(include_str!("../../static/parts/passkey_add.html"), &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_cannot_end_early() {
        assert!(SCRIPT.len() <= 2048, "{} bytes", SCRIPT.len());
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        let without_patterns = SCRIPT.replace(r"/\//g", "");
        let swallows = without_patterns.contains("//");
        assert!(!swallows, "a comment would swallow the rest");
    }
}
