//! How many questions of proxies are answered while people log in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{PASSWORD, Server, Visitor};

const LASTING: Duration = Duration::from_secs(5);

#[test]
fn a_thousand_checks_a_second_are_answered_while_logins_run() {
    let server = Server::start_with(&[
        "--no-tls",
        "--public-url",
        "https://auth.example.test",
        "--cookie-domain",
        "example.test",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let (visitor, _) = Visitor::with_account(&server, "alice");
    let session = visitor.cookies.borrow()["__Secure-session"].clone();
    let question = format!(
        "GET /api/authz/auth-request HTTP/1.1\r\nHost: h\r\nX-Original-Method: GET\r\n\
         X-Original-URL: https://app.example.test/\r\nCookie: __Secure-session={session}\r\n\r\n"
    );
    let (over, checks, logins) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();

    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut wire = server.connect();
                while !over.load(Ordering::Relaxed) {
                    wire.send(question.as_bytes());
                    assert!(wire.read_answer().starts_with("HTTP/1.1 200 "));
                    checks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let person = Visitor::program(&server);
                    let form = [("username", "alice"), ("password", PASSWORD)];
                    if person.post("/login", &form).status == 200 {
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
    eprintln!("{rate:.0} checks a second beside {logins} logins");
    assert!(logins > 5, "{logins} logins");
    assert!(rate >= 1000.0, "{rate:.0} checks a second");
}
