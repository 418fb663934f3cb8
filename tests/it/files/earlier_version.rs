//! A folder as 0.1.0 left it: without the fields that came later, and with those that have become
//! others since.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::smtp_sink::Sink;
use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, from_now, wait_for};
use crate::operator::run;

/// The hash of [`PASSWORD`] as 0.1.0 wrote it.
const HASH: &str = "$pbkdf2-sha256$i=600000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$w0vDkc6uZ52Qu0BdxzJRIB/xlMYJWv7oxh5ZWIgA4hk";

const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

const SESSION: &str = "an-old-session-cookie-of-43-characters-----";

const BROWSER: &str = "an-old-browser-cookie-of-43-characters-----";

const CODES: [&str; 2] = ["abcd-efgh-ijkl-mnop", "qrst-uvwx-yz23-4567"];

const MAILED: &str = "abcdefghijklmnopqrstuvwxyz234567";

fn digest(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// An account with everything that 0.1.0 kept of one.
fn account(name: &str) -> Value {
    json!({
        "email": format!("{name}@example.com"),
        "password": HASH,
        "created": from_now(-30 * 24 * 3600),
        "groups": ["users", "staff"],
        "totp": { "secret": KEY, "last_step": 58_812_345 },
        "recovery_codes": CODES.map(digest),
        "disabled": false,
        "mails": [from_now(-600)],
        "wrong_codes": { "count": 2, "last": from_now(-7200) },
        "devices": [{
            "id": digest(BROWSER),
            "created": from_now(-20 * 24 * 3600),
            "wrong_codes": { "count": 1, "last": from_now(-7200) },
        }],
        "room": "2.14",
    })
}

fn write(setup: &Setup, name: &str, content: &Value) {
    let text = serde_json::to_string_pretty(content).unwrap();
    fs::write(setup.dir().join(name), text + "\n").unwrap();
}

/// The folder, with alice logged in.
fn folder(arguments: &[&str]) -> Setup {
    let setup = Setup::new().with(arguments);
    let mut users = json!({ "alice": account("alice"), "bob": account("bob") });
    users["bob"]["mailed_password"] =
        json!({ "digest": digest(MAILED), "expires": from_now(1200) });
    users["carol"] = account("carol");
    users["carol"]["disabled"] = json!(true);
    write(
        &setup,
        "users.json",
        &json!({ "version": 1, "users": users }),
    );
    let session = json!({
        "id": digest(SESSION),
        "username": "alice",
        "created": from_now(-1200),
        "password_id": digest(HASH),
        "last_seen": from_now(-60),
        "address": "192.0.2.1",
        "agent": "curl/8",
    });
    write(
        &setup,
        "sessions.json",
        &json!({ "version": 1, "sessions": [session] }),
    );
    setup
}

/// Somebody with a cookie that 0.1.0 gave them.
fn with_cookie(server: &Server, name: &str, value: &str) -> Visitor {
    let visitor = Visitor::program(server);
    let cookie = (name.to_owned(), value.to_owned());
    visitor.cookies.borrow_mut().extend([cookie]);
    visitor
}

#[test]
fn sessions_of_0_1_0_go_on_over_restarts() {
    let setup = folder(&[]);
    for _ in 0..2 {
        let mut server = setup.start();
        let alice = with_cookie(&server, "__Host-session", SESSION);

        let told = alice.get("/account").json();

        assert_eq!(told["username"], "alice");
        assert_eq!(told["groups"], json!(["users", "staff"]));
        assert_eq!(told["recovery_codes_left"], 2);
        assert_eq!(told["browsers"].as_array().unwrap().len(), 1);
        assert_eq!(told["sessions"][0]["address"], "192.0.2.1");
        server.signal(rustix::process::Signal::TERM);
        server.wait();
    }
    assert!(!setup.dir().join("sessions.json.damaged").exists());
}

#[test]
fn accounts_and_known_browsers_of_0_1_0_log_in() {
    let server = folder(&[]).start();
    let alice = with_cookie(&server, "__Host-device", BROWSER);

    alice.log_in("alice", PASSWORD, &Authenticator::new(KEY));

    let browsers = alice.get("/account").json()["browsers"].clone();
    assert_eq!(browsers[0]["current"], true);
    assert_eq!(browsers.as_array().unwrap().len(), 1, "it was known");
    let form = [("username", "carol"), ("password", PASSWORD)];
    let carol = Visitor::program(&server).post("/login", &form);
    carol.expect("wrong_credentials");
    let users = server.users();
    assert_eq!(users["version"], 1, "0.1.0 reads it too");
    assert_eq!(users["users"]["alice"]["room"], "2.14");
    assert!(!server.path("users.json.v1").exists());
}

/// The file, and the copy of it before it was of the second version.
fn files(setup: &Setup) -> (String, Option<String>) {
    let read = |name| fs::read_to_string(setup.dir().join(name)).ok();
    (read("users.json").unwrap(), read("users.json.v1"))
}

fn version(text: &str) -> u64 {
    let file: Value = serde_json::from_str(text).unwrap();
    file["version"].as_u64().unwrap()
}

#[test]
fn what_0_1_0_could_not_read_raises_the_version_and_a_copy_is_kept_once() {
    let setup = folder(&[]);
    let add = |name: &str| {
        let email = format!("{name}@example.com");
        let words = ["user", "add", name, "--email", &email];
        let site = ["--public-url", "https://localhost"];
        let (status, _, err) = run(&setup, &[&words[..], &site].concat(), b"");
        assert_eq!(status, 0, "{err}");
    };
    let server = setup.start();
    let (before, _) = files(&setup);
    let form = [("current_password", PASSWORD), ("secret", CODES[0])];
    let alice = with_cookie(&server, "__Host-session", SESSION);
    alice
        .post("/account/recovery_codes", &form)
        .expect("recovery_codes");
    let (sealed, copy) = files(&setup);
    assert_ne!(sealed, before);
    assert_eq!((version(&sealed), copy), (1, None), "0.1.0 reads it too");

    add("dave");

    let (raised, copy) = files(&setup);
    assert_eq!((version(&raised), copy.as_ref()), (2, Some(&sealed)));
    let mode = fs::metadata(setup.dir().join("users.json.v1")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // It is served, and what comes later leaves the copy alone.
    let old = with_cookie(&server, "__Host-session", SESSION);
    wait_for("the account", || {
        (old.get("/account").status == 200).then_some(())
    });
    add("erin");
    drop(server);
    let _server = setup.start();
    let (later, copy) = files(&setup);
    assert_eq!((version(&later), copy), (2, Some(sealed)));
}

#[test]
fn a_server_raises_the_version_too_and_no_copy_is_overwritten() {
    for is_there in [false, true] {
        let setup = folder(&[]);
        if is_there {
            fs::write(setup.dir().join("users.json.v1"), "mine").unwrap();
        }
        let server = setup.start();
        let stranger = Visitor::program(&server);
        // Where somebody asks for a password is kept, which 0.1.0 did not.
        let forgot = [("username", "alice")];
        stranger.post("/forgot_password", &forgot);
        wait_for("the mail", || {
            let kept = &server.users()["users"]["alice"]["mailed_passwords"];
            kept.is_array().then_some(())
        });

        let (text, copy) = files(&setup);
        assert_eq!(version(&text), 2);
        let copy = copy.unwrap();
        match is_there {
            true => assert_eq!(copy, "mine"),
            false => assert_eq!(version(&copy), 1),
        }
    }
}

#[test]
fn recovery_codes_of_0_1_0_work_once() {
    let server = folder(&[]).start();
    let log_in = |code| {
        let visitor = Visitor::program(&server);
        let form = [("username", "alice"), ("password", PASSWORD)];
        visitor.post("/login", &form).expect("code_required");
        visitor.post("/secret_key", &[("secret", code)]).json()["code"].clone()
    };

    assert_eq!(log_in(CODES[0]), "login_complete");
    assert_ne!(log_in(CODES[0]), "login_complete");
    assert_eq!(log_in(CODES[1]), "login_complete");
}

#[test]
fn a_password_that_0_1_0_mailed_leads_to_another() {
    let server = folder(&[]).start();
    let bob = Visitor::program(&server);

    let form = [("username", "bob"), ("password", MAILED)];
    bob.post("/login", &form).expect("code_required");
    let code = Authenticator::new(KEY).code();
    let answer = bob.post("/secret_key", &[("secret", &code)]);

    answer.expect("password_change_required");
}

#[test]
fn mail_that_0_1_0_left_is_sent() {
    let sink = Sink::start();
    let setup = folder(&["--smtp", &sink.url()]);
    let outbox = setup.dir().join("outbox");
    fs::create_dir(&outbox).unwrap();
    let mail = "Message-ID: <AbCdEfGhIjKl@localhost>\r\n\
                Date: Thu, 26 Nov 2026 12:00:00 +0000\r\n\
                From: auth_user@localhost\r\n\
                To: alice@example.com\r\n\
                Subject: Your password was changed\r\n\
                Auto-Submitted: auto-generated\r\n\
                MIME-Version: 1.0\r\n\
                Content-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: 7bit\r\n\r\n\
                Your password was changed.\r\n";
    let file = outbox.join("1795694400-AbCdEfGhIjKl.eml");
    fs::write(&file, mail).unwrap();

    let _server = setup.start();

    let sent = sink.next();
    assert_eq!(sent.to, "RCPT TO:<alice@example.com>");
    assert_eq!(sent.subject(), "Your password was changed");
    wait_for("the mail to leave the outbox", || {
        (!file.exists()).then_some(())
    });
}
