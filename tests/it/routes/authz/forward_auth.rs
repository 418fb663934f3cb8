//! What a reverse proxy is told of the visitors it asks about, and whom it is told to let in.

use std::io::Write as _;

use crate::harness::{Accept, Answer, PASSWORD, Server, Setup, Visitor, wait_for};

const FORWARD_AUTH: &str = "/api/authz/forward-auth";
const AUTH_REQUEST: &str = "/api/authz/auth-request";
const VERIFY: &str = "/api/verify";

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// A server whose sessions sub-domains share, asked by a proxy on this machine.
fn setup() -> Setup {
    Setup::new().with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
        "--trusted-proxy",
        "127.0.0.1",
    ])
}

/// A proxy asks about a visitor, with these fields and no others.
fn ask(server: &Server, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: auth\r\nConnection: close\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut wire = server.connect();
    wire.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    Answer::parse(&wire.read_to_end())
}

/// What Caddy, HAProxy and Traefik say of a request.
fn forwarded<'a>(method: &'a str, host: &'a str, uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", uri),
        ("Accept", BROWSER),
    ]
}

/// What nginx says of one.
fn original<'a>(method: &'a str, url: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("X-Original-Method", method),
        ("X-Original-URL", url),
        ("Accept", BROWSER),
    ]
}

fn with<'a>(
    mut fields: Vec<(&'a str, &'a str)>,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    fields.extend_from_slice(more);
    fields
}

fn without<'a>(mut fields: Vec<(&'a str, &'a str)>, name: &str) -> Vec<(&'a str, &'a str)> {
    fields.retain(|(field, _)| *field != name);
    fields
}

/// The session of somebody who has passed both factors, as a cookie field.
fn session(visitor: &Visitor) -> String {
    format!(
        "__Secure-session={}",
        visitor.cookies.borrow()["__Secure-session"]
    )
}

/// A server and alice's session at it.
fn with_alice() -> (Server, Visitor, String) {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    (server, alice, cookie)
}

fn is_let_in(server: &Server, cookie: &str) -> bool {
    let fields = forwarded("GET", "app.example.com", "/");
    let status = ask(
        server,
        "GET",
        FORWARD_AUTH,
        &with(fields, &[("Cookie", cookie)]),
    )
    .status;
    assert!(status == 200 || status == 302, "{status}");
    status == 200
}

#[test]
fn a_visitor_with_a_session_is_let_in_and_named() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    for (path, fields) in [
        (FORWARD_AUTH, forwarded("GET", "app.example.com", "/a?b=c")),
        (
            AUTH_REQUEST,
            original("GET", "https://app.example.com/a?b=c"),
        ),
        (VERIFY, forwarded("GET", "app.example.com", "/a?b=c")),
        (VERIFY, original("GET", "https://app.example.com/a?b=c")),
    ] {
        let answer = ask(&server, "GET", path, &with(fields, cookie));

        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        assert_eq!(answer.header("remote-user"), Some("alice"));
        assert_eq!(answer.header("remote-name"), Some("alice"));
        assert_eq!(answer.header("remote-email"), Some("alice@example.com"));
        assert_eq!(answer.header("remote-groups"), Some("users"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("location"), None);
    }
}

#[test]
fn what_an_application_is_told_is_printable_and_never_empty() {
    let (server, alice, cookie) = with_alice();
    let groups = |groups: serde_json::Value| {
        server.edit_account("alice", |account| account["groups"] = groups);
        server.wait_for_log("took up a changed users file");
        wait_for("the groups", || {
            let seen = alice.get("/account").json()["groups"].clone();
            (seen == server.users()["users"]["alice"]["groups"]).then_some(())
        });
        let fields = with(
            forwarded("GET", "app.example.com", "/"),
            &[("Cookie", &cookie)],
        );
        let answer = ask(&server, "GET", FORWARD_AUTH, &fields);
        answer.header("remote-groups").unwrap().to_owned()
    };

    assert_eq!(groups(serde_json::json!([])), "-");
    assert_eq!(groups(serde_json::json!(["", " "])), "-");
    assert_eq!(
        groups(serde_json::json!([
            "power users",
            "a,root",
            "k\u{fc}che",
            "x\r\ny: z",
            "100%"
        ])),
        "power users,a%2Croot,k%C3%BCche,x%0D%0Ay: z,100%25"
    );
}

#[test]
fn a_browser_without_a_session_is_sent_to_the_login_and_back() {
    let server = setup().start();
    let location = "https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d%3D%252F&rm=";
    for (method, status) in [
        ("GET", 302),
        ("HEAD", 302),
        ("OPTIONS", 302),
        ("POST", 303),
        ("PUT", 303),
        ("DELETE", 303),
        ("PROPFIND", 303),
    ] {
        for path in [FORWARD_AUTH, VERIFY] {
            let answer = ask(
                &server,
                "GET",
                path,
                &forwarded(method, "app.example.com", "/a?b=c&d=%2F"),
            );

            let expected = format!("{location}{method}");
            assert_eq!(
                (answer.status, answer.header("location")),
                (status, Some(expected.as_str())),
                "{path}"
            );
            assert_eq!(answer.header("remote-user"), None);
        }
        for path in [AUTH_REQUEST, VERIFY] {
            let answer = ask(
                &server,
                "GET",
                path,
                &original(method, "https://app.example.com/a?b=c&d=%2F"),
            );

            let expected = format!("{location}{method}");
            assert_eq!(
                (answer.status, answer.header("location")),
                (401, Some(expected.as_str())),
                "{path}"
            );
            assert!(answer.body.len() < 100);
        }
    }
}

