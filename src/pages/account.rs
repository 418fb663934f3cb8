//! The account page: who the visitor is, what protects the account, where they are logged in.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::access_token::{self, TokenView, TypedToken};
use super::events::{self, EventView};
use super::fill::{Html, Values, fill};
use super::form::{States, fixed, notice};
use super::passkey::{Around, PasskeysView};
use super::people::listed_groups;
use super::{Page, Problem, Ring, Site};

/// What the account page shows. Times are seconds since 1970.
#[derive(Clone)]
pub struct AccountView {
    pub username: String,
    /// `None` if it has none.
    pub email: Option<String>,
    /// Whether its owner has proven that it is theirs.
    pub email_proven: bool,
    pub groups: Vec<String>,
    /// Whether they answer for all accounts.
    pub is_administrator: bool,
    /// `None` if that is not known.
    pub created: Option<u64>,
    pub recovery_codes_left: usize,
    /// In the order to be shown.
    pub sessions: Vec<SessionView>,
    /// In the order to be shown.
    pub browsers: Vec<BrowserView>,
    pub passkeys: PasskeysView,
    /// In the order to be shown; `None` where there are none to be had.
    pub tokens: Option<Vec<TokenView>>,
    /// In the order to be shown.
    pub events: Vec<EventView>,
    /// What was just done.
    pub notice: Option<String>,
    /// The new address in a form that was refused.
    pub typed_email: String,
    /// A new access token in a form that was refused.
    pub typed_token: TypedToken,
    pub problem: Option<(AccountForm, Problem)>,
    /// The moment the page is made, from which "5 minutes ago" is counted.
    pub now: u64,
}

/// One session in the list.
#[derive(Clone)]
pub struct SessionView {
    /// The value of the field `session` that ends this session; not the secret in the cookie.
    pub id: String,
    pub current: bool,
    pub created: u64,
    pub last_seen: u64,
    pub address: String,
    /// As [`agent_label`](super::agent_label) puts it.
    pub agent: String,
    /// Until when its owner stays logged in, if they chose to.
    pub stays_until: Option<u64>,
}

/// One browser that has logged in before.
#[derive(Clone)]
pub struct BrowserView {
    pub current: bool,
    pub created: u64,
    pub last_used: u64,
    /// As [`agent_label`](super::agent_label) puts it.
    pub agent: String,
}

/// The forms of the account page that may be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AccountForm {
    AddPasskey,
    Delete,
    Email,
    Move,
    NewToken,
    RecoveryCodes,
    RemovePasskey,
    RemoveToken,
    Sessions,
}

/// Stands above what happened.
const HAPPENED: &str = "What was last done to your account, or tried. If something here was not \
    you, change your password, and end whatever sessions you do not recognise.";

impl AccountView {
    /// The page with what is wrong, beside the form that was refused.
    #[must_use]
    pub fn refused(self, form: AccountForm, problem: Problem) -> Self {
        let problem = Some((form, problem.near("current_password")));
        Self { problem, ..self }
    }

    /// What an address that is missing, or not proven, means for its owner.
    fn unproven(&self) -> Option<Html> {
        match self.email {
            None => Some(fixed(include_str!("../../static/parts/no_address.html"))),
            Some(_) if self.email_proven => None,
            Some(_) => Some(fixed(include_str!("../../static/parts/unproven.html"))),
        }
    }

    fn around(&self) -> Around<'_> {
        Around {
            username: &self.username,
            adding: self.problem_of(AccountForm::AddPasskey),
            removing: self.problem_of(AccountForm::RemovePasskey),
            now: self.now,
        }
    }

    fn problem_of(&self, form: AccountForm) -> Option<&Problem> {
        let (at, problem) = self.problem.as_ref()?;
        (*at == form).then_some(problem)
    }
}

