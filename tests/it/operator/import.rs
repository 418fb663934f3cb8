//! `auth_user import`: accounts of other programs, taken over with their passwords.

use std::fs;
#[cfg(feature = "makers")]
use std::os::unix::fs::{MetadataExt as _, chown};

use serde_json::{Value, json};

use crate::harness::directory::{listing, snapshot};
use crate::harness::{PASSWORD, Setup, Visitor, place};
use crate::operator::run;

/// bcrypt of [`PASSWORD`], by htpasswd.
const HASH: &str = "$2y$05$FRHZBiyCHwKAnRkhR/4/fO2zXHZL.Wfzrhw.8ZjAX9/vrjx0250E.";

fn table() -> String {
    format!(
        "username;email;groups;password_hash;disabled\r\n\
         Alice;alice@example.com;staff, admins;{HASH};\r\n\
         \r\n\
         bob;;;{HASH};yes\r\n"
    )
}

#[test]
fn a_table_is_taken_over_whole_and_its_people_log_in() {
    let setup = Setup::new();
    fs::write(
        setup.dir().join("people.csv"),
        format!("\u{feff}{}", table()),
    )
    .unwrap();
    let server = setup.start();
    let before = snapshot(setup.dir());

    let tried = run(&setup, &["import", "csv", "people.csv", "--dry-run"], b"");

    let lines = "line 2: Alice\nline 4: bob\n";
    let admins = "auth_user: in the group admins: Alice\n";
    let said = format!("{lines}2 accounts would be imported.\n");
    assert_eq!(tried, (0, said, admins.to_owned()));
    assert_eq!(snapshot(setup.dir()), before);

    let words = ["import", "csv", "people.csv", "--dry-run", "--json"];
    let tried: Value = serde_json::from_str(&run(&setup, &words, b"").1).unwrap();
    let message = "2 accounts would be imported.";
    assert_eq!(
        (&tried["code"], &tried["message"]),
        (&json!("imported"), &json!(message))
    );
    assert_eq!(tried["dry_run"], true);
    assert_eq!(tried["imported"].as_array().unwrap().len(), 2);
    assert_eq!(snapshot(setup.dir()), before);

    let done = run(&setup, &["import", "csv", "people.csv", "--json"], b"");
    assert_eq!(done.0, 0, "{done:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&done.1).unwrap(),
        json!({
            "code": "imported",
            "message": "2 accounts imported.",
            "dry_run": false,
            "imported": [{ "line": 2, "username": "Alice" }, { "line": 4, "username": "bob" }],
            "refused": [],
        })
    );
    let events = place::kept(setup.dir(), "events.jsonl");
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["event"] == "account_imported")
        .collect();
    for (event, name) in events.iter().zip(["Alice", "bob"]) {
        assert_eq!(
            (&event["user"], &event["by"]),
            (&json!(name), &json!("the operator"))
        );
    }
    assert_eq!(events.len(), 2);
    let users = server.users()["users"].take();
    assert_eq!(users["Alice"]["password"], HASH);
    assert_eq!(users["Alice"]["email_proven"], true);
    assert_eq!(
        users["Alice"]["groups"],
        json!(["users", "staff", "admins"])
    );
    assert_eq!(users["bob"]["email"], Value::Null);
    assert_eq!(users["bob"]["disabled"], true);

    let alice = Visitor::program(&server);
    crate::harness::wait_for("the account", || {
        let form = [("username", "alice"), ("password", PASSWORD)];
        (alice.post("/login", &form).status == 200).then_some(())
    });
    alice.enrol("alice");
    assert!(alice.is_logged_in());
    let bob = Visitor::program(&server);
    bob.post("/login", &[("username", "bob"), ("password", PASSWORD)])
        .expect("wrong_credentials");
}

#[test]
fn one_bad_line_keeps_the_whole_file_out() {
    let setup = Setup::bare();
    let first = run(
        &setup,
        &["import", "htpasswd", "-"],
        format!("alice:{HASH}\n").as_bytes(),
    );
    assert_eq!(
        (first.0, first.1.as_str()),
        (0, "line 1: alice\n1 accounts imported.\n")
    );
    let made = format!(
        "auth_user: made {}\n",
        setup
            .dir()
            .canonicalize()
            .unwrap()
            .join("users.json")
            .display()
    );
    if !place::is_database() {
        assert_eq!(first.2, made);
    }
    let before = snapshot(setup.dir());
    let file = format!("bob:{HASH}\nALICE:{HASH}\n# no one\n\u{7}eve:{HASH}\nmallory:hunter22\n");

    for more in [&[][..], &["--dry-run"], &["--json"]] {
        let words = [&["import", "htpasswd", "-"], more].concat();
        let (status, out, err) = run(&setup, &words, file.as_bytes());

        assert_eq!(status, 1);
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines[0], "line 2: ALICE: The user already exists.");
        assert!(
            lines[1].starts_with("line 4: \\u{7}eve: not a name"),
            "{err}"
        );
        assert!(
            lines[2].starts_with("line 5: mallory: password is in clear text"),
            "{err}"
        );
        let nothing = "nothing was imported: 3 of 4 entries cannot be taken";
        assert_eq!(lines[3], format!("auth_user: {nothing}"));
        assert!(
            lines[4].starts_with("auth_user: hint: ") && lines.len() == 5,
            "{err}"
        );
        if more == ["--json"] {
            let said: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(said["code"], "import_refused");
            assert_eq!(said["message"], nothing);
            assert_eq!(
                (&said["imported"], &said["dry_run"]),
                (&json!([]), &json!(false))
            );
            assert_eq!(
                said["refused"][0],
                json!({ "line": 2, "username": "ALICE", "message": "The user already exists." })
            );
        } else {
            assert_eq!(out, "");
        }
        assert_eq!(snapshot(setup.dir()), before);
    }
}

