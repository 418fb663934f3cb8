//! `auth_user check`: what a start would say, all of it, without a start.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::directory::open;
use crate::harness::{Setup, Visitor};
use crate::operator::{Said, run};

/// Everything below a folder and the folder itself: names, kinds, owners, bits, times, bytes.
fn everything(dir: &Path) -> Vec<String> {
    let is = fs::symlink_metadata(dir).unwrap();
    let bytes = match is.is_file() {
        true => fs::read(dir).unwrap(),
        false => Vec::new(),
    };
    let times = (is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec());
    let mut all = vec![format!(
        "{dir:?}: {:o} {} {} {times:?} {bytes:?}",
        is.mode(),
        is.ino(),
        is.uid()
    )];
    if is.is_dir() {
        for entry in fs::read_dir(dir).unwrap() {
            all.extend(everything(&entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

/// Checks, and that nothing was changed by it.
fn check(setup: &Setup, more: &[&str]) -> Said {
    let before = everything(setup.dir());
    let said = run(setup, &[&["check"], more].concat(), b"");
    assert_eq!(everything(setup.dir()), before);
    assert_eq!(said.2, "");
    said
}

/// A check of what a start has refused with these words says the same, and leaves no trace.
#[track_caller]
pub(crate) fn assert_check_says(setup: &Setup, status: i32, of_start: &str) {
    let mut said = of_start
        .lines()
        .filter_map(|line| line.strip_prefix("auth_user: "));
    let (what, hint) = (said.next().unwrap(), said.next().unwrap());
    let hint = hint.strip_prefix("hint: ").unwrap();
    let before = everything(setup.dir());
    let command = setup.clone().with(&["check"]).command().output().unwrap();
    let out = String::from_utf8(command.stdout).unwrap();
    let line = format!("wrong: {what} — {hint}");
    assert!(
        out.lines().any(|found| found == line),
        "{line}\nis not in\n{out}{}",
        String::from_utf8_lossy(&command.stderr)
    );
    assert_eq!(command.status.code(), Some(status), "{out}");
    assert_eq!(everything(setup.dir()), before, "{line}");
}

fn lines(said: &Said) -> Vec<&str> {
    said.1.lines().collect()
}

#[test]
fn an_empty_folder_is_good_and_stays_empty() {
    let setup = Setup::bare();

    let said = check(&setup, &[]);

    assert_eq!(said.0, 0);
    let found = lines(&said);
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("ok: a certificate will be made: ")),
        "{found:?}"
    );
    assert!(found.contains(&"ok: users.json will be made"), "{found:?}");
    assert!(
        found.iter().all(|line| line.starts_with("ok: ")),
        "{found:?}"
    );
    assert_eq!(fs::read_dir(setup.dir()).unwrap().count(), 0);
}

#[test]
fn the_folder_of_a_running_server_is_good() {
    let setup = Setup::new();
    let server = setup.start();
    Visitor::with_account(&server, "alice");

    let port = format!("127.0.0.1:{}", server.port);
    let said = run(&setup, &["check", "--json"], b"");
    let same_port = setup.clone().with(&["--listen", &port]);
    assert_eq!(run(&same_port, &["check"], b"").0, 0);

    assert_eq!((said.0, said.2.as_str()), (0, ""));
    let found: Value = serde_json::from_str(&said.1).unwrap();
    assert_eq!(found["ok"], true);
    let findings = found["findings"].as_array().unwrap();
    for message in [
        "users.json has 1 accounts",
        "sessions.json has 1 sessions",
        "the certificate and its key belong together",
    ] {
        let finding = json!({ "level": "ok", "message": message, "hint": null });
        assert!(findings.contains(&finding), "{message}: {findings:?}");
    }
}

#[test]
fn all_that_is_wrong_is_listed_and_not_only_the_first() {
    let setup = Setup::bare();
    let dir = setup.dir();
    fs::write(dir.join("users.json"), "{\"version\": 3, \"users\": {}}").unwrap();
    fs::write(dir.join("access.toml"), "nonsense").unwrap();
    fs::write(dir.join("server.crt"), "").unwrap();
    fs::write(dir.join("outbox"), "").unwrap();
    fs::write(dir.join("sessions.json"), "{").unwrap();
    fs::write(dir.join("logo.svg"), "x".repeat(10_000)).unwrap();
    fs::create_dir(dir.join("users.json.new")).unwrap();

    let said = check(&setup, &["--smtp-file", "none"]);

    assert_eq!(said.0, 1);
    for part in [
        "wrong: cannot read \"none\": ",
        "wrong: cannot read \"./access.toml\": ",
        "wrong: cannot read \"users.json\": version 3 is of a later auth_user (this is ",
        "wrong: cannot write ",
        "wrong: cannot serve TLS: \"server.crt\" is there but \"server.key\" is not — ",
        "wrong: cannot open the outbox \"./outbox\": it is not a directory — ",
        "warning: the sessions file is damaged and is written anew: ",
        "warning: the logo is too large and is not shown ",
    ] {
        assert!(
            said.1.lines().any(|line| line.starts_with(part)),
            "{part}\n{}",
            said.1
        );
    }
}

#[test]
fn every_flag_and_variable_is_judged_as_a_start_judges_it() {
    let setup = Setup::bare()
        .env("AUTH_SESSION_MAX", "soon")
        .env("AUTH_NO_TLS", "perhaps")
        .env("AUTH_TYPO", "1");
    let flags = [
        "--frob",
        "--remember",
        "x",
        "--trusted-proxy",
        "::",
        "--smtp",
        "secret",
    ];
    let said = run(
        &setup.clone().with(&flags),
        &["check", "--trusted-proxy=y"],
        b"",
    );
    assert_eq!((said.0, said.2.as_str()), (2, ""));
    for part in [
        "wrong: unexpected argument '--frob' found — ",
        "wrong: invalid value \"x\" for --remember: ",
        "wrong: invalid value \"y\" for --trusted-proxy: ",
        "wrong: invalid value for --smtp: ",
        "wrong: invalid value \"soon\" for AUTH_SESSION_MAX: ",
        "wrong: invalid value \"perhaps\" for AUTH_NO_TLS: neither true nor false — ",
        "warning: this environment variable means nothing to auth_user name=\"AUTH_TYPO\"",
        "ok: users.json will be made",
    ] {
        assert!(
            said.1.lines().any(|line| line.starts_with(part)),
            "{part}\n{}",
            said.1
        );
    }
    assert!(!said.1.contains("secret"), "{}", said.1);

    for flags in [
        &["--session-idle", "soon"][..],
        &["--no-tls", "--listen", "0.0.0.0:80"],
        &["--users", ""],
        &["--registration", "maybe"],
        &["--smtp", "smtp://h", "--smtp-file", "f"],
    ] {
        let setup = Setup::bare().with(flags);
        let (status, _, err) = setup.run();
        assert_eq!(status.code(), Some(2));
        assert_check_says(&setup, 2, &err);
    }
}

#[test]
fn what_the_settings_lead_to_is_said_as_at_start() {
    let setup = Setup::bare();
    open(setup.dir(), ".", 0o700);

    let said = check(&setup, &["--cookie-domain", "example.com", "--compat"]);

    assert_eq!(said.0, 0);
    for part in [
        "warning: --cookie-domain without --trusted-proxy protects no application",
        "warning: compatibility mode prints keys",
        "ok: with --cookie-domain, strangers cannot register",
        "ok: there is no account yet: make the first administrator",
    ] {
        assert!(
            said.1.lines().any(|line| line.starts_with(part)),
            "{part}\n{}",
            said.1
        );
    }
}

/// Rights that a start takes away are told of, and a link is looked through as a start does.
#[test]
fn nothing_is_put_right() {
    let setup = Setup::bare();
    fs::create_dir(setup.dir().join("real")).unwrap();
    let users = setup.dir().join("real/users.json");
    fs::write(&users, "{\"version\": 1, \"users\": {}}").unwrap();
    symlink("real/users.json", setup.dir().join("users.json")).unwrap();

    let said = check(&setup, &[]);

    assert_eq!(said.0, 0);
    let warned = said
        .1
        .contains("warning: others can get at it; take the rights away: chmod 0600");
    assert!(warned, "{}", said.1);
}
