//! The pages for administrators.

use super::super::Problem;
use super::super::confirm_act::ConfirmAct;
use super::super::events::By;
use super::super::invited::Invited;
use super::super::people::{InvitationInList, PeopleView, PersonInList};
use super::super::person::PersonView;
use super::samples::{Sample, event, problem, render, session, site};
use super::tags::{attribute, tags};
use crate::accounts::listed::State;

pub fn samples(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let confirm = |problem| {
        Box::new(ConfirmAct {
            action: format!("/{text}"),
            back: format!("/{text}"),
            what: "disable the account of",
            username: own(),
            own_name: own(),
            carried: vec![("groups", own())],
            form: own(),
            problem,
        })
    };
    let refused = |problem| Box::new(person(text, State::Active).refused(problem));
    let disabled = PersonView {
        is_own: true,
        sessions: Vec::new(),
        ..person(text, State::Disabled)
    };
    let nobody = PeopleView {
        people: Vec::new(),
        ..list(text, 0, 1)
    };
    [
        ("people", Some(Box::new(list(text, 151, 2)) as Box<_>)),
        ("people_nobody", Some(Box::new(nobody) as Box<_>)),
        (
            "people_days",
            problem(Some("days")).map(|it| Box::new(list(text, 1, 1).refused(it)) as Box<_>),
        ),
        ("invited", Some(Box::new(invited(text, None)) as Box<_>)),
        (
            "invited_mailed",
            Some(Box::new(invited(text, Some(own()))) as Box<_>),
        ),
        (
            "person",
            Some(Box::new(person(text, State::Active)) as Box<_>),
        ),
        ("person_own", Some(Box::new(disabled) as Box<_>)),
        (
            "person_disabled",
            Some(Box::new(person(text, State::Disabled)) as Box<_>),
        ),
        (
            "person_invited",
            Some(Box::new(person(text, State::Invited)) as Box<_>),
        ),
        (
            "person_groups",
            problem(Some("groups")).map(|it| refused(it) as Box<_>),
        ),
        (
            "person_name",
            problem(Some("username")).map(|it| refused(it) as Box<_>),
        ),
        (
            "person_problem",
            problem(None).map(|it| refused(it) as Box<_>),
        ),
        ("confirm_act", Some(confirm(None) as Box<_>)),
        (
            "confirm_act_wrong",
            Some(confirm(problem(Some("secret"))) as Box<_>),
        ),
    ]
    .into_iter()
    .filter_map(|(name, page)| Some((name, page?)))
    .collect()
}

fn list(text: &str, total: usize, page: usize) -> PeopleView {
    let one = |username: &str, state| PersonInList {
        path: format!("/people/{username}"),
        username: username.to_owned(),
        email: (state == State::Active).then(|| text.to_owned()),
        groups: vec![text.to_owned(); 3],
        state,
        second_factor: state == State::Active,
        last_login: (state == State::Active).then_some(1_795_000_000),
    };
    PeopleView {
        people: vec![one(text, State::Active), one("bob", State::Disabled)],
        total,
        page,
        pages: total.div_ceil(50).max(1),
        sought: text.to_owned(),
        can_invite: true,
        invitations: vec![InvitationInList {
            id: "AAAAAAAAAAAA".to_owned(),
            email: Some(text.to_owned()),
            groups: vec![text.to_owned()],
            by: text.to_owned(),
            expires: 1_795_400_000,
        }],
        typed_email: text.to_owned(),
        typed_groups: text.to_owned(),
        typed_days: text.to_owned(),
        form: text.to_owned(),
        notice: Some(text.to_owned()),
        problem: None,
        now: 1_795_348_800,
    }
}

fn invited(text: &str, email: Option<String>) -> Invited {
    Invited {
        link: format!("https://login.example.com/invitation?token={text}"),
        email,
        groups: vec![text.to_owned()],
        expires: 1_795_400_000,
    }
}

