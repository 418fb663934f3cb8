//! What the site answers: an outcome, and how a browser is to see it.

use crate::form::FormError;
use crate::gate::Busy;
use crate::pages::{Page, Problem, Way};
use crate::store::{NotSaved, Unavailable};

mod outcome;
mod presenter;
mod table;

pub use outcome::{Dialect, Outcome, SOON};
pub use presenter::Presenter;

/// An outcome and how a browser is to see it. No `Debug`: cookies leave in it.
#[derive(Clone)]
pub struct Reply {
    pub outcome: Outcome,
    /// What a browser shows; without one, a page that says the message.
    page: Option<Page>,
    /// The way on from there.
    onward: Option<Way>,
    /// Where a browser goes instead.
    location: Option<String>,
    /// Where a proxy sends a browser instead.
    pointer: Option<String>,
    identity: Option<Identity>,
    cookies: Vec<String>,
    clear_site_data: bool,
    /// Whose account it was about, for the log.
    pub user: Option<String>,
    /// What the log calls it, if not by the outcome's code.
    pub noted: Option<&'static str>,
}

/// What the log calls an attempt that came too early, also where the answer does not say so.
pub const THROTTLED: &str = "throttled";

/// What the log calls an answer that was given before, whatever it was.
pub const REPEATED: &str = "repeated";

/// Who a visitor is, as an application behind a proxy reads it.
#[derive(Clone)]
pub struct Identity {
    pub user: String,
    pub email: String,
    pub name: String,
    pub groups: Vec<String>,
    /// What of the visitor's cookies is the application's, where the proxy cannot tell by itself.
    pub cookies: Option<String>,
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            page: None,
            onward: None,
            location: None,
            pointer: None,
            identity: None,
            cookies: Vec::new(),
            clear_site_data: false,
            user: None,
            noted: None,
        }
    }
}

impl Reply {
    /// A page that was asked for.
    pub fn page(page: Page) -> Self {
        Self::from(Outcome::Shown).showing(page)
    }

    /// A redirect that tells programs no more than browsers.
    pub fn see_other(location: String) -> Self {
        Self::from(Outcome::Shown).then_to(location)
    }

    pub fn showing(self, page: Page) -> Self {
        Self {
            page: Some(page),
            ..self
        }
    }

    /// Sends a browser there with 303.
    pub fn then_to(self, location: impl Into<String>) -> Self {
        Self {
            location: Some(location.into()),
            ..self
        }
    }

    /// Tells a proxy where to send a browser; the status stays.
    pub fn pointing_to(self, location: String) -> Self {
        Self {
            pointer: Some(location),
            ..self
        }
    }

    /// Tells a proxy who the visitor is.
    pub fn identifying(self, identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            ..self
        }
    }

    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The cookies it sets, each with its attributes.
    pub fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// Sets another cookie in the place of this one, if it sets this one.
    pub fn exchange_cookie(&mut self, cookie: &str, other: String) {
        if let Some(place) = self.cookies.iter_mut().find(|set| *set == cookie) {
            *place = other;
        }
    }

    /// Where a browser goes instead; may be empty.
    pub fn place(&self) -> &str {
        self.location.as_deref().unwrap_or_default()
    }

    /// Each text in it that is for the eyes of one browser: cookies, keys, codes.
    pub fn each_secret(&mut self, mut visit: impl FnMut(&mut String)) {
        self.cookies.iter_mut().for_each(&mut visit);
        self.outcome.each_secret(&mut visit);
        if let Some(page) = &mut self.page {
            page.each_secret(visit);
        }
    }

    pub fn clearing_site_data(self) -> Self {
        Self {
            clear_site_data: true,
            ..self
        }
    }

    /// Whether it cost its sender nothing, so that a crowd could fill the log with it.
    pub fn is_cheap(&self) -> bool {
        self.outcome.is_cheap() || matches!(self.noted, Some(THROTTLED | REPEATED))
    }

    /// Has the log say this instead of the outcome's code.
    pub fn noted_as(self, result: &'static str) -> Self {
        Self {
            noted: Some(result),
            ..self
        }
    }

    /// Names the account for the log.
    pub fn about(self, user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            ..self
        }
    }
}

/// A request that was not carried out: a reply that ends the handler.
pub struct Refusal(Box<Reply>);

impl Refusal {
    /// What a browser is shown: the form again, with what is wrong beside the field it concerns.
    pub fn beside(mut self, page: impl FnOnce(Problem) -> Page) -> Self {
        let outcome = &self.0.outcome;
        // These concern no field, and the page that says so has a way on.
        let elsewhere = matches!(
            outcome,
            Outcome::LoginRequired | Outcome::NoPendingLogin | Outcome::TwoSessions
        );
        if !elsewhere && self.0.page.is_none() {
            let row = outcome.row();
            self.0.page = Some(page(Problem {
                field: row.field,
                blames: true,
                text: row.sentence.into_owned(),
                advice: row.advice.into_owned(),
            }));
        }
        self
    }

    /// The page a browser sees if nothing else is shown.
    pub fn showing(mut self, page: Page) -> Self {
        self.0.page.get_or_insert(page);
        self
    }

    /// The way on from the page that says the message, if not to the account.
    pub fn leading_to(mut self, way: Way) -> Self {
        self.0.onward = Some(way);
        self
    }

    /// Where a browser goes instead.
    pub fn then_to(mut self, location: String) -> Self {
        self.0.location = Some(location);
        self
    }

    /// As [`Reply::pointing_to`].
    pub fn pointing_to(mut self, location: String) -> Self {
        self.0.pointer = Some(location);
        self
    }

    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.0.cookies.extend(cookies);
        self
    }

    pub fn about(mut self, user: &str) -> Self {
        self.0.user = Some(user.to_owned());
        self
    }

    pub fn into_reply(self) -> Reply {
        *self.0
    }
}

impl From<Outcome> for Refusal {
    fn from(outcome: Outcome) -> Self {
        Self(Box::new(outcome.into()))
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Field(field, what) => Outcome::BadField(field, what),
            FormError::TooLong(field, max, of) => Outcome::TooLong(field, max, of),
            FormError::TooManyFields(max) => Outcome::TooManyFields(max),
            FormError::UnsupportedType => Outcome::UnsupportedType,
        }
        .into()
    }
}

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Self {
        Outcome::Busy(busy.retry_after).into()
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self(Box::new(reply))
    }
}

/// What cannot be read now can be in a moment.
impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Outcome::Busy(SOON).into()
    }
}

/// The store has logged the cause.
impl From<NotSaved> for Refusal {
    fn from(why: NotSaved) -> Self {
        match why {
            why if why.is_unknown() => Outcome::MaybeSaved,
            why if why.is_unreadable() => Outcome::AccountsUnreadable,
            _ => Outcome::NotSaved,
        }
        .into()
    }
}