#[test]
fn a_script_or_program_without_a_session_is_told_and_not_sent() {
    let server = setup().start();
    let plain = || without(forwarded("GET", "app.example.com", "/"), "Accept");
    for (more, status) in [
        (&[("Accept", "text/html")][..], 302),
        (&[("Accept", "*/*")], 302),
        (&[("Accept", "image/png, text/*;q=0.1")], 302),
        (&[("Accept", "application/json")], 401),
        (&[("Accept", "application/json, text/html;q=0")], 401),
        (&[("Accept", "image/*")], 401),
        (&[], 401),
        (
            &[("Accept", BROWSER), ("X-Requested-With", "XMLHttpRequest")],
            401,
        ),
        (
            &[("Accept", BROWSER), ("X-Requested-With", "xmlhttprequest")],
            401,
        ),
    ] {
        let answer = ask(&server, "GET", FORWARD_AUTH, &with(plain(), more));

        assert_eq!(answer.status, status, "{more:?}");
        assert_eq!(
            answer.header("location"),
            Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F&rm=GET")
        );
    }
}

#[test]
fn a_password_in_the_request_lets_nobody_in() {
    let (server, _, cookie) = with_alice();
    // alice, and her right password.
    let basic = ("Authorization", "Basic YWxpY2U6c2V2ZW4gd2lsZCBob3JzZXM=");
    let fields = || with(forwarded("GET", "app.example.com", "/"), &[basic]);
    assert_eq!(PASSWORD, "seven wild horses");

    let answer = ask(&server, "GET", FORWARD_AUTH, &fields());
    let by_nginx = with(original("GET", "https://app.example.com/"), &[basic]);
    let told = ask(&server, "GET", AUTH_REQUEST, &by_nginx);
    // It is not looked at, so it does no harm either: it may be meant for the application.
    let with_session = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &with(fields(), &[("Cookie", &cookie)]),
    );

    assert_eq!(
        (answer.status, told.status, with_session.status),
        (302, 401, 200)
    );
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(told.header("www-authenticate"), None);
}

#[test]
fn only_a_session_counts_and_not_half_a_login() {
    let (server, alice, _) = with_alice();
    let bob = Visitor::program(&server);
    bob.register("bob");
    bob.post("/login", &[("username", "bob"), ("password", PASSWORD)])
        .expect("enrol_required");
    let pending = bob.cookies.borrow()["__Host-login"].clone();
    let device = alice.cookies.borrow()["__Host-device"].clone();
    let own = session(&alice);

    for cookie in [
        format!("__Host-login={pending}"),
        format!("__Secure-session={pending}"),
        format!("__Host-session={pending}"),
        format!("__Secure-session={device}"),
        format!("__Host-session={}", own.split_once('=').unwrap().1),
        format!("{own}x"),
        "__Secure-session=".to_owned(),
        "__Secure-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    ] {
        assert!(!is_let_in(&server, &cookie), "{cookie}");
    }
    assert!(is_let_in(&server, &own));
}

#[test]
fn a_visitor_who_logs_out_is_out_everywhere_at_once() {
    let (server, alice, cookie) = with_alice();
    assert!(is_let_in(&server, &cookie));

    alice.post("/logout", &[]).expect("logged_out");

    assert!(!is_let_in(&server, &cookie));
}

#[test]
fn a_disabled_or_deleted_account_is_out_at_once() {
    let (server, _, alice) = with_alice();
    let (bob, authenticator) = Visitor::with_account(&server, "bob");
    let cookie = session(&bob);
    assert!(is_let_in(&server, &cookie));

    let form = [
        ("current_password", PASSWORD),
        ("secret", &authenticator.code()),
    ];
    bob.post("/account/delete", &form).expect("account_deleted");
    assert!(!is_let_in(&server, &cookie));

    server.edit_account("alice", |account| account["disabled"] = true.into());
    wait_for("alice to be out", || {
        (!is_let_in(&server, &alice)).then_some(())
    });
}

#[test]
fn those_with_sessions_do_not_notice_that_the_accounts_file_cannot_be_read() {
    let (server, _, cookie) = with_alice();
    let good = server.users().to_string();
    for damage in ["{", "", "[]"] {
        std::fs::write(server.path("users.json"), damage).unwrap();
        wait_for("the damage to be seen", || {
            (Visitor::program(&server).get("/healthz").status == 503).then_some(())
        });

        for (path, fields) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/")),
            (VERIFY, forwarded("GET", "app.example.com", "/")),
        ] {
            let answer = ask(&server, "GET", path, &with(fields, &[("Cookie", &cookie)]));
            assert_eq!(answer.status, 200, "{path} {damage:?}");
            assert_eq!(answer.header("remote-user"), Some("alice"));
        }

        std::fs::write(server.path("users.json"), &good).unwrap();
        wait_for("the file to be mended", || {
            (Visitor::program(&server).get("/healthz").status == 200).then_some(())
        });
    }
}

