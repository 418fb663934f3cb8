//! What the site answers: an outcome, and how a browser sees it.

use crate::accounts::ids::AccountId;
use crate::accounts::login::SecondStep;
use crate::events::Kind;
use crate::form::FormError;
use crate::gate::Busy;
use crate::pages::message::Way;
use crate::pages::{Page, Problem};
use crate::store::{NotSaved, Unavailable};

mod outcome;
mod presenter;
mod table;

pub use outcome::{Dialect, Invited, MadeToken, Outcome, SOON};
pub use presenter::Presenter;

/// An outcome, and how a browser sees it. No `Debug`: it holds cookies.
#[derive(Clone)]
pub struct Reply {
    /// What came of the request.
    pub outcome: Outcome,
    /// What a browser is shown; if `None`, a page with the outcome's message.
    page: Option<Box<dyn Page>>,
    /// Where that page leads on to.
    onward: Option<Way>,
    /// Where a browser goes instead.
    location: Option<String>,
    /// Where a proxy sends a browser instead.
    pointer: Option<String>,
    identity: Option<Identity>,
    /// The host at which a program is asked for an access token.
    challenge: Option<String>,
    cookies: Vec<String>,
    clear_site_data: bool,
    /// Whose account it was about, for the log.
    pub user: Option<String>,
    /// What the log calls the reply, if not by the outcome's code.
    pub noted: Option<&'static str>,
    /// What the event of the reply has besides.
    pub told: Told,
}

/// What an outcome does not say of what happened, for its event.
#[derive(Clone, Default)]
pub struct Told {
    /// The id of an account that is gone.
    pub id: Option<AccountId>,
    /// By what a login that this completes passed its second step.
    pub by: Option<SecondStep>,
    /// The id of the invitation by which somebody registered.
    pub invitation: Option<String>,
    /// What happened, if the outcome does not say.
    pub kind: Option<Kind>,
    /// Nothing was changed, so that there is no event.
    pub nothing: bool,
}

/// What the log calls an attempt that came too early, even if the answer does not say so.
pub const THROTTLED: &str = "throttled";

/// What the log calls an answer that was given before, whatever it was.
pub const REPEATED: &str = "repeated";

/// What the log calls an answer that sends to the login whoever brought an access token that is not
/// good there.
pub const WRONG_TOKEN: &str = "wrong_token";

/// Who a visitor is, as an application behind a proxy is told.
#[derive(Clone)]
pub struct Identity {
    /// The username.
    pub user: String,
    /// The e-mail address.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// The account's groups.
    pub groups: Vec<String>,
    /// What stays the same when the name changes.
    pub id: String,
    /// Those of the visitor's cookies that the application may see, if the proxy asks us to sort
    /// them.
    pub cookies: Option<String>,
    /// What the visitor sent in `Authorization` for the application, field by field.
    pub authorization: Vec<Vec<u8>>,
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
            challenge: None,
            cookies: Vec::new(),
            clear_site_data: false,
            user: None,
            noted: None,
            told: Told::default(),
        }
    }
}

impl Reply {
    /// A page that was asked for.
    pub fn page(page: impl Into<Box<dyn Page>>) -> Self {
        Self::from(Outcome::Shown).showing(page)
    }

    /// A redirect, for programs as well as browsers.
    pub fn see_other(location: String) -> Self {
        Self::from(Outcome::Shown).then_to(location)
    }

    /// Shows a browser this page.
    pub fn showing(self, page: impl Into<Box<dyn Page>>) -> Self {
        Self {
            page: Some(page.into()),
            ..self
        }
    }

    /// Sends a browser to `location`, with 303.
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

    /// Sets a cookie, given with its attributes.
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// Sets cookies, each given with its attributes.
    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The cookies that the reply sets, each with its attributes.
    pub fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// Sets `other` in place of `cookie`, if the reply sets that.
    pub fn exchange_cookie(&mut self, cookie: &str, other: String) {
        if let Some(place) = self.cookies.iter_mut().find(|set| *set == cookie) {
            *place = other;
        }
    }

    /// Where a browser goes instead; empty if nowhere.
    pub fn place(&self) -> &str {
        self.location.as_deref().unwrap_or_default()
    }

