//! A build without the cargo feature: it has no database, and says so.

use crate::harness::Setup;
use crate::operator::{assert_misused, run};

const WHAT: &str = "auth_user: this build has no PostgreSQL (cargo feature \"postgres\")";

#[test]
fn a_build_without_databases_says_so_whatever_is_asked_of_it() {
    let setup = Setup::new();
    for words in [
        &["store", "key", "k"][..],
        &["store", "migrate", "postgres://u:hidden@h/d"],
        &["store", "copy", "a", "b"],
        &["user", "list", "--store", "postgres://u:hidden@h/d"],
    ] {
        let (status, out, err) = run(&setup, words, b"");
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert_eq!(err.lines().next(), Some(WHAT), "{err}");
    }
    for setup in [
        setup
            .clone()
            .with(&["--store", "postgres://u:hidden@h/d", "--store-key", "k"]),
        setup.clone().env("AUTH_STORE_FILE", "url"),
    ] {
        assert_misused(
            &setup,
            "this build has no PostgreSQL (cargo feature \"postgres\")",
        );
    }
}
