//! Programs without a browser, through each proxy: what applications get of `Authorization`, and
//! those that people use.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::tokens::{basic, kept, secret};
use crate::harness::{Answer, Visitor, wait_for};
use crate::proxies::web_server::{WebServer, git, leading_to, output, text};
use crate::proxies::{APP, Deployment, Kind};

const RULES: &str = "
[[rule]]
host = \"app.example.test\"
groups = [\"*\"]
tokens = true

[[rule]]
host = \"app.example.test\"
path = \"/open\"
public = true
";

/// Puts the rules in force, and gives alice a token for the application.
pub(super) fn set_up(deployment: &Deployment) -> Visitor {
    let server = &deployment.server;
    let (alice, _) = Visitor::with_account(server, "alice");
    server.edit_account("alice", |alice| {
        alice["tokens"] = json!([kept(&secret('a'), &[APP])]);
    });
    fs::write(server.path("access.toml"), RULES).unwrap();
    server.signal(Signal::HUP);
    let good = format!("Authorization: Bearer {}", secret('a'));
    wait_for("the token to be good", || {
        (deployment.ask("OPTIONS /", &[&good]).status == 200).then_some(())
    });
    alice
}

/// The values of the field that the application got, which it shows.
fn shown(answer: &Answer) -> Vec<String> {
    let lines = answer.body.lines();
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    fields.map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn applications_get_their_own_authorization_to_the_letter_and_no_token_of_ours() {
    for kind in Kind::ALL {
        let deployment = Deployment::of(kind);
        let alice = set_up(&deployment);
        let session = alice.cookies.borrow()["__Secure-session"].clone();
        let session = format!("Cookie: __Secure-session={session}");
        let ours = [
            format!("Bearer {}", secret('a')),
            format!("bearer {}", secret('x')),
            basic("alice", &secret('a')),
        ];
        let long = format!("Negotiate {}", "Y".repeat(30 * 1024));
        let foreign = [
            "Bearer abc".to_owned(),
            "Digest username=\"al%20ice\", realm=\"a, b\"".to_owned(),
            basic("alice", "seven wild horses"),
            // What Caddy writes for what it puts in there.
            "{http.request.host} {http.vars.x}".to_owned(),
            "{http.reverse_proxy.header.Authorization} x".to_owned(),
            long,
        ];
        for (path, who) in [
            ("/", &[session.as_str()][..]),
            ("/open/x", &[]),
            ("/open", &[&session]),
        ] {
            for value in &foreign {
                let field = format!("Authorization: {value}");
                let answer = deployment.ask(&format!("GET {path}"), &[who, &[&field]].concat());
                assert_eq!(answer.status, 200, "{kind:?} {path} {}", &value[..10]);
                assert_eq!(shown(&answer), [value.as_str()], "{kind:?} {path}");
            }
            for value in &ours {
                let field = format!("Authorization: {value}");
                let answer = deployment.ask(&format!("GET {path}"), &[who, &[&field]].concat());
                assert_eq!(answer.status, 200, "{kind:?} {path} {value}");
                assert!(!answer.body.contains("au_"), "{kind:?} {answer:?}");
                assert_eq!(shown(&answer), [""; 0], "{kind:?} {path}");
            }
            let answer = deployment.ask(&format!("GET {path}"), who);
            assert_eq!(shown(&answer), [""; 0], "{kind:?} {path}");
            let name = if path == "/" { "alice" } else { "-" };
            let body = answer.body.to_ascii_lowercase();
            assert!(
                body.contains(&format!("\nremote-user: {name}")),
                "{kind:?} {body}"
            );
        }
        // By the token alone, with the methods of WebDAV; and nobody without either.
        for (value, method) in [(&ours[0], "PROPFIND"), (&ours[2], "DELETE")] {
            let field = format!("Authorization: {value}");
            let answer = deployment.ask(&format!("{method} /a"), &[&field, "Content-Length: 0"]);
            assert_eq!(answer.status, 200, "{kind:?} {method}");
            assert!(
                answer
                    .body
                    .to_ascii_lowercase()
                    .contains("\nremote-user: alice")
            );
            assert!(!answer.body.contains("au_"), "{kind:?} {answer:?}");
        }
        deployment.application.heads();
        for field in ["X-Nothing: x", &format!("Authorization: {}", ours[1])] {
            for line in ["PROPFIND /a", "GET /a"] {
                let program = deployment.ask(line, &[field, "Content-Length: 0"]);
                assert_eq!(program.status, 401, "{kind:?} {program:?}");
                let asked: Vec<_> = program
                    .headers
                    .iter()
                    .filter(|(name, _)| name == "www-authenticate")
                    .collect();
                let [(_, challenge)] = &asked[..] else {
                    panic!("{kind:?} {line} {asked:?}")
                };
                assert_eq!(
                    challenge,
                    "Basic realm=\"app.example.test\", charset=\"UTF-8\""
                );
            }
            for browser in [
                "Accept: text/html",
                "User-Agent: Mozilla/5.0",
                "Sec-Fetch-Mode: cors",
            ] {
                let answer = deployment.ask("GET /a", &[field, browser]);
                assert!(matches!(answer.status, 302 | 401), "{kind:?} {browser}");
                assert_eq!(
                    answer.header("www-authenticate"),
                    None,
                    "{kind:?} {browser}"
                );
            }
        }
        assert!(deployment.application.heads().is_empty(), "{kind:?}");
    }
}

/// A limit that the documents tell of.
#[test]
fn caddy_loses_the_one_authorization_that_is_its_own_words() {
    let deployment = Deployment::of(Kind::Caddy);
    set_up(&deployment);
    let words = "{http.reverse_proxy.header.Authorization}";
    let answer = deployment.ask("GET /open/x", &[&format!("Authorization: {words}")]);
    assert_eq!((answer.status, shown(&answer)), (200, Vec::new()));
}

#[test]
fn curl_rclone_and_git_get_through_every_proxy_with_a_token() {
    for kind in Kind::ALL {
        let application = WebServer::start();
        let deployment = Deployment::before(kind, application.address);
        set_up(&deployment);
        let lead = leading_to(([127, 0, 0, 1], deployment.port).into());
        let proxy = format!("http://{lead}");
        let trusted = text(deployment.dir.path().join("both.pem"));
        let (own, token) = (tempfile::tempdir().unwrap(), secret('a'));

        by_curl(&deployment, &[&proxy, &trusted], &token);
        by_rclone(&deployment, own.path(), &[&proxy, &trusted], &token);
        let stored = fs::read_to_string(application.dir.path().join("dav/folder/note"));
        assert_eq!(stored.unwrap(), "kept", "{kind:?}");

        let url = deployment.app("/git/repository.git");
        let url = url.replace("https://", &format!("https://alice:{token}@"));
        let through = format!("http.proxy={proxy}");
        let git = |dir: &Path| {
            let mut command = git(dir);
            // The variable counts before any setting.
            command
                .env("GIT_SSL_CAINFO", &trusted)
                .args(["-c", &through]);
            command
        };
        output(git(own.path()).args(["clone", "--quiet", &url, "copy"]));
        let copy = own.path().join("copy");
        fs::write(copy.join("file"), "second\n").unwrap();
        output(git(&copy).args(["commit", "--quiet", "--all", "--message", "second"]));
        output(git(&copy).args(["push", "--quiet", "origin", "main"]));
        let wrong = url.replace(&token, &secret('x'));
        let refused = git(own.path())
            .args(["ls-remote", &wrong])
            .output()
            .unwrap();
        assert!(!refused.status.success(), "{kind:?}");

        let log = application.log();
        for line in log.lines() {
            assert!(
                line.starts_with("alice ") && line.ends_with(" [-]"),
                "{kind:?} {line}"
            );
        }
        for method in [
            "PROPFIND",
            "MKCOL",
            "PUT",
            "POST /git/repository.git/git-receive-pack",
        ] {
            assert!(
                log.contains(&format!("alice {method}")),
                "{kind:?} {method}\n{log}"
            );
        }
    }
}

fn by_curl(deployment: &Deployment, [proxy, trusted]: &[&String; 2], token: &str) {
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--noproxy",
            "",
            "--proxy",
            proxy,
            "--cacert",
            trusted,
            "--output",
            "/dev/null",
        ]);
        curl.args(["--write-out", "%{http_code}", "--request", "PROPFIND"]);
        curl.args(["--header", "Depth: 0"]).args(more);
        output(curl.arg(deployment.app("/dav/")))
    };
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(curl(&["--header", &bearer]), "207");
    assert_eq!(curl(&["--user", &format!("alice:{token}")]), "207");
    // It waits to be asked.
    assert_eq!(
        curl(&["--anyauth", "--user", &format!("alice:{token}")]),
        "207"
    );
    assert_eq!(curl(&["--user", "alice:seven wild horses"]), "401");
    assert_eq!(curl(&["--user", &format!("bob:{token}")]), "401");
    assert_eq!(curl(&[]), "401");
}

fn by_rclone(deployment: &Deployment, own: &Path, [proxy, trusted]: &[&String; 2], token: &str) {
    let obscured = output(Command::new("rclone").args(["obscure", token]));
    let rclone = |words: &[&str]| {
        let mut rclone = Command::new("rclone");
        rclone
            .args(words)
            .env("HOME", own)
            .env("RCLONE_CONFIG", "/dev/null")
            .env("HTTPS_PROXY", proxy)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env_remove("https_proxy")
            .args(["--ca-cert", trusted, "--retries", "1"])
            .args([
                "--webdav-url",
                &deployment.app("/dav"),
                "--webdav-user",
                "alice",
            ])
            .args(["--webdav-pass", obscured.trim()]);
        output(&mut rclone)
    };
    fs::write(own.join("note"), "kept").unwrap();
    let note = text(own.join("note"));
    rclone(&["copyto", &note, ":webdav:folder/note"]);
    rclone(&["copyto", &note, ":webdav:folder/other"]);
    rclone(&["deletefile", ":webdav:folder/other"]);
    assert_eq!(rclone(&["lsf", ":webdav:folder"]).trim(), "note");
    assert_eq!(rclone(&["cat", ":webdav:folder/note"]), "kept");
}
