//! Every page in every form.

use super::super::{
    AccountForm, AccountView, BrowserView, Page, Problem, Renderer, SessionView, Site, Way,
};

/// Renders the page as the site shows it.
pub fn render(site: &Site, page: &Page) -> String {
    Renderer::new(site.clone()).render(page)
}

pub fn site() -> Site {
    Site {
        issuer: "auth.example.com".to_owned(),
        logo: None,
        registration_open: true,
    }
}

pub fn problem(field: Option<&'static str>) -> Option<Problem> {
    Some(Problem {
        field,
        blames: true,
        text: "Wrong password.".to_owned(),
        advice: String::new(),
    })
}

pub fn session(id: &str, current: bool) -> SessionView {
    SessionView {
        id: id.to_owned(),
        current,
        created: 1_795_340_000,
        last_seen: 1_795_348_000,
        address: "2001:db8::7".to_owned(),
        agent: "Firefox on Linux".to_owned(),
    }
}

pub fn account(text: &str, problem: Option<(AccountForm, Problem)>) -> Page {
    Page::Account(AccountView {
        username: text.to_owned(),
        email: text.to_owned(),
        groups: vec!["users".to_owned(), text.to_owned()],
        created: Some(1_795_000_000),
        recovery_codes_left: 8,
        sessions: vec![session("a1", true), session(text, false)],
        browsers: vec![browser(text, true), browser("Firefox on Linux", false)],
        notice: Some(text.to_owned()),
        problem,
        now: 1_795_348_800,
    })
}

fn browser(agent: &str, current: bool) -> BrowserView {
    BrowserView {
        current,
        created: 1_795_000_000,
        last_used: 1_795_348_700,
        agent: agent.to_owned(),
    }
}

pub fn enrol(text: &str, moving: bool, problem: Option<Problem>) -> Page {
    Page::Enrol {
        username: text.to_owned(),
        key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
        otpauth: "otpauth://totp/auth.example.com:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=auth.example.com".to_owned(),
        moving,
        rd: text.to_owned(),
        problem,
    }
}

/// Every page in every form, with `text` wherever a visitor or operator may have chosen it.
pub fn samples(text: &str) -> Vec<(&'static str, Page)> {
    [pages_before_the_session(text), pages_of_the_session(text)]
        .into_iter()
        .flatten()
        .collect()
}

pub fn pages_before_the_session(text: &str) -> Vec<(&'static str, Page)> {
    let own = || text.to_owned();
    let register = |problem| Page::Register {
        username: own(),
        email: own(),
        rd: own(),
        form: own(),
        me: None,
        problem,
    };
    let login = |notice, problem| Page::Login {
        username: own(),
        rd: own(),
        form: own(),
        notice,
        problem,
    };
    let code = |recovery, problem| Page::Code {
        username: own(),
        recovery,
        rd: own(),
        problem,
    };
    let forgot = |problem| Page::Forgot {
        username: own(),
        rd: own(),
        form: own(),
        problem,
    };
    let message = own();
    let advised = Problem {
        field: Some("password"),
        blames: false,
        text: own(),
        advice: own(),
    };
    let known = Page::Register {
        username: own(),
        email: own(),
        rd: own(),
        form: own(),
        me: Some(own()),
        problem: None,
    };
    vec![
        ("register", register(None)),
        ("register_email", register(problem(Some("email")))),
        ("login", login(None, None)),
        ("login_notice", login(Some(own()), None)),
        ("login_problem", login(None, problem(None))),
        ("login_field", login(None, problem(Some("password")))),
        ("code", code(false, None)),
        ("code_wrong", code(false, problem(Some("secret")))),
        ("recovery_code", code(true, None)),
        ("recovery_code_wrong", code(true, problem(Some("secret")))),
        ("forgot", forgot(None)),
        ("forgot_problem", forgot(problem(Some("username")))),
        ("forgot_sent", Page::ForgotSent { message, rd: own() }),
        ("register_known", known),
        ("login_throttled", login(None, Some(advised))),
    ]
}

pub fn pages_of_the_session(text: &str) -> Vec<(&'static str, Page)> {
    let own = || text.to_owned();
    let choose = |current_needed, problem| Page::ChoosePassword {
        username: own(),
        current_needed,
        problem,
    };
    let message = |advice, else_to| Page::Message {
        title: "There is no such page.".to_owned(),
        text: own(),
        advice,
        onward: Way::new(own(), "Your account"),
        else_to,
    };
    let logged_in = |missed| Page::LoggedIn {
        username: own(),
        onward: own(),
        missed,
        notice: None,
    };
    let refused = |form, field| account(text, problem(field).map(|problem| (form, problem)));
    vec![
        ("logged_in", logged_in(false)),
        ("logged_in_missed", logged_in(true)),
        (
            "logged_in_again",
            Page::LoggedIn {
                username: own(),
                onward: own(),
                missed: false,
                notice: Some(own()),
            },
        ),
        (
            "denied",
            Page::Denied {
                username: own(),
                host: own(),
                site: own(),
            },
        ),
        ("enrol", enrol(text, false, None)),
        ("enrol_wrong", enrol(text, false, problem(Some("secret")))),
        ("enrol_moving", enrol(text, true, None)),
        ("recovery_codes", recovery_codes(text)),
        ("choose_password", choose(false, None)),
        ("change_password", choose(true, None)),
        (
            "change_refused",
            choose(true, problem(Some("current_password"))),
        ),
        ("account", account(text, None)),
        (
            "account_codes",
            refused(AccountForm::RecoveryCodes, Some("current_password")),
        ),
        ("account_move", refused(AccountForm::Move, Some("secret"))),
        ("account_delete", refused(AccountForm::Delete, None)),
        ("account_sessions", refused(AccountForm::Sessions, None)),
        (
            "logout_question",
            Page::LogoutQuestion {
                username: Some(own()),
            },
        ),
        ("logout_nobody", Page::LogoutQuestion { username: None }),
        ("logged_out", Page::LoggedOut { message: own() }),
        ("message", message(String::new(), None)),
        (
            "message_advice",
            message(own(), Some(Way::new(own(), "Log in"))),
        ),
    ]
}

pub fn recovery_codes(text: &str) -> Page {
    Page::RecoveryCodes {
        username: text.to_owned(),
        codes: vec!["k3v7-qm2x-9fwd-t4hn".to_owned(); 10],
        onward: text.to_owned(),
    }
}

pub fn rendered(wanted: &str) -> String {
    let (_, page) = samples("alice")
        .into_iter()
        .find(|(name, _)| *name == wanted)
        .unwrap();
    render(&site(), &page)
}
