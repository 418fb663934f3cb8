//! `access.toml`: who may enter which application.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Accept, Answer, Server, Visitor, wait_for};
use crate::routes::authz::setup;

const RULES: &str = r#"
[[rule]]
host = "app.example.com"
groups = ["*"]

[[rule]]
host = "app.example.com"
path = "/admin"
groups = ["admins"]

[[rule]]
host = "*.example.com"
groups = ["staff"]
"#;

/// Puts rules in their place as editors do.
fn write_rules(server: &Server, rules: &str) {
    fs::write(server.path("edited"), rules).unwrap();
    fs::rename(server.path("edited"), server.path("access.toml")).unwrap();
}

/// Whether the visitor is let in there, by what Caddy, HAProxy and Traefik say.
fn enter(visitor: &Visitor, host: &str, uri: &str) -> Answer {
    visitor
        .sending("x-forwarded-method", "GET")
        .sending("x-forwarded-proto", "https")
        .sending("x-forwarded-host", host)
        .sending("x-forwarded-uri", uri)
        .get("/api/authz/forward-auth")
}

fn status(visitor: &Visitor, host: &str, uri: &str) -> u16 {
    enter(visitor, host, uri).status
}

/// As nginx asks.
fn asked_by_nginx(visitor: &Visitor, url: &str) -> Answer {
    visitor
        .sending("x-original-method", "GET")
        .sending("x-original-url", url)
        .get("/api/authz/auth-request")
}

#[test]
fn without_rules_everybody_who_is_logged_in_may_enter() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    assert_eq!(status(&alice, "app.example.com", "/admin"), 200);
    assert_eq!(status(&alice, "other.example.com", "/"), 200);
    assert_eq!(
        status(&Visitor::program(&server), "app.example.com", "/"),
        401
    );
}

#[test]
fn with_rules_nobody_enters_whom_none_lets_in() {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    assert_eq!(status(&alice, "app.example.com", "/x"), 200);
    assert_eq!(status(&alice, "APP.Example.com.:8443", "/x?/admin"), 200);
    for (host, uri) in [
        ("app.example.com", "/admin"),
        ("app.example.com", "/admin?x"),
        ("APP.example.com.", "/admin/x"),
        ("app.example.com:8443", "/ADMIN"),
        ("app.example.com", "/%61dmin"),
        ("app.example.com", "//admin"),
        ("app.example.com", "/x/..;/admin"),
        ("app.example.com", "/x/%252e%252e/admin"),
        ("app.example.com", "/admin;x=1"),
        ("app.example.com", "/admin%2Fx"),
        ("app.example.com", "/x/%2e%2e/admin"),
        ("app.example.com", "/admin.json"),
        ("app.example.com", "/admin%20"),
        ("app.example.com", "/adm%C4%B1n"),
        ("other.example.com", "/"),
        ("example.com", "/"),
    ] {
        assert_eq!(status(&alice, host, uri), 403, "{host}{uri}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused_where_a_rule_names_one_and_nowhere_else() {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    server.edit_account("alice", |account| {
        account["groups"] = serde_json::json!(["admins", "staff"])
    });
    wait_for("alice to be let in", || {
        (status(&alice, "app.example.com", "/admin") == 200).then_some(())
    });
    let nobody = Visitor::program(&server);
    for path in [
        "/a%2eb",
        "/a/%2e%2e/b",
        "/%252e%252e/x",
        "/a%2fb",
        "/a%255Cb",
        "/a\\b",
        "/a;b",
        "/a%3bb",
        "//a",
        "/a//",
        "/./a",
        "/a/..",
        "/a%00",
        "/a%0d",
        "/a%ff",
        "/%c0%ae",
        "/%u0061",
    ] {
        for visitor in [&alice, &nobody] {
            let browser = visitor.reading(Accept::Page);
            let page = enter(&browser, "app.example.com", path);
            assert_eq!(page.status, 403, "{path}");
            assert_eq!(page.header("location"), None, "{path}");
            assert!(
                page.body.contains("can be read in more than one way"),
                "{page:?}"
            );
            assert!(page.body.contains("href=\"https://app.example.com/\""));
            enter(visitor, "app.example.com", path).expect("two_readings");
            let url = format!("https://app.example.com{path}");
            assert_eq!(asked_by_nginx(visitor, &url).status, 403, "{path}");
            let old = visitor
                .sending("x-original-method", "GET")
                .sending("x-original-url", &url)
                .get("/api/verify");
            assert_eq!(old.status, 403, "{path}");
            // Nothing is said of what stands in the query.
            let query = format!("/x?{path}");
            assert_ne!(status(visitor, "app.example.com", &query), 403, "{path}");
        }
        // Where no rule names a path, as ever.
        let expected = match path {
            "/a/%2e%2e/b" | "/a\\b" | "/./a" | "/a/.." => 400,
            _ => 200,
        };
        assert_eq!(status(&alice, "x.example.com", path), expected, "{path}");
    }
    for path in ["/a%20b", "/caf%C3%A9/", "/%61", "/100%25", "/x/", "/"] {
        assert_eq!(status(&alice, "app.example.com", path), 200, "{path}");
        assert_eq!(status(&nobody, "app.example.com", path), 401, "{path}");
    }
}

