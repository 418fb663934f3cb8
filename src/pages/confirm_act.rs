//! Asks an administrator for password and code before something is done to an account.

use super::fill::{Html, Values, fill};
use super::{Page, Problem, Ring, Site};

/// The act comes along in hidden fields, and the form goes where the act was sent.
#[derive(Clone)]
pub struct ConfirmAct {
    /// Where the form goes.
    pub action: String,
    /// The page to go back to.
    pub back: String,
    /// What is done, as it stands before the name: "disable the account of".
    pub what: &'static str,
    /// Whose account it is done to.
    pub username: String,
    /// Who does it.
    pub own_name: String,
    /// The fields of the act.
    pub carried: Vec<(&'static str, String)>,
    /// The value of the hidden field that differs in every page.
    pub form: String,
    pub problem: Option<Problem>,
}

impl ConfirmAct {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem);
        Self { problem, ..self }
    }
}

impl Page for ConfirmAct {
    fn title(&self) -> &str {
        "Confirm that it is you"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let carried = self.carried.iter().map(|(name, value)| {
            let values = Values::new()
                .text("name", *name)
                .text("value", value.as_str());
            fill(include_str!("../../static/parts/carried.html"), &values)
        });
        let fields = &["current_password", "secret"];
        let values = Values::new()
            .text("action", self.action.as_str())
            .text("back", self.back.as_str())
            .text("what", self.what)
            .text("username", self.username.as_str())
            .text("own_name", self.own_name.as_str())
            .html("carried", carried)
            .once(&self.form)
            .form(fields, self.problem(), Some("current_password"));
        fill(include_str!("../../static/confirm_act.html"), &values)
    }
}