#[test]
fn nobody_but_a_trusted_proxy_is_believed() {
    let untrusted = Setup::new().with(&[
        "--public-url",
        "https://auth.example.com",
        "--cookie-domain",
        "example.com",
        "--trusted-proxy",
        "192.0.2.0/24",
    ]);
    let server = untrusted.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    let cookie = ("Cookie", cookie.as_str());
    for (path, fields, status) in [
        (FORWARD_AUTH, forwarded("GET", "app.example.com", "/"), 400),
        (
            AUTH_REQUEST,
            original("GET", "https://app.example.com/"),
            403,
        ),
        (VERIFY, forwarded("GET", "app.example.com", "/"), 401),
        (VERIFY, original("GET", "https://app.example.com/"), 401),
    ] {
        let answer = ask(&server, "GET", path, &with(fields, &[cookie]));

        assert_eq!(answer.status, status, "{path}");
        assert!(
            answer
                .body
                .starts_with("No trusted proxy says what is asked for.")
        );
        assert_eq!(answer.header("location"), None);
        assert_eq!(answer.header("remote-user"), None);
    }
    server.wait_for_log("bad_target");
}

#[test]
fn a_target_that_cannot_be_read_in_one_way_is_refused() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    for host in [
        "",
        " ",
        "app.example.com, evil.test",
        "app.example.com evil.test",
        "evil.test",
        "evilexample.com",
        "app.example.com.evil.test",
        "user@app.example.com",
        "user:pw@app.example.com",
        "evil.test#.example.com",
        "evil.test/.example.com",
        "evil.test?.example.com",
        "evil.test\\.example.com",
        "app.example.com:99999",
        "app.example.com:x",
        "app%2eexample.com",
        "[::1]",
        "127.0.0.1",
        "app.example.com..",
        "\u{e9}.example.com",
        "..example.com",
        "*.example.com",
    ] {
        let fields = with(forwarded("GET", host, "/"), cookie);
        let answer = ask(&server, "GET", FORWARD_AUTH, &fields);
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, None),
            "{host:?}"
        );
        assert_eq!(ask(&server, "GET", VERIFY, &fields).status, 401, "{host:?}");

        let url = format!("https://{host}/");
        let answer = ask(
            &server,
            "GET",
            AUTH_REQUEST,
            &with(original("GET", &url), cookie),
        );
        assert_eq!(
            (answer.status, answer.header("location")),
            (403, None),
            "{host:?}"
        );
    }
    for uri in [
        "x",
        "https://app.example.com/",
        "//..",
        "/..",
        "/a/../b",
        "/%2e%2E/b",
        "/.%2e",
        "/./a",
        "/a\\b",
        "/\\evil.test",
        "/a b",
        "/a#b",
        "/a\tb",
        "@evil.test/",
        ".evil.test/",
        ":1/",
    ] {
        let answer = ask(
            &server,
            "GET",
            FORWARD_AUTH,
            &with(forwarded("GET", "app.example.com", uri), cookie),
        );
        assert_eq!(answer.status, 400, "{uri:?}");

        let url = format!("https://app.example.com{uri}");
        let answer = ask(
            &server,
            "GET",
            AUTH_REQUEST,
            &with(original("GET", &url), cookie),
        );
        // An authority of its own, that is: a port is none of our business.
        assert_eq!(
            answer.status,
            if uri == ":1/" { 200 } else { 403 },
            "{uri:?}"
        );
    }
    for url in [
        "",
        "/",
        "app.example.com/",
        "//app.example.com/",
        "https:/app.example.com/",
        "https:app.example.com",
        "javascript:alert(1)",
    ] {
        let answer = ask(
            &server,
            "GET",
            AUTH_REQUEST,
            &with(original("GET", url), cookie),
        );
        assert_eq!(answer.status, 403, "{url:?}");
    }
    for proto in ["http", "ws", "", "https,http", "ftp", "javascript"] {
        let mut fields = with(forwarded("GET", "app.example.com", "/"), cookie);
        fields[1].1 = proto;
        assert_eq!(
            ask(&server, "GET", FORWARD_AUTH, &fields).status,
            400,
            "{proto:?}"
        );
        let url = format!("{proto}://app.example.com/");
        let answer = ask(
            &server,
            "GET",
            AUTH_REQUEST,
            &with(original("GET", &url), cookie),
        );
        assert_eq!(answer.status, 403, "{proto:?}");
    }
    for method in [
        "", "GET POST", "G\u{c9}T", "GET,GET", "GET/", "G(E)T", "GET\t1",
    ] {
        let fields = with(forwarded(method, "app.example.com", "/"), cookie);
        assert_eq!(
            ask(&server, "GET", FORWARD_AUTH, &fields).status,
            400,
            "{method:?}"
        );
        let fields = with(original(method, "https://app.example.com/"), cookie);
        assert_eq!(
            ask(&server, "GET", AUTH_REQUEST, &fields).status,
            403,
            "{method:?}"
        );
    }
}

