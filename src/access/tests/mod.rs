mod decoders;
mod readings;

use super::*;

const RULES: &str = r#"
    [[rule]]
    host = "app.example.com"
    groups = ["*"]

    [[rule]]
    host = "app.example.com"
    path = "/admin"
    groups = ["admins", "owners"]

    [[rule]]
    host = "app.example.com"
    path = "/admin/help"
    groups = ["users"]

    [[rule]]
    host = "*.example.com"
    groups = ["staff"]

    [[rule]]
    host = "*.lab.example.com"
    path = "/open"
    groups = ["*"]
"#;

fn admits(host: &str, path: &str, groups: &[&str]) -> bool {
    let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
    Access::parse(RULES).unwrap().admits(host, path, &groups)
}

fn said(text: &str) -> (String, usize) {
    let bad = Access::parse(text).err().unwrap();
    let line = text[..bad.at.unwrap()].matches('\n').count() + 1;
    (bad.reason, line)
}

#[test]
fn without_rules_everybody_may_and_with_none_of_them_nobody() {
    let none = Access::parse("# nothing yet").unwrap();

    assert!(Access::default().admits("app.example.com", "/", &[]));
    assert!(!none.admits("app.example.com", "/", &["admins".to_owned()]));
}

#[test]
fn the_most_specific_rule_decides_whatever_the_order() {
    for (host, path, group, admitted) in [
        ("app.example.com", "/", "users", true),
        ("app.example.com", "/adminx", "users", true),
        ("app.example.com", "/administration/x", "users", true),
        ("app.example.com", "/admin", "users", false),
        ("app.example.com", "/admin/", "users", false),
        ("app.example.com", "/admin/x", "users", false),
        ("app.example.com", "/admin/x", "owners", true),
        ("app.example.com", "/admin/help/me", "users", true),
        ("app.example.com", "/admin/help", "admins", false),
        ("other.example.com", "/", "users", false),
        ("other.example.com", "/", "staff", true),
        ("a.b.example.com", "/", "staff", true),
        // The domain itself is not under it, and a name that only ends in its letters is not
        // either.
        ("example.com", "/", "staff", false),
        ("evilexample.com", "/", "staff", false),
        ("a.lab.example.com", "/open/x", "users", true),
        ("a.lab.example.com", "/", "staff", true),
        ("elsewhere.test", "/", "staff", false),
    ] {
        assert_eq!(
            admits(host, path, &[group]),
            admitted,
            "{host}{path} {group}"
        );
    }
}

const OPEN: &str = r#"
    [[rule]]
    host = "app.example.com"
    groups = ["users"]
    tokens = true

    [[rule]]
    host = "app.example.com"
    path = "/open"
    public = true
    tokens = false

    [[rule]]
    host = "app.example.com"
    path = "/open/not"
    groups = ["*"]
    public = false

    [[rule]]
    host = "*.example.com"
    public = true

    [[rule]]
    host = "*.example.com"
    path = "/far"
    public = true
"#;

#[test]
fn what_is_public_or_takes_tokens_is_so_wherever_an_application_finds_it() {
    let rules = Access::parse(OPEN).unwrap();
    for (host, path, is_public, takes_tokens, admits) in [
        ("app.example.com", "/", false, true, false),
        ("app.example.com", "/open", true, false, true),
        ("app.example.com", "/open/x", true, false, true),
        // The rule that opens does so to the letter: an application may find these elsewhere.
        ("app.example.com", "/open.json", false, false, false),
        ("app.example.com", "/OPEN", false, false, false),
        ("app.example.com", "/open%20", false, false, false),
        ("app.example.com", "/open/NOT", false, false, true),
        ("app.example.com", "/open/not.json", false, false, true),
        ("app.example.com", "/open/not", false, false, true),
        ("app.example.com", "/open/../x", false, false, false),
        ("app.example.com", "/open%2fx", false, false, false),
        ("app.example.com", "/far", false, true, false),
        ("x.example.com", "/", true, false, true),
        ("example.com", "/", false, false, false),
        ("elsewhere.test", "/open", false, false, false),
    ] {
        let ruling = rules.ruling(host, path);
        assert_eq!(ruling.is_public(), is_public, "{host}{path}");
        assert_eq!(ruling.takes_tokens(), takes_tokens, "{host}{path}");
        assert_eq!(ruling.admits(&[]), admits, "{host}{path}");
    }
    let none = Access::default();
    let ruling = none.ruling("app.example.com", "/");
    assert!(!ruling.is_public() && !ruling.takes_tokens() && ruling.admits(&[]));
}

