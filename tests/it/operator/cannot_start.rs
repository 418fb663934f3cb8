//! The machine the program is started on: what it needs of it, what it says if that is not there,
//! and what it leaves there.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use rcgen::{CertifiedKey, KeyPair};
use rustix::process::Signal;

use crate::harness::{Server, Setup, Visitor, certificate_in, read, wait_for, write_pair};

/// Makes every file system read-only but for one folder, tries whether that worked, and becomes
/// the program.
const READ_ONLY: &str = r#"
mount --make-rprivate / && mount --bind "$1" "$1" || exit 77
for place in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
    [ "$place" = "$1" ] || mount -o remount,bind,ro "$place" 2>/dev/null
done
touch /tmp/.writable 2>/dev/null && exit 77
cd "$2" && shift 2 && exec "$@"
"#;

/// The setup with nothing writable but `folder`; None where that cannot be had.
fn writable_alone(setup: Setup, folder: &Path) -> Option<Setup> {
    let (folder, dir) = (folder.to_str().unwrap(), setup.dir().to_str().unwrap());
    let launcher = [
        "unshare", "--mount", "sh", "-c", READ_ONLY, "sh", folder, dir,
    ];
    let tried = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting needs root");
        return None;
    }
    let launcher = launcher.map(str::to_owned);
    Some(setup.under(&launcher.each_ref().map(String::as_str)))
}

#[test]
fn a_writable_data_folder_is_all_it_needs_of_the_disk() {
    let setup = Setup::new().with(&["--users", "data/users.json"]);
    let data = setup.dir().join("data");
    fs::create_dir(&data).unwrap();
    let Some(setup) = writable_alone(setup, &data) else {
        return;
    };

    let server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    alice
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");
    wait_for("the mail", || {
        let mut files = fs::read_dir(data.join("outbox")).unwrap().flatten();
        files.find(|file| file.path().extension().is_some_and(|end| end == "eml"))
    });

    assert!(alice.is_logged_in());
    let made: BTreeSet<String> = fs::read_dir(server.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let before = ["data", "log", "server.crt", "server.key"].map(str::to_owned);
    assert_eq!(made, BTreeSet::from(before));
}

/// A bare setup of somebody who may not do everything; None where one cannot become one.
fn unprivileged() -> Option<Setup> {
    let launcher = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let setup = Setup::bare().under(&launcher);
    open(setup.dir(), ".", 0o777);
    let ran = setup.clone().with(&["--version"]).command().output();
    if !ran.is_ok_and(|ran| ran.status.success()) {
        eprintln!("skipped: becoming somebody else needs root");
        return None;
    }
    Some(setup)
}

/// Something that keeps the program from starting, on a bare directory.
struct Obstacle {
    flags: &'static [&'static str],
    make: fn(&Path),
    /// The file, or what there is instead of one.
    named: &'static str,
    reason: &'static str,
    remedy: &'static str,
}

/// How many of them are in the way of somebody who may do everything.
const ALLOWED_EVERYTHING: usize = 15;

