//! events.jsonl and `auth_user events`: what happened to accounts.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::directory::mode;
use crate::harness::{Accept, Authenticator, PASSWORD, Server, Setup, Visitor, read, wait_for};

/// The lines of the file.
fn lines(server: &Server) -> Vec<Value> {
    server
        .kept("events.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits for the one line that tells of this, and takes its time out.
pub(crate) fn told(server: &Server, event: &str) -> Value {
    let mut all = told_all(server, event, 1);
    all.remove(0)
}

/// As [`told`], for so many of them.
fn told_all(server: &Server, event: &str, number: usize) -> Vec<Value> {
    let mut found = wait_for(&format!("{number} of {event}"), || {
        let of_it = |line: &Value| line["event"] == event;
        let found: Vec<Value> = lines(server).into_iter().filter(of_it).collect();
        (found.len() >= number).then_some(found)
    });
    assert_eq!(found.len(), number, "{found:?}");
    for line in &mut found {
        let time = line.as_object_mut().unwrap().shift_remove("time").unwrap();
        let time = time.as_str().unwrap().to_owned();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    found
}

fn id(server: &Server, name: &str) -> Value {
    server.users()["users"][name]["id"].clone()
}

/// Runs `auth_user events` in the server's folder: exit status, standard output and error.
fn events(setup: &Setup, more: &[&str]) -> (i32, String, String) {
    let (status, out, err) = setup.clone().with(&["events"]).with(more).run();
    (status.code().unwrap(), out, err)
}

fn as_agent(visitor: &Visitor, agent: &str) -> Visitor {
    visitor.sending("user-agent", agent)
}

#[test]
fn a_life_of_an_account_is_told_line_by_line() {
    let setup = Setup::new();
    let server = setup.start();
    let alice = as_agent(&Visitor::program(&server), "browser/1");
    alice.sign_up("alice");
    let id = id(&server, "alice");
    let line = |event: &str, result: &str| {
        json!({
            "event": event, "user": "alice", "id": id, "address": "127.0.0.1",
            "agent": "browser/1", "result": result,
        })
    };
    let with = |mut line: Value, name: &str, value: Value| {
        line[name] = value;
        line
    };
    assert_eq!(told(&server, "registered"), line("registered", "ok"));

    let authenticator = alice.enrol("alice");
    let entered = told(&server, "logged_in");
    assert_eq!(
        entered,
        with(line("logged_in", "ok"), "with", json!("enrolment"))
    );

    alice.new_recovery_codes();
    let made = told(&server, "recovery_codes_made");
    assert_eq!(made, line("recovery_codes_made", "ok"));

    let wrong = [("current_password", "no"), ("secret", "000000")];
    alice
        .post("/account/delete", &wrong)
        .expect("wrong_password");
    let refused = told(&server, "refused");
    let at = with(
        line("refused", "wrong_password"),
        "at",
        json!("/account/delete"),
    );
    assert_eq!(refused, at);

    let password = ("current_password", PASSWORD);
    let answer = alice.post(
        "/account/totp",
        &[password, ("secret", &authenticator.code())],
    );
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let confirmed = [("secret", new.code())];
    let confirmed: Vec<(&str, &str)> = confirmed.iter().map(|(n, v)| (*n, v.as_str())).collect();
    alice
        .post("/account/totp/confirm", &confirmed)
        .expect("authenticator_changed");
    let changed = told(&server, "authenticator_changed");
    assert_eq!(changed, line("authenticator_changed", "ok"));

    let change = [password, ("new_password", "eight tame horses")];
    alice
        .post("/account/password", &change)
        .expect("password_changed");
    let changed = told(&server, "password_changed");
    assert_eq!(changed, line("password_changed", "ok"));

    let other = as_agent(&Visitor::program(&server), "browser/2");
    other.log_in("alice", "eight tame horses", &new);
    let entered = &told_all(&server, "logged_in", 2)[1];
    assert_eq!(entered["with"], "code");
    assert_eq!(entered["agent"], "browser/2");
    assert_eq!(told(&server, "new_browser")["agent"], "browser/2");

    let others = [("session", "others")];
    alice
        .post("/account/sessions/end", &others)
        .expect("sessions_ended");
    let ended = told(&server, "sessions_ended");
    assert_eq!(ended, line("sessions_ended", "ok"));

    let mailed = alice.mailed_password(&server, "alice");
    assert_eq!(
        told(&server, "password_mailed"),
        line("password_mailed", "ok")
    );
    assert!(!read(server.dir.path(), "events.jsonl").contains(&mailed));

    alice.post("/logout", &[]).expect("logged_out");
    assert_eq!(told(&server, "logged_out"), line("logged_out", "ok"));
    assert_eq!(mode(&server.path("events.jsonl")), 0o600);
}

#[test]
fn a_login_by_mailed_password_and_the_end_of_an_account_are_told() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let id = id(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");

    let visitor = Visitor::program(&server);
    let form = [("username", "alice"), ("password", &mailed)];
    visitor.post("/login", &form).expect("code_required");
    let code = [("secret", authenticator.code())];
    visitor
        .post("/secret_key", &[("secret", &code[0].1)])
        .expect("password_change_required");
    assert_eq!(
        lines(&server)
            .iter()
            .filter(|line| line["event"] == "logged_in")
            .count(),
        1
    );
    visitor
        .post(
            "/account/password",
            &[("new_password", "eight tame horses")],
        )
        .expect("password_changed");

    let entered = &told_all(&server, "logged_in", 2)[1];
    assert_eq!(entered["mailed_password"], true);
    assert_eq!(entered["with"], "code");
    told(&server, "password_changed");
    told(&server, "new_browser");

    authenticator.forget(&server, "alice");
    wait_for("the edit to be taken up", || {
        let form = [
            ("current_password", "eight tame horses"),
            ("secret", &authenticator.code()),
        ];
        let answer = visitor.post("/account/delete", &form);
        (answer.json()["code"] == "account_deleted").then_some(())
    });
    let deleted = told(&server, "account_deleted");
    assert_eq!((&deleted["user"], &deleted["id"]), (&json!("alice"), &id));
}

#[test]
fn what_changes_nothing_is_no_event() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let nobody = Visitor::program(&server);
    nobody.post("/logout", &[]).expect("logged_out");
    let others = [("session", "others")];
    alice
        .post("/account/sessions/end", &others)
        .expect("sessions_ended");
    let one = [("session", "nothing-like-it")];
    alice
        .post("/account/sessions/end", &one)
        .expect("sessions_ended");
    let page = Visitor::new(&server, Accept::Page);
    page.get("/login");

    alice.post("/logout", &[]).expect("logged_out");
    told(&server, "logged_out");

    let all: Vec<Value> = lines(&server)
        .iter()
        .map(|line| line["event"].clone())
        .collect();
    assert_eq!(all, ["registered", "logged_in", "logged_out"]);
}

#[test]
fn what_administrators_do_is_told_in_their_name() {
    let server = Server::start();
    let (ada, _) = Visitor::with_account(&server, "ada");
    let (_bob, _) = Visitor::with_account(&server, "bob");
    let bob = id(&server, "bob");
    server.edit_account("ada", |ada| ada["groups"] = json!(["users", "admins"]));
    wait_for("the administrator", || {
        (ada.get("/people").status == 200).then_some(())
    });
    let ada = as_agent(&ada, "browser/1");
    let told = |event: &str| {
        wait_for(event, || {
            let is_it = |line: &Value| line["event"] == event && line["by"] == "ada";
            lines(&server).into_iter().find(is_it)
        })
    };

    for (act, form, event) in [
        ("groups", &[("groups", "users staff")][..], "groups_changed"),
        ("new_password", &[], "password_mailed"),
        ("end_sessions", &[], "sessions_ended"),
        ("reset_2fa", &[], "second_factor_reset"),
        ("disable", &[], "account_disabled"),
        ("enable", &[], "account_enabled"),
        ("remove", &[("username", "bob")], "account_removed"),
    ] {
        let answer = ada.post(&format!("/people/bob/{act}"), form);
        assert_eq!(answer.status, 200, "{act}");
        let line = told(event);
        assert_eq!(
            (&line["user"], &line["id"]),
            (&json!("bob"), &bob),
            "{line}"
        );
        assert_eq!(
            (&line["address"], &line["agent"], &line["result"]),
            (&json!("127.0.0.1"), &json!("browser/1"), &json!("ok"))
        );
        let groups = (act == "groups").then(|| json!(["users", "staff"]));
        assert_eq!(line.get("groups"), groups.as_ref(), "{line}");
    }

    let form = [("email", "new@example.com"), ("groups", "staff")];
    let made = ada.post("/people/invite", &form).json();
    let end = [("invitation", made["id"].as_str().unwrap())];
    assert_eq!(ada.post("/people/invitations/end", &end).status, 200);
    for event in ["invited", "invitation_ended"] {
        let line = told(event);
        assert_eq!(
            (&line["invitation"], &line["email"], &line["groups"]),
            (
                &made["id"],
                &json!("new@example.com"),
                &json!(["users", "staff"])
            )
        );
        assert_eq!((&line["user"], &line["id"]), (&Value::Null, &Value::Null));
    }
}

#[test]
fn strangers_cannot_fill_the_file() {
    let mut server = Server::start();
    let (_alice, _) = Visitor::with_account(&server, "alice");
    told(&server, "logged_in");
    let before = lines(&server).len();
    let stranger = Visitor::program(&server);
    let long = "x".repeat(300);
    for _ in 0..300 {
        // An account that exists, and nothing that costs a hash.
        let form = [("username", "alice"), ("password", &long)];
        stranger.post("/login", &form).expect("bad_field");
        let elsewhere = stranger.sending("sec-fetch-site", "cross-site");
        elsewhere.post("/login", &form).expect("cross_site");
    }
    for n in 0..3 {
        let name = format!("typed-{n}");
        let form = [("username", name.as_str()), ("password", PASSWORD)];
        stranger.post("/login", &form).expect("wrong_credentials");
    }

    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());

    let counted = &lines(&server)[before..];
    let count = |result: &str| {
        let mut of_it = counted.iter().filter(|line| line["result"] == result);
        let one = of_it.next().unwrap().clone();
        assert!(of_it.next().is_none());
        assert_eq!(
            (&one["user"], &one["id"], &one["address"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        one["count"].clone()
    };
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!(count("bad_field"), 300);
    assert_eq!(count("cross_site"), 300);
    assert_eq!(count("wrong_credentials"), 3);
    assert!(!read(server.dir.path(), "events.jsonl").contains("typed-"));
}

#[test]
fn wrong_passwords_of_an_account_are_listed_with_the_route() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let stranger = Visitor::program(&server);
    // By its address, which the file does not have.
    let form = [
        ("username", "alice@example.com"),
        ("password", "not this one"),
    ];
    stranger.post("/login", &form).expect("wrong_credentials");
    let form = [("username", "alice"), ("password", PASSWORD)];
    stranger.post("/login", &form).expect("code_required");
    stranger
        .post("/secret_key", &[("secret", "123456")])
        .expect("wrong_code");

    let refused = told_all(&server, "refused", 2);

    for (line, (result, at)) in refused.iter().zip([
        ("wrong_credentials", "/login"),
        ("wrong_code", "/secret_key"),
    ]) {
        assert_eq!((&line["result"], &line["at"]), (&json!(result), &json!(at)));
        assert_eq!(line["id"], id(&server, "alice"));
    }
    let text = read(server.dir.path(), "events.jsonl");
    for secret in [
        PASSWORD,
        "not this one",
        "123456",
        "@",
        &authenticator.last_code(),
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for cookies in [&alice, &stranger] {
        for cookie in cookies.cookies.borrow().values() {
            assert!(!text.contains(cookie.as_str()), "{cookie}");
        }
    }
}

#[test]
fn edits_by_hand_and_the_command_are_by_the_operator() {
    let setup = Setup::new();
    let server = setup.start();
    Visitor::program(&server).register("alice");
    server.edit_account("alice", |account| {
        account["email"] = "new@example.com".into();
        account["disabled"] = true.into();
        account["groups"] = json!(["users", "staff"]);
    });

    let changed = told(&server, "email_changed");
    assert_eq!(changed["by"], "the operator");
    assert_eq!(
        (&changed["address"], &changed["agent"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(changed["id"], id(&server, "alice"));
    assert_eq!(told(&server, "account_disabled")["by"], "the operator");
    assert_eq!(
        told(&server, "groups_changed")["groups"],
        json!(["users", "staff"])
    );
    let text = read(server.dir.path(), "events.jsonl");
    assert!(!text.contains("new@example.com"), "{text}");

    server.edit_account("alice", |account| account["disabled"] = false.into());
    told(&server, "account_enabled");
}

/// `user add` with a password that is sent.
fn add(setup: &Setup, name: &str, more: &[&str]) {
    use std::io::Write as _;
    let email = format!("{name}@example.com");
    let words = ["user", "add", name, "--email", &email, "--password-stdin"];
    let mut child = setup
        .clone()
        .with(&words)
        .with(more)
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_command_writes_to_the_same_file_and_shows_it() {
    let setup = Setup::new();
    assert_eq!(events(&setup, &[]), (0, String::new(), String::new()));
    assert!(!setup.dir().join("events.jsonl").exists());

    add(&setup, "bob", &["--groups", "staff"]);
    add(&setup, "nobody", &["--events-kept", "0"]);
    let server = setup.start();
    let (_alice, _) = Visitor::with_account(&server, "alice");
    told(&server, "logged_in");

    let added = told(&server, "account_added");
    assert_eq!(
        added,
        json!({
            "event": "account_added", "user": "bob", "id": id(&server, "bob"),
            "by": "the operator", "address": null, "agent": null, "result": "ok",
            "groups": ["users", "staff"],
        })
    );
    let (status, out, err) = events(&setup, &[]);
    assert_eq!((status, err.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    let without_time: Vec<&[&str]> = rows.iter().map(|row| &row[1..]).collect();
    let agent = rows[1][5];
    assert_eq!(
        without_time[0],
        ["account_added", "bob", "the operator", "-", "-", "ok"]
    );
    assert_eq!(
        without_time[1],
        ["registered", "alice", "-", "127.0.0.1", agent, "ok"]
    );
    let (_, json, _) = events(&setup, &["--json"]);
    assert_eq!(json, read(setup.dir(), "events.jsonl"));
    let (_, of_alice, _) = events(&setup, &["--user", " Alice", "--since", "1h"]);
    assert_eq!(of_alice.lines().count(), 2, "{of_alice}");
    for early in [
        "--since=2999-01-01",
        "--user=nobody",
        "--since=2999-01-01T00:00:00Z",
    ] {
        assert_eq!(
            events(&setup, &[early]),
            (0, String::new(), String::new()),
            "{early}"
        );
    }
}

#[test]
fn events_follow_an_account_and_not_its_name() {
    let setup = Setup::bare();
    let user = |words: &[&str]| {
        let (status, _, err) = setup.clone().with(&["user"]).with(words).run();
        assert!(status.success(), "{err}");
    };
    add(&setup, "alice", &[]);
    user(&["disable", "alice"]);
    let email = ["--email", "alicia@example.com"];
    user(&[&["set", "alice", "--rename", "alicia"], &email[..]].concat());
    add(&setup, "alice", &["--groups", "other"]);
    user(&["set", "alice", "--add-group", "x"]);
    let happened = |name: &str| -> Vec<String> {
        let (status, out, err) = events(&setup, &["--user", name]);
        assert_eq!((status, err.as_str()), (0, ""));
        let rows = out.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        rows.map(|row| format!("{} {}", row[1], row[2])).collect()
    };

    let first = [
        "account_added alice",
        "account_disabled alice",
        "account_renamed alicia",
        "email_changed alicia",
    ];
    assert_eq!(happened("Alicia"), first);
    let second = ["account_added alice", "groups_changed alice"];
    assert_eq!(happened("alice"), second);

    // Where no account has the name, what stands there counts.
    user(&["remove", "alice", "--yes"]);
    let by_name = [&first[..2], &second, &["account_removed alice"]].concat();
    assert_eq!(happened("ALICE"), by_name);
}

#[test]
fn a_wrong_call_and_a_wrong_place_are_refused() {
    let setup = Setup::bare();
    for (call, named) in [
        (&["--since", "yesterday"][..], "--since"),
        (&["--users", "a", "--user"], "--user"),
        (&["alice"], "alice"),
        (&["--nothing"], "--nothing"),
    ] {
        let (status, out, err) = events(&setup, call);
        assert_eq!((status, out.as_str()), (2, ""), "{call:?}");
        assert!(
            err.contains(named) && err.contains("\nauth_user: hint: "),
            "{err}"
        );
    }

    let (status, out, err) = events(&setup, &["--users", "nowhere/users.json", "--json"]);
    assert_eq!(status, 1);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["code"], "no_file");
    assert!(err.starts_with("auth_user: cannot "), "{err}");
    assert!(fs::read_dir(setup.dir()).unwrap().next().is_none());

    add(&setup, "alice", &[]);
    let (status, out, err) = events(&setup, &["--user", "alice@example.com"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(
        err.contains("\nauth_user: hint: alice has that address"),
        "{err}"
    );

    fs::rename(setup.dir().join("events.jsonl"), setup.dir().join("else")).unwrap();
    symlink("else", setup.dir().join("events.jsonl")).unwrap();
    let (status, out, err) = events(&setup, &[]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("hint: see to events.jsonl"), "{err}");
    fs::write(setup.dir().join("users.json"), "{").unwrap();
    assert_eq!(events(&setup, &["--user", "alice"]).0, 1);
}

#[test]
fn what_a_browser_calls_itself_commands_no_terminal() {
    let setup = Setup::new();
    let server = setup.start();
    let odd = "a\tb\u{9b}2J";
    as_agent(&Visitor::program(&server), odd).sign_up("alice");
    told(&server, "registered");

    let (_, out, _) = events(&setup, &[]);
    assert_eq!(
        out.lines().next().unwrap().split('\t').count(),
        7,
        "{out:?}"
    );
    assert!(
        !out.chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t'),
        "{out:?}"
    );
    let (_, out, _) = events(&setup, &["--json"]);
    assert!(!out.chars().any(|c| c.is_control() && c != '\n'), "{out:?}");
}

/// `auth_user events --follow`, and what it prints.
fn follow(setup: &Setup) -> (Child, impl FnMut() -> String + use<>) {
    let mut child = setup
        .clone()
        .with(&["events", "--follow"])
        .command()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let next = move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    };
    (child, next)
}

#[test]
fn following_shows_what_comes_whatever_becomes_of_the_file_and_ends_well() {
    let setup = Setup::new();
    let server = setup.start();
    let (mut child, mut next) = follow(&setup);
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    assert!(next().contains("\tregistered\talice\t"));

    fs::rename(server.path("events.jsonl"), server.path("events.1")).unwrap();
    visitor.sign_up("bob");
    assert!(next().contains("\tregistered\tbob\t"));

    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        (child, next) = follow(&setup);
        assert!(next().contains("\tregistered\tbob\t"));
    }
    // Nobody reads any more, and nothing new comes.
    drop(next);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_kill_loses_at_most_what_came_last() {
    let setup = Setup::new();
    let mut server = setup.start();
    let visitor = Visitor::program(&server);
    for n in 0..10 {
        visitor.sign_up(&format!("user{n}"));
    }
    server.kill();

    let told = lines(&server).len();
    assert!(told >= 9, "{told}");
    // A line that was cut off harms no other.
    let path = server.path("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "{\"time\":\"2026").unwrap();
    let again = setup.start();
    Visitor::program(&again).sign_up("late");
    wait_for("the line", || {
        (lines(&again).len() == told + 1).then_some(())
    });
    assert_eq!(events(&setup, &[]).1.lines().count(), told + 1);
}

#[test]
fn a_file_that_cannot_be_written_loses_no_login_and_the_log_says_how_many() {
    let setup = Setup::new();
    fs::create_dir(setup.dir().join("events.jsonl")).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    assert!(alice.is_logged_in());
    server.wait_for_log("events cannot be written");
    assert_eq!(alice.get("/account").json()["events"], json!([]));

    fs::remove_dir(server.path("events.jsonl")).unwrap();
    alice.post("/logout", &[]).expect("logged_out");

    told(&server, "logged_out");
    server.wait_for_log("lost=2");
    assert_eq!(server.log().matches("events cannot be written").count(), 1);
}

#[test]
fn a_full_disk_loses_events_and_no_login() {
    // Room for the accounts and no more lines than are there: the file has reached the limit.
    let limit = 64 * 1024;
    let setup = Setup::new().under(&["prlimit", &format!("--fsize={limit}")]);
    let line =
        "{\"time\":\"2999-01-01T00:00:00.000Z\",\"event\":\"logged_in\",\"result\":\"ok\"}\n";
    let mut full = line.repeat(limit / line.len() - 2);
    let padding = "x".repeat(limit - 10 - full.len() - line.len() - ",\"pad\":\"\"".len());
    full += &line.replace('}', &format!(",\"pad\":\"{padding}\"}}"));
    fs::write(setup.dir().join("events.jsonl"), &full).unwrap();

    let server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let other = Visitor::program(&server);
    other.log_in("alice", PASSWORD, &authenticator);

    assert!(alice.is_logged_in() && other.is_logged_in());
    server.wait_for_log("events cannot be written");
    // Nothing is left of a line that did not fit.
    assert!(read(server.dir.path(), "events.jsonl") == full);
    fs::remove_file(server.path("events.jsonl")).unwrap();
    other.post("/logout", &[]).expect("logged_out");
    told(&server, "logged_out");
    server.wait_for_log("events were lost");
}

#[test]
fn none_are_written_where_none_are_kept() {
    let server = Server::start_with(&["--events-kept", "0"]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    Visitor::program(&server).log_in("alice", PASSWORD, &authenticator);
    // The notice goes out all the same.
    server.next_mail("New login");

    assert_eq!(alice.get("/account").json()["events"], json!([]));
    assert!(!server.path("events.jsonl").exists());
}

#[test]
fn the_original_script_s_password_in_the_answer_is_an_event_without_it() {
    let mut server = Server::start_with(&["--compat"]);
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &form);
    let answer = visitor.post("/forgot_password", &[("username", "alice")]);
    let password = answer.body.rsplit(' ').next().unwrap().to_owned();

    told(&server, "password_changed");

    assert!(!read(server.dir.path(), "events.jsonl").contains(&password));

    // A wrong one is refused, in the words of the script.
    let form = [("username", "alice"), ("password", "not this one")];
    visitor.post("/login", &form);
    let refused = told(&server, "refused");
    assert_eq!(refused["id"], id(&server, "alice"));
    assert_eq!(
        (&refused["result"], &refused["at"]),
        (&json!("wrong_credentials"), &json!("/login"))
    );
    let form = [("username", "nobody"), ("password", "not this one")];
    visitor.post("/login", &form);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    let lines = lines(&server);
    let counted = lines.last().unwrap();
    assert_eq!(
        (&counted["count"], &counted["user"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(counted["result"], "wrong_credentials");
}