#[test]
fn what_is_missing_or_there_twice_is_refused() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    for name in [
        "X-Forwarded-Method",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Uri",
    ] {
        let all = || with(forwarded("GET", "app.example.com", "/"), cookie);
        let value = all().iter().find(|(field, _)| *field == name).unwrap().1;

        assert_eq!(
            ask(&server, "GET", FORWARD_AUTH, &without(all(), name)).status,
            400,
            "{name}"
        );
        assert_eq!(
            ask(&server, "GET", FORWARD_AUTH, &with(all(), &[(name, value)])).status,
            400,
            "{name}"
        );
        let alias = name.replace('-', "_");
        let aliased = with(without(all(), name), &[(&alias, value)]);
        assert_eq!(
            ask(&server, "GET", FORWARD_AUTH, &aliased).status,
            400,
            "{name}"
        );
    }
    for name in ["X-Original-Method", "X-Original-URL"] {
        let all = || with(original("GET", "https://app.example.com/"), cookie);
        let value = all().iter().find(|(field, _)| *field == name).unwrap().1;

        assert_eq!(
            ask(&server, "GET", AUTH_REQUEST, &without(all(), name)).status,
            403,
            "{name}"
        );
        assert_eq!(
            ask(&server, "GET", AUTH_REQUEST, &with(all(), &[(name, value)])).status,
            403,
            "{name}"
        );
        let alias = name.replace('-', "_");
        let aliased = with(without(all(), name), &[(&alias, value)]);
        assert_eq!(
            ask(&server, "GET", AUTH_REQUEST, &aliased).status,
            403,
            "{name}"
        );
    }
}

#[test]
fn no_answer_depends_on_a_field_the_endpoint_does_not_define() {
    let (server, _, cookie) = with_alice();
    let noise = [
        ("X_Forwarded_Host", "evil.test"),
        ("X_Original_URL", "https://evil.test/"),
        ("X-Forwarded-Prefix", "/x"),
        ("X-Forwarded-Server", "evil.test"),
        ("X-Forwarded-Port", "1"),
        ("X-Authelia-URL", "https://evil.test/"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Rewrite-URL", "/healthz"),
        ("X-Original-Host", "evil.test"),
        ("Forwarded", "host=evil.test;proto=http"),
        ("Remote-User", "root"),
        ("Remote_User", "root"),
        ("User-Agent", "kube-probe/1.0"),
        ("Origin", "https://evil.test"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Referer", "https://evil.test/"),
        ("Authorization", "Bearer x"),
    ];
    let of_nginx = [
        ("X-Original-URL", "https://evil.test/"),
        ("X-Original-Method", "x"),
    ];
    let of_the_others = [
        ("X-Forwarded-Method", "x"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Uri", "/x"),
    ];
    let same = |path,
                fields: Vec<(&'static str, &'static str)>,
                other: &[(&'static str, &'static str)]| {
        for cookie in [&[][..], &[("Cookie", cookie.as_str())]] {
            let mut asked: Vec<(&str, &str)> = fields.clone();
            asked.extend_from_slice(cookie);
            let undisturbed = ask(&server, "GET", path, &asked);
            asked.extend_from_slice(&noise);
            asked.extend_from_slice(other);
            let mut disturbed = ask(&server, "GET", path, &asked);
            let mut expected = undisturbed;
            for answer in [&mut disturbed, &mut expected] {
                answer.headers.retain(|(name, _)| name != "date");
            }
            assert_eq!(format!("{disturbed:?}"), format!("{expected:?}"));
        }
    };

    same(
        FORWARD_AUTH,
        forwarded("GET", "app.example.com", "/a"),
        &of_nginx,
    );
    same(
        AUTH_REQUEST,
        original("GET", "https://app.example.com/a"),
        &of_the_others,
    );
}

#[test]
fn the_old_endpoint_takes_either_family_and_no_contradiction() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    let both = |host| {
        let fields = with(
            original("GET", "https://app.example.com/a?b"),
            &forwarded("GET", host, "/a?b"),
        );
        with(without(fields, "Accept"), cookie)
    };

    assert_eq!(
        ask(&server, "GET", VERIFY, &both("app.example.com")).status,
        200
    );
    assert_eq!(
        ask(&server, "GET", VERIFY, &both("other.example.com")).status,
        401
    );
    // Half of the other family contradicts as well.
    let half = with(original("GET", "https://app.example.com/"), cookie);
    let half = with(half, &[("X-Forwarded-Uri", "/admin")]);
    assert_eq!(ask(&server, "GET", VERIFY, &half).status, 401);
    // Old configurations name the portal, and no method.
    let old = without(
        forwarded("GET", "app.example.com", "/"),
        "X-Forwarded-Method",
    );
    let answer = ask(&server, "GET", "/api/verify?rd=https://evil.test/", &old);
    assert_eq!(
        (answer.status, answer.header("location")),
        (
            302,
            Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F")
        )
    );
}

#[test]
fn hosts_are_the_same_in_any_case_with_a_port_or_a_final_dot() {
    let (server, _, cookie) = with_alice();
    for (host, way_back) in [
        ("APP.Example.COM", "https%3A%2F%2Fapp.example.com%2Fx"),
        ("app.example.com.", "https%3A%2F%2Fapp.example.com%2Fx"),
        ("App.example.com.:443", "https%3A%2F%2Fapp.example.com%2Fx"),
        (
            "app.example.com:8443",
            "https%3A%2F%2Fapp.example.com%3A8443%2Fx",
        ),
        ("example.com", "https%3A%2F%2Fexample.com%2Fx"),
        ("auth.example.com", "https%3A%2F%2Fauth.example.com%2Fx"),
    ] {
        let fields = || forwarded("GET", host, "/x");
        let sent = ask(&server, "GET", FORWARD_AUTH, &fields());
        let let_in = ask(
            &server,
            "GET",
            FORWARD_AUTH,
            &with(fields(), &[("Cookie", &cookie)]),
        );

        let location = format!("https://auth.example.com/login?rd={way_back}&rm=GET");
        assert_eq!(sent.header("location"), Some(location.as_str()), "{host}");
        assert_eq!(let_in.status, 200, "{host}");
    }
    let mut fields = forwarded("GET", "app.example.com", "/x");
    fields[1].1 = "WSS";
    assert_eq!(
        ask(&server, "GET", FORWARD_AUTH, &fields).header("location"),
        Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2Fx&rm=GET")
    );
}

#[test]
fn a_proxy_may_ask_by_any_method_and_with_the_visitors_query() {
    let (server, _, cookie) = with_alice();
    let cookie = ("Cookie", cookie.as_str());
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND",
    ] {
        // As the visitor's browser said it to the application.
        let more = [
            cookie,
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.test"),
            ("Content-Length", "0"),
        ];
        let fields = with(forwarded(method, "app.example.com", "/"), &more);
        let answer = ask(
            &server,
            method,
            &format!("{FORWARD_AUTH}?z=1&rd=x"),
            &fields,
        );

        assert_eq!(
            (answer.status, answer.header("remote-user")),
            (200, Some("alice")),
            "{method}"
        );
    }
    for path in [
        "/api/authz/forward-auth/",
        "/api/authz",
        "/api/authz/ext-authz",
        "/API/verify",
        "/api//verify",
    ] {
        let fields = with(forwarded("GET", "app.example.com", "/"), &[cookie]);
        assert_eq!(ask(&server, "GET", path, &fields).status, 404, "{path}");
    }
    assert!(
        !server.log().contains("admitted"),
        "what is asked all the time is no event"
    );
}

#[test]
fn without_a_cookie_domain_a_session_lets_in_at_our_own_host_alone() {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.com",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = format!(
        "__Host-session={}",
        alice.cookies.borrow()["__Host-session"]
    );
    let status = |host| {
        let fields = with(forwarded("GET", host, "/x"), &[("Cookie", &cookie)]);
        ask(&server, "GET", FORWARD_AUTH, &fields).status
    };

    assert_eq!(status("auth.example.com"), 200);
    assert_eq!(status("auth.example.com:8443"), 200);
    assert_eq!(status("app.auth.example.com"), 400);
    assert_eq!(status("app.example.com"), 400);
}

