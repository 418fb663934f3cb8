//! What individual pages say, offer and lead to.

use super::super::Site;
use super::super::forgot::Forgot;
use super::super::login::Login;
use super::samples::{account, problem, render, rendered, samples, site};
use super::tags::{attribute, inputs, tags};

#[test]
fn a_refused_field_is_marked_explained_and_has_the_keyboard() {
    for (name, field) in [
        ("register_email", "email"),
        ("login_field", "password"),
        ("code_wrong", "secret"),
        ("recovery_code_wrong", "secret"),
        ("enrol_wrong", "secret"),
        ("forgot_problem", "username"),
        ("change_refused", "current_password"),
        ("account_codes", "current_password"),
        ("account_move", "secret"),
    ] {
        let html = rendered(name);
        let marked: Vec<_> = inputs(&html)
            .filter(|input| input.contains("aria-invalid") || input.contains("autofocus"))
            .collect();

        let [input] = marked.as_slice() else {
            panic!("{name} marks {marked:?}");
        };
        assert_eq!(attribute(input, "name"), Some(field), "{name}");
        assert!(
            input.ends_with(" aria-invalid=\"true\" autofocus"),
            "{name}"
        );
        let why = attribute(input, "aria-describedby")
            .unwrap()
            .split(' ')
            .next_back()
            .unwrap();
        let text = format!("<p class=\"problem\" id=\"{why}\">Wrong password.</p>");
        assert!(html.contains(&text), "{name}");
        assert_eq!(html.matches("Wrong password.").count(), 1, "{name}");
        assert!(html.contains("<title>Error: "), "{name}");
    }
}

#[test]
fn a_problem_with_no_field_of_the_form_stands_above_it() {
    for name in ["login_problem", "account_delete", "account_sessions"] {
        let html = rendered(name);

        assert!(
            html.contains("<p role=\"alert\">Wrong password.</p>"),
            "{name}"
        );
        assert!(!html.contains(" aria-invalid="), "{name}");
    }
    let page = Forgot {
        problem: problem(Some("no_such_field")),
        ..Forgot::default()
    };
    let html = render(&site(), &page);
    assert!(html.contains("<p role=\"alert\">Wrong password.</p>"));
}

#[test]
fn the_account_opens_only_the_form_that_was_refused() {
    assert!(!rendered("account").contains("<details open>"));

    let html = rendered("account_move");
    let (_, open) = html.split_once("<details open>").unwrap();
    assert!(
        open.trim_start()
            .starts_with("<summary>Move to a new authenticator app")
    );
    assert!(!open.contains("<details open>"));
}

#[test]
fn every_session_but_the_one_at_hand_can_be_ended() {
    let html = rendered("account");
    let ends: Vec<_> = tags(&html)
        .into_iter()
        .filter(|tag| tag.contains(" name=\"session\""))
        .filter_map(|tag| attribute(tag, "value"))
        .collect();
    assert_eq!(ends, ["alice", "others"]);

    let mut view = account("alice", None);
    view.sessions.truncate(1);
    let others = |view| render(&site(), view).contains("value=\"others\"");
    view.browsers.retain(|browser| browser.current);
    assert!(!others(&view));
    let mut view = account("alice", None);
    view.sessions.truncate(1);
    assert!(others(&view), "another browser is known");
}

#[test]
fn a_login_goes_on_to_where_it_was_meant_to() {
    let page = Login {
        rd: "/wiki?a=1&b=2".to_owned(),
        ..Login::default()
    };
    let html = render(&site(), &page);

    assert!(html.contains("<input type=\"hidden\" name=\"rd\" value=\"/wiki?a=1&amp;b=2\">"));
}

#[test]
fn the_keyboard_starts_where_something_is_left_to_type() {
    let login = |username: &str| Login {
        username: username.to_owned(),
        ..Login::default()
    };
    for (username, field) in [("", "username"), ("alice", "password")] {
        let html = render(&site(), &login(username));
        let input = inputs(&html).find(|input| input.contains(" autofocus"));
        assert_eq!(attribute(input.unwrap(), "name"), Some(field));
    }
}

#[test]
fn closed_registration_has_no_link() {
    let closed = Site {
        registration_open: false,
        ..site()
    };
    for (name, page) in samples("alice") {
        let offers = |site: &Site| {
            let html = render(site, page.as_ref());
            html.contains("href=\"/\"") || html.contains("href=\"/?")
        };
        assert_eq!(offers(&site()), name.starts_with("login"), "{name}");
        assert!(!offers(&closed), "{name}");
    }
}

#[test]
fn moving_to_a_new_authenticator_does_not_end_in_the_login() {
    assert!(!rendered("enrol").contains("action="));
    assert!(rendered("enrol_moving").contains("action=\"/account/totp/confirm\""));
    assert!(!rendered("enrol_moving").contains("/secret_key"));
}

#[test]
fn the_key_is_shown_in_fours_and_copied_without_gaps() {
    let html = rendered("enrol");
    let (_, key) = html.split_once("<code class=\"key\"").unwrap();
    let (_, key) = key.split_once('>').unwrap();
    let (key, _) = key.split_once("</code>").unwrap();

    let group = |text: &str| format!("<span>{text}</span><wbr>");
    let fours = ["JBSW", "Y3DP", "EHPK", "3PXP"];
    assert_eq!(key, fours.map(group).concat().repeat(2));
}

#[test]
fn the_ring_closes_by_a_half_with_each_step() {
    for (name, ring) in [
        ("login", "open"),
        ("code", "half"),
        ("enrol", "half"),
        ("enrol_moving", "whole"),
        ("recovery_codes", "whole"),
        ("choose_password", "half"),
        ("change_password", "whole"),
        ("account", "whole"),
        ("logged_out", "open"),
    ] {
        assert!(
            rendered(name).contains(&format!("class=\"ring {ring}\"")),
            "{name}"
        );
    }
}
