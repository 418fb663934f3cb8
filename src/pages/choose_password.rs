//! The page to choose a new password.

use super::fill::{Html, Values, fill};
use super::{Page, Problem, Ring, Site};

/// For visitors who know their password; for those who come with a mailed one, `current_needed` is
/// false.
#[derive(Clone, Default)]
pub struct ChoosePassword {
    pub username: String,
    pub current_needed: bool,
    pub problem: Option<Problem>,
}

impl ChoosePassword {
    /// The page with what is wrong. Outcomes name the field `password`; here it is `new_password`.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let field = problem
            .field
            .map(|f| if f == "password" { "new_password" } else { f });
        let problem = Problem { field, ..problem }.near(self.start());
        Self {
            problem: Some(problem),
            ..self
        }
    }

    /// The field to begin with.
    fn start(&self) -> &'static str {
        if self.current_needed {
            "current_password"
        } else {
            "new_password"
        }
    }
}

impl Page for ChoosePassword {
    fn title(&self) -> &str {
        if self.current_needed {
            "Change your password"
        } else {
            "Choose a new password"
        }
    }

    fn ring(&self) -> Ring {
        if self.current_needed {
            Ring::Whole
        } else {
            Ring::Half
        }
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let (template, fields): (_, &[_]) = if self.current_needed {
            let template = include_str!("../../static/change_password.html");
            (template, &["current_password", "new_password"])
        } else {
            let template = include_str!("../../static/choose_password.html");
            (template, &["new_password"])
        };
        let values = Values::new().text("username", self.username.as_str()).form(
            fields,
            self.problem(),
            Some(self.start()),
        );
        fill(template, &values)
    }
}
