//! Commands that root runs in the folder of a server's user: that user gets nothing from root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use serde_json::json;

use crate::harness::Setup;
use crate::harness::directory::{listing, mode};
use crate::operator::person::{two, user, users};
use crate::operator::user::parsed;

/// Two accounts in somebody else's folder; `None` if this is not root.
fn theirs() -> Option<Setup> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root is led astray");
        return None;
    }
    let setup = two();
    let dir = setup.dir().to_owned();
    chown(&dir, Some(65534), Some(65533)).unwrap();
    for name in listing(&dir) {
        chown(dir.join(name), Some(65534), Some(65533)).unwrap();
    }
    Some(setup)
}

#[test]
fn what_root_changes_stays_of_its_owner() {
    let Some(setup) = theirs() else { return };
    let words = [
        "set",
        "bob",
        "--rename",
        "rob",
        "--email",
        "rob@example.com",
    ];
    assert_eq!(user(&setup, &words).0, 0);
    assert_eq!(user(&setup, &["new-password", "rob"]).0, 0);
    for dir in [setup.dir().to_owned(), setup.dir().join("outbox")] {
        for entry in fs::read_dir(dir).unwrap() {
            let found = entry.unwrap().metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), (65534, 65533));
            assert_eq!(found.permissions().mode() & 0o077, 0);
        }
    }
}

#[test]
fn root_follows_no_link_in_place_of_the_accounts_or_their_lock() {
    for name in ["users.json", "users.json.lock"] {
        let Some(setup) = theirs() else { return };
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        fs::rename(setup.dir().join(name), &target).unwrap();
        symlink(&target, setup.dir().join(name)).unwrap();
        let before = (
            fs::read(&target).unwrap(),
            fs::metadata(&target).unwrap().ino(),
        );
        let lock = elsewhere.path().join("target.lock");

        let said = user(&setup, &["disable", "alice", "--json"]);

        assert_eq!(said.0, 1, "{name}: {said:?}");
        let code = if name == "users.json" {
            "no_file"
        } else {
            "not_saved"
        };
        assert_eq!(parsed(&said)["code"], code, "{said:?}");
        let after = (
            fs::read(&target).unwrap(),
            fs::metadata(&target).unwrap().ino(),
        );
        assert!(after == before && !lock.exists());
        assert!(
            fs::symlink_metadata(setup.dir().join(name))
                .unwrap()
                .is_symlink()
        );
        if name == "users.json" {
            assert_eq!(user(&setup, &["show", "alice"]).0, 1);
        }
    }
}

#[test]
fn root_opens_only_regular_files() {
    let Some(setup) = theirs() else { return };
    fs::remove_file(setup.dir().join("users.json")).unwrap();
    fs::create_dir(setup.dir().join("users.json")).unwrap();
    let said = user(&setup, &["disable", "alice", "--json"]);
    assert_eq!((said.0, &parsed(&said)["code"]), (1, &json!("no_file")));
}

#[test]
fn root_puts_no_mail_where_a_link_leads_and_closes_nothing_there() {
    let Some(setup) = theirs() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(elsewhere.path(), setup.dir().join("outbox")).unwrap();
    let before = users(&setup);

    let said = user(&setup, &["new-password", "bob", "--json"]);

    assert_eq!(
        (said.0, &parsed(&said)["code"]),
        (1, &json!("not_saved")),
        "{said:?}"
    );
    assert!(listing(elsewhere.path()).is_empty());
    assert_eq!(mode(elsewhere.path()), 0o755);
    assert_eq!(users(&setup), before);
}

#[test]
fn root_writes_no_event_through_a_link() {
    let Some(setup) = theirs() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    fs::write(&target, "theirs\n").unwrap();
    fs::remove_file(setup.dir().join("events.jsonl")).unwrap();
    symlink(&target, setup.dir().join("events.jsonl")).unwrap();

    let said = user(&setup, &["disable", "bob"]);

    assert_eq!(said.0, 0, "{said:?}");
    assert!(said.2.contains("this is not in events.jsonl"), "{said:?}");
    assert_eq!(fs::read_to_string(target).unwrap(), "theirs\n");
}
