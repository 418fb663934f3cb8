//! What `proxy-config` takes, refuses, prints and writes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::harness::Setup;

const PROXIES: [&str; 4] = ["nginx", "caddy", "haproxy", "traefik"];

/// Exit status, standard output, standard error.
fn run(proxy: &str, arguments: &[&str]) -> (i32, String, String) {
    let setup = Setup::bare().with(&["proxy-config", proxy]).with(arguments);
    // It is a server's flag, and would be another address in what is printed.
    let (status, out, err) = setup.with(&["--listen", "127.0.0.1:8000"]).run();
    (status.code().unwrap(), out, err)
}

/// The files of a folder with what is in them.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn one_application_or_many_are_printed_with_where_they_listen() {
    for proxy in PROXIES {
        let alone = run(
            proxy,
            &["--app", "app.example.com", "--upstream", "127.0.0.1:9000"],
        );
        let named = run(proxy, &["--app", "app.example.com=127.0.0.1:9000"]);
        let many = run(
            proxy,
            &[
                "--app",
                "app.example.com=127.0.0.1:9000",
                "--app",
                "Two.Example.com=[::1]:9001",
                "--app",
                "deep.three.example.com=my_app:80",
            ],
        );

        assert_eq!(alone.0, 0, "{proxy} {}", alone.2);
        assert_eq!(alone, named, "{proxy}");
        assert_eq!(many.0, 0, "{proxy} {}", many.2);
        for said in [
            "app.example.com",
            "127.0.0.1:9000",
            "two.example.com",
            "[::1]:9001",
            "deep.three.example.com",
            "my_app:80",
            "--cookie-domain example.com",
            "https://auth.example.com",
        ] {
            assert!(many.1.contains(said), "{proxy} {said}");
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused_and_nothing_is_printed() {
    let one = "app.example.com=127.0.0.1:9000";
    for (arguments, why) in [
        (
            &["--app", "app.example.com"][..],
            "where does app.example.com listen",
        ),
        (
            &["--app", one, "--app", one],
            "two applications at app.example.com",
        ),
        (
            &["--app", one, "--app", "APP.example.com=127.0.0.1:9001"],
            "two applications",
        ),
        (
            &["--app", "auth.example.com=127.0.0.1:9000"],
            "is the login's",
        ),
        (
            &["--app", one, "--public-url", "https://app.example.com"],
            "is the login's",
        ),
        (
            &["--app", one, "--upstream", "127.0.0.1:9001"],
            "said twice",
        ),
        (
            &[
                "--app",
                "app.example.com",
                "--app",
                "two.example.com",
                "--upstream",
                "127.0.0.1:1",
            ],
            "where does app.example.com listen",
        ),
        (
            &["--app", one, "--app", "two.example.com"],
            "where does two.example.com listen",
        ),
        (
            &["--app", one, "--app", "two.example.org=127.0.0.1:9001"],
            "--cookie-domain",
        ),
        (
            &["--app", "a.b.example.com=a:1", "--app", "c.example.com=a:1"],
            "--cookie-domain",
        ),
        (
            &["--app", one, "--public-url", "https://auth.example.org"],
            "--cookie-domain",
        ),
        (
            &["--app", one, "--cookie-domain", "example.org"],
            "--cookie-domain",
        ),
        (
            &["--app", one, "--cookie-domain", "pp.example.com"],
            "--cookie-domain",
        ),
        (&["--app", one, "--cookie-domain", "com"], "home.arpa"),
        (&["--app", "app.lan=127.0.0.1:9000"], "home.arpa"),
        (&["--app", "app.local=127.0.0.1:9000"], "home.arpa"),
        (
            &["--app", "app.internal", "--upstream", "127.0.0.1:9000"],
            "home.arpa",
        ),
        (
            &["--app", "app.lan=a:1", "--public-url", "https://auth.lan"],
            "home.arpa",
        ),
        (
            &["--app", one, "--public-url", "http://auth.example.com"],
            "https",
        ),
        (&["--app", "app=127.0.0.1:9000"], "not a host"),
        (&["--app", "app.example.com=9000"], "ADDR:PORT"),
        (&["--app", "app.example.com="], "ADDR:PORT"),
        (&["--app", "app.example.com=0.0.0.0:9000"], "127.0.0.1:9000"),
        (&["--app", "app.example.com=[::]:9000"], "127.0.0.1:9000"),
        (
            &["--app", "app.example.com=[::ffff:0.0.0.0]:80"],
            "127.0.0.1:80",
        ),
        (
            &["--app", "app.example.com", "--upstream", "0.0.0.0:9000"],
            "127.0.0.1:9000",
        ),
        (&["--app", "app.example.com=127.0.0.1:90000"], "ADDR:PORT"),
        (&["--app", "app.example.com=127.0.0.1:9OOO"], "ADDR:PORT"),
        (&["--app", "app.example.com;x=127.0.0.1:9000"], "not a host"),
        (&[], "--app"),
    ] {
        for proxy in PROXIES {
            let dir = tempfile::tempdir().unwrap();
            let written = [arguments, &["--dir", dir.path().to_str().unwrap()]].concat();

            let (status, out, err) = run(proxy, arguments);
            let with_dir = run(proxy, &written);

            assert_eq!(
                (status, out.as_str()),
                (2, ""),
                "{proxy} {arguments:?} {err}"
            );
            assert!(err.contains(why), "{proxy} {arguments:?} {err}");
            assert_eq!(err.lines().count(), 2, "{err}");
            let right = format!("hint: for instance auth_user proxy-config {proxy} --app ");
            if !err.contains("--cookie-domain: ") {
                assert!(err.contains(&right), "{err}");
            }
            assert_eq!(with_dir.0, 2);
            assert!(files(dir.path()).is_empty(), "{proxy} {arguments:?}");
        }
    }
}

#[test]
fn the_domain_is_what_all_hosts_share() {
    let apps = [
        "--app",
        "a.example.com=x:1",
        "--app",
        "deep.b.example.com=x:2",
    ];
    let derived = run("nginx", &apps);
    let given = run(
        "nginx",
        &[
            "--app",
            "a.one.example.com=x:1",
            "--app",
            "b.two.example.com=x:2",
            "--cookie-domain",
            "example.com",
        ],
    );
    let home = run("nginx", &["--app", "nas.house.home.arpa=x:1"]);

    assert!(
        derived.1.contains("--cookie-domain example.com "),
        "{}",
        derived.1
    );
    assert!(
        given.1.contains("--cookie-domain example.com "),
        "{}",
        given.1
    );
    assert!(
        home.1.contains("--cookie-domain house.home.arpa "),
        "{}",
        home.1
    );
}

#[test]
fn a_second_application_takes_nothing_from_the_first() {
    for proxy in PROXIES {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().to_str().unwrap();
        let one = ["--app", "one.example.com=127.0.0.1:1", "--dir", to];
        let two = ["--app", "two.example.com=127.0.0.1:2", "--dir", to];
        let both = [&one[..2], &two[..]].concat();
        assert_eq!(run(proxy, &one).0, 0);
        let first = files(dir.path());

        let (status, out, err) = run(proxy, &two);

        let second = files(dir.path());
        assert_eq!(out, "");
        if proxy == "nginx" {
            // It has a file for each, and the login's is the same.
            assert_eq!(status, 0, "{err}");
            assert!(first.iter().all(|file| second.contains(file)), "{second:?}");
        } else {
            assert_eq!(status, 1, "{proxy}");
            assert_eq!(err.lines().count(), 1, "{err}");
            assert!(err.contains("one call"), "{err}");
            assert!(err.contains(to), "{err}");
            assert_eq!(first, second, "{proxy}");
        }
        let (status, _, err) = run(proxy, &both);
        assert_eq!(status, 0, "{proxy} {err}");
        let all: String = files(dir.path())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert!(all.contains("one.example.com"), "{proxy}");
        assert!(all.contains("two.example.com"), "{proxy}");
        // The same again changes nothing, and one application moves with all of them named.
        assert_eq!(run(proxy, &both).0, 0);
        let moved = ["--app", "one.example.com=127.0.0.1:3"];
        let moved = run(proxy, &[&moved[..], &two[..]].concat());
        assert_eq!(moved.0, 0, "{proxy} {}", moved.2);
        let all: String = files(dir.path())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert!(all.contains("127.0.0.1:3"), "{proxy}");
        assert!(!all.contains("127.0.0.1:1\n"), "{proxy}");
    }
}

#[test]
fn what_an_operator_wrote_stays() {
    for proxy in PROXIES {
        for change in [
            |text: &str| format!("{text}# mine\n"),
            |text: &str| text.replace("127.0.0.1:1", "127.0.0.1:7"),
            |text: &str| {
                text.lines()
                    .skip(1)
                    .map(|line| format!("{line}\n"))
                    .collect()
            },
            |text: &str| text.replace('\n', "\r\n"),
            |_: &str| String::new(),
            |_: &str| "# something else\n".to_owned(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let to = dir.path().to_str().unwrap();
            let one = ["--app", "one.example.com=127.0.0.1:1", "--dir", to];
            assert_eq!(run(proxy, &one).0, 0);
            let (name, text) = files(dir.path())
                .into_iter()
                .find(|(_, text)| text.contains("127.0.0.1:1"))
                .unwrap();
            fs::write(dir.path().join(&name), change(&text)).unwrap();
            let before = files(dir.path());

            let (status, _, err) = run(proxy, &one);

            assert_eq!(status, 1, "{proxy} {err}");
            assert!(err.contains(&name), "{proxy} {err}");
            assert_eq!(files(dir.path()), before, "{proxy}");
        }
    }
}

#[test]
fn files_are_their_owners_alone_and_stay_as_they_were_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new");
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    let to = folder.to_str().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        run("caddy", &["--app", "one.example.com=a:1", "--dir", to]).0,
        0
    );
    let file = folder.join("Caddyfile");
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));

    // Handed over to the proxy, and moved elsewhere with a link in its place.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&file, real.join("Caddyfile")).unwrap();
    symlink(real.join("Caddyfile"), &file).unwrap();
    assert_eq!(
        run("caddy", &["--app", "one.example.com=a:2", "--dir", to]).0,
        0
    );

    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    assert_eq!(mode(&real.join("Caddyfile")), 0o644);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains("reverse_proxy a:2")
    );
    assert_eq!(files(&real).len(), 1, "nothing is left beside it");
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_others_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let one = ["--app", "one.example.com=a:1", "--dir", to];
    fs::create_dir(dir.path().join("haproxy.cfg")).unwrap();

    let (status, _, err) = run("haproxy", &one);

    assert_eq!(status, 1);
    assert!(err.contains("haproxy.cfg"), "{err}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_longest_host_has_a_file_of_its_own() {
    let label = "a".repeat(57);
    let host = |last: char| {
        format!(
            "{label}.{label}.{label}.{label}.{last}{}.example.com",
            "b".repeat(8)
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let apps = ['x', 'y'].map(|last| format!("{}=a:1", host(last)));
    assert_eq!(apps[0].len(), 253 + 4);

    let (status, _, err) = run(
        "nginx",
        &[
            "--app",
            &apps[0],
            "--app",
            &apps[1],
            "--dir",
            to,
            "--cookie-domain",
            "example.com",
        ],
    );

    assert_eq!(status, 0, "{err}");
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn what_a_proxy_cannot_do_its_text_says() {
    for (proxy, said) in [
        (
            "nginx",
            &["1.19.3", "logs out", "eight hours", "`Set-Cookie`", "begin"][..],
        ),
        (
            "caddy",
            &[
                "logs out",
                "before 2.7",
                "`Set-Cookie`",
                "# stream_timeout 8h",
            ],
        ),
        (
            "haproxy",
            &["logs out", "eight hours", "Before 3.2", "trailers"],
        ),
        (
            "traefik",
            &["logs out", "421", "`Set-Cookie`", "trailers", "begins"],
        ),
    ] {
        let (status, printed, _) = run(proxy, &["--app", "app.example.com=127.0.0.1:9000"]);

        assert_eq!(status, 0);
        let comments: Vec<&str> = printed
            .lines()
            .filter(|line| line.trim_start().starts_with('#'))
            .collect();
        let comments = comments.join("\n");
        for what in said {
            assert!(comments.contains(what), "{proxy} {what}: {comments}");
        }
    }
}

/// Eight hours for what says nothing at most, an hour at least: events may be far between.
#[test]
fn what_is_silent_is_cut_after_hours_and_not_before() {
    let (_, nginx, _) = run("nginx", &["--app", "app.example.com=127.0.0.1:9000"]);
    let (_, haproxy, _) = run("haproxy", &["--app", "app.example.com=127.0.0.1:9000"]);
    for (printed, lines) in [
        (
            &nginx,
            &[
                "        proxy_read_timeout 8h;",
                "        proxy_send_timeout 1h;",
            ][..],
        ),
        (
            &haproxy,
            &[
                "    timeout client 1h",
                "    timeout server 1h",
                "    timeout tunnel 8h",
            ],
        ),
    ] {
        for line in lines {
            assert_eq!(
                printed.lines().filter(|said| said == line).count(),
                1,
                "{line}: {printed}"
            );
        }
    }
}

/// Each host by a line of its own: what a visitor says is none, and with certificates of an
/// operator's own Caddy would lead nobody anywhere by itself.
#[test]
fn port_80_leads_to_hosts_that_are_written_out() {
    let apps = ["one", "two"].map(|name| format!("{name}.example.com=a:1"));
    for (proxy, before, behind) in [
        ("nginx", "    return 301 https://", "$request_uri;"),
        ("caddy", "    redir https://", "{http.request.uri} 301"),
        (
            "haproxy",
            "    http-request redirect prefix https://",
            " code 301 ",
        ),
    ] {
        for port in ["", ":8443"] {
            let url = format!("https://auth.example.com{port}");
            let (status, printed, err) = run(
                proxy,
                &["--app", &apps[0], "--app", &apps[1], "--public-url", &url],
            );

            assert_eq!(status, 0, "{err}");
            for name in ["auth", "one", "two"] {
                let line = format!("{before}{name}.example.com{behind}");
                assert_eq!(printed.contains(&line), port.is_empty(), "{line} {printed}");
            }
        }
    }
}

/// What only newer ones than the one at hand can do is asked for from the version on that can.
#[test]
fn newer_haproxies_are_told_to_drop_the_fields_behind_a_body() {
    let (_, printed, _) = run("haproxy", &["--app", "one.example.com=127.0.0.1:1"]);
    let told = ".if version_atleast(3.2)\n    option http-drop-request-trailers\n.endif\n";
    let defaults = printed.split("\ndefaults\n").nth(1).unwrap();
    let defaults = defaults.split("\nfrontend ").next().unwrap();
    assert!(defaults.contains(told), "{defaults}");
    assert!(
        printed.contains("Before 3.2 it passes on trailers"),
        "{printed}"
    );
}
