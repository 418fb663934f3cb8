//! `auth_user user`: accounts listed and made, whether a server runs or not.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use serde_json::{Value, json};

use crate::harness::directory::{listing, snapshot};
use crate::harness::{PASSWORD, Setup, Visitor, from_now, wait_for};
use crate::operator::{Said, run};

/// `user add NAME` with an address of that name and a password that is sent.
pub(crate) fn add(setup: &Setup, name: &str, more: &[&str]) -> Said {
    let email = format!("{name}@example.com");
    let mut words = vec!["user", "add", name, "--email", &email, "--password-stdin"];
    words.extend(more);
    run(setup, &words, format!("{PASSWORD}\n").as_bytes())
}

pub(super) fn list(setup: &Setup, more: &[&str]) -> Said {
    let mut words = vec!["user", "list"];
    words.extend(more);
    run(setup, &words, b"")
}

pub(super) fn parsed(said: &Said) -> Value {
    serde_json::from_str(&said.1).unwrap_or_else(|_| panic!("{said:?}"))
}

#[test]
fn a_folder_without_a_file_has_nobody_in_it_and_stays_as_it_is() {
    let setup = Setup::bare();

    let as_text = list(&setup, &[]);
    let as_json = list(&setup, &["--json"]);

    assert_eq!(as_text, (0, String::new(), String::new()));
    let nobody = json!({ "people": [], "total": 0, "invitations": [] });
    assert_eq!((as_json.0, parsed(&as_json)), (0, nobody));
    assert!(listing(setup.dir()).is_empty());
}

