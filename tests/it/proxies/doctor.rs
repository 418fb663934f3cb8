//! Whether the doctor finds what is wrong with a deployment, and nothing that is not.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use crate::harness::terminal::{PROGRAM, Terminal};
use crate::harness::{Setup, Visitor, read};
use crate::proxies::{Deployment, Kind, misconfigurations};

/// Runs the doctor with a session, and one that is over; gives its exit status and its report.
fn examine(deployment: &Deployment, more: &[&str]) -> (i32, String) {
    let (visitor, authenticator) = Visitor::with_account(&deployment.server, "alice");
    let old = visitor.cookies.borrow()["__Secure-session"].clone();
    visitor.post("/logout", &[]).expect("logged_out");
    visitor.log_in("alice", crate::harness::PASSWORD, &authenticator);
    let fresh = visitor.cookies.borrow()["__Secure-session"].clone();
    let file = |name: &str| deployment.dir.path().join(name).display().to_string();
    fs::write(file("fresh"), format!("__Secure-session={fresh}\n")).unwrap();
    fs::write(file("old"), old).unwrap();
    let (status, out, err) = Setup::bare()
        .with(&["doctor", &deployment.app(""), "--ca", &file("both.pem")])
        // The tests register their people.
        .with(&["--open-registration"])
        .with(&[
            "--cookie-file",
            &file("fresh"),
            "--old-cookie-file",
            &file("old"),
        ])
        .with(&["--connect", &format!("127.0.0.1:{}", deployment.port)])
        .with(more)
        .run();
    assert_eq!(err, "");
    (status.code().unwrap(), out)
}

#[test]
fn the_doctor_finds_nothing_wrong_with_what_is_printed() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);

        let port = deployment.application.address.port().to_string();

        let (status, report) = examine(&deployment, &["--upstream-port", &port]);

        assert_eq!(status, 0, "{kind:?}\n{report}");
        assert_eq!(
            report.matches("pass  ").count(),
            if kind == Kind::Nginx { 20 } else { 19 },
            "{report}"
        );
        assert!(!report.contains("fail"), "{report}");
    }
}

/// Plants each fault of a proxy, alone, and has the doctor find it.
fn finds_every_fault_of(kind: Kind) {
    let mut missed = Vec::new();
    for (changes, what) in misconfigurations::of(kind) {
        let planted = Cell::new(0);
        let deployment = Deployment::with(kind, |_, mut text| {
            let (_, upstream) = text.split_once(" at ").unwrap_or_default();
            let upstream = upstream.lines().next().unwrap_or_default().to_owned();
            for (from, to) in *changes {
                planted.set(planted.get() + usize::from(text.contains(from)));
                text = text.replace(from, &to.replace("UPSTREAM", &upstream));
            }
            text
        });
        assert!(planted.get() >= changes.len(), "{kind:?} {changes:?}");

        let (status, report) = examine(&deployment, &[]);

        if status != 1 || !report.contains(&format!("fail  {what} ")) {
            missed.push(format!("{changes:?} {what}\n{report}"));
        }
    }
    assert!(missed.is_empty(), "{kind:?} {}", missed.join("\n"));
}

#[test]
fn the_doctor_finds_every_fault_that_is_planted_in_nginx() {
    finds_every_fault_of(Kind::Nginx);
}

#[test]
fn the_doctor_finds_every_fault_that_is_planted_in_caddy() {
    finds_every_fault_of(Kind::Caddy);
}

#[test]
fn the_doctor_finds_every_fault_that_is_planted_in_haproxy() {
    finds_every_fault_of(Kind::Haproxy);
}

#[test]
fn the_doctor_misses_hsts() {
    let deployment = Deployment::with(Kind::Haproxy, |_, text| {
        text.replace(
            "http-after-response set-header Strict",
            "http-request set-header Strict",
        )
    });

    let (status, report) = examine(&deployment, &[]);

    assert_eq!(status, 1, "{report}");
    assert!(
        report.contains("fail  browsers are told to insist on https "),
        "{report}"
    );
}

#[test]
fn the_doctor_says_what_it_could_not_look_at() {
    let deployment = Deployment::of(Kind::Nginx);
    let ca = deployment.dir.path().join("both.pem");
    let connect = format!("127.0.0.1:{}", deployment.port);
    let setup = Setup::bare()
        .with(&["doctor", &deployment.app(""), "--connect", &connect])
        .with(&["--ca", ca.to_str().unwrap()]);

    let (status, report, _) = setup.run();
    assert_eq!(status.code(), Some(1), "{report}");
    assert!(
        report.contains("fail  strangers cannot make themselves an account"),
        "{report}"
    );

    let (status, report, _) = setup.with(&["--open-registration"]).run();

    assert_eq!(status.code(), Some(0), "{report}");
    assert!(
        report.contains("skip  a session is over after log-out"),
        "{report}"
    );
    assert!(
        report.contains("skip  the test account gets in"),
        "{report}"
    );
    let misused = Setup::bare()
        .with(&["doctor", "http://app.example.test"])
        .run();
    assert_eq!(misused.0.code(), Some(2));
}

/// Types an answer when the question is there, and gives all that was shown.
fn at_a_terminal(arguments: &[&str], answers: &[(&str, &str)]) -> (i32, String) {
    let line = [&[PROGRAM], arguments].concat().join(" ");
    let mut terminal = Terminal::run(Path::new("."), &line);
    for (question, answer) in answers {
        terminal.sees(&format!("{question} "));
        terminal.types(answer);
    }
    terminal.end()
}

#[test]
fn the_doctor_logs_in_by_itself_at_a_terminal_and_out_again() {
    let deployment = Deployment::of(Kind::Nginx);
    let (_, authenticator) = Visitor::with_account(&deployment.server, "alice");
    let ca = deployment.dir.path().join("both.pem").display().to_string();
    let (app, connect) = (deployment.app(""), format!("127.0.0.1:{}", deployment.port));
    let mut arguments = vec!["doctor", &app, "--open-registration"];
    arguments.extend(["--ca", &ca, "--connect", &connect]);
    let (code, password) = (authenticator.code(), crate::harness::PASSWORD);

    let (status, shown) = at_a_terminal(
        &arguments,
        &[
            ("Name:", "alice"),
            ("Password:", password),
            ("Code:", &code),
        ],
    );

    assert_eq!(status, 0, "{shown}");
    assert!(!shown.contains(password), "{shown}");
    for line in [
        "pass  the test account gets in",
        "pass  a session is over after log-out",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let out = read(deployment.server.dir.path(), "log");
    assert!(out.contains("event=\"logout\" user=\"alice\""), "{out}");

    let (status, shown) = at_a_terminal(&arguments, &[("Name:", "")]);
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("skip  the test account gets in"), "{shown}");

    let (status, shown) = at_a_terminal(
        &arguments,
        &[("Name:", "alice"), ("Password:", "not hers at all")],
    );
    assert_eq!(status, 1, "{shown}");
    assert!(shown.contains("fail  the test account gets in"), "{shown}");
    assert!(shown.contains("Wrong username or password."), "{shown}");
}
