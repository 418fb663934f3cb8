//! What holds for every answer and every visitor: headers, cookies, other sites, limits.

use std::fs;

use serde_json::json;

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
    assert!(
        !policy.contains("unsafe") && !policy.contains("script"),
        "{policy}"
    );
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

/// The attributes of a cookie, without its value.
#[track_caller]
fn attributes(answer: &Answer, name: &str) -> String {
    let cookie = answer
        .cookie(name)
        .unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let value = pair.split_once('=').unwrap().1;
    assert!(
        value.len() == 43 || value.is_empty(),
        "256 bits or nothing: {cookie}"
    );
    attributes.to_owned()
}

#[test]
fn cookies_are_for_this_host_and_its_browser_only() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().clear();

    let first = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let second = alice.post("/secret_key", &[("secret", &authenticator.code())]);
    let last = alice.post("/logout", &[]);

    let strict = "Secure; HttpOnly; SameSite=Lax; Path=/";
    let over = "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0";
    assert_eq!(attributes(&first, "__Host-login"), strict);
    assert_eq!(
        first.cookie("__Host-session"),
        None,
        "no session before the code"
    );
    assert_eq!(attributes(&second, "__Host-session"), strict);
    assert_eq!(
        attributes(&second, "__Host-login"),
        format!("{strict}; Max-Age=60")
    );
    assert_eq!(
        attributes(&second, "__Host-device"),
        format!("{strict}; Max-Age=15552000")
    );
    assert_eq!(attributes(&last, "__Host-session"), over);
    assert_eq!(attributes(&last, "__Host-login"), over);
    assert_eq!(
        last.cookie("__Host-device"),
        None,
        "the browser stays known"
    );
    assert_eq!(last.header("clear-site-data"), Some("\"storage\""));
    let file = fs::read_to_string(server.path("sessions.json")).unwrap();
    let value = second.cookie("__Host-session").unwrap();
    assert!(!file.contains(&value[15..58]), "kept hashed");
}

#[test]
fn with_a_cookie_domain_the_session_is_shared_and_nothing_else_is() {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
    ]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().clear();

    let first = alice.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let second = alice.post("/secret_key", &[("secret", &authenticator.code())]);

    let strict = "Secure; HttpOnly; SameSite=Lax; Path=/";
    assert_eq!(attributes(&first, "__Host-login"), strict);
    let shared = format!("{strict}; Domain=example.com");
    assert_eq!(attributes(&second, "__Secure-session"), shared);
    assert_eq!(second.cookie("__Host-session"), None);
}

#[test]
fn another_site_cannot_make_a_browser_act() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let own = server.url("");
    let plain = own.replace("https:", "http:");
    for fields in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "Same-Origin")],
        &[("sec-fetch-site", "")],
        &[("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "https://evil.test")],
        &[("origin", "https://localhost")],
        &[("origin", "https://localhost:1")],
        &[("origin", plain.as_str())],
    ] {
        let tricked = fields
            .iter()
            .fold(alice.reading(Accept::Json), |visitor, (name, value)| {
                visitor.sending(name, value)
            });
        for path in [
            "/register",
            "/login",
            "/secret_key",
            "/forgot_password",
            "/logout",
            "/account/password",
            "/account/recovery_codes",
            "/account/totp",
            "/account/totp/confirm",
            "/account/sessions/end",
            "/account/delete",
        ] {
            let answer = tricked.post(path, &[("session", "others"), ("username", "alice")]);
            assert_eq!(answer.json()["code"], "cross_site", "{fields:?} {path}");
            assert_eq!(
                answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name == "set-cookie")
                    .count(),
                0
            );
        }
        let answer = tricked.post_as("/login", "text/plain", "x");
        assert_eq!(answer.status, 403, "before anything else of the request");
        let page = tricked.reading(Accept::Page).get("/logout");
        assert_eq!(page.status, 200);
        assert!(
            page.body
                .contains("<form method=\"post\" action=\"/logout\">"),
            "{page:?}"
        );
    }
    assert!(alice.is_logged_in());
}

