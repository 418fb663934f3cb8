//! What the doctor finds in a site, and what it does not.

use std::fs;
use std::net::TcpListener;

use crate::harness::{Setup, free_port};
use crate::operator::doctor::site::{Fault, Site};

#[test]
fn the_doctor_finds_nothing_wrong_with_a_guarded_site() {
    let (status, report) = Site::with(Fault::None).examine_app();

    assert_eq!(status, 0, "{report}");
    assert!(!report.contains("fail"), "{report}");
    for word in ["Upgrade", "CONNECT", "Connection", "path", "field name"] {
        let line = report.lines().find(|line| line.contains(word));
        assert!(
            line.is_some_and(|line| line.starts_with("pass  ")),
            "{word}\n{report}"
        );
    }
}

#[test]
fn the_doctor_finds_every_hole_in_the_way_to_the_login_and_to_the_application() {
    let mut missed = Vec::new();
    for (fault, word) in [
        (Fault::HomeIsOpen, "path"),
        (Fault::HomeIsOpen, "a stranger is sent to the login"),
        (Fault::DeepIsOpen, "path"),
        (Fault::WayBackIsLost, "path"),
        (Fault::WayBackIsLost, "a stranger is sent to the login"),
        (Fault::ForeignLogin, "path"),
        (Fault::MovedForGood, "a stranger is sent to the login"),
        (Fault::StrangersRegister, "make themselves an account"),
        (Fault::H2cIsTaken, "Upgrade"),
        (Fault::UpgradeArrives, "Upgrade"),
        (Fault::ConnectIsTaken, "CONNECT"),
        (Fault::TraceIsTaken, "CONNECT"),
        (Fault::ConnectionTakesAway, "Connection"),
        (Fault::ConnectionArrives, "Connection"),
        (Fault::DotArrives, "field name"),
        (Fault::UnderscoreArrives, "field name"),
        (Fault::BarArrives, "field name"),
    ] {
        let (status, report) = Site::with(fault).examine_app();

        let found = report
            .lines()
            .any(|line| line.starts_with("fail  ") && line.contains(word));
        if status != 1 || !found {
            missed.push(format!("{fault:?} {word}\n{report}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn strangers_may_register_where_the_operator_says_so() {
    let site = Site::with(Fault::StrangersRegister);
    let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
    let way = ["--connect", &connect, "--ca", &ca, "--open-registration"];

    let (status, report, err) = site.examine("app.example.test", &way);

    assert_eq!((status, err.as_str()), (0, ""), "{report}");
    let line = report.lines().find(|line| line.contains("an account"));
    assert!(line.unwrap().starts_with("skip  "), "{report}");
}

#[test]
fn what_an_application_does_not_show_is_skipped_and_no_pass() {
    let (status, report) = Site::with(Fault::Silent).examine_app();

    assert_eq!(status, 0, "{report}");
    for word in [
        "identity",
        "the session",
        "Upgrade",
        "Connection",
        "field name",
    ] {
        let line = report
            .lines()
            .find(|line| line.contains(word) && line.contains("does not show"));
        assert!(
            line.is_some_and(|line| line.starts_with("skip  ")),
            "{word}\n{report}"
        );
    }
}

/// A session that opens nothing is a finding, and the checks that rest on it are skipped.
#[test]
fn a_session_that_does_not_get_in_is_found_and_hides_no_tunnel() {
    for (fault, connect) in [(Fault::None, "skip"), (Fault::ConnectIsTaken, "fail")] {
        let site = Site::with(fault);
        let other = site.dir.path().join("other");
        fs::write(&other, "another").unwrap();
        let connect_to = format!("127.0.0.1:{}", site.port);
        let url = format!("https://app.example.test:{}", site.port);
        let ca = site.ca();

        let (status, report, _) = Setup::bare()
            .with(&["doctor", &url, "--connect", &connect_to, "--ca", &ca])
            .with(&["--cookie-file", other.to_str().unwrap()])
            .run();

        assert_eq!(status.code(), Some(1), "{report}");
        let says = |line: &str| report.lines().any(|said| said.starts_with(line));
        assert!(says("fail  the test account gets in"), "{report}");
        assert!(says("skip  the application gets no identity"), "{report}");
        assert!(says(&format!("{connect}  CONNECT")), "{report}");
    }
}

#[test]
fn another_login_than_the_one_named_is_none() {
    let site = Site::with(Fault::None);
    let connect = format!("127.0.0.1:{}", site.port);
    let ca = site.ca();
    for (login, expected) in [("auth.example.test", 0), ("login.example.test", 1)] {
        let url = format!("https://{login}:{}", site.port);
        let told = ["--connect", &connect, "--ca", &ca, "--public-url", &url];

        let (status, report, _) = site.examine("app.example.test", &told);

        assert_eq!(status, expected, "{login}\n{report}");
    }
}

#[test]
fn what_a_site_sends_reaches_no_terminal_as_it_is() {
    let (status, report) = Site::with(Fault::Escapes).examine_app();

    assert_eq!(status, 1, "{report}");
    assert!(
        report.contains("nginx/1.18.0 \\u{1b}[2J\\u{9b}31m"),
        "{report}"
    );
    assert!(!report.contains(['\x1b', '\u{9b}']), "{report:?}");
}

#[test]
fn an_application_on_this_machine_is_judged_by_where_it_listens() {
    let site = Site::with(Fault::None);
    let what = "the application cannot be reached past the proxy";
    for (address, verdict) in [
        ("127.0.0.1:0", "pass"),
        ("[::1]:0", "pass"),
        ("0.0.0.0:0", "fail"),
    ] {
        let application = TcpListener::bind(address).unwrap();
        let port = application.local_addr().unwrap().port().to_string();
        let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
        let told = ["--connect", &connect, "--ca", &ca, "--upstream-port", &port];

        let (_, report, _) = site.examine("app.example.test", &told);

        assert!(
            report.contains(&format!("{verdict}  {what}")),
            "{address}\n{report}"
        );
    }
}

#[test]
fn a_port_on_which_nothing_listens_is_no_pass() {
    let site = Site::with(Fault::None);
    let port = free_port().to_string();
    let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
    let told = ["--connect", &connect, "--ca", &ca, "--upstream-port", &port];

    let (status, report, _) = site.examine("app.example.test", &told);

    assert_eq!(status, 0, "{report}");
    let said = format!(
        "skip  the application cannot be reached past the proxy \u{2014} nothing listens on port {port}"
    );
    assert!(report.contains(&said), "{report}");
}

#[test]
fn the_login_itself_is_no_application() {
    for (fault, told) in [
        (Fault::IsTheLogin, None),
        (Fault::IsAClosedLogin, None),
        (Fault::None, Some("https://app.example.test")),
    ] {
        let site = Site::with(fault);
        let (connect, ca) = (format!("127.0.0.1:{}", site.port), site.ca());
        let told = told.map(|login| format!("{login}:{}", site.port));
        let told = told.iter().flat_map(|url| ["--public-url", url]);
        let told: Vec<&str> = told.chain(["--connect", &connect, "--ca", &ca]).collect();

        let (status, report, err) = site.examine("app.example.test", &told);

        assert_eq!((status, report.as_str()), (2, ""), "{fault:?} {err}");
        assert!(
            err.contains("app.example.test is the login itself"),
            "{err}"
        );
        assert!(err.contains("hint: give an application"), "{err}");
    }
}

#[test]
fn a_login_that_does_not_answer_is_found_and_nothing_is_well_by_that() {
    for status in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Unavailable",
    ] {
        let (code, report) = Site::with(Fault::LoginIsDown(status)).examine_app();

        assert_eq!(code, 1, "{report}");
        let lines: Vec<&str> = report.lines().collect();
        for line in &lines[..2] {
            assert!(line.starts_with("fail  "), "{report}");
            assert!(line.contains(&status[..3]), "{report}");
            assert!(
                line.contains("no answer from auth_user: see whether it runs"),
                "{report}"
            );
        }
        let entry = lines
            .iter()
            .find(|line| line.contains("the test account gets in"));
        assert!(
            entry.unwrap().contains("auth_user where it asks"),
            "{report}"
        );
        for word in [
            "who they are",
            "what they ask for",
            "malformed",
            "made-up",
            "spelling",
        ] {
            let line = lines.iter().find(|line| line.contains(word)).unwrap();
            assert!(line.starts_with("skip  "), "{report}");
        }
    }
}

#[test]
fn an_application_that_does_not_answer_is_no_session_refused() {
    let (status, report) = Site::with(Fault::AppIsDown).examine_app();

    assert_eq!(status, 1, "{report}");
    let entry = report
        .lines()
        .find(|line| line.starts_with("fail  the test account gets in"));
    let entry = entry.unwrap_or_else(|| panic!("{report}"));
    assert!(
        entry.contains("502; see whether the application runs"),
        "{entry}"
    );
}