#[test]
fn a_session_in_use_at_an_application_does_not_fall_idle() {
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    let elsewhere = Visitor::program(&server);
    elsewhere.log_in("alice", PASSWORD, &authenticator);
    let fields = || {
        let fields = forwarded("GET", "app.example.com", "/");
        with(fields, &[("Cookie", &cookie)])
    };

    // As HAProxy asks: by HEAD, which changes nothing anywhere else.
    wait_for("the use to be noted", || {
        assert_eq!(ask(&server, "HEAD", FORWARD_AUTH, &fields()).status, 200);
        let account = elsewhere.get("/account").json();
        let session = &account["sessions"][1];
        (session["last_seen"] != session["created"]).then_some(())
    });
}

#[test]
fn nginx_is_told_nothing_it_would_take_for_an_error() {
    let server = setup().start();
    let huge = "x".repeat(50_000);
    let many = "A: b\r\n".repeat(300);
    let ask = |path: &str, raw: &str| {
        let mut wire = server.connect();
        wire.send(raw.replace("PATH", path).as_bytes());
        Answer::parse(&wire.read_to_end())
    };
    for (raw, elsewhere) in [
        (
            format!("GET PATH HTTP/1.1\r\nHost: auth\r\nCookie: {huge}\r\n\r\n"),
            431,
        ),
        (
            format!("GET PATH HTTP/1.1\r\nHost: auth\r\n{many}\r\n"),
            431,
        ),
        (
            "POST PATH HTTP/1.1\r\nHost: auth\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
            413,
        ),
        ("GET PATH?x HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        (
            "GET PATH HTTP/1.1\r\nHost: auth\r\nCookie: a=\x01\r\n\r\n".to_owned(),
            400,
        ),
        ("GET PATH HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET PATH HTTP/1.1\r\nHost: auth\r\nExpect: x\r\n\r\n".to_owned(),
            417,
        ),
        (
            format!(
                "GET PATH?{} HTTP/1.1\r\nHost: auth\r\n\r\n",
                "x".repeat(9000)
            ),
            414,
        ),
        ("GET PATH HTTP/2.0\r\nHost: auth\r\n\r\n".to_owned(), 505),
    ] {
        let answer = ask(AUTH_REQUEST, &raw);
        assert_eq!(
            (answer.status, answer.header("location")),
            (403, None),
            "{}",
            &raw[..40]
        );
        // Elsewhere it is what it is.
        assert_eq!(ask(FORWARD_AUTH, &raw).status, elsewhere, "{}", &raw[..40]);
    }
}

