//! Logins to accounts whose passwords other programs have hashed.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::harness::{PASSWORD, Server, Setup, Visitor};

/// `{SHA}` of [`PASSWORD`], by htpasswd.
const SHA: &str = "{SHA}3eki0ogutjwiiHOwzpbPUZvlzn4=";

/// A server with an account for each hash: `user0`, `user1` and so on.
fn server_with(hashes: &[String]) -> Server {
    let setup = Setup::new();
    let users: Map<String, Value> = hashes
        .iter()
        .enumerate()
        .map(|(n, hash)| {
            let email = format!("user{n}@example.com");
            let account = json!({ "email": email, "password": hash, "groups": ["users"] });
            (format!("user{n}"), account)
        })
        .collect();
    let file = json!({ "version": 1, "users": users });
    fs::write(setup.dir().join("users.json"), file.to_string()).unwrap();
    setup.start()
}

fn hash_of(server: &Server, name: &str) -> String {
    let users = server.users();
    let hash = users["users"][name]["password"].as_str().unwrap();
    // A database keeps it to the letter.
    hash.trim_start_matches("{CRYPT}").to_owned()
}

/// A wrong password leaves the hash alone, the right one has ours made in its place, and all that
/// was begun with it goes on.
#[track_caller]
fn moves_over(server: &Server, name: &str, hash: &str) {
    let visitor = Visitor::program(server);
    let wrong = [("username", name), ("password", "seven wild horse")];
    visitor.post("/login", &wrong).expect("wrong_credentials");
    assert_eq!(hash_of(server, name), hash.trim_start_matches("{CRYPT}"));

    let authenticator = visitor.enrol(name);

    let ours = hash_of(server, name);
    assert!(
        ours.starts_with("$pbkdf2-sha256$i=600000,l=32$"),
        "{hash}: {ours}"
    );
    assert!(visitor.is_logged_in(), "{hash}");
    visitor.get("/logout");
    visitor.log_in(name, PASSWORD, &authenticator);
    assert_eq!(hash_of(server, name), ours);
}

#[test]
fn a_hash_of_another_program_is_kept_until_the_first_right_password() {
    let bcrypt = "{CRYPT}$2y$05$FRHZBiyCHwKAnRkhR/4/fO2zXHZL.Wfzrhw.8ZjAX9/vrjx0250E.";
    let hashes = [SHA, bcrypt].map(str::to_owned);
    let server = server_with(&hashes);
    for (n, hash) in hashes.iter().enumerate() {
        moves_over(&server, &format!("user{n}"), hash);
    }
}

#[cfg(feature = "makers")]
#[test]
fn what_other_programs_hash_today_logs_in() {
    let hashes = crate::harness::makers::hashes(PASSWORD);
    assert_eq!(hashes.len(), 13);
    let server = server_with(&hashes);
    for (n, hash) in hashes.iter().enumerate() {
        moves_over(&server, &format!("user{n}"), hash);
    }
}

#[test]
fn a_cheap_hash_looks_by_its_time_like_a_name_that_nobody_has() {
    of_one_machine!("two nodes share the processor, which is measured");
    let server = server_with(&[SHA.to_owned()]);
    let visitor = Visitor::program(&server);
    let timed = |name| {
        let mut took: Vec<Duration> = (0..3)
            .map(|_| {
                let begun = Instant::now();
                let form = [("username", name), ("password", "not the password")];
                visitor.post("/login", &form);
                begun.elapsed()
            })
            .collect();
        took.sort_unstable();
        took[1]
    };
    let (known, unknown) = (timed("user0"), timed("nobody"));
    assert!(
        known * 3 > unknown && unknown * 3 > known,
        "{known:?} {unknown:?}"
    );
    assert!(known > Duration::from_millis(20) && unknown > Duration::from_millis(20));
}

#[test]
fn a_hash_of_a_kind_that_is_not_taken_stops_the_start_by_its_name() {
    of_one_machine!("a file that a start refuses");
    for (hash, named) in [
        ("$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", "scrypt"),
        (
            "$2b$15$LsDUJ0zr8OgQZmZD3rv8Lu3iOi40yg6pj8Xg89AtcOzfzDeb9B2au",
            "cost above 14",
        ),
    ] {
        let setup = Setup::new();
        let account = json!({ "email": "a@example.com", "password": hash });
        let file = json!({ "version": 1, "users": { "alice": account } });
        fs::write(setup.dir().join("users.json"), file.to_string()).unwrap();
        let (status, _, err) = setup.run();
        assert_eq!(status.code(), Some(1));
        assert!(err.contains(named), "{err}");
    }
}