impl Page for AccountView {
    fn title(&self) -> &str {
        "Your account"
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn is_wide(&self) -> bool {
        true
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref().map(|(_, problem)| problem)
    }

    fn needs_script(&self) -> bool {
        self.passkeys.needs_script()
    }

    fn main(&self, _: &Site) -> Html {
        let elsewhere = self.sessions.iter().any(|session| !session.current)
            || self.browsers.iter().any(|browser| !browser.current);
        let others = include_str!("../../static/parts/end_others.html");
        let people = include_str!("../../static/parts/to_people.html");
        let sessions = self.sessions.iter();
        let groups = match self.groups.as_slice() {
            [] => "none".to_owned(),
            groups => listed_groups(groups),
        };
        let values = Values::new()
            .html("notice", self.notice.as_deref().map(notice))
            .form(&[], self.problem_of(AccountForm::Sessions), None)
            .text("username", self.username.as_str())
            .text("email", self.email.as_deref().unwrap_or("none"))
            .html("unproven", self.unproven())
            .text("groups", groups)
            .html("created", self.created.map(created))
            .html("people", self.is_administrator.then(|| fixed(people)))
            .text("codes_left", codes_left(self.recovery_codes_left))
            .html("change_email", [change_email(self)])
            .html("recovery", [recovery(self)])
            .html("move", [move_on(self)])
            .html("delete", [delete(self)])
            .html("passkeys", self.passkeys.section(&self.around()))
            .html("sessions", sessions.map(|shown| session(shown, self.now)))
            .html("browsers", browsers(self))
            .html("others", elsewhere.then(|| fixed(others)))
            .html("tokens", tokens(self))
            .html("events", events::list(&self.events, HAPPENED, self.now));
        fill(include_str!("../../static/account.html"), &values)
    }
}

/// What there is about access tokens, where there are any to be had.
fn tokens(view: &AccountView) -> Option<Html> {
    let all = view.tokens.as_deref()?;
    let fields = &["name", "hosts", "days", "secret"];
    let make = folding(view, AccountForm::NewToken, "token", fields)
        .text("typed_name", view.typed_token.name.as_str())
        .text("typed_hosts", view.typed_token.hosts.as_str())
        .text("typed_days", view.typed_token.days());
    let make = fill(include_str!("../../static/parts/token_make.html"), &make);
    let remove = || {
        let values = folding(view, AccountForm::RemoveToken, "token-gone", &["token"]);
        let values = values.html("choices", access_token::choices(all));
        fill(
            include_str!("../../static/parts/token_remove.html"),
            &values,
        )
    };
    let values = Values::new()
        .html("list", access_token::list(all, view.now))
        .html("make", [make])
        .html("remove", (!all.is_empty()).then(remove));
    let part = fill(
        include_str!("../../static/parts/account_tokens.html"),
        &values,
    );
    Some(part)
}

fn created(wall: u64) -> Html {
    let values = Values::new()
        .text("day", day(wall))
        .text("exact", exact(wall));
    fill(
        include_str!("../../static/parts/account_created.html"),
        &values,
    )
}

fn change_email(view: &AccountView) -> Html {
    let template = include_str!("../../static/parts/account_email.html");
    let values = folding(view, AccountForm::Email, "email", &["email"])
        .text("typed_email", view.typed_email.as_str());
    fill(template, &values)
}

fn recovery(view: &AccountView) -> Html {
    let template = include_str!("../../static/parts/account_recovery.html");
    folded(view, AccountForm::RecoveryCodes, "recovery", template)
}

fn move_on(view: &AccountView) -> Html {
    let template = include_str!("../../static/parts/account_move.html");
    folded(view, AccountForm::Move, "move", template)
}

fn delete(view: &AccountView) -> Html {
    let template = include_str!("../../static/parts/account_delete.html");
    folded(view, AccountForm::Delete, "delete", template)
}

/// A form that is folded unless it was just refused, for password and code.
fn folded(view: &AccountView, form: AccountForm, part: &str, template: &'static str) -> Html {
    fill(template, &folding(view, form, part, &["secret"]))
}

/// What fills the holes that all such forms have, and those of its fields beside the password.
fn folding<'a>(
    view: &'a AccountView,
    form: AccountForm,
    part: &str,
    fields: &[&'static str],
) -> Values<'a> {
    let problem = view.problem_of(form);
    let states = States::of(&[fields, &["current_password"]].concat(), problem, None);
    let values = Values::new()
        .html("open", problem.map(|_| fixed(" open")))
        .text("username", view.username.as_str())
        .own_password(part, &states)
        .html("problem", states.above());
    fields
        .iter()
        .fold(values, |values, field| values.field(field, &states))
}

