mod decoders;

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

/// What each kind of path with two readings looks like.
const TWO_READINGS: [(&str, &[&str]); 12] = [
    (
        "an encoded dot",
        &[
            "/%2e%2e/admin",
            "/a%2Eb",
            "/.%2e/x",
            "/%2E",
            "/x/%2e/y",
            "/a.%2e",
        ],
    ),
    (
        "an encoded slash",
        &[
            "/admin%2fx",
            "/a%2Fb",
            "/%2f",
            "/x%2f..%2fadmin",
            "/x/%2Fadmin",
        ],
    ),
    (
        "an encoded backslash",
        &[
            "/admin%5Cx",
            "/%61dmin/users/..%5c..%5cx",
            "/%5c",
            "/x%5cy/",
            "/a%5C%5C",
        ],
    ),
    (
        "any of them encoded again",
        &[
            "/x/%252e%252e/admin",
            "/a%252fb",
            "/a%255Cb",
            "/a%25252e",
            "/a%2525252Fb",
            "/a%25252525252525252525255cb",
            "/a%25%32%65b",
            "/a%%32%65b",
            "/a%25u002eb",
            "/%61dmin/users/%252e%252e/%252e%252e",
        ],
    ),
    (
        "a backslash",
        &["/a\\b", "/\\admin", "/a\\", "/..\\admin", "/a/\\/b"],
    ),
    (
        "a parameter",
        &[
            "/x;v=1",
            "/admin;jsessionid=1",
            "/;/admin",
            "/x/..;/admin",
            "/admin;/..;/x",
            "/%61dmin/users/..;/..;/x",
            "/public/..;/admin/x/%252e%252e/%252e%252e/public",
            "/a%3bb",
            "/admin%3B",
            "/a%253bb",
        ],
    ),
    (
        "an empty segment",
        &["//", "//admin", "/admin//", "/a//b", "/x//../admin", "///"],
    ),
    (
        "dots",
        &[
            "/.",
            "/..",
            "/./admin",
            "/a/../b",
            "/admin/.",
            "/x/..",
            "/open/..%20/admin",
            "/open/%20../admin",
            "/open/.%20./admin",
            "/open/.%20/admin",
            "/open/..%c2%a0/admin",
            "/open/..%E3%80%80/admin",
            "/open/..%2520/admin",
            "/open/..:/admin",
            "/open/..::$DATA/admin",
        ],
    ),
    (
        "a control character",
        &[
            "/admin%00",
            "/a%0ab",
            "/%7f",
            "/a%1Fb",
            "/x/%2500",
            "/a\tb",
            "/a%C2%85",
        ],
    ),
    (
        "what is no UTF-8",
        &[
            "/%c0%afadmin",
            "/%c0%ae%c0%ae/",
            "/%e0%80%af",
            "/%ff",
            "/a%C3",
            "/%ed%a0%80",
            "/%E9",
        ],
    ),
    (
        "an escape of its own",
        &[
            "/%u0061dmin",
            "/a%u002e",
            "/%U0061",
            "/%uD83D",
            "/a%u",
            "/100%unsure",
        ],
    ),
    (
        "endless encoding",
        &["/%252525252525252525252561dmin", "/a%25252525252525252525"],
    ),
];

#[test]
fn what_has_two_readings_is_nobodys_where_a_rule_names_a_path() {
    let rules = Access::parse(RULES).unwrap();
    let everything: Vec<String> = ["admins", "users", "staff"].map(str::to_owned).into();
    for (kind, paths) in TWO_READINGS {
        for path in paths {
            for host in ["app.example.com", "a.lab.example.com"] {
                let why = rules.two_readings(host, path);
                assert!(why.is_some(), "{kind}: {path}");
                assert!(!rules.admits(host, path, &everything), "{kind}: {path}");
            }
            // Where no rule names a path, all paths are alike.
            assert_eq!(rules.two_readings("x.example.com", path), None, "{path}");
            assert!(rules.admits("x.example.com", path, &everything), "{path}");
            assert_eq!(
                Access::default().two_readings("app.example.com", path),
                None
            );
        }
    }
}

#[test]
fn an_honest_path_is_not_taken_for_a_trick() {
    let rules = Access::parse(RULES).unwrap();
    for path in [
        "",
        "/",
        "/x/",
        "/a%20b/100%/%C3%BC",
        "/caf%C3%A9",
        "/%61bc",
        "/100%25",
        "/100%25%20off",
        "/a%25b",
        "/a%25zz",
        "/a%25ff",
        "/%2541bc",
        "/100%25unsure",
        "/a%26b%3D%2B%2C%3A%40",
        "/%E2%82%AC%F0%9F%98%80",
        "/a%3fb",
        "/x%23y",
        "/.well-known/x",
        "/x..y/...",
        "/a.b.c/d.tar.gz",
        "/%",
        "/a%2",
    ] {
        assert_eq!(rules.two_readings("app.example.com", path), None, "{path}");
        assert!(admits("app.example.com", path, &["users"]), "{path}");
    }
}

