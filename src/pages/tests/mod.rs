//! Tests over all pages, as a browser gets them.

#![allow(clippy::unwrap_used)]

mod content;

mod markup;

mod people;

mod samples;

mod tags;

#[cfg(feature = "browser")]
mod validity;

#[test]
fn the_stylesheet_loses_only_what_browsers_skip() {
    let css = "/* Why. */\na,\nb {\n  color: red;\n  margin: 0 1px;\n}\n\nc { top: 0; }\n";
    assert_eq!(
        super::compact(css, "/*"),
        "a,b {color: red;margin: 0 1px;}c { top: 0; }"
    );
}
