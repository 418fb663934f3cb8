//! What is refused, in which words, and that nothing is left of it.

use std::fs;

use serde_json::json;

use crate::harness::Setup;
use crate::harness::directory::{listing, snapshot};
use crate::operator::user::{add, list, parsed};
use crate::operator::{assert_says_cannot, assert_wrong_call, run};

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
        assert_says_cannot(&err, "", "");
        let what = format!("auth_user: cannot add {name}: {message}\n");
        assert!(err.starts_with(&what), "{err}");

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
        assert_wrong_call(&run(&setup, words, b""), named);
    }
    assert!(listing(setup.dir()).is_empty());
}

#[test]
fn where_the_mail_cannot_be_written_no_account_is_made() {
    of_one_machine!("the outbox cannot be opened");
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
    assert_says_cannot(&said.2, "cannot open the outbox", "");
    assert_eq!(list(&setup, &[]).1, "");
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
            assert_says_cannot(&said.2, users, "");
        }
    }
    let mut after = snapshot(setup.dir());
    after.retain(|file| !file.contains(".lock\""));
    assert_eq!(after, before);
}

/// A disk that is full, and a folder in which no new file can take the old one's place.
#[test]
fn what_cannot_be_saved_is_refused_and_nothing_is_left_of_it() {
    of_one_machine!("a disk is full, and a folder is unfit");
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
            assert_says_cannot(&said.2, "", "");
        }
        assert_eq!(snapshot(setup.dir()), before);
    }
}

/// A line of htpasswd.
const IMPORTED: &[u8] = b"dave:$apr1$AzX9D5Tq$aNSgNAhWBtryIp8GKSfyF.\n";