#[test]
fn a_rule_for_paths_of_many_hosts_counts_at_each() {
    let setup = setup();
    let rules = "[[rule]]\nhost = \"*.example.com\"\ngroups = [\"*\"]\n\
                 [[rule]]\nhost = \"*.example.com\"\npath = \"/admin\"\ngroups = []\n";
    fs::write(setup.dir().join("access.toml"), rules).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    for host in [
        "app.example.com",
        "a.b.example.com",
        "APP.example.com.:8443",
    ] {
        assert_eq!(status(&alice, host, "/x"), 200, "{host}");
        for path in ["/x;y", "/x%2fy", "/ADMIN", "/admin.json"] {
            assert_eq!(status(&alice, host, path), 403, "{host}{path}");
        }
    }
}

#[test]
fn groups_are_those_the_account_has_now() {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    assert_eq!(status(&alice, "app.example.com", "/admin"), 403);

    server.edit_account("alice", |account| {
        account["groups"] = serde_json::json!(["admins"])
    });
    wait_for("alice to be let in", || {
        (status(&alice, "app.example.com", "/admin") == 200).then_some(())
    });
    server.edit_account("alice", |account| {
        account["groups"] = serde_json::json!(["Admins"])
    });
    wait_for("alice to be turned away", || {
        (status(&alice, "app.example.com", "/admin") == 403).then_some(())
    });
}

#[test]
fn a_visitor_who_is_turned_away_is_told_as_whom_and_can_log_out() {
    let setup = setup();
    fs::write(setup.dir().join("access.toml"), RULES).unwrap();
    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let browser = alice.reading(Accept::Page);

    let page = enter(&browser, "app.example.com", "/admin");
    let program = enter(&alice, "app.example.com", "/admin");
    let nginx = asked_by_nginx(&browser, "https://app.example.com/admin");
    let login = nginx
        .header("location")
        .unwrap()
        .strip_prefix("https://auth.example.com")
        .unwrap();
    let ours = browser.get(login);

    for page in [&page, &ours] {
        assert_eq!(page.status, 403);
        assert!(
            page.body.contains("<strong>alice</strong>")
                && page.body.contains("<strong>app.example.com</strong>")
        );
        assert!(
            page.body
                .contains("href=\"https://auth.example.com/logout\"")
        );
        assert_eq!(page.header("remote-user"), None);
    }
    // Traefik is told to take no more.
    assert!(page.body.len() < 8192, "{}", page.body.len());
    assert_eq!(page.header("location"), None);
    program.expect("denied");
    assert_eq!(
        (nginx.status, nginx.body.as_str()),
        (403, "You may not enter here.")
    );
    server.wait_for_log("result=\"denied\"");
}