fn person(text: &str, state: State) -> PersonView {
    PersonView {
        path: format!("/{text}"),
        username: text.to_owned(),
        email: (state != State::Invited).then(|| text.to_owned()),
        email_proven: state == State::Active,
        groups: format!("users, {text}"),
        typed_groups: (state == State::Active).then(|| text.to_owned()),
        state,
        second_factor: state == State::Active,
        recovery_codes_left: 1,
        created: Some(1_795_000_000),
        last_login: (state == State::Active).then_some(1_795_300_000),
        sessions: vec![session("a1", true), session(text, false)],
        invitations: match state {
            State::Invited => list(text, 1, 1).invitations,
            State::Active | State::Disabled => Vec::new(),
        },
        events: vec![event("groups_changed", By::Named(text.to_owned()), text)],
        is_own: false,
        form: text.to_owned(),
        notice: Some(text.to_owned()),
        problem: None,
        now: 1_795_348_800,
    }
}

/// The addresses of the links that lead to the page before and the page behind.
fn links(view: &PeopleView) -> Vec<(String, String)> {
    let html = render(&site(), view);
    let links = tags(&html).into_iter();
    links
        .filter_map(|tag| {
            let (rel, href) = (attribute(tag, "rel")?, attribute(tag, "href")?);
            Some((rel.to_owned(), href.replace("&amp;", "&")))
        })
        .collect()
}

#[test]
fn the_pages_of_a_list_lead_to_each_other_and_keep_what_was_looked_for() {
    let link = |rel: &str, href: &str| (rel.to_owned(), href.to_owned());
    let view = |page, sought: &str| PeopleView {
        sought: sought.to_owned(),
        ..list("a", 151, page)
    };
    assert_eq!(links(&view(1, "")), [link("next", "/people?page=2")]);
    assert_eq!(
        links(&view(2, "a&b c")),
        [
            link("prev", "/people?q=a%26b+c&page=1"),
            link("next", "/people?q=a%26b+c&page=3")
        ]
    );
    assert_eq!(links(&view(4, "")), [link("prev", "/people?page=3")]);
    assert_eq!(links(&view(9, "")), [link("prev", "/people?page=4")]);
    assert_eq!(links(&list("a", 50, 1)), []);
}

#[test]
fn an_account_can_be_changed_into_what_it_is_not_and_ones_own_into_neither() {
    let forms = |view: &PersonView| -> Vec<String> {
        let html = render(&site(), view);
        let forms = tags(&html).into_iter();
        let forms = forms.filter(|tag| tag.starts_with("form"));
        let actions = forms.filter_map(|form| attribute(form, "action"));
        actions
            .map(|action| action.rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        forms(&person("bob", State::Active)),
        [
            "groups",
            "end_sessions",
            "new_password",
            "reset_2fa",
            "disable",
            "remove"
        ]
    );
    assert_eq!(
        forms(&person("bob", State::Disabled)),
        ["groups", "end_sessions", "reset_2fa", "enable", "remove"]
    );
    let invited = forms(&person("bob", State::Invited));
    assert!(
        invited.iter().all(|form| form != "new_password"),
        "no address"
    );
    let own = PersonView {
        is_own: true,
        ..person("bob", State::Active)
    };
    assert_eq!(
        forms(&own),
        ["groups", "end_sessions", "new_password", "reset_2fa"]
    );
}

#[test]
fn what_is_wrong_stands_at_the_form_it_concerns() {
    let html = |field| {
        let problem: Problem = problem(field).unwrap();
        render(&site(), &person("bob", State::Active).refused(problem))
    };
    let at = |id: &str| format!("id=\"{id}-problem\">Wrong password.");
    assert!(html(Some("groups")).contains(&at("groups")));
    assert!(!html(Some("groups")).contains("<details open>"));
    let of_name = html(Some("username"));
    assert!(of_name.contains(&at("username")) && of_name.contains("<details open>"));
    assert!(!of_name.contains("<p role=\"alert\">"));
    assert!(html(None).contains("<p role=\"alert\">Wrong password."));
}
