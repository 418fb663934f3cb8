//! What a proxy says it was asked for: told by one family of fields, read in one way or not at all.

use url::Url;

use crate::http::Request;
use crate::redirect::{self, Targets};
use crate::reply::Dialect;

/// A request of a visitor that a proxy asks about.
pub(super) struct Asked {
    /// Empty if an old configuration does not say.
    pub(super) method: String,
    /// https, at a host our sessions reach, in lower case and without a final dot.
    pub(super) target: Url,
    /// Whether the proxy sent it as one URL, as nginx does.
    pub(super) by_original_url: bool,
}

/// Why a path has two readings at a host, if it has. The arguments are the host, in lower case and
/// without a final dot, and the path.
pub(super) type Readings<'a> = &'a dyn Fn(&str, &str) -> Option<&'static str>;

/// The parts of a target before they are put together.
#[derive(PartialEq)]
struct Parts<'a> {
    scheme: &'a str,
    /// Host and port.
    authority: &'a str,
    /// Path and query.
    path: &'a str,
}

/// Why a proxy's question cannot be answered.
pub(super) enum Unfit {
    /// What is wrong with what the proxy says, for its operator.
    Unreadable(&'static str),
    /// The method is at fault, whatever the rest is.
    Method(&'static str),
    /// Why an application may read the path in another way than the rules do, and the site it is
    /// at.
    TwoReadings(&'static str, String),
}

impl From<&'static str> for Unfit {
    fn from(why: &'static str) -> Self {
        Self::Unreadable(why)
    }
}

type Why = &'static str;

impl Asked {
    /// Reads the fields that belong to the endpoint and no others.
    ///
    /// # Errors
    ///
    /// Why the question cannot be answered.
    pub(super) fn read(
        request: &Request,
        dialect: Dialect,
        targets: &Targets,
        two_readings: Readings<'_>,
    ) -> Result<Self, Unfit> {
        let by_original_url = match dialect {
            Dialect::AuthRequest => true,
            Dialect::ForwardAuth => false,
            Dialect::Verify => request.header("x-original-url").is_some(),
        };
        let method = if by_original_url {
            "x-original-method"
        } else {
            "x-forwarded-method"
        };
        let parts = if by_original_url {
            split(request.only("x-original-url").ok_or(UNNAMED)?)?
        } else {
            Parts {
                scheme: request.only("x-forwarded-proto").ok_or(UNNAMED)?,
                authority: request.only("x-forwarded-host").ok_or(UNNAMED)?,
                path: request.only("x-forwarded-uri").ok_or(UNNAMED)?,
            }
        };
        if dialect == Dialect::Verify && by_original_url {
            agree(request, &parts)?;
        }
        Ok(Self {
            method: read_method(request, method, dialect)?,
            target: read_target(&parts, targets, two_readings)?,
            by_original_url,
        })
    }

    /// Where the visitor is brought back to, or [`redirect::TOO_LONG`] in its place.
    pub(super) fn way_back(&self) -> &str {
        if self.target.as_str().len() <= redirect::MAX_LENGTH {
            self.target.as_str()
        } else {
            redirect::TOO_LONG
        }
    }
}

const UNNAMED: Why = "No trusted proxy says what is asked for. Is it named by --trusted-proxy, and does it send each field once?";
const UNREADABLE: Why = "What is asked for is not written as a browser would write it.";
const UNSAFE: Why = "What is asked for does not go over https.";
const FOREIGN: Why =
    "A session does not reach the host that is asked for. Is it under --cookie-domain?";
const DISAGREEING: Why = "The proxy says in two ways what is asked for, and not the same.";
const NO_METHOD: Why = "The proxy does not say by which method.";
const BAD_METHOD: Why = "No application is asked by that method.";

fn split(url: &str) -> Result<Parts<'_>, Why> {
    let (scheme, rest) = url.split_once("://").ok_or(UNREADABLE)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Ok(Parts {
        scheme,
        authority,
        path,
    })
}

/// Refuses two families that disagree: a proxy that sets one may pass on the other from a client.
/// Old configurations of nginx set both, to the same values.
fn agree(request: &Request, parts: &Parts<'_>) -> Result<(), Why> {
    let pairs = [
        ("x-forwarded-proto", Some(parts.scheme)),
        ("x-forwarded-host", Some(parts.authority)),
        ("x-forwarded-uri", Some(parts.path)),
        ("x-forwarded-method", request.only("x-original-method")),
    ];
    let disagrees = |(name, value): (&str, Option<&str>)| {
        let mut forwarded = request.headers.iter().filter(|(field, _)| field == name);
        forwarded.any(|(_, said)| value.is_some_and(|value| value != said))
    };
    if pairs.into_iter().any(disagrees) {
        return Err(DISAGREEING);
    }
    Ok(())
}

fn read_method(request: &Request, name: &str, dialect: Dialect) -> Result<String, Unfit> {
    let sent = request.headers.iter().any(|(field, _)| field == name);
    if !sent && dialect == Dialect::Verify {
        return Ok(String::new());
    }
    let method = request.only(name).ok_or(NO_METHOD)?;
    // CONNECT opens a tunnel past the proxy; TRACE shows a script what only the proxy adds.
    let harmful = ["CONNECT", "TRACE"];
    if !is_token(method) || harmful.iter().any(|name| method.eq_ignore_ascii_case(name)) {
        return Err(Unfit::Method(BAD_METHOD));
    }
    Ok(method.to_owned())
}

/// Whether this may be a method (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// Puts a target together and reads it as a browser would. What no browser would send in this form
/// is refused: somebody hopes that the application reads it in another way than we do.
fn read_target(
    parts: &Parts<'_>,
    targets: &Targets,
    two_readings: Readings<'_>,
) -> Result<Url, Unfit> {
    let secure = ["https", "wss"]
        .iter()
        .any(|s| parts.scheme.eq_ignore_ascii_case(s));
    if !secure {
        return Err(UNSAFE.into());
    }
    if !is_authority(parts.authority) {
        return Err(UNREADABLE.into());
    }
    let site = format!("https://{}", parts.authority);
    let mut site = Url::parse(&site).map_err(|_| UNREADABLE)?;
    let host = site.host_str().unwrap_or_default();
    if let Some(bare) = host.strip_suffix('.') {
        let bare = bare.to_owned();
        site.set_host(Some(&bare)).map_err(|_| UNREADABLE)?;
    }
    let host = site.host_str().unwrap_or_default();
    if !targets.covers(host) {
        return Err(FOREIGN.into());
    }
    let path = parts.path.split('?').next().unwrap_or_default();
    if let Some(why) = two_readings(host, path) {
        return Err(Unfit::TwoReadings(why, site.into()));
    }
    if !is_path(parts.path) {
        return Err(UNREADABLE.into());
    }
    let site = site.as_str().trim_end_matches('/');
    Ok(Url::parse(&format!("{site}{}", parts.path)).map_err(|_| UNREADABLE)?)
}

/// Whether this is host and port without user information, without anything that a URL parser would
/// drop, and without an empty label.
fn is_authority(text: &str) -> bool {
    let labelled = !text.is_empty() && !text.starts_with('.') && !text.contains("..");
    labelled
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// Whether this is path and query in printable ASCII, without a fragment, and the path without
/// backslashes and dot segments: a browser resolves those before it asks.
fn is_path(text: &str) -> bool {
    let path = text.split('?').next().unwrap_or_default();
    let starts_well = path.starts_with('/') || path.is_empty();
    let printable = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    starts_well && printable && !path.contains('\\') && !path.split('/').any(is_dots)
}

/// `.` or `..`, in any of the spellings the URL standard knows.
fn is_dots(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}