#[test]
fn only_a_navigation_is_sent_to_the_login() {
    let server = setup().start();
    let basic = ("Authorization", "Bearer x");
    for (more, accept, sent) in [
        (
            &[
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ][..],
            BROWSER,
            true,
        ),
        (
            &[("Sec-Fetch-Mode", "NAVIGATE"), ("Sec-Fetch-Dest", "IFrame")],
            "*/*",
            true,
        ),
        (&[("Sec-Fetch-Dest", "frame")], BROWSER, true),
        (&[("Sec-Fetch-Dest", "embed")], BROWSER, true),
        (&[("Sec-Fetch-Dest", "object")], BROWSER, true),
        (
            &[("Sec-Fetch-Mode", ""), ("Sec-Fetch-Dest", "")],
            "*/*",
            true,
        ),
        (&[("Sec-Fetch-Mode", "cors")], "*/*", false),
        (&[("Sec-Fetch-Mode", "cors")], BROWSER, false),
        (&[("Sec-Fetch-Mode", "same-origin")], "*/*", false),
        (
            &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")],
            "*/*",
            false,
        ),
        (&[("Sec-Fetch-Mode", "websocket")], "*/*", false),
        (
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "empty")],
            BROWSER,
            false,
        ),
        (&[("Sec-Fetch-Dest", "script")], "*/*", false),
        (&[("Sec-Fetch-Dest", "serviceworker")], BROWSER, false),
        (
            &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Mode", "cors")],
            BROWSER,
            false,
        ),
        (&[basic], "*/*", false),
        (&[basic], "text/*", false),
        (&[basic], "application/json", false),
        (&[basic], BROWSER, true),
        (&[("Authorization", "")], "*/*", true),
    ] {
        for (path, status) in [(FORWARD_AUTH, 302), (VERIFY, 302)] {
            let fields = without(forwarded("GET", "app.example.com", "/"), "Accept");
            let fields = with(with(fields, more), &[("Accept", accept)]);
            let answer = ask(&server, "GET", path, &fields);
            let expected = if sent { status } else { 401 };
            assert_eq!(answer.status, expected, "{path} {more:?} {accept}");
            assert_eq!(
                answer.header("location"),
                Some("https://auth.example.com/login?rd=https%3A%2F%2Fapp.example.com%2F&rm=GET")
            );
        }
        let fields = without(original("GET", "https://app.example.com/"), "Accept");
        let fields = with(with(fields, more), &[("Accept", accept)]);
        let answer = ask(&server, "GET", AUTH_REQUEST, &fields);
        assert_eq!(answer.status, 401, "{more:?}");
        assert!(answer.header("location").is_some());
    }
}

#[test]
fn a_method_is_any_token_and_two_of_them_are_refused() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    let status = |path, method| {
        let fields = match path {
            AUTH_REQUEST => original(method, "https://app.example.com/"),
            _ => forwarded(method, "app.example.com", "/"),
        };
        ask(&server, "GET", path, &with(fields, cookie)).status
    };
    let long = "A".repeat(100);
    for method in [
        "VERSION-CONTROL",
        "M-SEARCH",
        "get",
        "Patch",
        "BASELINE-CONTROL",
        "x-1.2~",
        "!#$%&'*+-.^_`|~",
        "CONNECTED",
        "TRACES",
        &long,
    ] {
        for path in [FORWARD_AUTH, AUTH_REQUEST, VERIFY] {
            assert_eq!(status(path, method), 200, "{path} {method}");
        }
    }
    for method in [
        "CONNECT", "connect", "Connect", "TRACE", "trace", "tRaCe", "G T", "a\"b",
    ] {
        for (path, refused) in [(FORWARD_AUTH, 400), (AUTH_REQUEST, 403), (VERIFY, 400)] {
            assert_eq!(status(path, method), refused, "{path} {method}");
        }
    }
    // What it is told goes into an address.
    let sent = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &forwarded("a&b%", "app.example.com", "/"),
    );
    assert_eq!(sent.status, 303);
    assert!(sent.header("location").unwrap().ends_with("&rm=a%26b%25"));
}

#[test]
fn a_strict_question_is_refused_if_it_carries_what_only_the_proxy_may_say() {
    let (server, _, cookie) = with_alice();
    let cookie = &[("Cookie", cookie.as_str())];
    let ask_with = |path: &str, field: (&str, &str)| {
        let fields = if path.starts_with(AUTH_REQUEST) {
            original("GET", "https://app.example.com/")
        } else {
            without(forwarded("GET", "app.example.com", "/"), "Accept")
        };
        ask(&server, "GET", path, &with(with(fields, cookie), &[field]))
    };
    let strict = [
        format!("{FORWARD_AUTH}?strict"),
        format!("{AUTH_REQUEST}?x=1&strict=1"),
    ];
    for name in [
        "X-WEBAUTH-ROLE",
        "X-Remote-Group",
        "Remote-Role",
        "remote-id",
        "X-Auth-Request-Email",
        "X-Forwarded-User",
        "X-Forwarded-Ssl",
        "X-Original-Host",
        "X-Rewrite-URL",
        "Forwarded",
        "Proxy",
        "Remote.User",
        "Remote_User",
        "x!y",
    ] {
        for path in &strict {
            let answer = ask_with(path, (name, "root"));
            assert_eq!(answer.status, 403, "{path} {name}");
            assert!(
                answer.body.contains("a field that only the proxy may send"),
                "{answer:?}"
            );
            assert_eq!(answer.header("remote-user"), None);
        }
        // Configurations that overwrite them ask without, and go on.
        for path in [FORWARD_AUTH, AUTH_REQUEST] {
            assert_eq!(ask_with(path, (name, "root")).status, 200, "{path} {name}");
        }
    }
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Real-IP",
        "X-Requested-With",
        "Referer",
        "DNT",
    ] {
        for path in &strict {
            assert_eq!(
                ask_with(path, (name, "192.0.2.1")).status,
                200,
                "{path} {name}"
            );
        }
    }
    // Nobody else can say so in its place.
    let said = ask_with(&strict[0], ("Auth-User-Foreign", "x"));
    assert_eq!(said.status, 200);
}