fn session(session: &SessionView, now: u64) -> Html {
    let end = Values::new()
        .text("id", session.id.as_str())
        .text("agent", session.agent.as_str())
        .text("seen", ago(session.last_seen, now));
    let end = fill(include_str!("../../static/parts/end_session.html"), &end);
    // The current session is ended by logging out instead.
    let values = session_values(session, now).html("end", (!session.current).then_some(end));
    fill(include_str!("../../static/parts/session.html"), &values)
}

/// Whose browser, from where and since when.
pub(super) fn session_values(session: &SessionView, now: u64) -> Values<'_> {
    Values::new()
        .text("agent", session.agent.as_str())
        .text("current", if session.current { ", this one" } else { "" })
        .text("address", session.address.as_str())
        .text("created", ago(session.created, now))
        .text("created_exact", exact(session.created))
        .text("seen", ago(session.last_seen, now))
        .text("seen_exact", exact(session.last_seen))
        .html("stays", session.stays_until.map(stays))
}

fn stays(until: u64) -> Html {
    let values = Values::new()
        .text("day", day(until))
        .text("exact", exact(until));
    fill(include_str!("../../static/parts/stays.html"), &values)
}

/// The list of known browsers, if there are any.
fn browsers(view: &AccountView) -> Option<Html> {
    let one = |browser: &BrowserView| {
        let values = Values::new()
            .text("agent", browser.agent.as_str())
            .text("current", if browser.current { ", this one" } else { "" })
            .text("created", ago(browser.created, view.now))
            .text("created_exact", exact(browser.created))
            .text("used", ago(browser.last_used, view.now))
            .text("used_exact", exact(browser.last_used));
        fill(include_str!("../../static/parts/browser.html"), &values)
    };
    let values = Values::new().html("browsers", view.browsers.iter().map(one));
    let list = fill(include_str!("../../static/parts/browsers.html"), &values);
    (!view.browsers.is_empty()).then_some(list)
}

fn codes_left(left: usize) -> String {
    const LOW: usize = 3;
    match left {
        0 => "You log in with your authenticator app. You have no recovery codes left: make new \
              ones, or losing the app locks you out."
            .to_owned(),
        1 => "You log in with your authenticator app. Only one recovery code is left: make new \
              ones soon."
            .to_owned(),
        2..=LOW => format!(
            "You log in with your authenticator app. Only {left} recovery codes are left: make \
             new ones soon."
        ),
        _ => format!(
            "You log in with your authenticator app. If you lose it, {left} recovery codes are \
             left to log in with."
        ),
    }
}

/// How long ago something was, as people say it; the day, if that is more than two days. A moment
/// in the future, as after a clock was set back, counts as now.
pub(super) fn ago(then: u64, now: u64) -> String {
    let counted = |count: u64, unit: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {unit}{plural} ago")
    };
    match now.saturating_sub(then) {
        0..60 => "just now".to_owned(),
        seconds @ 60..3_600 => counted(seconds / 60, "minute"),
        seconds @ 3_600..172_800 => counted(seconds / 3_600, "hour"),
        _ => day(then),
    }
}

pub(super) fn day(wall: u64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[day padding:none] [month repr:long] [year]");
    moment(wall).format(FORMAT).unwrap_or_default()
}

/// RFC 3339, for machines.
pub(super) fn exact(wall: u64) -> String {
    moment(wall).format(&Rfc3339).unwrap_or_default()
}

fn moment(wall: u64) -> OffsetDateTime {
    i64::try_from(wall)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{ago, codes_left, day, exact};

    #[test]
    fn times_are_told_as_one_would_say_them() {
        let now = 1_795_348_800;
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now + 5, now), "just now");
        assert_eq!(ago(now - 60, now), "1 minute ago");
        assert_eq!(ago(now - 3_599, now), "59 minutes ago");
        assert_eq!(ago(now - 3_600, now), "1 hour ago");
        assert_eq!(ago(now - 172_800, now), "20 November 2026");
        assert_eq!(exact(now), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn a_time_no_calendar_has_is_shown_all_the_same() {
        assert_eq!(day(u64::MAX), "1 January 1970");
        assert_eq!(exact(u64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn running_out_of_recovery_codes_is_said_in_time() {
        assert!(codes_left(0).contains("no recovery codes left"));
        assert!(codes_left(1).contains("Only one recovery code is left"));
        assert!(codes_left(3).contains("Only 3 recovery codes are left"));
        assert!(!codes_left(4).contains("Only"));
    }
}
