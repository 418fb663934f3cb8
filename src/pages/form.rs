//! How a page shows what is wrong with a form: next to the field in question, or above the form.

use super::Problem;
use super::fill::{Html, Values, fill};

impl<'a> Values<'a> {
    /// Fills the hole `{once}` with a hidden field whose value differs in every page, so that a
    /// page sent twice is recognized. No field if the value is empty.
    pub fn once(self, form: &str) -> Self {
        let template = include_str!("../../static/parts/once.html");
        let field = (!form.is_empty()).then(|| fill(template, &Values::new().text("form", form)));
        self.html("once", field)
    }

    /// Fills the holes every form has: `{problem}` above it, and `{NAME_state}` and
    /// `{NAME_problem}` for each of its fields. A field with a problem gets the focus; if there is
    /// no problem, the field `start` does.
    pub fn form(
        self,
        fields: &[&'static str],
        problem: Option<&'a Problem>,
        start: Option<&'a str>,
    ) -> Self {
        let states = States::of(fields, problem, start);
        let each = |values: Self, field: &&'static str| values.field(field, &states);
        fields
            .iter()
            .fold(self, each)
            .html("problem", states.above())
    }

    /// Fills the hole `{own_password}` with the field for the password that the visitor has. `part`
    /// tells it from those of other forms of the page.
    pub fn own_password(self, part: &str, states: &States<'_>) -> Self {
        let values = Values::new()
            .text("part", part)
            .field("current_password", states);
        let template = include_str!("../../static/parts/own_password.html");
        self.html("own_password", [fill(template, &values)])
    }

    /// Fills the holes of one field, `{NAME_state}` and `{NAME_problem}`, where each field of a form
    /// has a template of its own.
    pub fn field(self, field: &'static str, states: &States<'_>) -> Self {
        let here = states.problem.filter(|_| states.beside == Some(field));
        let invalid = here
            .filter(|problem| problem.blames)
            .map(|_| fixed(" aria-invalid=\"true\""));
        let focused = (states.focus == Some(field)).then(|| fixed(" autofocus"));
        self.html(format!("{field}_state"), invalid.into_iter().chain(focused))
            .html(format!("{field}_problem"), here.map(why))
    }
}

/// What is wrong with a form, and which of its fields has the focus.
pub struct States<'a> {
    problem: Option<&'a Problem>,
    /// The field that the problem is shown beside; above the form, if none.
    beside: Option<&'a str>,
    focus: Option<&'a str>,
}

impl<'a> States<'a> {
    /// As [`Values::form`] has it.
    pub fn of(
        fields: &[&'static str],
        problem: Option<&'a Problem>,
        start: Option<&'a str>,
    ) -> Self {
        let beside = problem.and_then(|problem| problem.field);
        let beside = beside.filter(|field| fields.contains(field));
        Self {
            problem,
            beside,
            focus: beside.or(start),
        }
    }

    /// The problem, if it is shown above the form.
    pub fn above(&self) -> Option<Html> {
        let problem = self.problem.filter(|_| self.beside.is_none());
        problem.map(alert)
    }
}

/// A text that stands out, because something was just done.
pub fn notice(text: &str) -> Html {
    fill(
        include_str!("../../static/parts/notice.html"),
        &Values::new().text("text", text),
    )
}

fn alert(problem: &Problem) -> Html {
    fill(
        include_str!("../../static/parts/problem.html"),
        &Values::new().html("why", [why(problem)]),
    )
}

/// What is wrong, and how to go on.
fn why(problem: &Problem) -> Html {
    let advice = fill(
        include_str!("../../static/parts/advice.html"),
        &Values::new().text("advice", problem.advice.as_str()),
    );
    let advice = (!problem.advice.is_empty()).then_some(advice);
    fill(
        include_str!("../../static/parts/why.html"),
        &Values::new()
            .text("text", problem.text.as_str())
            .html("advice", advice),
    )
}

/// A piece of HTML without holes.
pub fn fixed(html: &'static str) -> Html {
    fill(html, &Values::new())
}

/// A link; its address and label are escaped.
pub fn link(href: &str, label: &str) -> Html {
    fill(
        include_str!("../../static/parts/link.html"),
        &Values::new().text("href", href).text("label", label),
    )
}