const OBSTACLES: [Obstacle; 19] = [
    Obstacle {
        flags: &["--users", "no/users.json"],
        make: |_| (),
        named: "no/users.json",
        reason: "there is no directory",
        remedy: "make that directory",
    },
    Obstacle {
        flags: &[],
        make: |dir| fs::create_dir(dir.join("users.json")).unwrap(),
        named: "users.json",
        reason: "is not a file",
        remedy: "name the file in it",
    },
    Obstacle {
        flags: &[],
        make: |dir| fs::write(dir.join("users.json"), "{").unwrap(),
        named: "users.json",
        reason: "line 1, column 1",
        remedy: "mend the file",
    },
    Obstacle {
        flags: &[],
        make: |dir| symlink("nowhere", dir.join("users.json")).unwrap(),
        named: "users.json",
        reason: "link to a file that does not exist",
        remedy: "mend the file",
    },
    Obstacle {
        flags: &[],
        make: |dir| fs::write(dir.join("access.toml"), "rule = 1").unwrap(),
        named: "access.toml",
        reason: "line 1",
        remedy: "mend the rules",
    },
    Obstacle {
        flags: &["--no-tls"],
        make: |dir| fs::write(dir.join("outbox"), "").unwrap(),
        named: "outbox",
        reason: "not a directory",
        remedy: "make it a directory",
    },
    Obstacle {
        flags: &[],
        make: |dir| fs::write(dir.join("server.crt"), "").unwrap(),
        named: "server.crt",
        reason: "\"server.key\" is not",
        remedy: "--cert and --key",
    },
    Obstacle {
        flags: &["--cert", "no/site.pem", "--key", "no/site.key"],
        make: |_| (),
        named: "no/site.pem",
        reason: "No such file or directory",
        remedy: "--cert and --key",
    },
    Obstacle {
        flags: &[],
        make: |dir| pair(dir, "server.crt", "no certificate"),
        named: "server.crt",
        reason: "there is no certificate in it",
        remedy: "give a PEM file",
    },
    Obstacle {
        flags: &[],
        make: |dir| pair(dir, "server.key", "no key"),
        named: "server.key",
        reason: "there is no key in it",
        remedy: "PKCS#8, PKCS#1 or SEC1",
    },
    Obstacle {
        flags: &[],
        make: |dir| {
            pair(
                dir,
                "server.key",
                &KeyPair::generate().unwrap().serialize_pem(),
            )
        },
        named: "server.key",
        reason: "does not belong to the certificate",
        remedy: "the key of the first certificate",
    },
    Obstacle {
        flags: &[],
        make: |dir| {
            pair(dir, "", "");
            open(dir, "server.key", 0o644);
        },
        named: "server.key",
        reason: "others than its owner can read it",
        remedy: "chmod 600",
    },
    Obstacle {
        flags: &["--smtp-file", "smtp.txt"],
        make: |_| (),
        named: "smtp.txt",
        reason: "No such file or directory",
        remedy: "smtps://host:465",
    },
    Obstacle {
        flags: &["--smtp-file", "smtp.txt"],
        make: |dir| fs::write(dir.join("smtp.txt"), "\n").unwrap(),
        named: "smtp.txt",
        reason: "it is not a URL",
        remedy: "smtps://host:465",
    },
    Obstacle {
        flags: &["--listen", "192.0.2.1:8000"],
        make: |_| (),
        named: "192.0.2.1:8000",
        reason: "assign requested address",
        remedy: "no address 192.0.2.1",
    },
    // From here on by somebody who may not do everything.
    Obstacle {
        flags: &["--listen", "127.0.0.1:443"],
        make: |_| (),
        named: "127.0.0.1:443",
        reason: "Permission denied",
        remedy: "cap_net_bind_service",
    },
    Obstacle {
        flags: &[],
        make: |dir| {
            fs::write(dir.join("users.json"), "{}").unwrap();
            open(dir, "users.json", 0o600);
        },
        named: "users.json",
        reason: "Permission denied",
        remedy: "chown or chmod",
    },
    Obstacle {
        flags: &[],
        make: |dir| pair(dir, "", ""),
        named: "server.key",
        reason: "Permission denied",
        remedy: "chown or chmod",
    },
    Obstacle {
        flags: &["--cert", "tls/site.pem", "--key", "tls/site.key"],
        make: |dir| {
            fs::create_dir(dir.join("tls")).unwrap();
            open(dir, "tls", 0o755);
        },
        named: "tls/site.pem",
        reason: "Permission denied",
        remedy: "--cert and --key",
    },
];

/// A pair, with `text` in one of its files.
fn pair(dir: &Path, file: &str, text: &str) {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    write_pair(dir, &cert.pem(), &signing_key);
    if !file.is_empty() {
        fs::write(dir.join(file), text).unwrap();
    }
}

