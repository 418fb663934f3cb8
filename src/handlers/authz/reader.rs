//! Who reads the answer that a visitor has to log in: a person, who can follow a redirect to
//! another site, or a script or program, which can only be told.

use crate::http::Request;

/// What a navigation is loaded into: a page of its own, or a frame in one.
const NAVIGATED: [&str; 5] = ["document", "iframe", "frame", "embed", "object"];

/// Whether a redirect to the login helps: a browser is on its way to a page that it will show.
pub(super) fn can_follow(request: &Request) -> bool {
    let by_script =
        said(request, "x-requested-with").any(|by| by.eq_ignore_ascii_case("XMLHttpRequest"));
    let navigates =
        said(request, "sec-fetch-mode").all(|mode| mode.eq_ignore_ascii_case("navigate"));
    let shows = said(request, "sec-fetch-dest")
        .all(|dest| NAVIGATED.iter().any(|name| dest.eq_ignore_ascii_case(name)));
    // A request with credentials of its own is a program's, unless it asks for a page by name.
    let by_program =
        said(request, "authorization").next().is_some() && !request.accepts_any(&["text/html"]);
    !by_script
        && navigates
        && shows
        && !by_program
        && request.accepts_any(&["text/html", "text/*", "*/*"])
}

/// Whether no browser sends this, so that a challenge shows nobody a box for a password. In doubt
/// it is a browser's.
pub(super) fn is_program(request: &Request) -> bool {
    let is_browsers = |(name, value): &(String, String)| match name.as_str() {
        "x-requested-with" => true,
        "accept" => value.to_ascii_lowercase().contains("text/html"),
        "user-agent" => value.trim_start().starts_with("Mozilla/"),
        name => name.starts_with("sec-fetch-"),
    };
    !request.headers.iter().any(is_browsers)
}

/// The values of the fields with this name, leaving out empty ones.
fn said<'a>(request: &'a Request, name: &'static str) -> impl Iterator<Item = &'a str> {
    let fields = request
        .headers
        .iter()
        .filter(move |(field, _)| field == name);
    fields
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}
