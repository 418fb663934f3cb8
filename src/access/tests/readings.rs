//! How applications may read a path, and what that does to rules.

use super::*;

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

pub(super) const OPENING: &str = r#"
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
