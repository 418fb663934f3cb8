//! What a start on a database finds, and says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{ADMIN, Cluster};
use crate::harness::{Accept, Setup, Visitor};
#[cfg(feature = "faults")]
use crate::operator::faketime;
use crate::operator::user::add;
use crate::operator::{assert_cannot, run};
use crate::store::{on, with_key};

/// A folder with a key, and the URL of a database with tables, which the cluster made.
fn ready(cluster: &Cluster) -> (Setup, String, String) {
    let (setup, _) = with_key();
    let database = cluster.database("");
    let url = cluster.url(&database);
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    (setup, url, database)
}

/// Starts, and shows the page that needs nothing; gives the log.
fn serves(setup: &Setup) -> String {
    let server = setup.start();
    let page = Visitor::new(&server, Accept::Page).get("/login");
    assert_eq!(page.status, 200);
    server.log()
}

#[test]
fn a_database_is_served_in_place_of_files() {
    let (setup, url, database) = ready(Cluster::shared());

    serves(&on(&setup, &url));

    assert!(!setup.dir().join("users.json").exists());
    assert!(!setup.dir().join("sessions.json").exists());
    let check = "SELECT key_check IS NOT NULL FROM meta";
    assert_eq!(Cluster::shared().sql(&database, check), "t");
}

#[test]
fn a_check_finds_the_same_and_leaves_no_trace_in_the_database() {
    let (setup, url, database) = ready(Cluster::shared());

    let (status, out, err) = run(&on(&setup, &url), &["check"], b"");

    assert_eq!(status, 0, "{err}");
    assert!(out.contains("ok: the database can be used"), "{out}");
    let check = "SELECT key_check IS NULL FROM meta";
    assert_eq!(Cluster::shared().sql(&database, check), "t");
    let (_, out, _) = run(&setup, &["check", "--store", "mysql://"], b"");
    assert_eq!(out.matches("wrong: ").count(), 1, "{out}");
}

/// What is said where there is no account; a command follows.
const FIRST: &str = "there is no account yet: make the first administrator by ";

#[test]
fn a_check_says_what_a_start_says_of_accounts_mail_and_files_that_are_not_read() {
    let (setup, url, database) = ready(Cluster::shared());
    // Neither is of interest where accounts are in a database.
    for file in ["users.json", "outbox"] {
        fs::write(setup.dir().join(file), "{").unwrap();
    }
    let setup = on(&setup, &url).with(&["--registration", "invited"]);
    let says = |words: &[&str]| {
        let log = serves(&setup);
        let (status, out, err) = run(&setup, &["check"], b"");
        assert_eq!(status, 0, "{out}{err}");
        for word in words {
            assert!(
                log.contains(word) && out.contains(word),
                "{word}\n{log}\n{out}"
            );
        }
        assert!(!out.contains("outbox/ can be opened"), "{out}");
        out
    };

    says(&["without --smtp mail waits", "this is not read", FIRST]);

    assert_eq!(add(&setup, "ada", &[]).0, 0);
    let passkey =
        "INSERT INTO credential (key, account, host) SELECT 'k', id, 'other' FROM account";
    Cluster::shared().sql(&database, passkey);
    let out = says(&["1 accounts have passkeys for another host than localhost"]);
    assert!(!out.contains(FIRST), "{out}");
}

#[test]
fn what_is_said_of_the_first_administrator_can_be_done_from_anywhere() {
    let (setup, url, database) = ready(Cluster::shared());
    fs::write(setup.dir().join("store.url"), &url).unwrap();
    let by_file = setup
        .clone()
        .env("AUTH_STORE_FILE", "store.url")
        .with(&["--store-key", "store.key"]);
    let program = Path::new(env!("CARGO_BIN_EXE_auth_user"));
    for (name, setup) in [("ada", on(&setup, &url)), ("bob", by_file)] {
        let (_, out, _) = run(&setup, &["check", "--registration", "invited"], b"");
        let line = out.lines().find(|line| line.contains(FIRST)).unwrap();
        let (_, command) = line.split_once(FIRST).unwrap();
        let command = command
            .replace("NAME", name)
            .replace("ADDRESS", "a@example.com");

        let elsewhere = tempfile::tempdir().unwrap();
        let mut shell = Command::new("/bin/sh");
        let done = shell
            .args(["-c", &command])
            .env("PATH", program.parent().unwrap())
            .current_dir(elsewhere.path())
            .output()
            .unwrap();

        assert!(done.status.success(), "{command}: {done:?}");
        assert!(fs::read_dir(elsewhere.path()).unwrap().next().is_none());
        let removed = "DELETE FROM account RETURNING name";
        assert_eq!(Cluster::shared().sql(&database, removed), name);
    }
}

#[test]
fn a_schema_that_is_missing_or_does_not_fit_is_named_with_what_to_do() {
    let (setup, _) = with_key();
    let cluster = Cluster::shared();
    let database = cluster.database("");
    let url = cluster.url(&database);
    let hint = format!("run: auth_user store migrate {url}");

    let said = assert_cannot(&on(&setup, &url), "", &hint);
    let what = "auth_user: cannot use the store: it has no schema";
    assert_eq!(said.lines().next(), Some(what));
    run(&setup, &["store", "migrate", &url], b"");
    for (version, what) in [
        (
            "0",
            "cannot use the store: its schema is version 0, this needs 1",
        ),
        (
            "3",
            "cannot use the store: its schema is version 3, this knows up to 1",
        ),
    ] {
        cluster.sql(&database, &format!("UPDATE meta SET version = {version}"));
        assert_cannot(&on(&setup, &url), what, "");
    }
    cluster.sql(&database, "UPDATE meta SET version = 2");
    serves(&on(&setup, &url));
}