fn open(dir: &Path, name: &str, mode: u32) {
    fs::set_permissions(dir.join(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn whatever_keeps_it_from_starting_is_named_with_reason_and_remedy() {
    for (number, obstacle) in OBSTACLES.iter().enumerate() {
        let everything_allowed = number < ALLOWED_EVERYTHING;
        let setup = match everything_allowed {
            true => Some(Setup::bare()),
            false => unprivileged(),
        };
        let Some(setup) = setup else { return };
        (obstacle.make)(setup.dir());
        let named = obstacle.named;

        let (status, out, err) = setup.with(obstacle.flags).run();

        assert_eq!(
            (status.code(), out.as_str()),
            (Some(1), ""),
            "{named}: {err}"
        );
        let said: Vec<&str> = err
            .lines()
            .filter_map(|line| line.strip_prefix("auth_user: "))
            .collect();
        assert_eq!(said.len(), 2, "{named}: {err}");
        assert!(
            said[0].starts_with("cannot ") && said[0].contains(named),
            "{err}"
        );
        assert!(said[0].contains(obstacle.reason), "{err}");
        let hint = said[1].strip_prefix("hint: ").unwrap();
        assert!(hint.contains(obstacle.remedy), "{err}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_, _, err) = Setup::bare().with(&["--listen", &address]).run();
    assert!(err.contains("in use") && err.contains("ss -ltnp"), "{err}");
}

#[test]
fn files_that_others_could_read_are_closed_to_them_and_named() {
    let setup = Setup::new();
    let mut server = setup.start();
    Visitor::program(&server).register("alice");
    server.kill();
    let mail = "outbox/0000000001-left.eml";
    fs::write(server.path(mail), "To: x@example.com\r\n\r\n").unwrap();
    for (file, mode) in [
        ("users.json", 0o644),
        ("sessions.json", 0o640),
        ("outbox", 0o755),
        (mail, 0o604),
    ] {
        if !server.path(file).exists() {
            fs::write(server.path(file), r#"{"version": 1, "sessions": []}"#).unwrap();
        }
        open(server.dir.path(), file, mode);
    }
    let mode = |server: &Server, file: &str| {
        let mode = fs::metadata(server.path(file))
            .unwrap()
            .permissions()
            .mode();
        mode & 0o777
    };

    let again = setup.start();

    for (file, closed) in [
        ("users.json", 0o600),
        ("sessions.json", 0o600),
        ("outbox", 0o700),
        (mail, 0o600),
    ] {
        assert_eq!(mode(&again, file), closed, "{file}");
        let log = again.log();
        let named = log
            .lines()
            .filter(|line| line.contains(" WARN ") && line.contains(&format!("{file}\"")));
        assert_eq!(named.count(), 1, "{file}: {log}");
    }

    // An editor that writes a new file gives rights again.
    let users = fs::read_to_string(again.path("users.json")).unwrap();
    fs::write(again.path("edited"), users.replace("alice@", "al@")).unwrap();
    open(again.dir.path(), "edited", 0o664);
    fs::rename(again.path("edited"), again.path("users.json")).unwrap();
    wait_for("the rights to go", || {
        (mode(&again, "users.json") == 0o600).then_some(())
    });
    // Rights in the outbox end with the next mail at the latest.
    open(again.dir.path(), "outbox", 0o750);
    open(again.dir.path(), mail, 0o644);
    Visitor::program(&again)
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");
    for (file, closed) in [("outbox", 0o700), (mail, 0o600)] {
        wait_for("the rights to go", || {
            (mode(&again, file) == closed).then_some(())
        });
    }

    // The file that was edited is the operator's still, and taken up.
    Visitor::program(&again)
        .post(
            "/register",
            &[
                ("username", "al"),
                ("email", "al@example.com"),
                ("password", "seven wild horses"),
            ],
        )
        .expect("email_exists");
}

#[test]
fn a_folder_with_rights_for_others_is_left_as_it_is() {
    let setup = Setup::new();
    open(setup.dir(), ".", 0o755);
    let server = setup.start();
    assert!(!server.log().contains("WARN"), "{}", server.log());
    let mode = fs::metadata(server.dir.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn the_first_certificate_names_the_public_urls_host_and_follows_it() {
    let bare = Setup::bare();
    let mut shown = Vec::new();
    for (url, renewed) in [
        ("https://nas.lan:8000", false),
        ("https://nas.lan", false),
        ("https://[2001:db8::5]:8000", true),
        ("https://192.0.2.7", true),
        ("https://b\u{fc}cher.example", true),
        ("https://localhost:8000", false),
    ] {
        let setup = bare.clone().with(&["--public-url", url]);
        let mut server = setup.start();
        let log = read(bare.dir(), "log");
        assert!(!log.contains("does not name"), "{url}: {log}");
        let certificate = certificate_in(bare.dir());
        assert_eq!(
            renewed,
            shown.last().is_some_and(|last| *last != certificate),
            "{url}"
        );
        shown.push(certificate);
        server.signal(Signal::TERM);
        server.wait();
    }
}

/// What the first command makes in a clone is not to be committed: a private key is among it.
#[test]
fn what_the_first_run_makes_is_ignored() {
    let server = Setup::bare().start();
    Visitor::with_account(&server, "alice");
    let ignored = fs::read_to_string(".gitignore").unwrap();
    let patterns: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .collect();
    for entry in fs::read_dir(server.dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let covered = patterns
            .iter()
            .any(|pattern| match pattern.split_once('*') {
                Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
                None => pattern.trim_end_matches('/') == name,
            });
        // The log is the test's.
        assert!(covered || name == "log", "{name} would be committed");
    }
}