    /// How much memory the page takes, without its texts, in bytes.
    pub fn page_bytes(&self) -> usize {
        self.page.as_deref().map_or(0, size_of_val)
    }

    /// Visits each text that only one browser may see: cookies, keys, codes.
    pub fn each_secret(&mut self, mut visit: impl FnMut(&mut String)) {
        self.cookies.iter_mut().for_each(&mut visit);
        self.outcome.each_secret(&mut visit);
        if let Some(page) = &mut self.page {
            page.each_secret(&mut visit);
        }
    }

    /// Has a browser clear what it stores for this site, except cookies.
    pub fn clearing_site_data(self) -> Self {
        Self {
            clear_site_data: true,
            ..self
        }
    }

    /// Whether the reply cost its sender nothing, so that a crowd could fill the log with such.
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

    /// Notes by what the login that this completes passed its second step.
    pub fn entered_by(mut self, step: SecondStep) -> Self {
        self.told.by = Some(step);
        self
    }

    /// Notes that nothing was changed, so that there is no event.
    pub fn changing_nothing(mut self) -> Self {
        self.told.nothing = true;
        self
    }

    /// Notes the id of the invitation by which somebody registered.
    pub fn by_invitation(mut self, id: String) -> Self {
        self.told.invitation = Some(id);
        self
    }

    /// Notes what happened, which the outcome does not say.
    pub fn telling(mut self, kind: Kind) -> Self {
        self.told.kind = Some(kind);
        self
    }

    /// Notes the id of the account, which is gone.
    pub fn of_gone(mut self, id: Option<AccountId>) -> Self {
        self.told.id = id;
        self
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
    /// Shows a browser the form again, with the problem beside the field it concerns.
    pub fn beside<P: Into<Box<dyn Page>>>(mut self, page: impl FnOnce(Problem) -> P) -> Self {
        let outcome = &self.0.outcome;
        // These concern no field, and have pages of their own that lead on.
        let elsewhere = matches!(
            outcome,
            Outcome::LoginRequired | Outcome::NoPendingLogin | Outcome::TwoSessions
        );
        if !elsewhere && self.0.page.is_none() {
            let row = outcome.row();
            let problem = Problem {
                field: row.field,
                blames: true,
                text: row.sentence.into_owned(),
                advice: row.advice.into_owned(),
            };
            self.0.page = Some(page(problem).into());
        }
        self
    }

    /// Shows a browser this page, unless a page has been set before.
    pub fn showing(mut self, page: impl Into<Box<dyn Page>>) -> Self {
        self.0.page.get_or_insert(page.into());
        self
    }

    /// Sets where the page with the message leads on to, instead of the account.
    pub fn leading_to(mut self, way: Way) -> Self {
        self.0.onward = Some(way);
        self
    }

    /// As [`Reply::then_to`].
    pub fn then_to(mut self, location: String) -> Self {
        self.0.location = Some(location);
        self
    }

    /// As [`Reply::pointing_to`].
    pub fn pointing_to(mut self, location: String) -> Self {
        self.0.pointer = Some(location);
        self
    }

    /// Asks a program for an access token that is good at this host, which is a plain name.
    pub fn challenging(mut self, host: &str) -> Self {
        self.0.challenge = Some(host.to_owned());
        self
    }

    /// As [`Reply::with_cookies`].
    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.0.cookies.extend(cookies);
        self
    }

    /// Why it was refused.
    pub fn outcome(&self) -> &Outcome {
        &self.0.outcome
    }

    /// Has log and event say that it was refused, with this result, where the outcome does not.
    pub fn telling_refused(mut self, result: &'static str) -> Self {
        self.0.noted = Some(result);
        self.0.told.kind = Some(Kind::Refused);
        self
    }

    /// As [`Reply::about`].
    pub fn about(mut self, user: &str) -> Self {
        self.0.user = Some(user.to_owned());
        self
    }

    /// The reply to send.
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

/// What cannot be read now may be readable in a moment.
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
            why if why.is_busy() => Outcome::Busy(SOON),
            _ => Outcome::NotSaved,
        }
        .into()
    }
}
