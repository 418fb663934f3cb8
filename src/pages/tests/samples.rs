//! Every page in every form.

use std::time::Duration;

use super::super::access_token::{TokenMade, TokenView, TypedToken};
use super::super::account::{AccountForm, AccountView, BrowserView, SessionView};
use super::super::choose_password::ChoosePassword;
use super::super::code::EnterCode;
use super::super::confirm::Confirm;
use super::super::denied::Denied;
use super::super::enrol::Enrol;
use super::super::events::{By, EventView};
use super::super::forgot::{Forgot, ForgotSent};
use super::super::invitation::Invitation;
use super::super::logged_in::AlreadyLoggedIn;
use super::super::login::Login;
use super::super::logout::{LoggedOut, LogoutQuestion};
use super::super::message::{Message, Way};
use super::super::passkey::{Listed, PasskeysView};
use super::super::recovery_codes::RecoveryCodes;
use super::super::register::Register;
use super::super::{Page, Problem, Renderer, Site};
use super::people;

/// A page in one form, with the name by which tests ask for it.
pub type Sample = (&'static str, Box<dyn Page>);

/// Renders the page as the site shows it.
pub fn render(site: &Site, page: &dyn Page) -> String {
    Renderer::new(site.clone()).render(page)
}

pub fn site() -> Site {
    Site {
        issuer: "auth.example.com".to_owned(),
        logo: None,
        registration_open: true,
        remember: Duration::from_secs(30 * 24 * 60 * 60),
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
        stays_until: current.then_some(1_797_940_000),
    }
}

pub fn account(text: &str, problem: Option<(AccountForm, Problem)>) -> AccountView {
    AccountView {
        username: text.to_owned(),
        email: Some(text.to_owned()),
        groups: vec!["users".to_owned(), text.to_owned()],
        is_administrator: problem.is_some(),
        created: Some(1_795_000_000),
        email_proven: problem.is_some(),
        recovery_codes_left: 8,
        sessions: vec![session("a1", true), session(text, false)],
        passkeys: passkeys(text),
        browsers: vec![browser(text, true), browser("Firefox on Linux", false)],
        events: vec![
            event("groups_changed", By::Operator, "ok"),
            event(text, By::Named(text.to_owned()), text),
        ],
        tokens: Some(vec![token(text, true), token("phone", false)]),
        notice: Some(text.to_owned()),
        typed_token: TypedToken {
            name: text.to_owned(),
            hosts: text.to_owned(),
            days: text.to_owned(),
        },
        typed_email: problem
            .as_ref()
            .map_or_else(String::new, |_| text.to_owned()),
        problem,
        now: 1_795_348_800,
    }
}

fn token(text: &str, is_living: bool) -> TokenView {
    TokenView {
        id: text.to_owned(),
        name: text.to_owned(),
        hosts: vec!["app.example.com".to_owned(), text.to_owned()],
        outside: if is_living {
            Vec::new()
        } else {
            vec![text.to_owned()]
        },
        created: 1_795_000_000,
        expires: 1_797_940_000,
        is_living,
        used: is_living.then_some(1_795_345_200),
    }
}

pub fn event(event: &str, by: By, text: &str) -> EventView {
    EventView {
        at: 1_795_348_000,
        event: event.to_owned(),
        result: text.to_owned(),
        with: Some(text.to_owned()),
        by,
        address: Some("2001:db8::7".to_owned()),
        agent: Some(text.to_owned()),
    }
}

pub fn passkeys(text: &str) -> PasskeysView {
    let one = |elsewhere: Option<String>| Listed {
        id: text.to_owned(),
        name: text.to_owned(),
        created: 1_795_000_000,
        used: elsewhere.as_ref().map(|_| 1_795_348_000),
        synced: elsewhere.is_none(),
        elsewhere,
    };
    PasskeysView {
        offered: true,
        full: false,
        listed: vec![one(None), one(Some(text.to_owned()))],
        making: None,
        name: text.to_owned(),
        removing: None,
    }
}

fn browser(agent: &str, current: bool) -> BrowserView {
    BrowserView {
        current,
        created: 1_795_000_000,
        last_used: 1_795_348_700,
        agent: agent.to_owned(),
    }
}

pub fn enrol(text: &str, moving: bool, problem: Option<Problem>) -> Enrol {
    Enrol {
        username: text.to_owned(),
        key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
        otpauth: "otpauth://totp/auth.example.com:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=auth.example.com".to_owned(),
        moving,
        rd: text.to_owned(),
        problem,
    }
}

/// Every page in every form, with `text` wherever a visitor or operator may have chosen it.
pub fn samples(text: &str) -> Vec<Sample> {
    [
        registrations(text),
        invitations(text),
        logins(text),
        codes(text),
        recoveries(text),
        already_logged_in(text),
        enrolments(text),
        passwords(text),
        accounts(text),
        people::samples(text),
        confirmations(text),
        logouts(text),
        messages(text),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn registrations(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let register = |me, problem| {
        Box::new(Register {
            username: own(),
            email: own(),
            rd: own(),
            form: own(),
            me,
            problem,
        })
    };
    vec![
        ("register", register(None, None)),
        ("register_email", register(None, problem(Some("email")))),
        ("register_known", register(Some(own()), None)),
    ]
}

fn invitations(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let invitation = |made, address, problem| {
        Box::new(Invitation {
            token: own(),
            made,
            address,
            username: own(),
            email: own(),
            form: own(),
            me: None,
            problem,
        })
    };
    let wrong = problem(Some("username"));
    vec![
        ("invitation", invitation(None, None, None)),
        ("invitation_mailed", invitation(None, Some(own()), None)),
        (
            "invitation_made",
            invitation(Some(own()), Some(own()), None),
        ),
        ("invitation_refused", invitation(None, Some(own()), wrong)),
    ]
}

fn logins(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let login = |notice, problem: Option<Problem>| {
        Box::new(Login {
            username: own(),
            rd: own(),
            form: own(),
            remember: problem.is_some(),
            passkey: None,
            notice,
            problem,
        })
    };
    let offering = Login {
        passkey: Some(own()),
        ..*login(None, problem(Some("passkey")))
    };
    let advised = Problem {
        field: Some("password"),
        blames: false,
        text: own(),
        advice: own(),
    };
    vec![
        ("login", login(None, None)),
        ("login_passkey", Box::new(offering)),
        ("login_notice", login(Some(own()), None)),
        ("login_problem", login(None, problem(None))),
        ("login_field", login(None, problem(Some("password")))),
        ("login_throttled", login(None, Some(advised))),
    ]
}

fn codes(text: &str) -> Vec<Sample> {
    let code = |recovery, problem| {
        Box::new(EnterCode {
            username: text.to_owned(),
            recovery,
            has_app: true,
            passkey: None,
            rd: text.to_owned(),
            problem,
        })
    };
    let offering = |recovery: bool| {
        Box::new(EnterCode {
            has_app: !recovery,
            passkey: Some(text.to_owned()),
            ..*code(recovery, None)
        })
    };
    vec![
        ("code_passkey", offering(false)),
        ("recovery_code_passkey", offering(true)),
        ("code", code(false, None)),
        ("code_wrong", code(false, problem(Some("secret")))),
        ("recovery_code", code(true, None)),
        ("recovery_code_wrong", code(true, problem(Some("secret")))),
    ]
}

fn recoveries(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let forgot = |problem| {
        Box::new(Forgot {
            username: own(),
            rd: own(),
            form: own(),
            problem,
        })
    };
    let (message, rd) = (own(), own());
    vec![
        ("forgot", forgot(None)),
        ("forgot_problem", forgot(problem(Some("username")))),
        ("forgot_sent", Box::new(ForgotSent { message, rd })),
    ]
}

fn already_logged_in(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let logged_in = |missed, notice| {
        Box::new(AlreadyLoggedIn {
            username: own(),
            onward: own(),
            missed,
            notice,
        })
    };
    let denied = Denied {
        username: own(),
        host: own(),
        site: own(),
    };
    vec![
        ("logged_in", logged_in(false, None)),
        ("logged_in_missed", logged_in(true, None)),
        ("logged_in_again", logged_in(false, Some(own()))),
        ("denied", Box::new(denied)),
    ]
}

fn enrolments(text: &str) -> Vec<Sample> {
    let wrong = problem(Some("secret"));
    vec![
        ("enrol", Box::new(enrol(text, false, None))),
        ("enrol_wrong", Box::new(enrol(text, false, wrong))),
        ("enrol_moving", Box::new(enrol(text, true, None))),
        ("recovery_codes", Box::new(recovery_codes(text))),
    ]
}

fn passwords(text: &str) -> Vec<Sample> {
    let choose = |current_needed, problem| {
        Box::new(ChoosePassword {
            username: text.to_owned(),
            current_needed,
            problem,
        })
    };
    let refused = problem(Some("current_password"));
    vec![
        ("choose_password", choose(false, None)),
        ("change_password", choose(true, None)),
        ("change_refused", choose(true, refused)),
    ]
}

fn accounts(text: &str) -> Vec<Sample> {
    let refused = |form, field| {
        let problem = problem(field).map(|problem| (form, problem));
        Box::new(account(text, problem))
    };
    let password = Some("current_password");
    let mute = AccountView {
        email: None,
        ..account(text, None)
    };
    let tokenless = AccountView {
        tokens: None,
        ..account(text, None)
    };
    let made = TokenMade {
        username: text.to_owned(),
        token: "au_abcdefghijklmnopqrstuvwxyz234567".to_owned(),
        name: text.to_owned(),
        hosts: vec!["app.example.com".to_owned(), text.to_owned()],
        expires: 1_797_940_000,
    };
    let passkeys = |passkeys| {
        Box::new(AccountView {
            passkeys,
            ..account(text, None)
        })
    };
    let making = PasskeysView {
        making: Some(text.to_owned()),
        ..self::passkeys(text)
    };
    let full = PasskeysView {
        full: true,
        ..self::passkeys(text)
    };
    let not_here = PasskeysView {
        offered: false,
        ..self::passkeys(text)
    };
    let removing = PasskeysView {
        listed: self::passkeys(text).listed.split_off(1),
        removing: Some(text.to_owned()),
        ..self::passkeys(text)
    };
    let removing = AccountView {
        passkeys: removing,
        ..*refused(AccountForm::RemovePasskey, password)
    };
    vec![
        ("account_making", passkeys(making)),
        ("account_full", passkeys(full)),
        ("account_not_here", passkeys(not_here)),
        ("account_no_passkeys", passkeys(PasskeysView::default())),
        ("account_removing", Box::new(removing)),
        (
            "account_add",
            refused(AccountForm::AddPasskey, Some("secret")),
        ),
        ("account", Box::new(account(text, None))),
        ("account_mute", Box::new(mute)),
        (
            "account_codes",
            refused(AccountForm::RecoveryCodes, password),
        ),
        ("account_email", refused(AccountForm::Email, Some("email"))),
        (
            "account_email_password",
            refused(AccountForm::Email, password),
        ),
        ("account_move", refused(AccountForm::Move, Some("secret"))),
        ("account_delete", refused(AccountForm::Delete, None)),
        ("account_sessions", refused(AccountForm::Sessions, None)),
        (
            "account_token",
            refused(AccountForm::NewToken, Some("hosts")),
        ),
        (
            "account_token_gone",
            refused(AccountForm::RemoveToken, password),
        ),
        ("account_tokenless", Box::new(tokenless)),
        ("access_token", Box::new(made)),
    ]
}

fn confirmations(text: &str) -> Vec<Sample> {
    let token = text.to_owned();
    vec![(
        "confirm",
        Box::new(Confirm {
            token,
            form: text.to_owned(),
        }),
    )]
}

fn logouts(text: &str) -> Vec<Sample> {
    let question = |username| Box::new(LogoutQuestion { username });
    let message = text.to_owned();
    vec![
        ("logout_question", question(Some(text.to_owned()))),
        ("logout_nobody", question(None)),
        ("logged_out", Box::new(LoggedOut { message })),
    ]
}

fn messages(text: &str) -> Vec<Sample> {
    let own = || text.to_owned();
    let message = |advice, else_to| {
        Box::new(Message {
            title: "There is no such page.".to_owned(),
            text: own(),
            advice,
            onward: Way::new(own(), "Your account"),
            else_to,
        })
    };
    let login = Way::new(own(), "Log in");
    vec![
        ("message", message(String::new(), None)),
        ("message_advice", message(own(), Some(login))),
    ]
}

pub fn recovery_codes(text: &str) -> RecoveryCodes {
    RecoveryCodes {
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
    render(&site(), page.as_ref())
}
