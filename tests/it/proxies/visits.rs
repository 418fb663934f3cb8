//! What people and programs do with an application behind a proxy.

use std::fs;
use std::io::{Read as _, Write as _};

use rustix::process::Signal;

use crate::harness::wait_for;
#[cfg(feature = "browser")]
use crate::harness::{Browser, PASSWORD, Visitor};
use crate::proxies::{Deployment, Kind};

fn asks_for_all_there_is(kind: Kind) {
    let deployment = Deployment::of(kind);
    let session = format!(
        "Cookie: theme=dark; __Secure-session={}; a=b",
        deployment.session()
    );

    let answer = deployment.ask("GET /a/b?x=1&y=%2F", &[&session]);
    let body = answer.body.to_ascii_lowercase();
    assert!(
        body.starts_with("get /a/b?x=1&y=%2f http/1.1\r\n"),
        "{body}"
    );
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=63072000")
    );
    for field in [
        "remote-user: alice",
        // Not proven.
        "remote-email: -",
        "cookie: theme=dark; a=b",
        "x-forwarded-proto: https",
        "x-forwarded-for: 127.0.0.1",
    ] {
        assert!(
            body.contains(&format!("\r\n{field}\r\n")),
            "{kind:?} {field}: {body}"
        );
    }
    let id = body.split("\r\nremote-id: ").nth(1).unwrap_or_default();
    assert!(id.len() > 26 && !id.starts_with('-'), "{kind:?} {body}");
    for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = deployment.ask(&format!("{method} /m"), &[&session, "Content-Length: 0"]);
        assert_eq!(answer.status, 200, "{kind:?} {method}");
        assert!(
            method == "HEAD" || answer.body.starts_with(method),
            "{answer:?}"
        );
    }
    let upload = deployment.send("PUT /up", &[&session], &vec![b'x'; 1 << 20]);
    assert!(
        upload.body.ends_with("body: 1048576\n"),
        "{kind:?} {upload:?}"
    );

    let mut wire = deployment.connect("app.example.test");
    let asked = format!(
        "GET /socket HTTP/1.1\r\nHost: app.example.test:{}\r\n{session}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        deployment.port
    );
    wire.send(asked.as_bytes());
    assert!(wire.read_head().starts_with("HTTP/1.1 101 "), "{kind:?}");
    wire.write_all(b"through").unwrap();
    let mut back = [0; 7];
    wire.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"through", "{kind:?}");
}

#[test]
fn nginx_passes_on_whatever_a_visitor_with_a_session_asks_for() {
    asks_for_all_there_is(Kind::Nginx);
}

#[test]
fn caddy_passes_on_whatever_a_visitor_with_a_session_asks_for() {
    asks_for_all_there_is(Kind::Caddy);
}

#[test]
fn haproxy_passes_on_whatever_a_visitor_with_a_session_asks_for() {
    asks_for_all_there_is(Kind::Haproxy);
}

#[test]
fn a_stranger_is_sent_to_the_login_and_a_program_is_told() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);

        let page = deployment.ask("GET /a?x=1&y=2", &["Accept: text/html"]);
        let form = deployment.send("POST /a", &["Accept: text/html"], b"a=b");
        let program = deployment.ask("GET /a", &["Accept: application/json"]);

        let port = deployment.port;
        let login = format!(
            "https://auth.example.test:{port}/login?rd=https%3A%2F%2Fapp.example.test%3A{port}%2Fa"
        );
        let whole = format!("{login}%3Fx%3D1%26y%3D2&rm=GET");
        assert_eq!(
            (page.status, page.header("location")),
            (302, Some(whole.as_str())),
            "{kind:?}"
        );
        let posted = format!("{login}&rm=POST");
        assert_eq!(
            (form.status, form.header("location")),
            (303, Some(posted.as_str())),
            "{kind:?}"
        );
        assert_eq!(program.status, 401, "{kind:?}");
        let told = format!("{login}&rm=GET");
        assert_eq!(program.header("location"), Some(told.as_str()), "{kind:?}");
    }
}

#[test]
fn who_may_not_enter_is_told_so_by_every_proxy() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let session = format!("Cookie: __Secure-session={}", deployment.session());
        let rule = "[[rule]]\nhost = \"app.example.test\"\ngroups = [\"staff\"]\n";
        fs::write(deployment.server.path("access.toml"), rule).unwrap();
        deployment.server.signal(Signal::HUP);

        let answer = wait_for("the rule to count", || {
            let answer = deployment.ask("GET /secret", &[&session, "Accept: text/html"]);
            (answer.status != 200).then_some(answer)
        });

        assert_eq!(answer.status, 403, "{kind:?} {answer:?}");
        assert!(answer.body.contains("You may not enter here"), "{answer:?}");
        assert!(answer.body.contains("<strong>alice</strong>"), "{answer:?}");
        assert!(
            answer.header("content-security-policy").is_some(),
            "{kind:?}"
        );
    }
}

#[test]
fn when_auth_user_is_down_nobody_gets_through() {
    for kind in Kind::ALL {
        let mut deployment = Deployment::of(kind);
        let session = format!("Cookie: __Secure-session={}", deployment.session());
        deployment.server.kill();

        for fields in [&[session.as_str()][..], &[]] {
            let answer = deployment.ask("GET /secret", fields);

            assert!((500..=504).contains(&answer.status), "{kind:?} {answer:?}");
            assert!(!answer.body.contains("/secret"), "{kind:?} {answer:?}");
        }
    }
}

#[cfg(feature = "browser")]
fn logs_in_through(kind: Kind) {
    let deployment = Deployment::of(kind);
    let (visitor, _) = Visitor::with_account(&deployment.server, "alice");
    let codes = visitor.new_recovery_codes();
    let browser = Browser::trusting(&deployment.server, &[&deployment.certificate], true);
    let asked = deployment.app("/a/b?x=1&y=2");

    browser.open(&asked);
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.follow("Use a recovery code");
    browser.fill("Recovery code", &codes[0]);
    browser.press("Log in");
    assert_eq!(browser.url(), asked, "{kind:?}");
    assert!(
        browser
            .text()
            .to_ascii_lowercase()
            .contains("remote-user: alice")
    );

    browser.open(&format!(
        "https://auth.example.test:{}/account",
        deployment.port
    ));
    let cookie = browser.cookies();
    let session = cookie
        .iter()
        .find(|cookie| cookie["name"] == "__Secure-session");
    let session = session.unwrap()["value"].as_str().unwrap().to_owned();
    browser.press("Log out");
    browser.open(&asked);
    assert!(browser.url().contains("/login?rd="), "{}", browser.url());
    let kept = format!("Cookie: __Secure-session={session}");
    let kept = deployment.ask("GET /a", &[&kept, "Accept: text/html"]);
    assert_eq!(kept.status, 302, "{kind:?}");
}

#[cfg(feature = "browser")]
#[test]
fn a_browser_logs_in_through_every_proxy_and_comes_back_to_what_it_asked_for() {
    for kind in Kind::ALL {
        logs_in_through(kind);
    }
}
