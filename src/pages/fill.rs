//! The one way from text to HTML: a template from `static/`, filled and escaped.
//!
//! A hole is `{name}`, lower-case letters and underscores. CSS and patterns keep their braces
//! unless they look like that. A value is never searched for holes.

use std::borrow::Cow;

/// HTML that may go into a page as it is. Only [`fill`] makes it, from templates compiled in.
///
/// No `Debug`: keys and recovery codes pass through it.
pub struct Html(String);

/// What goes into the holes of one template.
pub struct Values<'a>(Vec<(Cow<'static, str>, Value<'a>)>);

enum Value<'a> {
    Text(Cow<'a, str>),
    Html(Html),
}

/// Fills the holes of `template`: text is escaped, HTML goes in as it is.
///
/// Holes and values must match. A debug build panics where they do not, and the tests render every
/// page, and so reach every template. In a release a hole without a value stays empty.
pub fn fill(template: &'static str, values: &Values<'_>) -> Html {
    fill_pieces(&pieces(template), values)
}

/// A template with some holes already filled, for what is the same in every page.
pub struct Begun(Vec<Piece<'static>>);

impl Begun {
    /// Fills the holes that have a value; the others stay. Each value must have a hole.
    pub fn with(template: &'static str, values: &Values<'_>) -> Self {
        let mut begun: Vec<Piece<'static>> = Vec::new();
        let mut filled = String::new();
        for piece in pieces(template) {
            match piece {
                Piece::Literal(text) => filled.push_str(&text),
                Piece::Hole(name) if values.find(name).is_some() => values.put(name, &mut filled),
                Piece::Hole(_) => {
                    let before = std::mem::take(&mut filled);
                    begun.extend([Piece::Literal(before.into()), piece]);
                }
            }
        }
        begun.push(Piece::Literal(filled.into()));
        Self(begun)
    }

    /// As [`fill`], for the holes that are left.
    pub fn fill(&self, values: &Values<'_>) -> Html {
        fill_pieces(&self.0, values)
    }
}

fn fill_pieces(pieces: &[Piece<'_>], values: &Values<'_>) -> Html {
    debug_assert_eq!(unmatched(pieces, values), Vec::<String>::new());
    let literals = pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => text.len(),
        Piece::Hole(_) => 0,
    });
    // Escaping makes a text longer; most have nothing to escape.
    let length = literals.sum::<usize>() + values.length();
    let mut out = String::with_capacity(length);
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Hole(name) => values.put(name, &mut out),
        }
    }
    Html(out)
}

/// Escapes text so that it may stand between tags and in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_to(&mut out, text);
    out
}

fn escape_to(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
}

impl Html {
    /// The HTML as text.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Joins pieces of HTML; without any, the result is empty.
impl FromIterator<Html> for Html {
    fn from_iter<T: IntoIterator<Item = Html>>(pieces: T) -> Self {
        Self(pieces.into_iter().map(Html::into_string).collect())
    }
}

impl<'a> Values<'a> {
    /// No values yet.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Fills a hole with text, which is escaped.
    pub fn text(
        mut self,
        name: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'a, str>>,
    ) -> Self {
        self.0.push((name.into(), Value::Text(text.into())));
        self
    }

    /// Fills a hole with HTML. Takes a list, so that a part that is absent, present once, or
    /// repeated is written in the same way.
    pub fn html(
        mut self,
        name: impl Into<Cow<'static, str>>,
        pieces: impl IntoIterator<Item = Html>,
    ) -> Self {
        let html = pieces.into_iter().collect();
        self.0.push((name.into(), Value::Html(html)));
        self
    }

    /// How long all of them are together, in bytes.
    fn length(&self) -> usize {
        let length = |value: &Value<'_>| match value {
            Value::Text(text) => text.len(),
            Value::Html(html) => html.0.len(),
        };
        self.0.iter().map(|(_, value)| length(value)).sum()
    }

