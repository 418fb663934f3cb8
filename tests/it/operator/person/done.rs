//! What is done to an account, and what is said, mailed and told of it.

use serde_json::{Value, json};

use crate::harness::directory::snapshot;
use crate::harness::place;
use crate::operator::person::{edit, happened, mails, two, user, users};
use crate::operator::user::parsed;

#[test]
fn each_act_is_done_said_in_text_and_json_and_told_of() {
    let done = "Done.";
    let mailed = "A new password has been sent to their e-mail address.";
    for (word, code, message, event) in [
        ("disable", "account_disabled", done, "account_disabled"),
        ("enable", "account_enabled", done, "account_enabled"),
        ("end-sessions", "sessions_ended", done, "sessions_ended"),
        ("new-password", "password_mailed", mailed, "password_mailed"),
        (
            "reset-2fa",
            "second_factor_reset",
            done,
            "second_factor_reset",
        ),
        ("remove", "account_removed", done, "account_removed"),
    ] {
        let setup = two();
        for name in ["alice", "bob"] {
            edit(&setup, name, |account| {
                account["totp"] = json!({ "secret": "A".repeat(32), "last_step": 0 });
                account["seal"] = Value::Null;
                if word == "enable" {
                    account["disabled"] = true.into();
                }
            });
        }
        let yes = if word == "remove" {
            &["--yes"][..]
        } else {
            &[]
        };
        let as_text = user(&setup, &[&[word, "ALICE"], yes].concat());
        let as_json = user(&setup, &[&[word, "bob", "--json"], yes].concat());

        assert_eq!(
            (as_text.0, as_text.1),
            (0, format!("{message}\n")),
            "{word}"
        );
        assert_eq!(as_json.0, 0, "{word}: {as_json:?}");
        assert_eq!(
            parsed(&as_json),
            json!({ "code": code, "message": message })
        );
        let told = happened(&setup);
        assert_eq!(
            told[2..],
            [format!("{event} alice"), format!("{event} bob")]
        );
        let mails = mails(&setup);
        assert_eq!(
            mails.len(),
            if word.contains('-') && word != "end-sessions" {
                2
            } else {
                0
            }
        );
        for mail in &mails {
            assert!(mail.contains("From: login@example.com"), "{mail}");
            assert!(mail.contains("https://login.example.com/login"), "{mail}");
        }
        let said = as_text
            .2
            .lines()
            .filter(|line| line.contains("the mail waits in "));
        assert_eq!(said.count(), mails.len() / 2, "{}", as_text.2);

        let users = &users(&setup)["users"]["alice"];
        match word {
            "disable" => assert_eq!(users["disabled"], true),
            "enable" => assert_eq!(users["disabled"], false),
            "end-sessions" => assert_eq!(users["generation"], 1),
            "new-password" => assert_eq!(users["mailed_passwords"].as_array().unwrap().len(), 1),
            "reset-2fa" => assert_eq!(users.get("totp"), None),
            _ => assert_eq!(*users, Value::Null),
        }
    }
}

#[test]
fn what_is_so_already_is_done_and_no_event() {
    let setup = two();
    assert_eq!(user(&setup, &["disable", "alice"]).0, 0);
    let before = snapshot(setup.dir());

    for words in [
        &["disable", "alice"][..],
        &["enable", "bob"],
        &["reset-2fa", "bob"],
        &["set", "bob", "--groups", "users staff"],
        &["set", "bob", "--add-group", "staff", "--add-group", "users"],
        &["set", "bob", "--remove-group", "nobody"],
        &[
            "set",
            "bob",
            "--rename",
            "bob",
            "--email",
            "BOB@example.com",
        ],
    ] {
        // A reset ends what was begun all the same.
        let said = user(&setup, words);
        assert_eq!((said.0, said.1.as_str()), (0, "Done.\n"), "{words:?}");
        if words[0] != "reset-2fa" {
            let now = snapshot(setup.dir());
            let alike = now
                .iter()
                .zip(&before)
                .filter(|(now, before)| now == before);
            assert!(alike.count() + 1 >= before.len(), "{words:?}");
        }
    }
    assert_eq!(happened(&setup).len(), 3);
    assert!(!setup.dir().join("outbox").exists());
    assert_eq!(user(&setup, &["enable", "alice"]).1, "Done.\n");
    assert_eq!(happened(&setup)[3], "account_enabled alice");
}

