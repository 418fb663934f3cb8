//! The list of people, for administrators.

use super::account::{ago, day, exact};
use super::fill::{Html, Values, fill};
use super::form::{States, fixed, link, notice};
use super::{Page, Problem, Ring, Site, with_target};
use crate::accounts::listed::State;
use crate::terminal::printable;

/// One page of the list. Times are seconds since 1970.
#[derive(Clone)]
pub struct PeopleView {
    /// In the order to be shown.
    pub people: Vec<PersonInList>,
    /// How many were found in all.
    pub total: usize,
    pub page: usize,
    pub pages: usize,
    /// What was looked for; empty for everybody.
    pub sought: String,
    /// Whether somebody can be invited.
    pub can_invite: bool,
    /// Those that work, the oldest first.
    pub invitations: Vec<InvitationInList>,
    /// What stands in the form that invites.
    pub typed_email: String,
    pub typed_groups: String,
    pub typed_days: String,
    /// The value of the hidden field that differs in every page.
    pub form: String,
    /// What was just done.
    pub notice: Option<String>,
    /// What is wrong with the form that invites, or with the withdrawal of an invitation.
    pub problem: Option<Problem>,
    /// The moment the page is made.
    pub now: u64,
}

/// One invitation in the list.
#[derive(Clone)]
pub struct InvitationInList {
    /// The value of the field `invitation` that withdraws it; not the secret in the link.
    pub id: String,
    /// `None` if it was mailed to nobody.
    pub email: Option<String>,
    pub groups: Vec<String>,
    /// Who made it.
    pub by: String,
    pub expires: u64,
}

impl PeopleView {
    /// The page with what is wrong.
    #[must_use]
    pub fn refused(self, problem: Problem) -> Self {
        let problem = Some(problem);
        Self { problem, ..self }
    }
}

/// One person in the list.
#[derive(Clone)]
pub struct PersonInList {
    /// The address of their page.
    pub path: String,
    pub username: String,
    /// `None` if they have none.
    pub email: Option<String>,
    pub groups: Vec<String>,
    pub state: State,
    pub second_factor: bool,
    pub last_login: Option<u64>,
}

/// Stands where an address would.
pub(super) const NO_ADDRESS: &str = "no e-mail address";

/// Most groups of a person that the list names.
const NAMED_GROUPS: usize = 5;

impl Page for PeopleView {
    fn title(&self) -> &str {
        "People"
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
        let everybody = (!self.sought.is_empty()).then(|| link("/people", "All people"));
        let values = Values::new()
            .html("notice", self.notice.as_deref().map(notice))
            .text("sought", self.sought.as_str())
            .text("count", self.count())
            .html("people", self.list())
            .html("links", self.previous().into_iter().chain(self.next()))
            .html("problem", self.states().above())
            .html("invitations", self.open_invitations())
            .html("invite", self.invite())
            .html("everybody", everybody);
        fill(include_str!("../../static/people.html"), &values)
    }
}

impl PeopleView {
    fn states(&self) -> States<'_> {
        States::of(&["email", "groups", "days"], self.problem(), None)
    }

    /// The form that invites.
    fn invite(&self) -> Option<Html> {
        let states = self.states();
        let is_open = self.problem.as_ref().map(|_| fixed(" open"));
        let values = Values::new()
            .html("open", is_open)
            .once(&self.form)
            .text("email", self.typed_email.as_str())
            .text("groups", self.typed_groups.as_str())
            .text("days", self.typed_days.as_str())
            .field("email", &states)
            .field("groups", &states)
            .field("days", &states);
        let template = include_str!("../../static/parts/invite.html");
        self.can_invite.then(|| fill(template, &values))
    }

    fn open_invitations(&self) -> Option<Html> {
        invitations("Open invitations", &self.invitations, &self.form)
    }

    fn count(&self) -> String {
        let people = match self.total {
            0 => "Nobody".to_owned(),
            1 => "1 person".to_owned(),
            total => format!("{total} people"),
        };
        let found = match self.sought.as_str() {
            "" => people,
            sought => format!("{people} found for “{sought}”"),
        };
        match self.pages {
            1 => found,
            pages => format!("{found}, page {} of {pages}", self.page),
        }
    }

    fn list(&self) -> Option<Html> {
        let people = self.people.iter().map(|one| person(one, self.now));
        let values = Values::new().html("people", people);
        let list = fill(include_str!("../../static/parts/people.html"), &values);
        (!self.people.is_empty()).then_some(list)
    }

    fn previous(&self) -> Option<Html> {
        let page = self.page.saturating_sub(1).min(self.pages);
        (page > 0).then(|| self.link_to(page, "prev", "Previous page"))
    }

    fn next(&self) -> Option<Html> {
        let is_last = self.page >= self.pages;
        (!is_last).then(|| self.link_to(self.page + 1, "next", "Next page"))
    }

    fn link_to(&self, page: usize, rel: &'static str, label: &'static str) -> Html {
        let list = with_target("/people", "q", &self.sought);
        let values = Values::new()
            .text("rel", rel)
            .text("href", with_target(&list, "page", &page.to_string()))
            .text("label", label);
        fill(include_str!("../../static/parts/page_link.html"), &values)
    }
}