#[test]
fn a_way_back_too_long_for_the_login_is_said_to_be() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let browser = Visitor::new(&server, Accept::Page);
    let fits = format!("/{}", "a".repeat(2048 - "https://app.example.com/".len()));
    let query = format!("/x?{}", "b".repeat(2100));
    let twice = format!("{fits}a");
    let huge = format!("/{}", "c".repeat(9000));
    for uri in [&twice, &query, &huge] {
        let url = format!("https://app.example.com{uri}");
        for (path, fields) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", uri)),
            (AUTH_REQUEST, original("GET", &url)),
            (VERIFY, forwarded("GET", "app.example.com", uri)),
        ] {
            let answer = ask(&server, "GET", path, &fields);
            let location = answer.header("location").unwrap();
            assert!(location.len() < 100, "{location}");
            let login = location.strip_prefix("https://auth.example.com").unwrap();

            let page = browser.get(login);
            assert_eq!(page.status, 200, "{login}");
            assert!(
                page.body.contains("too long to come back to"),
                "{}",
                page.body
            );
            assert!(page.body.contains("name=\"rd\" value=\"\""));
            let known = alice.reading(Accept::Page).get(login);
            assert!(known.body.contains("too long to come back to"));
            // As old configurations send people.
            let old = browser.get(&login.replace("/login?", "/?"));
            let page = browser.get(old.header("location").unwrap());
            assert!(page.body.contains("too long to come back to"));
        }
    }
    let answer = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &forwarded("GET", "app.example.com", &fits),
    );
    let login = answer.header("location").unwrap();
    let page = browser.get(login.strip_prefix("https://auth.example.com").unwrap());
    assert!(!page.body.contains("too long") && page.body.contains(&fits));
    // Written by somebody else.
    let page = browser.get(&format!("/login?rd=/{}", "a".repeat(2048)));
    assert_eq!(page.status, 200);
    assert!(page.body.contains("too long to come back to"));
}

#[test]
fn a_way_back_in_a_post_is_that_of_the_body_or_else_of_the_address() {
    let server = setup().start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    alice.enrol("alice");
    let browser = Visitor::new(&server, Accept::Page);
    let long = format!("/{}", "a".repeat(2048));
    let right = [("username", "alice"), ("password", PASSWORD)];
    let with_rd = |rd| [right[0], right[1], ("rd", rd)];
    let next = |query: &str, form: &[(&str, &str)]| {
        let answer = browser.post(&format!("/login{query}"), form);
        (answer.status, answer.header("location").map(str::to_owned))
    };

    let to = |location: &str| (303, Some(location.to_owned()));
    assert_eq!(
        next("?rd=/account", &right),
        to("/secret_key?rd=%2Faccount")
    );
    assert_eq!(
        next("?rd=/x", &with_rd("/account")),
        to("/secret_key?rd=%2Faccount")
    );
    assert_eq!(next("?rd=/account", &with_rd("")), to("/secret_key"));
    assert_eq!(next(&format!("?rd={long}"), &right), to("/secret_key"));
    assert_eq!(next("?rd=too-long%3A", &right), to("/secret_key"));
    assert_eq!(next("?rd=https://evil.test/", &right), to("/secret_key"));
    assert_eq!(next("", &with_rd(&long)).0, 400);
    alice.post("/login", &with_rd(&long)).expect("bad_field");
}

#[test]
fn of_several_session_cookies_the_one_that_is_a_session_counts() {
    let (server, _, own) = with_alice();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let ended = session(&bob);
    bob.post("/logout", &[]).expect("logged_out");

    for cookies in [
        format!("__Secure-session=planted; {own}"),
        format!("{own}; __Secure-session="),
        format!("{own}; {ended}"),
        format!("a=1; {ended}; __Secure-session=x; b=2; {own}; __Secure-session=y"),
        // Browsers keep a tab in a value, which an application could set.
        format!("a=1;\t{own}"),
        format!("\t {own}\t;\tb=2"),
        format!("a=1;\t__Secure-session=planted; {own}"),
    ] {
        assert!(is_let_in(&server, &cookies), "{cookies:?}");
    }
    for cookies in [
        format!("{ended}; __Secure-session=x"),
        format!("a=1\t{own}"),
        format!("__Secure-session\t={}", &own["__Secure-session=".len()..]),
        format!("x{own}"),
    ] {
        assert!(!is_let_in(&server, &cookies), "{cookies:?}");
    }
    // A tab is the only one of its kind.
    for control in ["\x01", "\x0b", "\x0c", "\x1f", "\x7f", "\0"] {
        for (path, status) in [
            (FORWARD_AUTH, 400),
            (AUTH_REQUEST, 403),
            ("/", 400),
            ("/login", 400),
            ("/account", 400),
            ("/healthz", 400),
            ("/nowhere", 400),
        ] {
            let cookie = format!("a={control}; {own}");
            let answer = ask(&server, "GET", path, &[("Cookie", &cookie)]);
            assert_eq!(answer.status, status, "{path} {control:?}");
        }
    }
}