#[test]
fn all_that_is_set_in_one_call_is_one_change() {
    let setup = two();
    let said = user(
        &setup,
        &[
            "set",
            "bob",
            "--rename",
            "Robert",
            "--email",
            "rob@example.com",
            "--add-group",
            "a,b",
            "--add-group",
            "c",
            "--json",
        ],
    );
    assert_eq!(said.0, 0, "{said:?}");
    let told = parsed(&said);
    assert_eq!(told["code"], "account_changed");
    assert_eq!(told["message"], "Done.");
    assert_eq!(told["username"], "Robert");
    assert_eq!(told["email"], "rob@example.com");
    assert_eq!(told["groups"], json!(["users", "staff", "a", "b", "c"]));
    assert!(told["id"].is_string() && !said.1.contains("pbkdf2"));

    let file = users(&setup);
    let names: Vec<&String> = file["users"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["alice", "Robert"]);
    assert!(file["former"]["bob"].is_string());
    assert_eq!(
        happened(&setup)[2..],
        [
            "account_renamed Robert",
            "email_changed Robert",
            "groups_changed Robert"
        ]
    );
    let events = place::kept(setup.dir(), "events.jsonl");
    assert!(events.contains(r#""from":"bob""#), "{events}");
    let groups = r#""groups":["users","staff","a","b","c"]"#;
    assert!(events.lines().last().unwrap().contains(groups), "{events}");
    let mails = mails(&setup);
    assert_eq!(mails.len(), 2);
    for (to, subject, text) in [
        (
            "bob@example.com",
            "Your e-mail address was changed",
            "rob@example.com",
        ),
        (
            "rob@example.com",
            "Your username was changed",
            "from bob to",
        ),
    ] {
        let to = format!("To: {to}\r\n");
        let mail = mails.iter().find(|mail| mail.contains(&to)).unwrap();
        assert!(mail.contains(&format!("Subject: {subject}\r\n")), "{mail}");
        assert!(mail.contains(text), "{mail}");
    }

    for (words, groups) in [
        (["--groups", "x,y"], json!(["x", "y"])),
        (["--remove-group", "y"], json!(["x"])),
        (["--groups", ""], json!([])),
    ] {
        let said = user(&setup, &[&["set", "robert"], &words[..]].concat());
        assert_eq!(said, (0, "Done.\n".to_owned(), String::new()));
        assert_eq!(users(&setup)["users"]["Robert"]["groups"], groups);
    }
}

#[test]
fn twenty_at_once_lose_nothing_of_each_other() {
    let setup = two();
    let all = |words: fn(usize) -> Vec<String>| -> Vec<i32> {
        let mut statuses: Vec<i32> = std::thread::scope(|scope| {
            let one = |n| {
                let setup = &setup;
                scope.spawn(move || {
                    let words = words(n);
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    user(setup, &words).0
                })
            };
            let threads: Vec<_> = (0..20).map(one).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        statuses.sort_unstable();
        statuses
    };
    let grouped = all(|n| {
        vec![
            "set".into(),
            "alice".into(),
            "--add-group".into(),
            format!("g{n}"),
        ]
    });
    assert_eq!(grouped, [0; 20]);
    assert_eq!(
        users(&setup)["users"]["alice"]["groups"]
            .as_array()
            .unwrap()
            .len(),
        21
    );
    assert_eq!(happened(&setup).len(), 22);

    let removed = all(|_| vec!["remove".into(), "bob".into(), "--yes".into()]);
    assert_eq!((removed[0], &removed[1..]), (0, &[1; 19][..]));
}
