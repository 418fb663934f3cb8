//! A clock that somebody sets while the program runs, and between two runs, as a late time server
//! or a resumed machine does. libfaketime sets it; time that passes is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::passkey::{Algorithm, Device, device, making};
use crate::harness::three_forms::refused;
use crate::harness::{Answer, Authenticator, PASSWORD, Server, Setup, Visitor, wait_for};

const HOUR: i64 = 3600;

const LOGIN: [(&str, &str); 2] = [("username", "alice"), ("password", PASSWORD)];

fn real() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// Where a machine without a clock of its own may begin: a day before 1970, in seconds from now.
fn to_1969() -> i64 {
    -24 * HOUR - real()
}

/// The first day of 2100, in seconds from now.
fn to_2100() -> i64 {
    4_102_444_800 - real()
}

/// The library that has a program see another time.
pub(crate) fn faketime() -> PathBuf {
    let found = fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|path| path.exists());
    found.expect("these tests need libfaketime; install it")
}

/// A server whose clock can be set.
fn settable() -> Setup {
    let setup = Setup::new();
    set(setup.dir(), 0);
    let file = setup.dir().join("clock");
    setup
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Sets the clock to this many seconds from the real time.
fn set(dir: &Path, offset: i64) {
    fs::write(dir.join("clock.new"), format!("{offset:+}\n")).unwrap();
    fs::rename(dir.join("clock.new"), dir.join("clock")).unwrap();
}

/// What the authenticator of somebody whose phone has the server's time shows.
fn code_at(authenticator: &Authenticator, offset: i64) -> String {
    let now = (real() + offset).max(0);
    authenticator.at(u64::try_from(now / 30).unwrap())
}

#[track_caller]
fn log_in(server: &Server, code: &str, outcome: &str) {
    let visitor = Visitor::program(server);
    visitor.post("/login", &LOGIN).expect("code_required");
    visitor
        .post("/secret_key", &[("secret", code)])
        .expect(outcome);
    assert_eq!(visitor.is_logged_in(), outcome == "login_complete");
}

fn never_panicked(server: &Server) {
    let log = server.log();
    assert!(!log.contains("panic"), "{log}");
}

#[test]
fn whatever_the_clock_is_set_to_who_logs_in_is_logged_in() {
    for offset in [-HOUR, HOUR, to_1969(), to_2100()] {
        let setup = settable();
        let mut server = setup.start();
        let (alice, authenticator) = Visitor::with_account(&server, "alice");
        let codes = alice.new_recovery_codes();

        set(setup.dir(), offset);

        log_in(&server, &codes[0], "login_complete");
        // None twice, and none that has been: with the clock back all codes have been.
        let code = code_at(&authenticator, offset);
        let outcome = if offset > 0 {
            "login_complete"
        } else {
            "wrong_code"
        };
        log_in(&server, &code, outcome);
        log_in(&server, &code, "wrong_code");
        never_panicked(&server);
        server.kill();
        let mut server = setup.start();
        log_in(&server, &code, "wrong_code");
        log_in(&server, &codes[1], "login_complete");
        never_panicked(&server);
        // And when it is right again.
        server.kill();
        set(setup.dir(), 0);
        let server = setup.start();
        log_in(&server, &authenticator.last_code(), "wrong_code");
        log_in(&server, &codes[2], "login_complete");
        never_panicked(&server);
    }
}

#[test]
fn who_registered_while_the_clock_was_wrong_logs_in_when_it_is_right() {
    for offset in [to_1969(), to_2100()] {
        let setup = settable();
        set(setup.dir(), offset);
        let mut server = setup.start();
        Visitor::program(&server).register("alice");
        server.kill();
        set(setup.dir(), 0);
        let server = setup.start();

        let alice = Visitor::program(&server);
        alice.enrol("alice");

        assert!(alice.is_logged_in());
        never_panicked(&server);
    }
}

#[test]
fn a_session_ends_with_the_clock_set_forward_and_goes_on_with_it_set_back() {
    let setup = settable();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    set(setup.dir(), -HOUR);
    assert!(alice.is_logged_in());
    set(setup.dir(), HOUR - 60);
    assert!(alice.is_logged_in());
    set(setup.dir(), 2 * HOUR + 60);
    assert!(!alice.is_logged_in());

    // Not even if it was a mistake.
    set(setup.dir(), 0);
    assert!(!alice.is_logged_in());
}

#[test]
fn no_session_outlives_a_clock_that_went_back_between_two_runs() {
    let setup = settable();
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    server.kill();
    set(setup.dir(), -HOUR);

    let server = setup.start();

    assert!(!alice.at(&server).is_logged_in());
}

/// The longest wait there is, begun now.
fn wait_long(server: &Server) {
    let last = crate::harness::from_now(0);
    server.edit_account("alice", |alice| {
        alice["wrong_codes"] = json!({ "count": 20, "last": last });
    });
}

#[test]
fn no_wait_is_longer_than_a_quarter_of_an_hour_wherever_the_clock_goes() {
    let setup = settable();
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    wait_long(&server);
    let attempt = |server: &Server| {
        let visitor = Visitor::program(server);
        visitor.post("/login", &LOGIN).expect("code_required");
        visitor.post("/secret_key", &[("secret", "000000")])
    };
    for offset in [0, -HOUR, to_1969()] {
        set(setup.dir(), offset);
        let answer = attempt(&server);
        answer.expect("throttled");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((600..=900).contains(&seconds), "{answer:?}");
    }

    // A wait that began an hour in the future is none, and the count goes on from where it was.
    server.kill();
    set(setup.dir(), -HOUR);
    let server = setup.start();
    attempt(&server).expect("wrong_code");
    attempt(&server).expect("throttled");
    let count: Value = server.users()["users"]["alice"]["wrong_codes"]["count"].clone();
    assert_eq!(count, 21);

    set(setup.dir(), 0);
    log_in(&server, &codes[0], "login_complete");
}

#[test]
fn a_mailed_password_lives_no_longer_for_a_clock_that_is_set() {
    let setup = settable();
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let first = alice.mailed_password(&server, "alice");
    let try_it = |server: &Server, mailed: &str, outcome: &str| {
        let form = [("username", "alice"), ("password", mailed)];
        Visitor::program(server)
            .post("/login", &form)
            .expect(outcome);
    };
    set(setup.dir(), 31 * 60);
    try_it(&server, &first, "wrong_credentials");
    set(setup.dir(), 0);
    try_it(&server, &first, "wrong_credentials");

    let second = alice.mailed_password(&server, "alice");
    server.kill();
    set(setup.dir(), -HOUR);
    let mut server = setup.start();
    try_it(&server, &second, "wrong_credentials");
    server.kill();
    // The two of an hour ago count no more.
    set(setup.dir(), 31 * 60 + HOUR + 120);
    let server = setup.start();
    let third = alice.at(&server).mailed_password(&server, "alice");
    try_it(&server, &third, "code_required");
}

#[test]
fn a_login_waits_five_minutes_for_its_code() {
    let setup = settable();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let begin = || {
        let visitor = Visitor::program(&server);
        visitor.post("/login", &LOGIN).expect("code_required");
        visitor
    };
    let (first, second) = (begin(), begin());

    set(setup.dir(), 4 * 60);
    first
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
    set(setup.dir(), 5 * 60);

    second
        .post("/secret_key", &[("secret", &codes[1])])
        .expect("no_pending_login");
    assert_eq!(second.get("/secret_key").status, 401);
}

const DAYS: i64 = 24 * HOUR;

fn register(server: &Server, name: &str, outcome: &str) {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", &email),
        ("password", PASSWORD),
    ];
    Visitor::program(server)
        .post("/register", &form)
        .expect(outcome);
}