#[test]
fn two_sessions_at_once_are_none_and_the_page_says_so_and_ends_the_name() {
    let (server, alice, own) = with_alice();
    let (mallory, _) = Visitor::with_account(&server, "mallory");
    let planted = session(&mallory);
    let ends = |answer: &Answer| {
        let mut ended: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        ended.sort_unstable();
        assert!(
            ended
                .iter()
                .all(|cookie| cookie.contains("=;") && cookie.contains("Max-Age=0"))
        );
        let at_root: Vec<&str> = ended
            .into_iter()
            .filter(|cookie| cookie.contains("Path=/;"))
            .collect();
        let attributes = "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0";
        let bare = format!("__Secure-session=; {attributes}");
        assert_eq!(
            at_root,
            [bare.clone(), format!("{bare}; Domain=example.com")]
        );
    };
    for cookies in [
        format!("{own}; {planted}"),
        format!("{planted}; x=y; {own}"),
        format!("{own};\t{planted}; __Secure-session=x"),
    ] {
        let cookie = ("Cookie", cookies.as_str());
        let questions = [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/a/b")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/a/b")),
            (VERIFY, forwarded("GET", "app.example.com", "/a/b")),
            ("/account", vec![("Accept", BROWSER)]),
            ("/account/password", vec![("Accept", BROWSER)]),
        ];
        for (path, fields) in questions {
            let answer = ask(&server, "GET", path, &with(fields, &[cookie]));

            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("remote-user"), None);
            assert!(
                answer.body.contains("Two sessions were sent"),
                "{path} {answer:?}"
            );
            ends(&answer);
        }
        let login = ask(&server, "GET", "/login", &[("Accept", BROWSER), cookie]);
        assert_eq!(login.status, 200);
        assert!(login.body.contains("Two sessions were sent"));
        ends(&login);
        let told = ask(
            &server,
            "GET",
            "/account",
            &[("Accept", "application/json"), cookie],
        );
        told.expect("login_required");
        ends(&told);
    }
    // A planted one can have a path of its own, as long as that of what is asked for.
    let both = format!("{own}; {planted}");
    let fields = with(
        forwarded("GET", "app.example.com", "/a/b"),
        &[("Cookie", &both)],
    );
    let answer = format!("{:?}", ask(&server, "GET", FORWARD_AUTH, &fields));
    for path in ["/a", "/a/", "/a/b", "/a/b/"] {
        assert!(answer.contains(&format!("Path={path};")), "{path} {answer}");
    }
    // Neither was ended; a log-out ends both.
    assert!(alice.is_logged_in() && mallory.is_logged_in());
    let fields = [("Accept", "application/json"), ("Cookie", both.as_str())];
    ask(
        &server,
        "POST",
        "/logout",
        &with(fields.to_vec(), &[("Content-Length", "0")]),
    )
    .expect("logged_out");
    assert!(!alice.is_logged_in() && !mallory.is_logged_in());
}

#[test]
fn a_login_leads_back_to_the_application_with_its_query() {
    let server = setup().start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    let authenticator = alice.enrol("alice");
    let browser = Visitor::new(&server, Accept::Page);
    let uri = "/a%20b?c=d&e=%26%23&f=https://evil.test/";
    let answer = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &forwarded("POST", "app.example.com", uri),
    );
    let login = answer
        .header("location")
        .unwrap()
        .strip_prefix("https://auth.example.com")
        .unwrap();

    let page = browser.get(login);
    let rd = page
        .body
        .split_once("name=\"rd\" value=\"")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap();
    let rd = rd.replace("&amp;", "&").replace("&#39;", "'");
    browser.post(
        "/login",
        &[("username", "alice"), ("password", PASSWORD), ("rd", &rd)],
    );
    let done = browser.post("/secret_key", &[("secret", &authenticator.code())]);

    let back = format!("https://app.example.com{uri}");
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some(back.as_str()))
    );
    assert!(is_let_in(&server, &session(&browser)));
}

#[test]
fn a_loop_is_explained_and_not_repeated() {
    let (_server, alice, _) = with_alice();
    let browser = alice.reading(Accept::Page);
    let login = "/login?rd=https%3A%2F%2Fapp.example.com%2Fx&rm=GET";

    let page = browser.get(login);
    let old = browser.get("/?rd=https%3A%2F%2Fapp.example.com%2Fx&rm=GET");
    let by_link = browser.get("/login?rd=https%3A%2F%2Fapp.example.com%2Fx");
    let foreign = browser.get("/login?rd=https%3A%2F%2Fevil.test%2Fx&rm=GET");

    assert_eq!((page.status, page.header("location")), (200, None));
    assert!(
        page.body
            .contains("You are logged in as <strong>alice</strong>")
    );
    assert!(
        page.body
            .contains("your session does not reach app.example.com")
    );
    assert!(page.body.contains("href=\"https://app.example.com/x\""));
    assert_eq!(
        old.header("location"),
        Some("/login?rd=https%3A%2F%2Fapp.example.com%2Fx&rm")
    );
    assert!(!by_link.body.contains("does not reach"));
    assert!(foreign.body.contains("none that this server leads back to"));
    assert!(!foreign.body.contains("evil.test"));
}
