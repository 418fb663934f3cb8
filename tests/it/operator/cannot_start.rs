//! What the program needs of the machine, and whatever keeps it from starting, named with a remedy.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rcgen::{CertifiedKey, KeyPair};

use crate::harness::directory::open;
use crate::harness::{Setup, Visitor, wait_for, write_pair};
use crate::operator::{assert_cannot, assert_check_says};

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

        let setup = setup.with(obstacle.flags);
        let (status, out, err) = setup.run();
        // Where to listen is not tried.
        if !obstacle.flags.contains(&"--listen") {
            assert_check_says(&setup, 1, &err);
        }

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
fn a_port_that_is_taken_is_said_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::bare().with(&["--listen", &address]);

    assert_cannot(&setup, &format!("listen on {address}"), "--listen");
}

#[test]
fn too_few_descriptors_to_serve_anybody_are_said_at_the_start() {
    let setup = Setup::bare().under(&["prlimit", "--nofile=20"]);

    assert_cannot(&setup, "limit of 20 open files", "ulimit -n");
}
