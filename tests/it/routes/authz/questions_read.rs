//! Questions that can be read: by any method, with whatever else is in them, and in the words of
//! each proxy.

use crate::harness::Answer;
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, setup, with, with_alice, without,
};

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