#[test]
fn a_rule_may_encode_what_needs_no_encoding() {
    let rule = |path: &str| {
        format!("[[rule]]\nhost = \"app.example.com\"\npath = \"{path}\"\npublic = true\n")
    };
    for (written, asked) in [
        ("/%6fpen/%46", "/open/F"),
        ("/%7Eme/a%2D%5f%39", "/~me/a-_9"),
        ("/caf%C3%A9", "/caf%c3%a9"),
        ("/café", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/100%25", "/100%25"),
        ("/%41%", "/A%"),
    ] {
        let rules = Access::parse(&rule(written)).unwrap();
        let ruling = rules.ruling("app.example.com", asked);
        assert!(ruling.is_public(), "{written}: {asked}");
    }
    let twice = rule("/open") + &rule("/%6Fpen");
    let refused = Access::parse(&twice).err().unwrap();
    assert!(refused.reason.contains("already"), "{}", refused.reason);
}

#[test]
fn the_public_paths_of_a_host_are_those_that_stay_public() {
    let rules = Access::parse(OPEN).unwrap();
    assert_eq!(rules.public_paths("app.example.com"), ["/open"]);
    assert_eq!(rules.public_paths("x.example.com"), ["/", "/far"]);
    assert!(rules.public_paths("example.com").is_empty());
    assert!(Access::default().public_paths("x.example.com").is_empty());
}

#[test]
fn a_rule_has_groups_or_is_public_and_only_groups_go_with_tokens() {
    for (more, reason, line) in [
        ("", "a rule has groups, or public = true", 1),
        ("public = false\n", "a rule has groups, or public = true", 1),
        ("tokens = true\n", "a rule has groups, or public = true", 1),
        (
            "groups = [\"*\"]\npublic = true\n",
            "a rule has groups or public = true, not both",
            4,
        ),
        (
            "public = true\ntokens = true\n",
            "tokens = true goes with groups: what is public needs none",
            4,
        ),
    ] {
        let text = format!("[[rule]]\nhost = \"a.b\"\n{more}");
        assert_eq!(said(&text), (reason.to_owned(), line), "{more}");
    }
    for more in [
        "public = 1\n",
        "public = \"true\"\n",
        "groups = []\ntokens = \"yes\"\n",
    ] {
        let text = format!("[[rule]]\nhost = \"a.b\"\n{more}");
        assert!(Access::parse(&text).is_err(), "{more}");
    }
    for more in [
        "public = true\ntokens = false\n",
        "groups = []\npublic = false\ntokens = false\n",
    ] {
        let text = format!("[[rule]]\nhost = \"a.b\"\n{more}");
        assert!(Access::parse(&text).is_ok(), "{more}");
    }
}

#[test]
fn bad_rules_are_named_by_line_and_reason() {
    let host = "host is no name such as app.example.com or *.example.com";
    let path = "path is no plain path such as /admin, without dots, stars, parameters or a query";
    for (text, reason, line) in [
        ("\n\n[[rule]]\nhost = \"a b\"\ngroups = []", host, 4),
        ("[[rule]]\nhost = \"*\"\ngroups = []", host, 2),
        ("[[rule]]\nhost = \"a.*.b\"\ngroups = []", host, 2),
        ("[[rule]]\nhost = \"https://a\"\ngroups = []", host, 2),
        ("[[rule]]\nhost = \"a:8443\"\ngroups = []", host, 2),
        ("[[rule]]\nhost = \"\"\ngroups = []", host, 2),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"admin\"",
            path,
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/a/../b\"",
            path,
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/admin/*\"",
            path,
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/a?b\"",
            path,
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/%2e%2e/b\"",
            path,
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = [\" \"]",
            "a group has no name",
            3,
        ),
        (
            "[[rule]]\nhost = \"a\"\ngroups = []\n[[rule]]\nhost = \"A.\"\npath = \"/\"\ngroups = []",
            "there is a rule for this host and path already",
            4,
        ),
        (
            "[[rule]]\nhost = \"a\"",
            "a rule has groups, or public = true",
            1,
        ),
    ] {
        assert_eq!(said(text), (reason.to_owned(), line), "{text}");
    }
    for (text, line) in [
        ("[[rules]]\nhost = \"a\"", 1),
        ("[[rule]]\nhost = \"a\"\ngroup = []", 3),
        ("[[rule]]\nhost = \"a\"\ngroups = \"users\"", 3),
        ("[[rule]]\nhost = a", 2),
    ] {
        assert_eq!(said(text).1, line, "{text}: {}", said(text).0);
    }
}
