//! The first step of a login.

use std::time::Duration;

use super::fill::{Html, Values, fill};
use super::form::{fixed, link, notice};
use super::{Page, Problem, Site, passkey, register_with_rd, short, with_rd};

/// Asks for name and password.
#[derive(Clone, Default)]
pub struct Login {
    pub username: String,
    /// Where to go after the login; may be empty.
    pub rd: String,
    /// The value of the hidden field that differs in every page; empty for none.
    pub form: String,
    /// Whether the box to stay logged in is ticked.
    pub remember: bool,
    /// What asks for a passkey, as JSON; `None` where there are none.
    pub passkey: Option<String>,
    pub notice: Option<String>,
    pub problem: Option<Problem>,
}

impl Login {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem.near("password"));
        Self { problem, ..self }
    }
}

impl Login {
    /// The box to stay logged in, where anybody can; `form` tells those of two forms apart.
    fn remember(&self, site: &Site, form: &'static str) -> Option<Html> {
        let how_long = in_words(site.remember)?;
        let values = Values::new()
            .text("form", form)
            .html("ticked", self.remember.then(|| fixed(" checked")))
            .text("how_long", how_long);
        Some(fill(
            include_str!("../../static/parts/remember.html"),
            &values,
        ))
    }
}

/// A time in the largest unit that says it exactly; `None` if it is zero.
fn in_words(time: Duration) -> Option<String> {
    const UNITS: [(u64, &str); 4] = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = time.as_secs();
    let (unit, name) = UNITS
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))?;
    let count = seconds / unit;
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {name}{plural}"))
}

impl Page for Login {
    fn title(&self) -> &str {
        "Log in"
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn needs_script(&self) -> bool {
        self.passkey.is_some()
    }

    fn main(&self, site: &Site) -> Html {
        let rd = short(&self.rd);
        let register = site
            .registration_open
            .then(|| link(&register_with_rd(rd), "Create an account"));
        let start = if self.username.is_empty() {
            "username"
        } else {
            "password"
        };
        let alone = |options: &String| {
            let remember = self.remember(site, "passkey-");
            passkey::alone(options, &self.rd, remember)
        };
        let offered = self.passkey.as_ref();
        let values = Values::new()
            .html("webauthn", offered.map(|_| fixed(" webauthn")))
            .html("passkey", offered.map(alone))
            .html("notice", self.notice.as_deref().map(notice))
            .text("username", self.username.as_str())
            .text("rd", self.rd.as_str())
            .html("remember", self.remember(site, ""))
            .text("forgot", with_rd("/forgot_password", rd))
            .html("register", register)
            .once(&self.form)
            .form(&["username", "password"], self.problem(), Some(start));
        fill(include_str!("../../static/login.html"), &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_exact_unit() {
        for (seconds, words) in [
            (30 * 86_400, "30 days"),
            (86_400, "1 day"),
            (36 * 3_600, "36 hours"),
            (90 * 60, "90 minutes"),
            (61, "61 seconds"),
        ] {
            let told = in_words(Duration::from_secs(seconds));
            assert_eq!(told.as_deref(), Some(words));
        }
        assert_eq!(in_words(Duration::ZERO), None);
    }
}