#[test]
fn changed_rules_hold_within_a_second_and_bad_ones_never() {
    let server = setup().start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let turned_away = |path| (status(&alice, "app.example.com", path) == 403).then_some(());
    assert_eq!(status(&alice, "app.example.com", "/admin"), 200);

    write_rules(&server, RULES);
    wait_for("the rules", || turned_away("/admin"));
    assert_eq!(status(&alice, "app.example.com", "/"), 200);

    write_rules(
        &server,
        "[[rule]]\nhost = \"app.example.com\"\ngroup = [\"*\"]\n",
    );
    server.signal(Signal::HUP);
    server.wait_for_log("access.toml\": line 3, column 1: unknown field `group`");
    assert_eq!(status(&alice, "app.example.com", "/admin"), 403);
    assert_eq!(status(&alice, "app.example.com", "/"), 200);

    write_rules(
        &server,
        "[[rule]]\nhost = \"app.example.com\"\ngroups = []\n",
    );
    wait_for("the new rules", || turned_away("/"));
    server.wait_for_log("the access rules is good again");

    fs::remove_file(server.path("access.toml")).unwrap();
    server.wait_for_log("access.toml\": is gone. The last good access rules go on holding");
    assert_eq!(status(&alice, "app.example.com", "/"), 403);
}

#[test]
fn the_server_does_not_start_on_bad_rules() {
    for (rules, said) in [
        (
            "[[rule]]\nhost = \"*\"\ngroups = []\n",
            "line 2, column 8: host is no name such as app.example.com or *.example.com",
        ),
        (
            "\n[[rules]]\n",
            "line 2, column 3: unknown field `rules`, expected `rule`",
        ),
        ("[[rule]\n", "line 1, column 8"),
        (
            "[[rule]]\nhost = \"a.b\"\ngroups = []\npublic = true\n",
            "line 4, column 10: a rule has groups or public = true, not both",
        ),
        (
            "[[rule]]\nhost = \"a.b\"\npublic = true\ntokens = true\n",
            "line 4, column 10: tokens = true goes with groups",
        ),
        (
            "\n[[rule]]\nhost = \"a.b\"\n",
            "line 2, column 1: a rule has groups, or public = true",
        ),
        ("", "is empty"),
        ("# \u{e9}", ""),
    ] {
        let setup = setup();
        let text: Vec<u8> = if said.is_empty() {
            b"# \xe9".to_vec()
        } else {
            rules.into()
        };
        fs::write(setup.dir().join("access.toml"), text).unwrap();

        let (status, stdout, stderr) = setup.run();

        assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{rules:?}");
        let begun = "auth_user: cannot read \"./access.toml\": ";
        assert!(stderr.contains(begun) && stderr.contains(said), "{stderr}");
        assert!(
            stderr.contains("auth_user: hint: mend the rules"),
            "{stderr}"
        );
    }
}

#[test]
fn rules_that_never_count_are_named_at_the_start_and_when_the_file_is_edited() {
    let setup = setup().alone();
    let rules = r#"
[[rule]]
host = "app.example.org"
groups = ["*"]

[[rule]]
host = "app.example.com"
groups = []
tokens = true
"#;
    fs::write(setup.dir().join("access.toml"), rules).unwrap();
    let server = setup.start();
    let said = |rules: &str| format!("access.toml\", rules that never count: {rules}\n");
    let tokens = "app.example.com (tokens = true, and no groups whose members could have some)";
    let outside = "app.example.org (outside --cookie-domain example.com)";
    server.wait_for_log(&said(&format!("{outside}, {tokens}")));
    assert_eq!(server.log().matches("never count").count(), 1);

    write_rules(&server, RULES);
    write_rules(
        &server,
        "[[rule]]\nhost = \"app.example.org\"\npublic = true\n",
    );

    server.wait_for_log(&said(outside));
}
