//! Files that a later version of the program has written.

use std::fs;

use crate::harness::{Setup, Visitor};
use crate::operator::run;

/// What is said of version 99.
const LATER: &str = concat!(
    "version 99 is of a later auth_user (this is ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

#[test]
fn accounts_of_a_later_version_are_refused_at_start_and_left_alone() {
    for text in [
        "{\"version\": 99, \"users\": {}}",
        // Whatever else is in it.
        "{\"accounts\": [],\n \"version\": 99}",
    ] {
        let setup = Setup::new();
        let path = setup.dir().join("users.json");
        fs::write(&path, text).unwrap();

        let (status, out, err) = setup.run();

        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        let [said, hint] = lines[..] else {
            panic!("{err}");
        };
        assert_eq!(
            said,
            format!("auth_user: cannot read \"users.json\": {LATER}")
        );
        assert!(
            hint.starts_with("auth_user: hint: start the auth_user that wrote it"),
            "{hint}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(
            fs::read_dir(setup.dir()).unwrap().count(),
            3,
            "the pair and the accounts"
        );
    }
}

#[test]
fn the_version_after_the_one_that_is_written_is_refused() {
    for (version, is_known) in [(1, true), (2, true), (3, false)] {
        let setup = Setup::new();
        let text = format!("{{\"version\": {version}, \"users\": {{}}}}");
        fs::write(setup.dir().join("users.json"), &text).unwrap();

        let (status, out, err) = run(&setup, &["user", "list"], b"");

        assert_eq!(status == 0, is_known, "{version}: {out}{err}");
        let said = format!("version {version} is of a later auth_user");
        assert_eq!(err.contains(&said), !is_known, "{version}: {err}");
    }
}

#[test]
fn what_is_no_version_is_no_later_one() {
    for version in ["0", "-99", "99.0", "\"99\"", "null", "true"] {
        let setup = Setup::new();
        let text = format!("{{\"version\": {version}, \"users\": {{}}}}");
        fs::write(setup.dir().join("users.json"), text).unwrap();

        let (status, _, err) = setup.run();

        assert_eq!(status.code(), Some(1), "{version}");
        assert!(
            err.contains("version is not 1") && !err.contains("later"),
            "{version}: {err}"
        );
    }
}

#[test]
fn sessions_of_a_later_version_are_set_aside() {
    let setup = Setup::new();
    let text = "{\"version\": 99, \"sessions\": []}";
    fs::write(setup.dir().join("sessions.json"), text).unwrap();

    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    assert!(alice.is_logged_in());
    let aside = fs::read_to_string(server.path("sessions.json.damaged")).unwrap();
    assert_eq!(aside, text);
    assert!(server.log().contains(LATER), "{}", server.log());
}
