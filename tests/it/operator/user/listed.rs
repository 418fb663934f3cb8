//! What is listed, and which flags the commands judge for it.

use std::fs;

use serde_json::json;

use crate::harness::directory::listing;
use crate::harness::{Setup, place};
use crate::operator::run;
use crate::operator::user::{add, list, parsed};

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
fn the_server_s_flags_stand_anywhere_and_only_what_is_needed_is_judged() {
    of_one_machine!("it is told where users.json lies");
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
fn what_a_terminal_obeys_is_escaped() {
    let setup = Setup::bare();
    assert_eq!(add(&setup, "alice", &[]).0, 0);
    let odd = "a\u{1b}[2J\tb\u{9b}c\u{202e}d\u{61c}";
    place::edit(setup.dir(), "users.json", |users| {
        users["users"]["alice"]["groups"] = json!([odd]);
    });

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