#[test]
fn who_never_enrolled_goes_after_thirty_days_and_everybody_else_stays() {
    let setup = settable();
    let mut server = setup.start();
    let (_, authenticator) = Visitor::with_account(&server, "enrolled");
    Visitor::with_account(&server, "lost-their-phone");
    for name in ["registered", "operators", "disabled"] {
        register(&server, name, "registered");
    }
    server.kill();
    server.edit_account("operators", |account| {
        let mark = account.as_object_mut().unwrap().remove("registered");
        assert_eq!(mark, Some(true.into()));
    });
    server.edit_account("disabled", |account| account["disabled"] = true.into());
    server.edit_account("lost-their-phone", |account| {
        account.as_object_mut().unwrap().remove("totp");
    });

    set(setup.dir(), 30 * DAYS - 600);
    let server = setup.start();
    register(&server, "registered", "user_exists");
    // Also while it runs, within half a minute.
    set(setup.dir(), 30 * DAYS + 600);
    wait_for("the account to go", || {
        let gone = server.users()["users"].get("registered").is_none();
        gone.then_some(())
    });
    let logged = "event=\"account_removed\" user=\"registered\" result=\"never_enrolled\"";
    server.wait_for_log(logged);

    register(&server, "registered", "registered");
    for name in ["enrolled", "lost-their-phone", "operators", "disabled"] {
        register(&server, name, "user_exists");
    }
    let visitor = Visitor::program(&server);
    let login = [("username", "enrolled"), ("password", PASSWORD)];
    visitor.post("/login", &login).expect("code_required");
    let code = code_at(&authenticator, 30 * DAYS + 600);
    visitor
        .post("/secret_key", &[("secret", &code)])
        .expect("login_complete");
}

