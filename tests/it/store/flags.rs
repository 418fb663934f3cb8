//! The flags about a database: what is refused before anything is looked at.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::Setup;
use crate::operator::{assert_cannot, assert_misused, run};
use crate::store::with_key;

const URL: &str = "postgres://u:hidden@db.example.com/auth";

#[test]
fn a_database_and_its_key_come_together() {
    let setup = Setup::new();

    assert_misused(&setup.clone().with(&["--store", URL]), "--store-key");
    assert_misused(&setup.clone().with(&["--store-file", "url"]), "--store-key");
    assert_misused(&setup.clone().env("AUTH_STORE", URL), "AUTH_STORE_KEY");
    assert_misused(&setup.clone().with(&["--store-key", "k"]), "--store");
    assert_misused(&setup.clone().env("AUTH_STORE_KEY", "k"), "AUTH_STORE");
    let both = ["--store", URL, "--store-key", "k", "--compat"];
    assert_misused(&setup.clone().with(&both), "--compat");
    let both = ["--store", URL, "--store-key", "k", "--store-file", "url"];
    assert_misused(&setup.clone().with(&both), "--store");
}

#[test]
fn a_wrong_url_is_refused_by_the_name_it_was_given_and_without_its_password() {
    for wrong in [
        "mysql://u:hidden@h/d",
        "postgres://u:hidden@h/d?sslcert=x",
        "postgres://u:hidden@h/d?sslmode=prefer",
        "postgres://u:hidden@h/d?sslmode=allow",
        "postgres://u:hidden@h/d?sslmode=disable",
        "postgres://u:hidden@h/d?channel_binding=no",
        "postgres://u:hidden@h/d?target_session_attrs=standby",
        "postgres://u:hidden@h/d?connect_timeout=soon",
        "postgres://u:hid/den@h/d",
        "postgres://u:hid?hidden=den@h/d",
    ] {
        let setup = Setup::new().env("AUTH_STORE_KEY", "k");
        let by_flag = assert_misused(&setup.clone().with(&["--store", wrong]), "--store");
        let by_variable = assert_misused(&setup.clone().env("AUTH_STORE", wrong), "AUTH_STORE");
        let (status, out, by_command) = run(&setup, &["store", "migrate", wrong], b"");
        assert_eq!((status, out.as_str()), (2, ""), "{by_command}");
        for said in [by_flag, by_variable, by_command] {
            let what = said.lines().next().unwrap();
            assert!(!what.contains("hid") && !what.contains("den"), "{said}");
        }
    }
}

#[test]
fn a_url_in_a_file_is_read_as_files_of_secrets_are_and_refused_by_their_name() {
    let (setup, _) = with_key();
    let setup = setup.with(&["--store-key", "store.key", "--store-file", "url"]);
    assert_cannot(&setup, "\"url\"", "AUTH_STORE_FILE");
    fs::write(setup.dir().join("url"), "mysql://u:hidden@h/d").unwrap();
    let said = assert_cannot(&setup, "\"url\"", "AUTH_STORE_FILE");
    assert!(!said.contains("hidden"), "{said}");

    // With a break and quotes, as editors and env files leave them; nobody listens there.
    fs::write(
        setup.dir().join("url"),
        "\"postgres://u:hidden@127.0.0.1:1/d\"\n",
    )
    .unwrap();
    let said = assert_cannot(&setup, "127.0.0.1:1: Connection refused", "database runs");
    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn a_key_that_is_none_or_that_others_can_read_ends_the_start() {
    let (setup, key) = with_key();
    // Nobody listens there, and nobody is asked.
    let url = "postgres://127.0.0.1:1/d";
    let start = setup.clone().with(&["--store", url, "--store-key"]);
    let hint = "auth_user store key ";

    assert_cannot(&start.clone().with(&["missing"]), "\"missing\"", hint);
    let with_key = start.with(&["store.key"]);
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert_cannot(&with_key, "\"store.key\"", hint);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, [7; 31]).unwrap();
    assert_cannot(&with_key, "\"store.key\"", hint);
    fs::write(&key, [7; 33]).unwrap();
    assert_cannot(&with_key, "\"store.key\"", hint);
}

#[test]
fn certificates_that_are_none_are_noticed_before_the_database_is_asked() {
    let (setup, _) = with_key();
    fs::write(setup.dir().join("empty.pem"), "no certificate").unwrap();
    for file in ["missing.pem", "empty.pem"] {
        let url = format!("postgres://127.0.0.1:1/d?sslmode=require&sslrootcert={file}");
        let start = setup
            .clone()
            .with(&["--store", &url, "--store-key", "store.key"]);
        assert_cannot(&start, file, "sslrootcert");
    }
}

/// Where nobody listens.
const AWAY: &str = "postgres://u:hidden@127.0.0.1:1/d";

#[test]
fn commands_about_accounts_do_not_take_files_for_a_database() {
    let (setup, _) = with_key();
    for words in [
        &["user", "list"][..],
        &["user", "add", "alice", "--email", "alice@example.com"],
        &["events"],
        &["invite"],
    ] {
        let setup = setup.clone().env("AUTH_STORE", AWAY);
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.contains("AUTH_STORE without AUTH_STORE_KEY"), "{err}");
        let setup = setup.env("AUTH_STORE_KEY", "store.key");
        let before = fs::read_dir(setup.dir()).unwrap().count();
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (1, ""), "{words:?}: {err}");
        assert!(err.contains("cannot reach the store"), "{err}");
        assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), before);
    }
}
