//! What is shown of an account.

use serde_json::json;

use crate::operator::person::{edit, two, user};
use crate::operator::user::parsed;

#[test]
fn one_account_is_shown_as_text_and_json() {
    let setup = two();
    let as_text = user(&setup, &["show", " BOB "]);
    let as_json = user(&setup, &["show", "bob", "--json"]);

    assert_eq!((as_text.0, as_text.2.as_str()), (0, ""));
    let lines: Vec<&str> = as_text.1.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "username: bob",
            "email: bob@example.com",
            "groups: users,staff",
            "state: active",
            "second_factor: no",
            "last_login: -",
        ]
    );
    let event: Vec<&str> = lines[6].split('\t').collect();
    assert_eq!(event[0], "event:");
    assert_eq!(
        event[2..],
        ["account_added", "bob", "the operator", "-", "-", "ok"]
    );
    assert_eq!(lines.len(), 7);
    let told = parsed(&as_json);
    assert_eq!(told["username"], "bob");
    assert_eq!(told["sessions"], json!([]));
    assert_eq!(told["recovery_codes_left"], 0);
    assert_eq!(told["events"][0]["event"], "account_added");
}

#[test]
fn the_last_twenty_events_are_shown_the_newest_first() {
    let setup = two();
    for n in 0..21 {
        let group = format!("g{n}");
        let said = user(&setup, &["set", "bob", "--add-group", &group]);
        assert_eq!(said.0, 0, "{said:?}");
    }

    let as_text = user(&setup, &["show", "bob"]).1;
    let told = parsed(&user(&setup, &["show", "bob", "--json"]));

    let lines = as_text.lines().filter(|line| line.starts_with("event:\t"));
    let times: Vec<&str> = lines.map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(times.len(), 20, "{as_text}");
    assert!(
        times.is_sorted_by(|newer, older| newer >= older),
        "{times:?}"
    );
    assert!(!as_text.contains("account_added"), "{as_text}");
    let events = told["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["time"]), (20, &json!(times[0])));
}

#[test]
fn what_a_terminal_obeys_is_escaped_in_what_is_shown_and_refused() {
    let setup = two();
    edit(&setup, "bob", |bob| {
        bob["groups"] = json!(["a\u{1b}[2Jb\u{202e}"])
    });
    let shown = user(&setup, &["show", "bob"]);
    assert!(
        shown.1.contains(r"groups: a\u{1b}[2Jb\u{202e}"),
        "{shown:?}"
    );
    let refused = user(&setup, &["disable", "x\u{1b}[2Jy"]);
    assert_eq!((refused.0, refused.1.as_str()), (1, ""));
    assert!(
        refused.2.contains(r#"There is no account "x\u{1b}[2Jy"."#),
        "{refused:?}"
    );
    let json = user(&setup, &["disable", "x\u{9b}y", "--json"]);
    assert!(!json.1.contains('\u{9b}') && parsed(&json)["code"] == "no_such_user");
}