#[test]
fn no_spelling_dodges_a_rule() {
    for path in [
        "/ADMIN",
        "/Admin/x",
        "/aDm%49n",
        "/adm%C4%B1n",
        "/adm%C4%B0n",
        "/admi%CC%87n",
        "/%61dmin",
        "/%2561dmin",
        "/%25u0061dmin",
        "/%25252561dmin",
        "/admin.json",
        "/admin.",
        "/admin..",
        "/admin.json/x",
        "/ADMIN.XML",
        "/admin%20",
        "/admin%20x",
        "/admin%C2%A0",
        "/admin%E3%80%80/x",
        "/admin./x",
        "/admin%20./x",
        "/%20admin",
        "/%20/admin",
        "/.../admin",
        "/admin:",
        "/admin::$DATA",
        "/admin:$i30:$INDEX_ALLOCATION/x",
        "/admin%3a%3a$DATA",
        "/admin%3fx",
        "/admin%3Fhelp",
        "/admin%23",
        "/admin/HELP",
        "/admin/help.txt",
        "/ADMIN/help",
        "/%61dmin/help",
        "/admin/help%20/x",
    ] {
        assert!(!admits("app.example.com", path, &["users"]), "{path}");
    }
    for path in [
        "/administrator",
        "/admin-x",
        "/admin_",
        "/xadmin",
        "/x/admin",
        "/adm.in",
        "/a%CC%81dmin",
    ] {
        assert!(admits("app.example.com", path, &["users"]), "{path}");
    }
}

/// Letters that are equal without case, in all the ways in which file systems and frameworks
/// compare them.
#[test]
fn letters_are_compared_without_case_and_composed() {
    for (rule, paths) in [
        (
            "/ski",
            &[
                "/SKI",
                "/\u{17f}ki",
                "/s\u{212a}i",
                "/sk\u{131}",
                "/SK\u{130}",
                "/ski\u{307}",
            ][..],
        ),
        (
            "/stra\u{df}e",
            &[
                "/STRASSE",
                "/strasse",
                "/STRA\u{1e9e}E",
                "/\u{17f}tra\u{df}e",
            ],
        ),
        (
            "/o\u{fb00}ice",
            &["/OFFICE", "/office", "/o\u{fb00}\u{131}ce", "/O\u{fb00}ICE"],
        ),
        (
            "/office",
            &["/o\u{fb03}ce", "/OFFICE", "/o\u{fb00}ice", "/of\u{fb01}ce"],
        ),
        (
            "/caf\u{e9}",
            &["/cafe\u{301}", "/CAF\u{c9}", "/CAFE\u{301}", "/caf%c3%a9"],
        ),
        ("/cafe\u{301}", &["/caf\u{e9}", "/CAF\u{c9}"]),
        (
            "/\u{3c3}\u{3c2}",
            &["/\u{3a3}\u{3a3}", "/\u{3c3}\u{3c3}", "/\u{3c2}\u{3c2}"],
        ),
        ("/\u{3a9}", &["/\u{2126}", "/\u{3c9}"]),
        ("/\u{b5}m", &["/\u{3bc}m", "/\u{39c}M"]),
        ("/\u{1c4}", &["/\u{1c5}", "/\u{1c6}"]),
        ("/\u{1f0}", &["/J\u{30c}", "/j\u{30c}"]),
        ("/\u{13a0}", &["/\u{ab70}"]),
        ("/\u{10d0}", &["/\u{1c90}"]),
        (
            "/\u{1f80}",
            &["/\u{1f88}", "/\u{1f00}\u{3b9}", "/\u{1f08}\u{399}"],
        ),
        // The marks are in another order: only if they are composed first does U+0345 not become a
        // letter.
        ("/\u{1fb4}", &["/\u{3b1}\u{345}\u{301}", "/\u{3ac}\u{3b9}"]),
    ] {
        let rules = format!(
            "[[rule]]\nhost = \"a\"\ngroups = [\"*\"]\n\
             [[rule]]\nhost = \"a\"\npath = \"{rule}\"\ngroups = []\n"
        );
        let rules = Access::parse(&rules).unwrap();
        for path in paths.iter().chain([&rule]) {
            let asked = Url::parse(&format!("https://a{path}")).unwrap();
            assert!(!rules.admits("a", asked.path(), &[]), "{rule} {path}");
        }
        assert!(rules.admits("a", "/sk%C3%AF", &[]));
    }
}

const OPENING: &str = r#"
    [[rule]]
    host = "app.example.com"
    groups = ["staff"]

    [[rule]]
    host = "app.example.com"
    path = "/public"
    groups = ["*"]
"#;

#[test]
fn a_rule_that_opens_opens_what_it_names_and_nothing_like_it() {
    let rules = Access::parse(OPENING).unwrap();
    let admits = |path| rules.admits("app.example.com", path, &[]);
    for path in [
        "/public",
        "/public/",
        "/public/x",
        "/public/X.json",
        "/public/%20x",
        "/public/a%25b",
    ] {
        assert!(admits(path), "{path}");
    }
    for path in [
        "/",
        "/public.json",
        "/PUBLIC",
        "/public%20",
        "/public.",
        "/Public/x",
        "/publi%C4%87",
        "/%70ublic",
        "/%2570ublic",
        "/public:x",
        "/public%3fx",
        "/.../public",
        "/%20public",
        "/public%20/x",
        "/publicity",
        "/public/../x",
        "/public/..;/x",
        "/public/%252e%252e/x",
    ] {
        assert!(!admits(path), "{path}");
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
