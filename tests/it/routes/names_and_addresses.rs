//! One person, one account: names and addresses that are the same, look the same, or are no names.

use std::sync::Barrier;
use std::thread;

use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor};

/// Registers all of these at the same instant: the statuses.
fn register_at_once(server: &Server, accounts: &[(String, String)]) -> Vec<u16> {
    let together = Barrier::new(accounts.len());
    let together = &together;
    thread::scope(|scope| {
        let threads: Vec<_> = accounts
            .iter()
            .map(|(name, email)| {
                scope.spawn(move || {
                    let visitor = Visitor::program(server);
                    let form = [
                        ("username", name.as_str()),
                        ("email", email),
                        ("password", PASSWORD),
                    ];
                    together.wait();
                    visitor.post("/register", &form).status
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Whether case is changed at this place, differently for every `n`.
pub(crate) fn mixed_case(text: &str, n: usize) -> String {
    let flip = |(at, c): (usize, char)| {
        if n >> (at % 5) & 1 == 1 {
            c.to_ascii_uppercase()
        } else {
            c
        }
    };
    text.chars().enumerate().map(flip).collect()
}

/// That so many registrations of one account at once make one, now and after a crash.
pub(crate) fn many_at_once_make_one(many: usize, account: impl Fn(usize) -> (String, String)) {
    let setup = Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]);
    let mut server = setup.start();
    let accounts: Vec<_> = (0..many).map(account).collect();

    let statuses = register_at_once(&server, &accounts);

    let count = |status| statuses.iter().filter(|given| **given == status).count();
    assert_eq!(count(201), 1, "{statuses:?}");
    assert_eq!(count(409) + count(503), many - 1, "{statuses:?}");
    assert_eq!(server.users()["users"].as_object().unwrap().len(), 1);
    server.kill();
    let server = setup.start();
    let visitor = Visitor::program(&server);
    let (name, email) = &accounts[0];
    let form = [
        ("username", name.as_str()),
        ("email", email),
        ("password", PASSWORD),
    ];
    assert_eq!(visitor.post("/register", &form).status, 409);
    assert_eq!(server.users()["users"].as_object().unwrap().len(), 1);
}

#[test]
fn a_name_registered_many_times_at_once_in_any_case_is_one_account() {
    many_at_once_make_one(10, |n| {
        (mixed_case("alice", n), format!("a{n}@example.com"))
    });
}

#[test]
fn an_address_registered_many_times_at_once_in_any_case_is_one_account() {
    many_at_once_make_one(10, |n| {
        (format!("user{n}"), mixed_case("alice@example.com", n))
    });
}

#[test]
fn an_international_domain_is_one_address_in_both_its_forms() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let register = |name, email| {
        visitor.post(
            "/register",
            &[("username", name), ("email", email), ("password", PASSWORD)],
        )
    };
    register("alice", "a@b\u{fc}cher.example").expect("registered");

    register("bob", "A@xn--bcher-kva.example").expect("email_exists");
    register("bob", "a@B\u{dc}CHER.example").expect("email_exists");
    register("bob", "a@bu\u{308}cher.example").expect("email_exists");
    register("bob", "a@ｂücher.example").expect("email_exists");
    let login = [
        ("username", "a@xn--bcher-kva.EXAMPLE"),
        ("password", PASSWORD),
    ];
    visitor.post("/login", &login).expect("enrol_required");
}

/// What tries to leave its field: of a mail, a page, a log.
const PAYLOADS: [&str; 22] = [
    "a\r\nBcc: eve@evil.test\r\n@example.com",
    "a@example.com\r\nBcc: eve@evil.test",
    "a@example.com\nSubject: won",
    "a@example.com\r\n\r\nNew password: 1",
    "a@example.com%0d%0aBcc:eve@evil.test",
    "a%0d%0a@example.com\r",
    "a@example.com\u{2028}Bcc: eve@evil.test",
    "a\u{2029}b@example.com",
    "a\u{85}b@example.com",
    "a@b.test>,<eve@evil.test",
    "a@b.test,eve@evil.test",
    "a@b.test;eve@evil.test",
    "<a@b.test>",
    "Eve <eve@evil.test>",
    "\"a@b.test\"@example.com",
    "\"a b\"@example.com",
    "a(comment)@example.com",
    "@evil.test:a@b.test",
    "a@[127.0.0.1]",
    "a@b.test\0",
    "a@b.test.",
    ".@b.test",
];

#[test]
fn no_name_and_no_address_leaves_its_field_in_a_mail() {
    let server = Server::start_with(&["--registrations-per-hour", "0"]);
    let visitor = Visitor::program(&server);
    for payload in PAYLOADS {
        for (name, email, field) in [
            (payload, "new@example.com", "username"),
            ("bob", payload, "email"),
        ] {
            let form = [("username", name), ("email", email), ("password", PASSWORD)];
            let answer = visitor.post("/register", &form);
            assert_eq!(answer.json()["field"], field, "{payload:?}");
        }
    }
    // The oddest there may be.
    let (name, email) = ("A.b_c-d+e", "x#&'*+-/=?^_{}~.x@example.com");
    let form = [("username", name), ("email", email), ("password", PASSWORD)];
    visitor.post("/register", &form).expect("registered");

    let mail = {
        visitor.post("/forgot_password", &[("username", email)]);
        server.next_mail("Your new password")
    };

    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    let fields = |name: &str| -> Vec<&str> {
        head.lines()
            .filter(|line| line.to_ascii_lowercase().starts_with(name))
            .collect()
    };
    assert_eq!(fields("subject:"), ["Subject: Your new password"]);
    assert_eq!(fields("to:"), [format!("To: {email}")]);
    assert_eq!(fields("bcc:").len() + fields("cc:").len(), 0);
    let mut names: Vec<String> = head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before, "each once: {head}");
    assert_eq!(body.matches("New password: ").count(), 1, "{body}");
    assert!(body.contains("If you did not ask for this"), "{body}");
}

#[test]
fn markup_and_holes_in_a_name_are_shown_as_they_were_typed() {
    let server = Server::start();
    let browser = Visitor::new(&server, Accept::Page);
    for (name, shown) in [
        (
            "\"><img src=x onerror=alert(1)>",
            "value=\"&quot;&gt;&lt;img src=x onerror=alert(1)&gt;\"",
        ),
        ("{username}", "value=\"{username}\""),
        ("{{secret}}", "value=\"{{secret}}\""),
        ("{problem}{key}", "value=\"{problem}{key}\""),
        ("&lt;b&gt;", "value=\"&amp;lt;b&amp;gt;\""),
    ] {
        let form = [
            ("username", name),
            ("email", "new@example.com"),
            ("password", PASSWORD),
        ];
        let refused = browser.post("/register", &form);
        let login = browser.post("/login", &[("username", name), ("password", "wrong one")]);
        let link = format!(
            "/login?username={}",
            url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>()
        );
        let asked = browser.get(&link);

        assert_eq!((refused.status, login.status), (400, 401));
        for page in [&refused.body, &login.body] {
            assert!(page.contains(shown), "{name} in {page}");
        }
        for page in [&refused.body, &login.body, &asked.body] {
            assert!(!page.contains("<img"), "{page}");
        }
        assert!(!asked.body.contains(shown), "no name nobody can have");
    }
}
