//! `auth_user store key`: the key that seals secrets.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use serde_json::{Value, json};

use crate::harness::Setup;
use crate::operator::run;
use crate::store::with_key;

#[test]
fn a_key_is_made_for_its_owner_alone_and_never_printed() {
    let setup = Setup::bare();

    let (status, out, err) = run(&setup, &["store", "key", "a.key"], b"");
    let (_, as_json, _) = run(&setup, &["store", "key", "b.key", "--json"], b"");

    assert_eq!(
        (status, out.as_str(), err.as_str()),
        (0, "made a.key\n", "")
    );
    let made = fs::metadata(setup.dir().join("a.key")).unwrap();
    assert_eq!((made.len(), made.mode() & 0o7777), (32, 0o600));
    let said: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(said, json!({ "code": "key_made", "path": "b.key" }));
    let [a, b] = ["a.key", "b.key"].map(|name| fs::read(setup.dir().join(name)).unwrap());
    assert_ne!(a, b);
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), 2);
}

#[test]
fn whatever_has_the_name_of_a_key_stays_as_it_is() {
    let (setup, key) = with_key();
    let before = fs::read(&key).unwrap();
    symlink("nowhere", setup.dir().join("link")).unwrap();
    fs::create_dir(setup.dir().join("folder")).unwrap();
    let count = || fs::read_dir(setup.dir()).unwrap().count();
    let there = count();

    for path in ["store.key", "link", "folder", "missing/store.key"] {
        let (status, out, err) = run(&setup, &["store", "key", path], b"");
        assert_eq!((status, out.as_str()), (1, ""), "{path}: {err}");
        assert!(err.starts_with("auth_user: cannot make the key "), "{err}");
        assert_eq!(err.lines().count(), 2, "{err}");
    }

    assert_eq!(fs::read(&key).unwrap(), before);
    assert_eq!(count(), there);
}