/// How many wrong passwords are looked at within an hour of somebody who comes back when told to.
fn guesses_in_an_hour(guess: impl Fn() -> Answer, dir: &Path) -> usize {
    let (mut offset, mut looked_at) = (0, 0);
    loop {
        let answer = guess();
        match answer.header("retry-after") {
            None => {
                answer.expect("wrong_credentials");
                looked_at += 1;
            }
            Some(seconds) => {
                answer.expect("throttled");
                offset += seconds.parse::<i64>().unwrap();
                if offset >= HOUR {
                    return looked_at;
                }
                set(dir, offset);
            }
        }
    }
}

#[test]
fn a_guesser_gets_as_much_in_an_hour_as_the_readme_says() {
    let setup = settable();
    let server = setup.start();
    let wrong = [("username", "alice"), ("password", "a wrong one")];
    // A machine that stands still for a second may let one more through for it.
    let stranger = Visitor::program(&server);
    let seen = guesses_in_an_hour(|| stranger.post("/login", &wrong), setup.dir());
    assert!((17..=19).contains(&seen), "{seen}");
    // And as much through a browser that the account knows.
    let setup = settable();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let seen = guesses_in_an_hour(|| alice.post("/login", &wrong), setup.dir());
    assert!((17..=19).contains(&seen), "{seen}");
}

#[test]
fn what_was_asked_of_a_passkey_over_five_minutes_ago_is_said_to_be_too_old_and_is_no_failure() {
    let expired = (
        401,
        "passkey_expired",
        "This page was open for too long. Try again.",
    );
    let setup = settable();
    let server = setup.start();
    let (alice, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let (in_time, too_late) = (visitor.asked(), visitor.asked());
    let options = alice.options(&codes[0]);
    let made = making(&device(&server, Algorithm::Es256), &options);

    set(setup.dir(), 240);
    let used = passkey.using(&in_time);
    visitor
        .send("/login/passkey", &used)
        .expect("login_complete");
    set(setup.dir(), 301);

    // What was used up is known as such for as long as it could be used.
    visitor
        .send("/login/passkey", &used)
        .expect("passkey_expired");
    let used = passkey.using(&too_late);
    for _ in 0..10 {
        refused(&visitor, expired, |visitor| {
            visitor.send("/login/passkey", &used)
        });
    }
    refused(&alice, expired, |alice| {
        alice.send("/account/passkeys/confirm", &made)
    });
    passkey.log_in(&visitor).expect("login_complete");
    never_panicked(&server);
}

#[test]
fn a_clock_set_back_before_a_restart_brings_no_challenge_back() {
    let origin = "https://localhost:8443";
    let setup = settable().with(&["--public-url", origin]);
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let device = Device::new(Algorithm::Es256, "localhost", origin);
    let mut passkey = alice.add(device, &codes[0]);
    let visitor = Visitor::program(&server);
    let used = passkey.using(&visitor.asked());
    visitor
        .send("/login/passkey", &used)
        .expect("login_complete");

    server.kill();
    set(setup.dir(), -30);
    let server = setup.start();
    // From here on the new process might have asked it.
    let visitor = Visitor::program(&server);
    for seconds in [-30, -15, 0, 15] {
        set(setup.dir(), seconds);
        visitor
            .send("/login/passkey", &used)
            .expect("passkey_expired");
    }
    passkey.log_in(&visitor).expect("login_complete");
    never_panicked(&server);
}