#[test]
fn our_own_pages_and_programs_may_act() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let own = server.url("");
    for fields in [
        &[][..],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", own.as_str())],
        &[("origin", own.as_str())],
    ] {
        let visitor = fields
            .iter()
            .fold(visitor.reading(Accept::Json), |visitor, (name, value)| {
                visitor.sending(name, value)
            });
        visitor.post("/logout", &[]).expect("logged_out");
        visitor.get("/logout").expect("logged_out");
    }
}

/// Field by field: what is wrong with it, and that the answer names it.
#[test]
fn a_bad_field_is_named() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let pending = Visitor::program(&server);
    pending.post("/login", &[("username", "alice"), ("password", PASSWORD)]);
    let register = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    let login = [("username", "alice"), ("password", PASSWORD)];
    let change = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame cows"),
    ];
    let both = [("current_password", PASSWORD), ("secret", "123456")];
    let long = |length| "a".repeat(length);

    for (visitor, path, fields, limits) in [
        (&pending, "/register", &register[..], &[65, 255, 257][..]),
        (&pending, "/login", &login[..], &[65, 257]),
        (&pending, "/secret_key", &[("secret", "123456")], &[65]),
        (
            &pending,
            "/forgot_password",
            &[("username", "alice")],
            &[65],
        ),
        (&alice, "/account/password", &change, &[257, 257]),
        (&alice, "/account/recovery_codes", &both, &[257, 65]),
        (&alice, "/account/totp", &both, &[257, 65]),
        (
            &alice,
            "/account/sessions/end",
            &[("session", "others")],
            &[65],
        ),
        (&alice, "/account/delete", &both, &[257, 65]),
    ] {
        for (at, (name, value)) in fields.iter().enumerate() {
            let with = |values: &[&str]| {
                let mut form: Vec<(&str, &str)> = fields.to_vec();
                form.remove(at);
                form.extend(values.iter().map(|value| (*name, *value)));
                visitor.post(path, &form)
            };
            let too_long = if *name == "email" {
                format!("bob@{}.com", vec!["a".repeat(61); 4].join("."))
            } else {
                long(limits[at])
            };
            assert_eq!(too_long.len(), limits[at]);
            let cases = [
                ("missing", with(&[])),
                ("empty", with(&[""])),
                ("repeated", with(&[value, value])),
                ("too long", with(&[&too_long])),
            ];
            for (what, answer) in cases {
                assert_eq!(answer.status, 400, "{path} {name} {what}: {answer:?}");
                let body = answer.json();
                assert_eq!(
                    (&body["code"], &body["field"]),
                    (&json!("bad_field"), &json!(name))
                );
                assert!(body["message"].as_str().unwrap().contains(name), "{body}");
            }
        }
    }
    let optional = |field: (&'static str, &str), twice: bool| {
        let path = if field.0 == "rd" {
            "/login"
        } else {
            "/secret_key"
        };
        let mut form = if field.0 == "rd" {
            login.to_vec()
        } else {
            vec![("secret", "123456")]
        };
        form.push(field);
        if twice {
            form.push(field);
        }
        let answer = pending.post(path, &form);
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!(field.0)),
            "{answer:?}"
        );
    };
    optional(("rd", "/account"), true);
    optional(("rd", &format!("/{}", long(2048))), false);
    // Bytes, not characters.
    optional(("rd", &format!("/{}", "é".repeat(1024))), false);
    optional(("username", "alice"), true);
    optional(("username", "bob"), false);
    optional(("username", ""), false);
    let latin = pending.post_as("/login", FORM, "username=al%E9&password=seven+wild+horses");
    assert_eq!(latin.json()["field"], "username");
    assert!(alice.is_logged_in());
}