#[test]
fn an_account_is_made_and_listed_without_a_server() {
    let setup = Setup::bare();

    let first = add(&setup, "root", &["--groups", "admins, staff"]);
    let second = add(&setup, "Alice", &["--json"]);

    let file = setup.dir().canonicalize().unwrap().join("users.json");
    let made = format!("auth_user: made {}\n", file.display());
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
    let users: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(users["users"]["root"].get("registered"), None);
    let made = ["events.jsonl", "users.json", "users.json.lock"];
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

#[test]
fn what_cannot_be_done_is_refused_in_words_and_codes_and_changes_nothing() {
    let setup = Setup::bare();
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let before = snapshot(setup.dir());
    let odd = b"odd and long enough\n";
    let long = [b"long".repeat(65), b"\n".to_vec()].concat();

    for (name, email, input, code, message) in [
        (
            "ALICE",
            "a@example.com",
            &odd[..],
            "user_exists",
            "The user already exists.",
        ),
        (
            "bob",
            "ALICE@example.com",
            odd,
            "email_exists",
            "User with this email already exists",
        ),
        (
            "bob",
            "bob@example.com",
            b"1234567\n",
            "password_too_short",
            "The password must contain at least 8 characters.",
        ),
        (
            "bob",
            "bob@example.com",
            b"password1\n",
            "password_common",
            "This password is too easy to guess.",
        ),
        (
            "bob",
            "bob@example.com",
            b"BOB@example.com\n",
            "password_common",
            "This password is too easy to guess.",
        ),
        (
            "bob",
            "bob@example.com",
            b"",
            "bad_field",
            "Standard input holds no password.",
        ),
        (
            "bob",
            "bob@example.com",
            b"seven wild horses\nand one more\n",
            "bad_field",
            "Standard input holds more than one line.",
        ),
        (
            "bob",
            "bob@example.com",
            b"seven wild \xff horses\n",
            "bad_field",
            "The password is not UTF-8.",
        ),
        (
            "bob",
            "bob@example.com",
            &long,
            "bad_field",
            "The field password is too long: it may have 256 characters.",
        ),
    ] {
        let words = ["user", "add", name, "--email", email, "--password-stdin"];
        let (status, out, err) = run(&setup, &words, input);
        assert_eq!((status, out.as_str()), (1, ""), "{message}: {err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 2, "{err}");
        assert_eq!(lines[0], format!("auth_user: cannot add {name}: {message}"));
        assert!(lines[1].starts_with("auth_user: hint: "), "{err}");

        let said = run(&setup, &[&words[..], &["--json"]].concat(), input);
        assert_eq!((said.0, &said.2), (1, &err));
        assert_eq!(parsed(&said), json!({ "code": code, "message": message }));
    }
    assert_eq!(snapshot(setup.dir()), before);
}

#[test]
fn wrong_calls_are_seen_before_anything_is_read() {
    let setup = Setup::bare();
    let long = "g".repeat(65);
    let many = (0..50).map(|n| format!("g{n},")).collect::<String>();
    let add = ["user", "add", "alice", "--password-stdin"];
    let email = ["--email", "alice@example.com"];
    for (words, named) in [
        (&["user"][..], "subcommand"),
        (&["user", "frob"], "frob"),
        (&["user", "list", "--frob"], "--frob"),
        (&["user", "add", "--email", "a@example.com"], "<NAME>"),
        (
            &["user", "add", "a b", "--email", "a@example.com"],
            "<NAME>",
        ),
        (&add, "--email"),
        (&[&add[..], &["--email", "alice"]].concat(), "--email"),
        (
            &[&add[..], &email, &["--groups", "a;b"]].concat(),
            "--groups",
        ),
        (
            &[&add[..], &email, &["--groups", &long]].concat(),
            "--groups",
        ),
        (
            &[&add[..], &email, &["--groups", &many]].concat(),
            "--groups",
        ),
        (&[&add[..], &email, &["--valid", "59m"]].concat(), "--valid"),
        (&[&add[..], &email, &["--valid", "91d"]].concat(), "--valid"),
        (
            &[&add[..3], &email, &["--public-url", "nowhere"]].concat(),
            "--public-url",
        ),
        (
            &[&add[..3], &email, &["--mail-from", "nobody"]].concat(),
            "--mail-from",
        ),
    ] {
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(
            err.lines().next().unwrap().contains(named),
            "{words:?}: {err}"
        );
        assert_eq!(err.lines().count(), 2, "{words:?}: {err}");
    }
    assert!(listing(setup.dir()).is_empty());
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
    let outbox = setup.dir().canonicalize().unwrap().join("outbox");
    let mail = fs::read_dir(&outbox).unwrap().next().unwrap().unwrap();
    let named = format!("the mail waits in {}\n", mail.path().display());
    assert!(assuming.2.contains(&named), "{}", assuming.2);

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
    let mails = fs::read_dir(&outbox).unwrap().map(|mail| {
        let path = mail.unwrap().path();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::read_to_string(path).unwrap()
    });
    let mails: Vec<String> = mails.collect();
    assert!(
        mails
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

#[test]
fn where_the_mail_cannot_be_written_no_account_is_made() {
    let setup = Setup::bare();
    fs::write(setup.dir().join("outbox"), "").unwrap();
    let said = run(
        &setup,
        &["user", "add", "alice", "--email", "a@example.com", "--json"],
        b"",
    );
    assert_eq!(said.0, 1, "{said:?}");
    assert_eq!(parsed(&said)["code"], "not_saved");
    // No warning of what would have been assumed: a line and a hint.
    let lines: Vec<&str> = said.2.lines().collect();
    assert!(
        lines[0].starts_with("auth_user: cannot open the outbox"),
        "{}",
        said.2
    );
    assert!(
        lines[1].starts_with("auth_user: hint: ") && lines.len() == 2,
        "{}",
        said.2
    );
    assert_eq!(list(&setup, &[]).1, "");
}

#[test]
fn the_server_s_flags_stand_anywhere_and_only_what_is_needed_is_judged() {
    let setup = Setup::bare();
    fs::create_dir(setup.dir().join("d")).unwrap();
    let users = ["--users", "d/users.json"];
    assert_eq!(add(&setup, "alice", &users).0, 0);

    let other = ["--smtp", "nonsense", "--session-idle", "soon", "--no-tls"];
    let after = list(&setup, &[&users[..], &other].concat());
    let before = run(
        &setup,
        &[&other[..], &users, &["user", "list"]].concat(),
        b"",
    );
    let between = run(&setup, &["user", "--users", "d/users.json", "list"], b"");
    let by_variable = setup
        .clone()
        .env("AUTH_USERS", "'d/users.json'\n")
        .env("AUTH_SMTP", "nonsense")
        .env("AUTH_NO_TLS", "perhaps");
    let by_variable = list(&by_variable, &[]);

    for said in [&after, &before, &between, &by_variable] {
        assert_eq!((said.0, said.2.as_str()), (0, ""));
        assert!(said.1.starts_with("alice\t"), "{}", said.1);
    }
    let help = run(&setup, &["user", "add", "--help"], b"");
    assert!(
        help.1.contains("--users") && !help.1.contains("--smtp"),
        "{}",
        help.1
    );
}

#[test]
fn a_missing_folder_and_a_damaged_file_are_refused_and_left_alone() {
    let setup = Setup::bare();
    fs::write(setup.dir().join("bad.json"), "{").unwrap();
    let later = "{\"version\": 3, \"users\": {}}";
    fs::write(setup.dir().join("later.json"), later).unwrap();
    fs::create_dir(setup.dir().join("folder.json")).unwrap();
    let before = snapshot(setup.dir());
    let import = "username,email\ncarol,carol@example.com\n";
    for users in ["gone/users.json", "bad.json", "later.json", "folder.json"] {
        let run = |words: &[&str], input: &str| {
            let words = [words, &["--users", users, "--json"]].concat();
            run(&setup, &words, input.as_bytes())
        };
        for said in [
            list(&setup, &["--users", users, "--json"]),
            add(&setup, "alice", &["--users", users, "--json"]),
            run(&["user", "add", "bob", "--email", "bob@example.com"], ""),
            run(&["user", "show", "alice"], ""),
            run(&["user", "disable", "alice"], ""),
            run(&["user", "new-password", "alice"], ""),
            run(&["user", "remove", "alice", "--yes"], ""),
            run(&["user", "set", "alice", "--rename", "bob"], ""),
            run(&["invite", "--email", "bob@example.com"], ""),
            run(&["invite", "--end", "nothing"], ""),
            run(&["import", "csv", "-"], import),
            run(&["import", "csv", "-", "--dry-run"], import),
            run(&["events", "--user", "alice"], ""),
            run(&["backup", "b.tar"], ""),
        ] {
            assert_eq!(said.0, 1, "{said:?}");
            assert_eq!(parsed(&said)["code"], "no_file", "{said:?}");
            let lines: Vec<&str> = said.2.lines().collect();
            assert!(lines[0].starts_with("auth_user: cannot "), "{said:?}");
            assert!(lines[0].contains(users), "{said:?}");
            assert!(lines[1].starts_with("auth_user: hint: "), "{said:?}");
            assert_eq!(lines.len(), 2, "{said:?}");
        }
    }
    let mut after = snapshot(setup.dir());
    after.retain(|file| !file.contains(".lock\""));
    assert_eq!(after, before);
}

/// A disk that is full, and a folder in which no new file can take the old one's place.
#[test]
fn what_cannot_be_saved_is_refused_and_nothing_is_left_of_it() {
    let full = Setup::bare();
    let unfit = Setup::bare();
    for setup in [&full, &unfit] {
        assert_eq!(add(setup, "alice", &[]).0, 0);
    }
    let size = fs::metadata(full.dir().join("users.json")).unwrap().len();
    let limit = format!("--fsize={size}");
    let limited = full.clone().under(&["prlimit", &limit]);
    fs::create_dir_all(unfit.dir().join("users.json.new/in_use")).unwrap();
    for (setup, limited) in [(&full, &limited), (&unfit, &unfit)] {
        let before = snapshot(setup.dir());
        for said in [
            add(limited, "bob", &["--json"]),
            run(limited, &["user", "disable", "alice", "--json"], b""),
            run(limited, &["invite", "--json"], b""),
            run(limited, &["import", "htpasswd", "-", "--json"], IMPORTED),
        ] {
            assert_eq!(
                (said.0, &parsed(&said)["code"]),
                (1, &json!("not_saved")),
                "{said:?}"
            );
            let lines: Vec<&str> = said.2.lines().collect();
            assert!(lines[0].starts_with("auth_user: cannot "), "{said:?}");
            assert!(lines[1].starts_with("auth_user: hint: "), "{said:?}");
            assert_eq!(lines.len(), 2, "{said:?}");
        }
        assert_eq!(snapshot(setup.dir()), before);
    }
}

/// A line of htpasswd.
const IMPORTED: &[u8] = b"dave:$apr1$AzX9D5Tq$aNSgNAhWBtryIp8GKSfyF.\n";

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
fn what_a_terminal_obeys_is_escaped() {
    let setup = Setup::bare();
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let file = setup.dir().join("users.json");
    let mut users: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let odd = "a\u{1b}[2J\tb\u{9b}c\u{202e}d\u{61c}";
    users["users"]["alice"]["groups"] = json!([odd]);
    fs::write(&file, users.to_string()).unwrap();

    let as_text = list(&setup, &[]);
    let as_json = list(&setup, &["--json"]);

    let shown = r"a\u{1b}[2J\tb\u{9b}c\u{202e}d\u{61c}";
    assert!(as_text.1.contains(shown), "{}", as_text.1);
    assert!(
        !as_json
            .1
            .contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{61c}'])
    );
    let groups = &parsed(&as_json)["people"][0]["groups"];
    assert_eq!(*groups, json!([odd]));
}

#[test]
fn many_at_once_are_done_one_after_another() {
    let setup = Setup::bare();
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