#[test]
fn another_key_than_the_first_is_refused_and_changes_nothing() {
    let cluster = Cluster::shared();
    let (first, url, database) = ready(cluster);
    let (second, _) = with_key();
    let check = || cluster.sql(&database, "SELECT encode(key_check, 'hex') FROM meta");
    serves(&on(&first, &url));
    let before = check();

    let said = assert_cannot(&on(&second, &url), "cannot open the store", "--store-key");

    let what = "auth_user: cannot open the store: the key in \"store.key\" is not the one its \
                secrets are sealed with";
    assert_eq!(said.lines().next(), Some(what));
    assert_eq!(check(), before);
    serves(&on(&first, &url));
}

#[test]
fn rights_that_are_missing_are_named() {
    let cluster = Cluster::shared();
    let (setup, url, database) = ready(cluster);
    cluster.sql(&database, &format!("ALTER TABLE meta OWNER TO {ADMIN}"));
    assert_cannot(
        &on(&setup, &url),
        "permission denied for table meta",
        "SELECT",
    );
    cluster.sql(
        &database,
        &format!("GRANT SELECT, INSERT, UPDATE ON meta TO {database}"),
    );
    assert_cannot(
        &on(&setup, &url),
        "may not DELETE in its table meta",
        "DELETE",
    );
    cluster.sql(&database, &format!("GRANT DELETE ON meta TO {database}"));
    serves(&on(&setup, &url));
}

#[test]
fn a_database_that_takes_no_writes_is_named_as_such() {
    let cluster = Cluster::shared();
    let (setup, url, database) = ready(cluster);
    cluster.sql(
        &database,
        &format!("ALTER ROLE {database} SET default_transaction_read_only = on"),
    );

    assert_cannot(&on(&setup, &url), "no host takes writes", "takes writes");
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");

    assert_eq!(status, 1);
    assert!(err.contains("read-only"), "{err}");
}

#[test]
fn who_is_refused_reads_why_in_the_words_of_the_database() {
    let cluster = Cluster::shared();
    let (setup, _) = with_key();
    let database = cluster.database("right");
    let port = cluster.port;
    let url = |user: &str, password: &str, name: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{name}")
    };
    for (url, why, hint) in [
        (
            url(&database, "hidden", &database),
            "password authentication failed for user",
            "password",
        ),
        (
            url("nobody", "hidden", &database),
            "password authentication failed for user",
            "password",
        ),
        (
            url(&database, "right", "missing"),
            "database \"missing\" does not exist",
            "make the database",
        ),
        (
            url(&database, "", &database),
            "password missing",
            "password",
        ),
    ] {
        let said = assert_cannot(&on(&setup, &url), why, hint);
        assert!(!said.contains("hidden"), "{said}");
    }
}

#[test]
fn a_password_goes_over_tls_only_if_it_is_asked_for_in_clear() {
    let cluster = Cluster::shared();
    let (setup, _) = with_key();
    let database = cluster.database("right");
    cluster.sql(ADMIN, "CREATE ROLE clear LOGIN PASSWORD 'hidden'");
    let url = format!(
        "postgres://clear:hidden@127.0.0.1:{}/{database}",
        cluster.port
    );

    let said = assert_cannot(&on(&setup, &url), "in clear", "");

    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn a_password_that_is_kept_as_md5_is_taken_with_a_warning() {
    let cluster = Cluster::shared();
    let (setup, _) = with_key();
    let database = cluster.database("right");
    cluster.sql(
        &database,
        &format!("SET password_encryption = 'md5'; ALTER ROLE {database} PASSWORD 'right'"),
    );
    let url = format!(
        "postgres://{database}:right@127.0.0.1:{}/{database}",
        cluster.port
    );

    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    let said = serves(&on(&setup, &url));

    assert_eq!(status, 0, "{err}");
    assert!(err.contains("warning: ") && err.contains("MD5"), "{err}");
    assert!(said.contains("WARN") && said.contains("MD5"), "{said}");
}

#[test]
fn a_database_that_is_away_is_named_within_ten_seconds() {
    let cluster = Cluster::shared();
    let (setup, url, _) = ready(cluster);
    let begun = Instant::now();
    // Listens and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let many: Vec<String> = (0..12).map(|_| format!("127.0.0.1:{silent}")).collect();

    let away = format!("postgres://u@{}/d", many.join(","));
    assert_cannot(&on(&setup, &away), "it does not answer", "runs");

    // A bound of the product, and far from what the test itself needs.
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    let missing = "postgres:///d?host=/nowhere";
    assert_cannot(
        &on(&setup, missing),
        "/nowhere/.s.PGSQL.5432: No such file",
        "runs",
    );
    // The next host is asked.
    let second = url.replace("?host=", "?host=/nowhere,");
    serves(&on(&setup, &second));
}

#[test]
#[cfg(feature = "faults")]
fn a_clock_that_is_wrong_is_shown_beside_the_databases() {
    let (setup, url, _) = ready(Cluster::shared());
    let setup = on(&setup, &url)
        .env("LD_PRELOAD", faketime().to_str().unwrap())
        .env("FAKETIME", "+60s")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");

    let said = assert_cannot(&setup, "cannot use the store: the clock here says ", "NTP");

    assert!(said.contains(", the database's "), "{said}");
}