/// The section with these invitations, if there are any. `form` is the value of the hidden field
/// that differs in every page.
pub(super) fn invitations(heading: &str, open: &[InvitationInList], form: &str) -> Option<Html> {
    let each = |one: &InvitationInList| {
        let values = Values::new()
            .text("id", one.id.as_str())
            .once(form)
            .text("email", one.email.as_deref().unwrap_or("By a link"))
            .text("groups", some_of(&one.groups))
            .text("by", one.by.as_str())
            .text("day", day(one.expires))
            .text("exact", exact(one.expires));
        let template = include_str!("../../static/parts/invitation_in_list.html");
        fill(template, &values)
    };
    let values = Values::new()
        .text("heading", heading)
        .html("invitations", open.iter().map(each));
    let template = include_str!("../../static/parts/invitations.html");
    (!open.is_empty()).then(|| fill(template, &values))
}

fn person(one: &PersonInList, now: u64) -> Html {
    let state = match one.state {
        State::Active => None,
        state => Some(marked(state)),
    };
    let second_factor = match one.second_factor {
        true => "Second step set up",
        false => "Second step not set up yet",
    };
    let last_login = match one.last_login {
        Some(then) => format!("Last login {}.", ago(then, now)),
        None => "No login yet.".to_owned(),
    };
    let values = Values::new()
        .text("path", one.path.as_str())
        .text("username", one.username.as_str())
        .html("state", state)
        .text("email", one.email.as_deref().unwrap_or(NO_ADDRESS))
        .text("groups", some_of(&one.groups))
        .text("second_factor", second_factor)
        .text("last_login", last_login);
    let template = include_str!("../../static/parts/person_in_list.html");
    fill(template, &values)
}

/// A state that keeps somebody from logging in.
fn marked(state: State) -> Html {
    let values = Values::new().text("state", state.as_str());
    fill(include_str!("../../static/parts/state.html"), &values)
}

/// The first groups, and how many more there are.
fn some_of(groups: &[String]) -> String {
    let named = listed_groups(&groups[..groups.len().min(NAMED_GROUPS)]);
    match groups.len().checked_sub(NAMED_GROUPS) {
        None if groups.is_empty() => "none".to_owned(),
        None | Some(0) => named,
        Some(more) => format!("{named} and {more} more"),
    }
}

/// Groups with commas between. What an operator wrote into one by hand may not hide or reorder what
/// stands beside it.
pub fn listed_groups(groups: &[String]) -> String {
    printable(&groups.join(", "))
}

/// How long ago a moment was, with the exact time for machines.
pub(super) fn told(moment: Option<u64>, now: u64) -> Html {
    let Some(then) = moment else {
        return fixed("not yet");
    };
    let values = Values::new()
        .text("text", ago(then, now))
        .text("exact", exact(then));
    fill(include_str!("../../static/parts/time.html"), &values)
}

#[cfg(test)]
mod tests {
    use super::some_of;

    #[test]
    fn many_groups_are_counted_and_not_named() {
        let groups: Vec<String> = (0..7).map(|n| format!("g{n}")).collect();
        assert_eq!(some_of(&groups[..0]), "none");
        assert_eq!(some_of(&groups[..2]), "g0, g1");
        assert_eq!(some_of(&groups[..5]), "g0, g1, g2, g3, g4");
        assert_eq!(some_of(&groups), "g0, g1, g2, g3, g4 and 2 more");
    }
}
