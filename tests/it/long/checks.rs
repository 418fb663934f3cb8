//! How many questions of proxies are answered while people log in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{PASSWORD, Server, Setup, Visitor, Wire};
use crate::proxies::{Deployment, Kind};

const LASTING: Duration = Duration::from_secs(10);

const ASKING: usize = 4;

const LOGGING_IN: usize = 2;

/// Asks over connections that stay, while two people log in again and again; how often it was
/// answered 200 each second.
fn sustain(server: &Server, connect: impl Fn() -> Wire + Sync, question: &str) -> f64 {
    let (over, checks, logins) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..ASKING {
            scope.spawn(|| {
                let mut wire = connect();
                while !over.load(Ordering::Relaxed) {
                    wire.send(question.as_bytes());
                    let answer = wire.read_answer();
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    checks.fetch_add(1, Ordering::Relaxed);
                    // A proxy ends a connection after some thousand requests.
                    if answer.contains("\r\nConnection: close\r\n") {
                        wire = connect();
                    }
                }
            });
        }
        for _ in 0..LOGGING_IN {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let form = [("username", "alice"), ("password", PASSWORD)];
                    if Visitor::program(server).post("/login", &form).status == 200 {
                        logins.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        thread::sleep(LASTING);
        over.store(true, Ordering::Relaxed);
    });
    let rate = checks.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    let logins = logins.load(Ordering::Relaxed);
    println!("{rate:.0} a second beside {logins} logins");
    assert!(logins > 5, "{logins} logins");
    rate
}

#[test]
fn a_thousand_checks_a_second_are_answered_while_logins_run() {
    let server = Setup::new()
        .for_domain("example.test")
        .with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
        .start();
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let question = format!(
        "GET /api/authz/auth-request HTTP/1.1\r\nHost: h\r\nX-Original-Method: GET\r\n\
         X-Original-URL: https://app.example.test/\r\nCookie: __Secure-session={session}\r\n\r\n"
    );

    let rate = sustain(&server, || server.connect(), &question);

    assert!(rate >= 1000.0, "{rate:.0} checks a second");
}

#[test]
fn a_thousand_visits_a_second_pass_a_proxy_while_logins_run() {
    let deployment = Deployment::of(Kind::Nginx);
    let (session, port) = (deployment.session(), deployment.port);
    let visit = format!(
        "GET /a HTTP/1.1\r\nHost: app.example.test:{port}\r\n\
         Cookie: __Secure-session={session}\r\n\r\n"
    );

    let connect = || deployment.connect("app.example.test");
    let rate = sustain(&deployment.server, connect, &visit);

    assert!(rate >= 1000.0, "{rate:.0} visits a second");
}
