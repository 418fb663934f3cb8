//! One person, for administrators: who they are, and what can be done for them.

use super::account::{SessionView, day, exact, session_values};
use super::events::{self, EventView};
use super::fill::{Html, Values, fill};
use super::form::{States, fixed, notice};
use super::people::{InvitationInList, NO_ADDRESS, invitations, told};
use super::{Page, Problem, Ring, Site};
use crate::accounts::listed::State;

/// What the page of a person shows. Times are seconds since 1970.
#[derive(Clone)]
pub struct PersonView {
    /// The address of this page.
    pub path: String,
    pub username: String,
    /// `None` if they have none.
    pub email: Option<String>,
    /// Whether its owner has proven that it is theirs.
    pub email_proven: bool,
    /// As they are, with commas between.
    pub groups: String,
    /// As they stand in the form, if not as they are.
    pub typed_groups: Option<String>,
    pub state: State,
    pub second_factor: bool,
    pub recovery_codes_left: usize,
    /// `None` if that is not known.
    pub created: Option<u64>,
    /// `None` if they never did.
    pub last_login: Option<u64>,
    /// In the order to be shown.
    pub sessions: Vec<SessionView>,
    /// By which they can choose their first password.
    pub invitations: Vec<InvitationInList>,
    /// What happened, the newest first.
    pub events: Vec<EventView>,
    /// Whether it is the account of the one who looks at it.
    pub is_own: bool,
    /// The value of the hidden field that differs in every page.
    pub form: String,
    /// What was just done.
    pub notice: Option<String>,
    pub problem: Option<Problem>,
    /// The moment the page is made.
    pub now: u64,
}

/// Stands above what happened.
const HAPPENED: &str = "What was last done to this account, or tried. If its owner does not recognise \
    something, end all sessions and mail them a new password.";

impl PersonView {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem);
        Self { problem, ..self }
    }

    /// What is wrong with the name that was typed to remove the account.
    fn problem_of_name(&self) -> Option<&Problem> {
        let is_there = |problem: &&Problem| problem.field == Some("username");
        self.problem.as_ref().filter(is_there)
    }
}

impl Page for PersonView {
    fn title(&self) -> &str {
        &self.username
    }

    fn ring(&self) -> Ring {
        Ring::Whole
    }

    fn is_wide(&self) -> bool {
        true
    }

    fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn main(&self, _: &Site) -> Html {
        let is_above = self.problem_of_name().is_none() || self.is_own;
        let problem = self.problem.as_ref().filter(|_| is_above);
        let email = match (&self.email, self.email_proven) {
            (None, _) => NO_ADDRESS.to_owned(),
            (Some(email), true) => format!("{email}, confirmed"),
            (Some(email), false) => format!("{email}, not confirmed yet"),
        };
        let state = match self.state {
            State::Active => "active",
            State::Disabled => "disabled: nobody can log in",
            State::Invited => "invited: no password has been chosen yet",
        };
        let none_or = |groups: &str| match groups {
            "" => "none".to_owned(),
            groups => groups.to_owned(),
        };
        let in_form = self.typed_groups.as_deref().unwrap_or(&self.groups);
        let values = self
            .in_form()
            .html("notice", self.notice.as_deref().map(notice))
            .form(&["groups"], problem, None)
            .text("username", self.username.as_str())
            .text("email", email)
            .text("groups_now", none_or(&self.groups))
            .text("groups", in_form)
            .text("state", state)
            .text("second_factor", self.second_factor())
            .html("created", self.created.map(created))
            .html("last_login", [told(self.last_login, self.now)])
            .html("sessions", [self.sessions()])
            .html(
                "invitations",
                invitations("Invitation", &self.invitations, &self.form),
            )
            .html("events", events::list(&self.events, HAPPENED, self.now))
            .html("new_password", self.new_password())
            .html("access", self.access());
        fill(include_str!("../../static/person.html"), &values)
    }
}

impl PersonView {
    fn second_factor(&self) -> String {
        match (self.second_factor, self.recovery_codes_left) {
            (false, _) => "not set up yet".to_owned(),
            (true, 0) => "set up, no recovery codes left".to_owned(),
            (true, 1) => "set up, 1 recovery code left".to_owned(),
            (true, left) => format!("set up, {left} recovery codes left"),
        }
    }

    fn sessions(&self) -> Html {
        if self.sessions.is_empty() {
            return fixed(include_str!("../../static/parts/person_nowhere.html"));
        }
        let label = match self.is_own {
            true => "End all sessions but this one",
            false => "End all sessions",
        };
        let sessions = self.sessions.iter();
        let values = self
            .in_form()
            .html("sessions", sessions.map(|one| session(one, self.now)))
            .text("label", label);
        let template = include_str!("../../static/parts/person_sessions.html");
        fill(template, &values)
    }

    /// Nobody could log in to a disabled account with it, and it needs an address.
    fn new_password(&self) -> Option<Html> {
        let template = include_str!("../../static/parts/person_new_password.html");
        let is_of_use = self.state != State::Disabled && self.email.is_some();
        is_of_use.then(|| fill(template, &self.in_form()))
    }

    fn access(&self) -> Vec<Html> {
        if self.is_own {
            return vec![fixed(include_str!("../../static/parts/person_own.html"))];
        }
        let other_state = match self.state {
            State::Disabled => include_str!("../../static/parts/person_enable.html"),
            State::Active | State::Invited => {
                include_str!("../../static/parts/person_disable.html")
            }
        };
        let problem = self.problem_of_name();
        let states = States::of(&["username"], problem, None);
        let remove = self
            .in_form()
            .html("open", problem.map(|_| fixed(" open")))
            .text("username", self.username.as_str())
            .field("username", &states);
        let template = include_str!("../../static/parts/person_remove.html");
        vec![fill(other_state, &self.in_form()), fill(template, &remove)]
    }

    /// What every form of the page has.
    fn in_form(&self) -> Values<'_> {
        Values::new()
            .text("path", self.path.as_str())
            .once(&self.form)
    }
}

fn created(wall: u64) -> Html {
    let values = Values::new()
        .text("day", day(wall))
        .text("exact", exact(wall));
    let template = include_str!("../../static/parts/account_created.html");
    fill(template, &values)
}

fn session(session: &SessionView, now: u64) -> Html {
    let template = include_str!("../../static/parts/person_session.html");
    fill(template, &session_values(session, now))
}
