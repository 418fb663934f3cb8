//! The pages a visitor sees: `static/` compiled in.
//!
//! Every text reaches a page through `fill`, which escapes it. No page has an inline style or
//! anything to fetch; the one stylesheet is part of the page and is allowed by its hash. So is the
//! one script, in those pages alone that offer passkeys; none needs it.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

mod agent;

mod fill;

mod form;

mod logo;

mod qr;

#[cfg(test)]
mod tests;

// The pages, a line for each file of them.

pub mod access_token;
pub mod account;
pub mod choose_password;
pub mod code;
pub mod confirm;
pub mod confirm_act;
pub mod denied;
pub mod enrol;
pub mod events;
pub mod forgot;
pub mod invitation;
pub mod invited;
pub mod logged_in;
pub mod login;
pub mod logout;
pub mod message;
pub mod passkey;
pub mod people;
pub mod person;
pub mod recovery_codes;
pub mod register;

pub use self::agent::agent_label;
use self::fill::{Begun, Html, Values, fill};
pub use self::logo::{LOGO_FILES, MAX_LOGO, logo_url};
pub use self::passkey::script_hash;

/// The template of [`compat_code`]: the page that asks for the code, as programs that were written
/// for the original script know it.
pub const COMPAT_CODE: &str = include_str!("../../static/compat/secret_key.html");

/// The stylesheet, as short as it is without what stands there for readers alone: it is part of
/// every page, and proxies take only so much of an answer that turns a visitor away.
static STYLE: LazyLock<&'static str> =
    LazyLock::new(|| compact(include_str!("../../static/style.css"), "/*").leak());

/// Leaves out comments that have lines of their own, which begin with `comment`, indentation and
/// line breaks.
fn compact(text: &str, comment: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(comment));
    lines.collect::<Vec<_>>().join("")
}

/// What the pages say about the site as a whole.
#[derive(Clone)]
pub struct Site {
    pub issuer: String,
    /// The operator's logo, as a `data:` URL.
    pub logo: Option<String>,
    pub registration_open: bool,
    /// How long who chooses to stay logged in does; zero if nobody can.
    pub remember: Duration,
}

/// A page with what it shows: a struct in a file of its own, which fills a template of `static/`.
/// One with a form also has a function `refused`, which adds the problem to it.
///
/// No `Debug`: keys and recovery codes are shown in some. The caller must have checked addresses to
/// go on to; a page only escapes them.
pub trait Page: Copied + Send + Sync + 'static {
    fn title(&self) -> &str;

    /// The main part of the page, between its header and its end.
    fn main(&self, site: &Site) -> Html;

    /// How much of the ring in the header is closed.
    fn ring(&self) -> Ring {
        Ring::Open
    }

    /// Whether the page needs more room than a form does.
    fn is_wide(&self) -> bool {
        false
    }

    /// Whether the page offers something that takes a script.
    fn needs_script(&self) -> bool {
        false
    }

    /// What went wrong, if something did; the title then begins with that.
    fn problem(&self) -> Option<&Problem> {
        None
    }

    /// Visits each text on the page that is secret: for one browser only.
    fn each_secret(&mut self, _visit: &mut dyn FnMut(&mut String)) {}
}

/// Half of the ring for each of the two steps of a login that is done.
#[derive(Clone, Copy)]
pub enum Ring {
    Open,
    Half,
    Whole,
}

/// A page that can be copied, whichever it is. All that are `Clone` can.
pub trait Copied {
    fn copied(&self) -> Box<dyn Page>;
}

impl<P: Page + Clone> Copied for P {
    fn copied(&self) -> Box<dyn Page> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Page> {
    fn clone(&self) -> Self {
        // A copy of the page, not of the box.
        (**self).copied()
    }
}

impl<P: Page> From<P> for Box<dyn Page> {
    fn from(page: P) -> Self {
        Box::new(page)
    }
}

/// Why a form was refused.
#[derive(Clone)]
pub struct Problem {
    /// The field that the problem is shown next to; if `None`, it is shown above the form.
    pub field: Option<&'static str>,
    /// Whether what was typed there is wrong; if not, the field only has to be filled in again.
    pub blames: bool,
    pub text: String,
    /// How to go on; may be empty.
    pub advice: String,
}

impl Problem {
    /// Shows the problem next to this field, if it concerns none.
    #[must_use]
    pub fn near(self, field: &'static str) -> Self {
        match self.field {
            Some(_) => self,
            None => Self {
                field: Some(field),
                blames: false,
                ..self
            },
        }
    }
}

/// A path with `rd`, where to go after the login, in its query; without one if `rd` is empty.
pub fn with_rd(path: &str, rd: &str) -> String {
    with_target(path, "rd", rd)
}

/// As [`with_rd`], but for the first page, where a query with `rd` means the login page.
pub fn register_with_rd(rd: &str) -> String {
    with_target("/", "onward", rd)
}

fn with_target(path: &str, name: &str, target: &str) -> String {
    if target.is_empty() {
        return path.to_owned();
    }
    let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{name}={target}")
}

/// The longest `rd` that links carry too, in bytes: encoding it once more can make it three times
/// as long, and a page must stay small. The login form itself keeps a longer one.
const SHORT: usize = 256;

fn short(rd: &str) -> &str {
    if rd.len() > SHORT { "" } else { rd }
}

/// Makes the pages of one site. What they share is rendered once; the rest is for one visitor, even
/// the value that each form carries.
pub struct Renderer {
    site: Site,
    layout: Begun,
}

impl Renderer {
    pub fn new(site: Site) -> Self {
        let logo = site.logo.as_ref().map(|logo| {
            let values = Values::new().text("logo", logo.as_str());
            fill(include_str!("../../static/parts/logo.html"), &values)
        });
        let values = Values::new()
            .html("style", [fill(*STYLE, &Values::new())])
            .html("logo", logo)
            .text("issuer", site.issuer.as_str());
        let layout = Begun::with(include_str!("../../static/layout.html"), &values);
        Self { site, layout }
    }

    /// A whole page as HTML.
    pub fn render(&self, page: &dyn Page) -> String {
        let prefix = page.problem().map_or("", |_| "Error: ");
        let title = format!("{prefix}{} - {}", page.title(), self.site.issuer);
        let width = if page.is_wide() { "wide" } else { "narrow" };
        let ring = match page.ring() {
            Ring::Open => "open",
            Ring::Half => "half",
            Ring::Whole => "whole",
        };
        let values = Values::new()
            .text("title", title)
            .text("width", width)
            .text("ring", ring)
            .html("main", [page.main(&self.site)])
            .html("script", page.needs_script().then(passkey::script));
        self.layout.fill(&values).into_string()
    }
}

/// The stylesheet's hash as a `style-src` source expression, `sha256-…` without quotes.
pub fn style_hash() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(*STYLE)))
}

/// Fills and escapes `{username}`, the only hole of `template`, which is [`COMPAT_CODE`].
pub fn compat_code(template: &str, username: &str) -> String {
    template.replace("{username}", &fill::escape(username))
}
