//! The headers that every answer has.

use std::fs;

use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor};

const FORM: &str = "application/x-www-form-urlencoded";

/// Every answer has these, whatever it says.
#[track_caller]
fn has_the_headers(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        let given: Vec<_> = answer
            .headers
            .iter()
            .filter(|(field, _)| field == name)
            .collect();
        assert_eq!(given.len(), 1, "{name} in {answer:?}");
        assert_eq!(given[0].1, value, "{answer:?}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    for directive in [
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(
            policy.split("; ").any(|given| given == directive),
            "{directive} in {policy}"
        );
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    // A script of ours at most, and by its hash.
    let allows_ours = policy.contains("; script-src 'sha256-");
    assert_eq!(policy.contains("script"), allows_ours, "{policy}");
    assert_eq!(answer.header("server"), None);
    assert!(answer.header("date").is_some());
}

#[test]
fn every_answer_has_the_headers() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    let mut answers = Vec::new();
    for form in [Accept::Json, Accept::Page, Accept::Text] {
        let (alice, visitor) = (alice.reading(form), visitor.reading(form));
        for path in [
            "/",
            "/login",
            "/forgot_password",
            "/account",
            "/account/password",
            "/healthz",
        ] {
            answers.push(alice.get(path));
            answers.push(visitor.get(path));
            answers.push(visitor.ask("HEAD", path));
        }
        answers.push(visitor.get("/?rd=%2Faccount"));
        answers.push(visitor.get("/secret_key"));
        answers.push(visitor.get("/none"));
        answers.push(visitor.ask("DELETE", "/login"));
        answers.push(visitor.post("/login", &[]));
        answers.push(visitor.post("/login", &[("username", "alice"), ("password", PASSWORD)]));
        answers.push(visitor.post(
            "/login",
            &[("username", "alice"), ("password", "wrong one")],
        ));
        answers.push(visitor.post("/forgot_password", &[("username", "nobody")]));
        answers.push(visitor.post_as("/login", "text/plain", "x"));
        answers.push(visitor.post_as("/login", FORM, &"x".repeat(70_000)));
        answers.push(
            visitor
                .sending("sec-fetch-site", "cross-site")
                .post("/login", &[]),
        );
        answers.push(visitor.get("/logout"));
        answers.push(visitor.post("/logout", &[]));
    }
    for raw in [
        "GET\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut wire = server.connect();
        wire.send(raw.as_bytes());
        answers.push(Answer::parse(&wire.read_to_end()));
    }

    for answer in &answers {
        has_the_headers(answer);
        let told = answer.header("strict-transport-security");
        assert_eq!(told, Some("max-age=63072000"), "{answer:?}");
    }
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 303, 400, 401, 403, 404, 405, 413, 415, 505]);
}

#[test]
fn an_answer_in_plain_http_has_the_headers_but_insists_on_nothing() {
    let server = Server::start();
    let raw = |request: &str| {
        use std::io::{Read as _, Write as _};
        let mut socket = server.socket();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        Answer::parse(&answer)
    };

    let get = raw("GET /login?rd=%2Faccount HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    let post = raw("POST /login HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 0\r\n\r\n");

    let location = server.url("/login?rd=%2Faccount");
    assert_eq!(
        (get.status, get.header("location")),
        (308, Some(location.as_str()))
    );
    assert_eq!(post.status, 400);
    has_the_headers(&get);
    has_the_headers(&post);
    let plain = Server::start_with(&["--no-tls"]);
    let answer = Visitor::new(&plain, Accept::Page).get("/login");
    has_the_headers(&answer);
    for answer in [get, post, answer] {
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "{answer:?}"
        );
    }
}

#[test]
fn a_browser_is_not_told_to_insist_on_a_certificate_we_made() {
    let setup = Setup::new();
    fs::remove_file(setup.dir().join("server.crt")).unwrap();
    fs::remove_file(setup.dir().join("server.key")).unwrap();
    let server = setup.start();
    let tls = ureq::tls::TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();

    let answer = agent.get(server.url("/login")).call().unwrap();

    assert_eq!(answer.headers().get("strict-transport-security"), None);
    assert_eq!(
        answer.headers().get("x-content-type-options").unwrap(),
        "nosniff"
    );
}

#[test]
fn with_a_cookie_domain_forms_may_lead_into_it() {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
    ]);

    let answer = Visitor::new(&server, Accept::Page).get("/login");

    let policy = answer.header("content-security-policy").unwrap();
    let action = policy
        .split("; ")
        .find(|given| given.starts_with("form-action "))
        .unwrap();
    assert_eq!(
        action,
        "form-action 'self' https://*.example.com https://example.com:* https://*.example.com:*"
    );
}
