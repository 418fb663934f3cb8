//! Questions that are refused: of strangers, of two readings, or with what only a proxy may say.

use crate::harness::{Setup, Visitor};
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, session, with, with_alice,
    without,
};

#[test]
fn nobody_but_a_trusted_proxy_is_believed() {
    let untrusted = Setup::new()
        .for_domain("example.com")
        .with(&["--trusted-proxy", "192.0.2.0/24"]);
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
    let by_nginx = |url: &str| {
        ask(
            &server,
            "GET",
            AUTH_REQUEST,
            &with(original("GET", url), cookie),
        )
    };
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
        let answer = by_nginx(&url);
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
        let answer = by_nginx(&url);
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
        let answer = by_nginx(url);
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
        let answer = by_nginx(&url);
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
    let whole = || forwarded("GET", "app.example.com", "/");
    let url = || original("GET", "https://app.example.com/");
    for (path, status, all, names) in [
        (
            FORWARD_AUTH,
            400,
            &whole as &dyn Fn() -> Vec<(&'static str, &'static str)>,
            &[
                "X-Forwarded-Method",
                "X-Forwarded-Proto",
                "X-Forwarded-Host",
                "X-Forwarded-Uri",
            ][..],
        ),
        (
            AUTH_REQUEST,
            403,
            &url,
            &["X-Original-Method", "X-Original-URL"],
        ),
    ] {
        for name in names {
            let value = all().iter().find(|(field, _)| field == name).unwrap().1;
            let alias = name.replace('-', "_");
            for fields in [
                without(all(), name),
                with(all(), &[(name, value)]),
                with(without(all(), name), &[(&alias, value)]),
            ] {
                let answer = ask(&server, "GET", path, &with(fields, cookie));
                assert_eq!(answer.status, status, "{name}");
            }
        }
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