    /// Adds what goes into this hole to a page; nothing if it has no value.
    fn put(&self, name: &str, out: &mut String) {
        match self.find(name) {
            Some(Value::Text(text)) => escape_to(out, text),
            Some(Value::Html(html)) => out.push_str(&html.0),
            None => {}
        }
    }

    fn find(&self, name: &str) -> Option<&Value<'a>> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

enum Piece<'t> {
    Literal(Cow<'t, str>),
    Hole(&'t str),
}

/// Cuts a template at its holes, in one pass from left to right.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, further)) if is_name(name) => {
                pieces.push(Piece::Literal(before.into()));
                pieces.push(Piece::Hole(name));
                rest = further;
            }
            _ => {
                pieces.push(Piece::Literal(before.into()));
                pieces.push(Piece::Literal("{".into()));
                rest = after;
            }
        }
    }
    pieces.push(Piece::Literal(rest.into()));
    pieces
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Holes without a value, and values without a hole or with one that another value has too.
fn unmatched(pieces: &[Piece<'_>], values: &Values<'_>) -> Vec<String> {
    let holes: Vec<&str> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Hole(name) => Some(*name),
            Piece::Literal(_) => None,
        })
        .collect();
    let empty = holes.iter().filter(|hole| values.find(hole).is_none());
    let spare = values.0.iter().enumerate().filter(|(at, (name, _))| {
        !holes.contains(&name.as_ref()) || values.0.iter().take(*at).any(|(n, _)| n == name)
    });
    empty
        .map(|hole| format!("no value for {{{hole}}}"))
        .chain(spare.map(|(_, (name, _))| format!("no hole for {name}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn unescape(html: &str) -> String {
        html.replace("&#39;", "'")
            .replace("&quot;", "\"")
            .replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    }

    fn with_markup() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            proptest::prop_oneof![any::<String>(), "[<>&\"'{}a-z;#]{0,8}", "&(amp|lt|#39);"],
            0..6,
        )
        .prop_map(|parts| parts.concat())
    }

    #[test]
    fn a_value_that_looks_like_a_hole_is_shown_literally() {
        let values = Values::new()
            .text("first", "{second} {csrf}")
            .text("second", "{first}");

        let html = fill("{first}|{second}", &values);

        assert_eq!(html.into_string(), "{second} {csrf}|{first}");
    }

    #[test]
    fn html_that_was_filled_is_not_filled_again() {
        let inner = fill("<b>{name}</b>", &Values::new().text("name", "{name}"));

        let html = fill("{inner}", &Values::new().html("inner", [inner]));

        assert_eq!(html.into_string(), "<b>{name}</b>");
    }

    #[test]
    fn what_is_filled_first_is_not_filled_again_and_the_rest_is_filled_later() {
        let first = Values::new().text("site", "<{page}>");
        let begun = Begun::with("{page}, {site} {x {page}", &first);

        for page in ["{site}", "&"] {
            let html = begun.fill(&Values::new().text("page", page)).into_string();
            let page = escape(page);
            assert_eq!(html, format!("{page}, &lt;{{page}}&gt; {{x {page}"));
        }
    }

    #[test]
    fn braces_that_are_no_hole_stay() {
        let html = fill("a { b: c } [0-9]{6} {} {A} { {x", &Values::new());

        assert_eq!(html.into_string(), "a { b: c } [0-9]{6} {} {A} { {x");
    }

    #[test]
    fn a_brace_before_a_hole_does_not_hide_it() {
        let html = fill("{{name}}", &Values::new().text("name", "x"));

        assert_eq!(html.into_string(), "{x}");
    }

    #[test]
    fn a_hole_without_a_value_and_a_value_without_a_hole_are_named() {
        let values = Values::new().text("b", "").text("c", "").text("c", "");

        assert_eq!(
            unmatched(&pieces("{a}{c}"), &values),
            ["no value for {a}", "no hole for b", "no hole for c"]
        );
    }

    proptest! {
        #[test]
        fn no_text_can_open_a_tag_or_leave_an_attribute(text in with_markup()) {
            let html = fill("{text}", &Values::new().text("text", text.as_str())).into_string();

            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(unescape(&html), text);
        }
    }
}
