//! Accounts that are made: with a password, with a link, by many at once, and by root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use serde_json::{Value, json};

use crate::harness::directory::{listing, mode};
use crate::harness::{PASSWORD, Setup, Visitor, from_now, place, wait_for};
use crate::operator::run;
use crate::operator::user::{add, list, parsed};

#[test]
fn an_account_is_made_and_listed_without_a_server() {
    let setup = Setup::bare();

    let first = add(&setup, "root", &["--groups", "admins, staff"]);
    let second = add(&setup, "Alice", &["--json"]);

    let file = setup.dir().canonicalize().unwrap().join("users.json");
    let made = match place::is_database() {
        true => String::new(),
        false => format!("auth_user: made {}\n", file.display()),
    };
    assert_eq!(first, (0, "Account added.\n".to_owned(), made));
    assert_eq!((second.0, second.2.as_str()), (0, ""));
    assert_eq!(
        parsed(&second),
        json!({
            "code": "account_added",
            "message": "Account added.",
            "username": "Alice",
            "email": "Alice@example.com",
            "groups": ["users"],
        })
    );
    let listed = list(&setup, &[]);
    assert_eq!(
        listed.1,
        "Alice\tAlice@example.com\tusers\tactive\tno\t-\n\
         root\troot@example.com\tusers,admins,staff\tactive\tno\t-\n"
    );
    let people = parsed(&list(&setup, &["--json", "--group", "admins"]));
    assert_eq!(people["total"], 1);
    let person = &people["people"][0];
    let created = person["created"].as_str().unwrap();
    assert_eq!(
        *person,
        json!({
            "username": "root",
            "email": "root@example.com",
            "email_proven": true,
            "groups": ["users", "admins", "staff"],
            "state": "active",
            "second_factor": false,
            "created": created,
            "last_login": null,
        })
    );
    let nobody = list(&setup, &["--group", "Admins"]);
    assert_eq!(nobody, (0, String::new(), String::new()));
    let users: Value = serde_json::from_str(&place::kept(setup.dir(), "users.json")).unwrap();
    assert_eq!(users["users"]["root"].get("registered"), None);
    let made: &[&str] = match place::is_database() {
        true => &[],
        false => &["events.jsonl", "users.json", "users.json.lock"],
    };
    assert_eq!(listing(setup.dir()), made);
}

#[test]
fn a_running_server_takes_up_a_new_account_and_the_command_sees_the_server_s() {
    let setup = Setup::new();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    let added = add(&setup, "bob", &["--groups", "staff"]);

    assert_eq!(added, (0, "Account added.\n".to_owned(), String::new()));
    let bob = Visitor::program(&server);
    wait_for("the account", || {
        let form = [("username", "bob"), ("password", PASSWORD)];
        (bob.post("/login", &form).status == 200).then_some(())
    });
    bob.enrol("bob");
    assert!(bob.is_logged_in() && alice.is_logged_in());
    let account = bob.get("/account").json();
    assert_eq!(account["groups"], json!(["users", "staff"]));
    let people = parsed(&list(&setup, &["--json"]));
    for (name, person) in ["alice", "bob"].iter().zip(0..) {
        let person = &people["people"][person];
        assert_eq!(person["username"], *name);
        assert_eq!(person["second_factor"], true);
        assert!(person["last_login"].is_string(), "{person}");
    }
}

/// Without a password, the account waits for one, and a link to choose it is printed and mailed.
#[test]
fn an_account_without_a_password_comes_with_a_link() {
    let setup = Setup::bare();
    let invite = |setup: &Setup, name, more: &[&str]| {
        let email = format!("{name}@example.com");
        let words = ["user", "add", name, "--email", &email];
        run(setup, &[&words[..], more].concat(), b"")
    };

    let assuming = invite(&setup, "alice", &[]);
    assert_eq!(assuming.0, 0, "{assuming:?}");
    let lines: Vec<&str> = assuming.1.lines().collect();
    assert_eq!(lines[0], "Account added.");
    assert!(lines[1].starts_with("https://localhost:8000/invitation?token="));
    assert_eq!(lines.len(), 2);
    assert!(assuming.2.contains("warning: no --public-url was given"));
    assert!(assuming.2.contains("warning: no --mail-from was given"));
    if !place::is_database() {
        let outbox = setup.dir().canonicalize().unwrap().join("outbox");
        let mail = fs::read_dir(outbox).unwrap().next().unwrap().unwrap();
        let named = format!("the mail waits in {}\n", mail.path().display());
        assert!(assuming.2.contains(&named), "{}", assuming.2);
        assert_eq!(mode(&mail.path()), 0o600);
    }

    let told = setup
        .clone()
        .env("AUTH_PUBLIC_URL", "https://login.example.com")
        .env("AUTH_MAIL_FROM", "login@example.com")
        .env("AUTH_SMTP", "nonsense");
    let said = invite(
        &told,
        "bob",
        &["--json", "--valid", "1h", "--groups", "staff"],
    );
    assert_eq!((said.0, said.2.as_str()), (0, ""));
    let added = parsed(&said);
    let link = added["link"].as_str().unwrap();
    assert!(link.starts_with("https://login.example.com/invitation?token="));
    assert_eq!(added["code"], "account_added");
    assert_eq!(added["groups"], json!(["users", "staff"]));
    assert!(added["expires"].as_str().unwrap() < from_now(3700).as_str());
    assert!(
        place::mails(setup.dir())
            .iter()
            .any(|mail| mail.contains("From: login@example.com")
                && mail.contains("Your username there is bob.")
                && mail.contains("for less than a day"))
    );

    let people = parsed(&list(&setup, &["--json"]));
    let states: Vec<&Value> = people["people"].as_array().unwrap().iter().collect();
    assert!(states.iter().all(|person| person["state"] == "invited"));
    assert_eq!(people["invitations"].as_array().unwrap().len(), 2);
    assert_eq!(people["invitations"][1]["by"], "the operator");
    assert_eq!(people["invitations"][1]["email"], "bob@example.com");

    let variable = setup.clone().env("AUTH_PUBLIC_URL", "nowhere");
    let wrong = invite(&variable, "carol", &[]);
    assert_eq!(wrong.0, 2);
    assert!(wrong.2.contains("AUTH_PUBLIC_URL"), "{}", wrong.2);
}

