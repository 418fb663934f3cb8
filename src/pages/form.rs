//! How a page shows what is wrong with a form: beside the field it is about, or above the form.

use super::Problem;
use super::fill::{Html, Values, fill};

impl<'a> Values<'a> {
    /// Fills the holes every form has: `{problem}` above it, and `{NAME_state}` and
    /// `{NAME_problem}` for each of its fields. A field with a problem gets the keyboard, and so
    /// does `start` if there is no problem.
    pub fn form(
        mut self,
        fields: &[&'static str],
        problem: Option<&'a Problem>,
        start: Option<&str>,
    ) -> Self {
        let wrong = problem.and_then(|problem| problem.field);
        let wrong = wrong.filter(|field| fields.contains(field));
        let focus = wrong.or(start);
        for field in fields {
            let invalid = (wrong == Some(field)).then(|| fixed(" aria-invalid=\"true\""));
            let focused = (focus == Some(field)).then(|| fixed(" autofocus"));
            let text = problem.filter(|_| wrong == Some(field));
            self = self
                .html(format!("{field}_state"), invalid.into_iter().chain(focused))
                .text(
                    format!("{field}_problem"),
                    text.map_or("", |problem| problem.text.as_str()),
                );
        }
        self.html("problem", problem.filter(|_| wrong.is_none()).map(alert))
    }
}

/// A text that stands out because something was just done.
pub fn notice(text: &str) -> Html {
    fill(
        include_str!("../../static/parts/notice.html"),
        &Values::new().text("text", text),
    )
}

fn alert(problem: &Problem) -> Html {
    fill(
        include_str!("../../static/parts/problem.html"),
        &Values::new().text("text", problem.text.as_str()),
    )
}

/// A piece of HTML without holes.
pub fn fixed(html: &'static str) -> Html {
    fill(html, &Values::new())
}

/// A link, by its (escaped) address and label.
pub fn link(href: &str, label: &str) -> Html {
    fill(
        include_str!("../../static/parts/link.html"),
        &Values::new().text("href", href).text("label", label),
    )
}
