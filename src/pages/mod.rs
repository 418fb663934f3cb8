//! The pages a visitor sees: `static/` compiled in.
//!
//! Every text reaches a page through `fill`, which escapes it. No page has a script, an inline
//! style or anything to fetch; the one stylesheet is part of the page and is allowed by its hash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

mod body;

mod account;

mod agent;

mod form;

mod logo;

mod qr;

mod fill;

#[cfg(test)]
mod tests;

pub use self::account::{AccountForm, AccountView, BrowserView, SessionView};
pub use self::agent::agent_label;
use self::fill::{Begun, Values, fill};
pub use self::logo::{LOGO_FILES, MAX_LOGO, logo_url};

/// The template of [`compat_code`]: the page that asks for the code, as programs that were written
/// for the original script know it.
pub const COMPAT_CODE: &str = include_str!("../../static/compat/secret_key.html");

const STYLE: &str = include_str!("../../static/style.css");

/// What the pages say about the site as a whole.
#[derive(Clone)]
pub struct Site {
    pub issuer: String,
    /// The operator's logo, as a `data:` URL.
    pub logo: Option<String>,
    pub registration_open: bool,
}

/// A page with what it shows.
///
/// No `Debug`: keys and recovery codes are shown in it. The caller must have checked addresses to
/// go on to; a page only escapes them.
#[derive(Clone)]
pub enum Page {
    Account(AccountView),
    /// `current_needed` is false for a login by mailed password.
    ChoosePassword {
        username: String,
        current_needed: bool,
        problem: Option<Problem>,
    },
    /// The visitor is logged in but not let in at `host`. `site` is the address of this site.
    Denied {
        username: String,
        host: String,
        site: String,
    },
    /// The second step of a login; with `recovery`, the page asks for a recovery code instead.
    Code {
        username: String,
        recovery: bool,
        rd: String,
        problem: Option<Problem>,
    },
    /// The key (base32) for an authenticator app, and the field to confirm it. With `moving`, the
    /// new app replaces another one, from within the account.
    Enrol {
        username: String,
        key: String,
        otpauth: String,
        moving: bool,
        rd: String,
        problem: Option<Problem>,
    },
    Forgot {
        username: String,
        rd: String,
        form: String,
        problem: Option<Problem>,
    },
    ForgotSent {
        message: String,
        rd: String,
    },
    /// The login page for visitors who are logged in already; with `missed`, they came here by a
    /// step that was taken already.
    LoggedIn {
        username: String,
        onward: String,
        missed: bool,
        /// Why the visitor may be here again.
        notice: Option<String>,
    },
    LoggedOut {
        message: String,
    },
    Login {
        username: String,
        /// Where to go after the login; may be empty.
        rd: String,
        /// The value of the hidden field that differs in every page; empty for none.
        form: String,
        notice: Option<String>,
        problem: Option<Problem>,
    },
    LogoutQuestion {
        username: Option<String>,
    },
    /// A page without a form: what happened, what to do now, and the ways to do it.
    Message {
        title: String,
        text: String,
        advice: String,
        onward: Way,
        else_to: Option<Way>,
    },
    RecoveryCodes {
        username: String,
        codes: Vec<String>,
        onward: String,
    },
    Register {
        username: String,
        email: String,
        rd: String,
        form: String,
        /// The name of the visitor, if they are logged in already.
        me: Option<String>,
        problem: Option<Problem>,
    },
}

impl Page {
    /// Visits each text on the page that is secret: for one browser only.
    pub fn each_secret(&mut self, visit: impl FnMut(&mut String)) {
        match self {
            Self::Enrol { key, otpauth, .. } => [key, otpauth].into_iter().for_each(visit),
            Self::RecoveryCodes { codes, .. } => codes.iter_mut().for_each(visit),
            _ => {}
        }
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

/// A way on: an address of this site, and the text of the link to it.
#[derive(Clone)]
pub struct Way {
    to: String,
    label: &'static str,
}

impl Way {
    /// A way to this address, with this label.
    pub fn new(to: impl Into<String>, label: &'static str) -> Self {
        let to = to.into();
        Self { to, label }
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
            .html("style", [fill(STYLE, &Values::new())])
            .html("logo", logo)
            .text("issuer", site.issuer.as_str());
        let layout = Begun::with(include_str!("../../static/layout.html"), &values);
        Self { site, layout }
    }

    /// A whole page as HTML.
    pub fn render(&self, page: &Page) -> String {
        let prefix = if refused(page) { "Error: " } else { "" };
        let title = format!("{prefix}{} - {}", title(page), self.site.issuer);
        let width = match page {
            Page::Account(_) => "wide",
            _ => "narrow",
        };
        let values = Values::new()
            .text("title", title)
            .text("width", width)
            .text("ring", ring(page))
            .html("main", [body::main(&self.site, page)]);
        self.layout.fill(&values).into_string()
    }
}

/// The stylesheet's hash as a `style-src` source expression, `sha256-…` without quotes.
pub fn style_hash() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE)))
}

/// Fills and escapes `{username}`, the only hole of `template`, which is [`COMPAT_CODE`].
pub fn compat_code(template: &str, username: &str) -> String {
    template.replace("{username}", &fill::escape(username))
}

fn title(page: &Page) -> &str {
    match page {
        Page::Account(_) => "Your account",
        Page::ChoosePassword { current_needed, .. } if *current_needed => "Change your password",
        Page::ChoosePassword { .. } => "Choose a new password",
        Page::Code { recovery, .. } if *recovery => "Enter a recovery code",
        Page::Code { .. } => "Enter your code",
        Page::Denied { .. } => "You may not enter here",
        Page::Enrol { moving, .. } if *moving => "Set up your new authenticator",
        Page::Enrol { .. } => "Set up your authenticator",
        Page::Forgot { .. } => "Forgot your password?",
        Page::ForgotSent { .. } => "Look at your mail",
        Page::LoggedIn { .. } => "You are logged in",
        Page::LoggedOut { .. } => "Logged out",
        Page::Login { .. } => "Log in",
        Page::LogoutQuestion { .. } => "Log out?",
        Page::Message { title, .. } => title,
        Page::RecoveryCodes { .. } => "Keep these recovery codes",
        Page::Register { .. } => "Create an account",
    }
}

/// How much of the ring in the header is closed: half for each of the two steps that is done.
fn ring(page: &Page) -> &'static str {
    match page {
        Page::Account(_)
        | Page::Denied { .. }
        | Page::LoggedIn { .. }
        | Page::RecoveryCodes { .. } => "whole",
        Page::ChoosePassword { current_needed, .. } if *current_needed => "whole",
        Page::Enrol { moving, .. } if *moving => "whole",
        Page::LogoutQuestion { username } if username.is_some() => "whole",
        Page::ChoosePassword { .. } | Page::Code { .. } | Page::Enrol { .. } => "half",
        _ => "open",
    }
}

/// Whether the page says that something went wrong; its title then begins with that.
fn refused(page: &Page) -> bool {
    match page {
        Page::ChoosePassword { problem, .. }
        | Page::Code { problem, .. }
        | Page::Enrol { problem, .. }
        | Page::Forgot { problem, .. }
        | Page::Login { problem, .. }
        | Page::Register { problem, .. } => problem.is_some(),
        Page::Account(view) => view.problem.is_some(),
        _ => false,
    }
}