/// Their link goes with the old address, which may have been a slip.
#[test]
fn who_waits_for_a_link_and_gets_another_address_is_told_of() {
    let setup = Setup::bare();
    let words = ["user", "add", "alice", "--email", "alcie@example.com"];
    assert_eq!(run(&setup, &words, b"").0, 0);

    let words = ["user", "set", "alice", "--email", "alice@example.com"];
    let said = run(&setup, &words, b"");

    assert_eq!((said.0, said.1.as_str()), (0, "Done.\n"));
    assert!(
        said.2
            .contains("warning: they have not chosen a password yet")
    );
    assert!(
        said.2
            .contains("hint: auth_user user new-password alice mails")
    );
}

#[test]
fn names_that_registration_does_not_give_are_given_here() {
    let setup = Setup::bare();
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let rename = ["user", "set", "alice", "--rename", "alicia"];
    assert_eq!(run(&setup, &rename, b"").0, 0);

    for name in ["admin", "webmaster", "alice"] {
        let email = format!("{name}2@example.com");
        let words = ["user", "add", name, "--email", &email, "--password-stdin"];
        let said = run(&setup, &words, format!("{PASSWORD}\n").as_bytes());
        assert_eq!(
            (said.0, said.1.as_str()),
            (0, "Account added.\n"),
            "{said:?}"
        );
    }
}

#[test]
fn many_at_once_are_done_one_after_another() {
    let setup = Setup::bare();
    assert_eq!(list(&setup, &[]).1, "");
    let all = |name: fn(usize) -> String| -> Vec<i32> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|n| {
                    let setup = &setup;
                    scope.spawn(move || add(setup, &name(n), &[]).0)
                })
                .collect();
            let mut statuses: Vec<i32> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect();
            statuses.sort_unstable();
            statuses
        })
    };
    assert_eq!(all(|n| format!("user{n}")), [0; 20]);
    let one = all(|_| "alice".to_owned());
    assert_eq!((one[0], &one[1..]), (0, &[1; 19][..]));
    assert_eq!(list(&setup, &[]).1.lines().count(), 21);
}

#[test]
fn what_root_makes_is_of_the_owner_of_what_was_there() {
    of_one_machine!("files have owners");
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let setup = Setup::bare();
    chown(setup.dir(), Some(65534), Some(65533)).unwrap();
    let owners = || -> Vec<(u32, u32)> {
        let entries = fs::read_dir(setup.dir()).unwrap();
        let metadata = entries.map(|entry| entry.unwrap().metadata().unwrap());
        metadata.map(|found| (found.uid(), found.gid())).collect()
    };

    assert_eq!(add(&setup, "alice", &[]).0, 0);
    // events.jsonl, users.json and its lock.
    assert_eq!(owners(), [(65534, 65533); 3]);

    let invite = ["user", "add", "carol", "--email", "carol@example.com"];
    assert_eq!(run(&setup, &invite, b"").0, 0);
    // And the outbox, and users.json as it was while each account had a password.
    assert_eq!(owners(), [(65534, 65533); 5]);
    let mail = fs::read_dir(setup.dir().join("outbox")).unwrap().next();
    let mail = mail.unwrap().unwrap().metadata().unwrap();
    assert_eq!((mail.uid(), mail.gid()), (65534, 65533));

    let users = setup.dir().join("users.json");
    chown(&users, Some(65532), Some(65531)).unwrap();
    assert_eq!(add(&setup, "bob", &[]).0, 0);
    let found = fs::metadata(users).unwrap();
    assert_eq!((found.uid(), found.gid()), (65532, 65531));
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}