#[test]
fn the_longest_fields_are_taken_to_the_last_character() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let name = "n".repeat(64);
    let label = "d".repeat(60);
    let email = format!("a@{label}.{label}.{label}.{label}.{}.com", "d".repeat(4));
    assert_eq!(email.len(), 254);
    let password = "é".repeat(256);
    let fields = |password| {
        [
            ("username", name.as_str()),
            ("email", email.as_str()),
            ("password", password),
        ]
    };

    visitor
        .post("/register", &fields(&password))
        .expect("registered");

    let cut = "é".repeat(255);
    visitor
        .post("/login", &[("username", &name), ("password", &cut)])
        .expect("wrong_credentials");
    let rd = format!("/{}", "r".repeat(2047));
    let login = [
        ("username", email.as_str()),
        ("password", &password),
        ("rd", &rd),
    ];
    visitor.post("/login", &login).expect("enrol_required");
}

#[test]
fn a_password_is_normalised_and_never_trimmed() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let composed = " caf\u{e9} at noon ";
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", composed),
    ];
    visitor.post("/register", &form).expect("registered");
    let login = |password| visitor.post("/login", &[("username", "alice"), ("password", password)]);

    login(" cafe\u{301} at noon ").expect("enrol_required");
    login("caf\u{e9} at noon").expect("wrong_credentials");
    login(" CAF\u{c9} at noon ").expect("wrong_credentials");
}

#[test]
fn a_password_is_as_long_as_its_normalised_form() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", &"\u{e9}".repeat(256)),
    ];
    visitor.post("/register", &form).expect("registered");
    let login = |password: &str| {
        let form = [("username", "alice"), ("password", password)];
        visitor.post("/login", &form)
    };

    login(&"e\u{301}".repeat(256)).expect("enrol_required");
    login(&"\u{e9}".repeat(257)).expect("bad_field");
}

#[test]
fn a_registration_that_could_not_be_saved_is_none_of_the_hours() {
    let server = Server::start_with(&["--registrations-per-hour", "1"]);
    let visitor = Visitor::program(&server);
    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    fs::write(server.path("users.json"), "{").unwrap();
    visitor.post("/register", &form).expect("not_saved");
    fs::write(server.path("users.json"), "{\"version\":1,\"users\":{}}").unwrap();

    visitor.post("/register", &form).expect("registered");

    let next = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", PASSWORD),
    ];
    visitor.post("/register", &next).expect("throttled");
}

#[test]
fn odd_names_and_addresses_are_refused() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    let register = |name: &str, email: &str| {
        let form = [("username", name), ("email", email), ("password", PASSWORD)];
        visitor.post("/register", &form)
    };
    visitor.register("alice");

    for name in [
        "ａｌｉｃｅ",
        "аlice",
        "al\u{200b}ice",
        "al ice",
        "ali\nce",
        "ALİCE",
        "\"><script>",
        "{username}",
    ] {
        assert_eq!(
            register(name, "new@example.com").json()["field"],
            "username",
            "{name:?}"
        );
    }
    register("ALICE", "new@example.com").expect("user_exists");
    for email in [
        "bob",
        "bob@",
        "@example.com",
        "bob@example.com.",
        "bob@exam ple.com",
        "bob@example.com\r\nBcc: x@evil.test",
        "\"bob\"@example.com",
        "bob(comment)@example.com",
        "bob@example.com>,<eve@evil.test",
        "bob..b@example.com",
        // What some program on the way takes for an option, a pipe, a route or an address.
        "-oQ/tmp@example.com",
        "|sh@example.com",
        "$(id)@example.com",
        "`id`@example.com",
        "a%b@example.com",
        "x!y@example.com",
        "bob@127.0.0.1",
        "bob@[127.0.0.1]",
    ] {
        assert_eq!(register("bob", email).json()["field"], "email", "{email:?}");
    }
    register("bob", "ALICE@EXAMPLE.COM").expect("email_exists");
    register("o.brien", "o'brien@example.com").expect("registered");
}
