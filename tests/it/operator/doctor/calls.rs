//! How the doctor is called: by which addresses, certificates and proxies, and what is wrong with a
//! call.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use crate::harness::{Setup, free_port};
use crate::operator::doctor::site::{Fault, NAMES, Site, certificate, house};

#[test]
fn a_site_is_examined_by_its_ipv6_address() {
    let site = Site::at("::1", certificate(&NAMES), Fault::None);
    let ca = site.ca();

    let (status, report, err) = site.examine("[::1]", &["--ca", &ca]);

    assert_eq!((status, err.as_str()), (0, ""), "{report}");
}

#[test]
fn a_certificate_is_trusted_by_name_even_if_it_may_sign_others() {
    let site = Site::at("127.0.0.1", house(&NAMES), Fault::None);
    let (status, report) = site.examine_app();
    assert_eq!(status, 0, "{report}");
    let old = Site::at("127.0.0.1", house(&[]), Fault::None);
    let (status, report) = old.examine_app();
    assert_eq!(status, 0, "{report}");

    // Not another one, and not for another name.
    let other = Site::at("127.0.0.1", house(&NAMES), Fault::None);
    let connect = format!("127.0.0.1:{}", site.port);
    for (host, ca) in [
        ("app.example.test", other.ca()),
        ("app.example.org", site.ca()),
    ] {
        let (status, report, err) = site.examine(host, &["--connect", &connect, "--ca", &ca]);
        assert_eq!((status, report.as_str()), (1, ""), "{host}");
        assert!(err.starts_with("auth_user: cannot reach "), "{err}");
        assert!(err.contains("hint: "), "{err}");
    }
}

#[test]
fn a_call_that_is_wrong_is_refused_with_the_word_and_a_hint_that_fits_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, prose) = (file("empty", " \n"), file("prose", "no certificate"));
    for (arguments, words, hint) in [
        (
            ["--upstream-port", "90O0"],
            &["--upstream-port", "90O0"][..],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "0"],
            &["--upstream-port", "\"0\""],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "90000"],
            &["--upstream-port", "90000"],
            "--upstream-port 9000",
        ),
        (
            ["--upstream-port", "https"],
            &["--upstream-port", "https"],
            "--upstream-port 9000",
        ),
        (
            ["--connect", "127.0.0.1:0"],
            &["--connect", "127.0.0.1:0"],
            "--connect 203.",
        ),
        (
            ["--connect", "127.0.0.1:44e3"],
            &["--connect", "44e3"],
            "--connect 203.",
        ),
        (
            ["--connect", "127.0.0.1:70000"],
            &["--connect", "70000"],
            "--connect 203.",
        ),
        (
            ["--cookie-file", "/nope"],
            &["--cookie-file", "/nope"],
            "value of the cookie",
        ),
        (
            ["--old-cookie-file", "/nope"],
            &["--old-cookie-file"],
            "value of the cookie",
        ),
        (
            ["--cookie-file", &empty],
            &["--cookie-file", "empty"],
            "value of the cookie",
        ),
        (["--ca", "/nope"], &["--ca", "/nope"], "certificates in PEM"),
        (
            ["--ca", &prose],
            &["--ca", "certificate"],
            "certificates in PEM",
        ),
    ] {
        let (status, out, err) = Setup::bare()
            .with(&["doctor", "https://app.example.test"])
            .with(&arguments)
            .run();

        assert_eq!(
            (status.code(), out.as_str()),
            (Some(2), ""),
            "{arguments:?} {err}"
        );
        let (what, remedy) = err.split_once("hint: ").unwrap();
        assert!(
            words.iter().all(|word| what.contains(word)),
            "{arguments:?} {err}"
        );
        assert!(remedy.contains(hint), "{arguments:?} {err}");
        assert_eq!(err.lines().count(), 2, "{err}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_one_that_is_not_trusted() {
    let closed = format!("127.0.0.1:{}", free_port());
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let clear = plain.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut socket in plain.incoming().flatten() {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let site = Site::with(Fault::None);
    let (other, ca) = (Site::with(Fault::None), site.ca());
    let (here, there) = (
        format!("127.0.0.1:{}", site.port),
        format!("127.0.0.1:{}", other.port),
    );
    for (host, connect, hint) in [
        ("app.example.test", Some(&closed), "start the proxy"),
        ("app.example.test", Some(&clear), "speaks https there"),
        ("app.example.test", Some(&there), "--ca FILE says"),
        ("app.example.org", Some(&here), "--ca FILE says"),
        ("nowhere.invalid", None, "whether the name is right"),
    ] {
        let connect: Vec<&str> = connect.iter().flat_map(|to| ["--connect", to]).collect();

        let (status, report, err) = site.examine(host, &[&["--ca", &ca][..], &connect].concat());

        assert_eq!((status, report.as_str()), (1, ""), "{host} {err}");
        let begin = format!("auth_user: cannot reach {host}: ");
        assert!(err.starts_with(&begin), "{err}");
        assert!(
            err.contains("hint: ") && err.contains(hint),
            "{hint}: {err}"
        );
    }
}