#[test]
fn a_file_that_cannot_be_read_or_is_no_such_file_is_refused_in_one_line_and_a_hint() {
    let setup = Setup::bare();
    fs::write(
        setup.dir().join("latin1.csv"),
        b"username,email\nm\xfcller,\n",
    )
    .unwrap();
    fs::write(setup.dir().join("clear.csv"), b"username,email,password\n").unwrap();
    fs::write(setup.dir().join("other.yml"), b"a: [\n").unwrap();
    let before = listing(setup.dir());
    for (words, said, hint) in [
        (
            ["csv", "none.csv"],
            "cannot read none.csv: ",
            "name the file",
        ),
        (["csv", "latin1.csv"], "it is not UTF-8", "UTF-8"),
        (["csv", "clear.csv"], "\"password\"", "password_hash"),
        (
            ["authelia", "other.yml"],
            "not of Authelia",
            "users_database.yml",
        ),
        (
            ["django", "clear.csv"],
            "not what Django prints",
            "dumpdata",
        ),
    ] {
        let (status, out, err) = run(&setup, &[&["import"][..], &words].concat(), b"");
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 2, "{err}");
        assert!(
            lines[0].starts_with("auth_user: cannot ") && lines[0].contains(said),
            "{err}"
        );
        assert!(
            lines[1].starts_with("auth_user: hint: ") && lines[1].contains(hint),
            "{err}"
        );
    }
    for (words, named) in [
        (&["import"][..], "<FORMAT>"),
        (&["import", "ldap", "x"], "ldap"),
        (&["import", "csv"], "<FILE>"),
        (
            &["import", "csv", "-", "--email-domain", "a b"],
            "--email-domain",
        ),
        (&["import", "csv", "-", "--frob"], "--frob"),
    ] {
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.lines().next().unwrap().contains(named), "{err}");
    }
    assert_eq!(listing(setup.dir()), before);
}

#[test]
fn who_has_no_hash_is_mailed_a_link_to_choose_a_password_by() {
    let setup = Setup::new();
    let table = format!("username,email,password_hash\nalice,alice@example.com,\nbob,,{HASH}\n");
    let site = ["--public-url", "https://auth.example.com"];
    let words = [&["import", "csv", "-"][..], &site].concat();

    let before = listing(setup.dir());
    let tried = [&words[..], &["--dry-run"]].concat();
    let tried = run(&setup, &tried, table.as_bytes());
    assert_eq!((tried.0, listing(setup.dir())), (0, before), "{tried:?}");
    let foretold = "1 invitation would be mailed; its link begins with https://auth.example.com";
    assert!(tried.2.contains(foretold), "{tried:?}");
    let done = run(
        &setup,
        &[&words[..], &["--json"]].concat(),
        table.as_bytes(),
    );

    assert_eq!(done.0, 0, "{done:?}");
    assert!(done.2.contains("1 mail waits in "), "{}", done.2);
    let said: Value = serde_json::from_str(&done.1).unwrap();
    let link = said["imported"][0]["link"].as_str().unwrap();
    let path = link.strip_prefix("https://auth.example.com").unwrap();
    assert_eq!(said["imported"][1].get("link"), None);
    let server = setup.start();
    let users = server.users();
    assert_eq!(users["users"]["alice"]["password"], Value::Null);
    let mail = server.next_mail("Your invitation");
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    assert_eq!(Visitor::program(&server).get(path).status, 200);
}

#[test]
fn who_is_disabled_and_has_no_hash_is_mailed_nothing() {
    let setup = Setup::bare();
    let table = b"username,email,disabled\nalice,alice@example.com,yes\n";

    let tried = run(&setup, &["import", "csv", "-", "--dry-run"], table);
    let done = run(&setup, &["import", "csv", "-", "--json"], table);

    assert!(!tried.2.contains("mail"), "{tried:?}");
    assert_eq!(done.0, 0, "{done:?}");
    let said: Value = serde_json::from_str(&done.1).unwrap();
    assert_eq!(said["imported"][0].get("link"), None);
    assert!(!setup.dir().join("outbox").exists());
}

/// A refusal is a line and a hint: what would have been assumed does not matter then.
#[test]
fn where_links_cannot_be_mailed_nobody_is_imported() {
    of_one_machine!("the outbox cannot be opened");
    let setup = Setup::bare();
    fs::write(setup.dir().join("outbox"), "").unwrap();
    let before = snapshot(setup.dir());
    let table = b"username,email\nalice,alice@example.com\n";

    for more in [&[][..], &["--dry-run"], &["--json"]] {
        let words = [&["import", "csv", "-"], more].concat();
        let (status, out, err) = run(&setup, &words, table);
        assert_eq!((status, out.is_empty()), (1, more != ["--json"]), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert!(
            lines[0].starts_with("auth_user: cannot open the outbox"),
            "{err}"
        );
        assert!(
            lines[1].starts_with("auth_user: hint: ") && lines.len() == 2,
            "{err}"
        );
    }
    assert_eq!(snapshot(setup.dir()), before);
}

#[test]
fn a_refusal_that_quotes_a_huge_heading_is_said_all_the_same() {
    let setup = Setup::bare();
    let table = format!("username,email,{}\n", "x".repeat(300 * 1024));

    let (status, _, err) = run(&setup, &["import", "csv", "-"], table.as_bytes());

    assert_eq!(status, 1);
    assert!(
        err.starts_with("auth_user: cannot import -: it has a column"),
        "{}",
        err.len()
    );
    assert!(err.contains("auth_user: hint: "), "{}", err.len());
}

#[test]
fn more_links_than_the_outbox_takes_are_refused_with_the_number() {
    let setup = Setup::bare();
    let mut table = "username,email\n".to_owned();
    for n in 0..751 {
        table.push_str(&format!("user{n},user{n}@example.com\n"));
    }
    for more in [&[][..], &["--dry-run"]] {
        let words = [&["import", "csv", "-"][..], more].concat();
        let (status, out, err) = run(&setup, &words, table.as_bytes());
        assert_eq!((status, out.as_str()), (1, ""));
        assert!(err.contains("751 entries have no hash"), "{err}");
        assert!(err.contains("takes 750 mails"), "{err}");
    }
    assert!(listing(setup.dir()).is_empty());
}

#[test]
fn more_than_a_file_may_have_is_refused() {
    let setup = Setup::bare();
    let (status, _, err) = run(
        &setup,
        &["import", "csv", "-"],
        &vec![b'\n'; (64 << 20) + 1],
    );
    assert_eq!(status, 1);
    assert!(err.contains("over 64 MiB"), "{err}");
}

/// A database in memory, with what `manage.py dumpdata auth` prints of it.
#[cfg(feature = "makers")]
const DJANGO: &str = "
import sys, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes'],
    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}},
    DEFAULT_AUTO_FIELD='django.db.models.AutoField', USE_TZ=True)
django.setup()
from django.core.management import call_command
call_command('migrate', verbosity=0)
from django.contrib.auth.models import Group, User
password = sys.stdin.read()
alice = User.objects.create_superuser('alice', 'alice@example.com', password)
alice.groups.add(Group.objects.create(name='editors'))
User.objects.create_user('carol@example.com', '', password)
call_command('dumpdata', 'auth', indent=2)
";

#[cfg(feature = "makers")]
#[test]
fn what_django_dumps_and_htpasswd_writes_is_imported_and_logs_in() {
    use crate::harness::makers;

    let setup = Setup::new();
    let dumped = makers::output(&["/usr/bin/python3", "-c", DJANGO], PASSWORD);
    fs::write(setup.dir().join("dumped.json"), dumped).unwrap();
    let htpasswd = makers::htpasswd("-m", "dave", PASSWORD);

    let whole = run(&setup, &["import", "django", "dumped.json"], b"");
    assert_eq!(whole.0, 1);
    assert!(
        whole.2.contains("carol@example.com") && whole.2.contains("--local-names"),
        "{whole:?}"
    );
    let words = ["import", "django", "dumped.json", "--local-names"];
    let done = run(&setup, &words, b"");
    assert_eq!(done.0, 0, "{done:?}");
    assert!(
        done.1.ends_with(": alice\n") || done.1.ends_with("2 accounts imported.\n"),
        "{done:?}"
    );
    let words = ["import", "htpasswd", "-", "--email-domain", "example.com"];
    assert_eq!(run(&setup, &words, htpasswd.as_bytes()).0, 0);

    let server = setup.start();
    let users = server.users()["users"].take();
    assert_eq!(users["alice"]["groups"], json!(["users", "editors"]));
    assert_eq!(users["dave"]["email"], "dave@example.com");
    for name in ["alice", "carol@example.com", "dave"] {
        let visitor = Visitor::program(&server);
        visitor.enrol(name);
        assert!(visitor.is_logged_in(), "{name}");
    }
}

#[cfg(feature = "makers")]
#[test]
fn what_root_imports_is_of_the_owner_of_the_folder() {
    of_one_machine!("a file has an owner");
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let setup = Setup::bare();
    chown(setup.dir(), Some(65534), Some(65533)).unwrap();
    let line = crate::harness::makers::htpasswd("-B", "alice", PASSWORD);
    assert_eq!(
        run(&setup, &["import", "htpasswd", "-"], line.as_bytes()).0,
        0
    );
    let found = fs::metadata(setup.dir().join("users.json")).unwrap();
    assert_eq!((found.uid(), found.gid()), (65534, 65533));
}
