//! `users.json` and `sessions.json` that are no good: the program does not start on accounts it
//! cannot read, and does not make up for them; if it happens while it runs, the last good state
//! goes on serving.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use serde_json::json;

use crate::files::HASH;
use crate::harness::directory::{listing, snapshot};
use crate::harness::{PASSWORD, Server, Setup, Visitor, read, wait_for};

struct Damage {
    what: &'static str,
    /// Does it to a file with alice and bob.
    to: fn(&Path),
    /// What the program says of it.
    said: &'static str,
}

const DAMAGES: [Damage; 16] = [
    Damage {
        what: "empty",
        to: |users| put(users, ""),
        said: "is empty",
    },
    Damage {
        what: "cut in the middle",
        to: |users| edit(users, |text| text[..text.len() / 2].to_owned()),
        said: "EOF while parsing",
    },
    Damage {
        what: "NULs, as a power cut leaves them on some file systems",
        to: |users| put(users, [0; 4096]),
        said: "line 1, column 1: expected value",
    },
    Damage {
        what: "a byte order mark",
        to: |users| edit(users, |text| format!("\u{feff}{text}")),
        said: "starts with a byte order mark",
    },
    Damage {
        what: "UTF-16",
        to: |users| {
            let text = format!("\u{feff}{}", fs::read_to_string(users).unwrap());
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            put(users, units);
        },
        said: "is in UTF-16, not in UTF-8",
    },
    Damage {
        what: "bad UTF-8",
        to: |users| {
            let mut bytes = fs::read(users).unwrap();
            let at = bytes.windows(5).position(|five| five == b"alice").unwrap();
            bytes[at] = 0xff;
            put(users, bytes);
        },
        said: "is not in UTF-8",
    },
    Damage {
        what: "a list",
        to: |users| put(users, "[]"),
        said: "line 1, column 1: invalid type: sequence, expected an object with \"version\" and \
               \"users\"",
    },
    Damage {
        what: "null",
        to: |users| put(users, "null"),
        said: "line 1, column 4: invalid type: null, expected an object with \"version\" and \
               \"users\"",
    },
    Damage {
        what: "a name twice",
        to: |users| edit(users, |text| text.replace("\"bob\": {", "\"Alice\": {")),
        said: "there are two accounts named \"Alice\", give or take upper case",
    },
    Damage {
        what: "an e-mail twice",
        to: |users| {
            edit(users, |text| {
                text.replace("bob@example.com", "ALICE@example.com")
            })
        },
        said: "the e-mail of \"bob\" is another account's too",
    },
    Damage {
        what: "an absurd number of rounds",
        to: |users| edit(users, |text| text.replace("i=600000", "i=4000000000")),
        said: "password has a round count outside 1 to 10,000,000",
    },
    Damage {
        what: "a bad salt",
        to: |users| edit(users, |text| text.replace("l=32$", "l=32$!")),
        said: "password has a salt that is not 1 to 64 bytes in base64 without padding",
    },
    Damage {
        what: "not to be read",
        to: |users| fs::set_permissions(users, Permissions::from_mode(0o000)).unwrap(),
        said: "Permission denied (os error 13)",
    },
    Damage {
        what: "a directory",
        to: |users| {
            fs::remove_file(users).unwrap();
            fs::create_dir(users).unwrap();
        },
        said: "is not a file",
    },
    Damage {
        what: "a link to nowhere",
        to: |users| {
            fs::remove_file(users).unwrap();
            symlink("nowhere.json", users).unwrap();
        },
        said: "is a link to a file that does not exist",
    },
    // Only while it runs: at start it means that there are no accounts yet.
    Damage {
        what: "moved away",
        to: |users| fs::rename(users, users.with_file_name("moved.json")).unwrap(),
        said: "is gone",
    },
];

fn edit(users: &Path, edit: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(users).unwrap();
    let edited = edit(&text);
    assert_ne!(edited, text);
    put(users, edited);
}

/// Writes the file in one step: half written it would be damaged in another way.
fn put(users: &Path, bytes: impl AsRef<[u8]>) {
    let beside = users.with_file_name("damaged");
    fs::write(&beside, bytes).unwrap();
    fs::set_permissions(&beside, fs::metadata(users).unwrap().permissions()).unwrap();
    fs::rename(beside, users).unwrap();
}

/// A program that may not read what its permission bits do not let it read, even if it is root,
/// and is ended by force, with another status, if it has not ended by itself within five seconds.
fn obedient(setup: Setup, limit: &[&str]) -> Setup {
    let mut launcher = limit.to_vec();
    if rustix::process::geteuid().is_root() {
        let without = "-dac_override,-dac_read_search";
        launcher.extend(["setpriv", "--bounding-set", without]);
    }
    setup.under(&launcher)
}

#[test]
fn no_damaged_users_file_is_started_on_or_touched() {
    let hash = format!(
        "$pbkdf2-sha256$i=600000,l=32${}${}",
        "A".repeat(22),
        "A".repeat(43)
    );
    let account = |name| json!({ "email": format!("{name}@example.com"), "password": hash });
    let users = json!({ "alice": account("alice"), "bob": account("bob") });
    let good = json!({ "version": 1, "users": users });
    for Damage { what, to, said } in &DAMAGES[..15] {
        let setup = obedient(Setup::new(), &["timeout", "--signal=KILL", "5"]);
        let path = setup.dir().join("users.json");
        fs::write(&path, serde_json::to_vec_pretty(&good).unwrap()).unwrap();
        to(&path);
        let before = snapshot(setup.dir());

        let (status, stdout, stderr) = setup.run();

        assert_eq!(status.code(), Some(1), "{what}: {stderr}");
        assert_eq!(stdout, "", "{what}");
        let [cannot, hint] = stderr.lines().collect::<Vec<_>>()[..] else {
            panic!("{what}: {stderr}");
        };
        assert!(
            cannot.starts_with("auth_user: cannot read \"users.json\": "),
            "{cannot}"
        );
        assert!(cannot.contains(said), "{what}: {cannot}");
        let remedy = match *what {
            "not to be read" => "let the user this runs as read it, with chown or chmod",
            "a directory" => "that is a folder: name the file in it, which need not be there yet",
            "a link to nowhere" => {
                "mend the file, or put back a copy; or name the file itself, not a link to it"
            }
            _ => "mend the file, or put back a copy",
        };
        assert_eq!(hint, format!("auth_user: hint: {remedy}"), "{what}");
        assert_eq!(snapshot(setup.dir()), before, "{what}");
    }
}

/// Puts a good file in the damaged one's place, changed so that it shows that it was taken up.
fn mend(server: &Server, good: &str, group: &str) {
    let users = server.path("users.json");
    let mended = good.replacen("\"users\"\n", &format!("{}\n", json!(group)), 1);
    assert_ne!(mended, good);
    fs::write(server.path("mended"), mended).unwrap();
    if users.is_dir() {
        fs::remove_dir(&users).unwrap();
    }
    fs::rename(server.path("mended"), users).unwrap();
}

/// One damage after the other, each mended before the next.
fn survives(damages: &[Damage]) {
    let setup = Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]);
    let server = obedient(setup, &["env"]).start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    Visitor::program(&server).register("bob");
    let good = fs::read_to_string(server.path("users.json")).unwrap();
    let logged = |text: &str| server.log().matches(text).count();
    for (n, Damage { what, to, said }) in damages.iter().enumerate() {
        to(&server.path("users.json"));
        wait_for(what, || {
            (logged("until the file is mended") > n).then_some(())
        });
        let before = at_rest(server.dir.path());

        assert!(alice.is_logged_in(), "{what}");
        let login = [("username", "bob"), ("password", PASSWORD)];
        Visitor::program(&server)
            .post("/login", &login)
            .expect("enrol_required");
        // That forgets the browsers of the others too, which are in the file.
        let change = alice.post("/account/sessions/end", &[("session", "others")]);
        assert_eq!(change.status, 503, "{what}");
        change.expect("not_saved");
        let logged_by_name = "event=\"account/sessions/end\" user=\"alice\"";
        server.wait_for_log(logged_by_name);
        let form = [
            ("username", "carol"),
            ("email", "carol@example.com"),
            ("password", PASSWORD),
        ];
        let refused = Visitor::program(&server).post("/register", &form);

        assert_eq!(refused.status, 503, "{what}");
        refused.expect("not_saved");
        assert_eq!(at_rest(server.dir.path()), before, "{what}");
        assert_eq!(
            logged("until the file is mended"),
            n + 1,
            "{what}: {}",
            server.log()
        );
        let log = server.log();
        let line = log
            .lines()
            .rfind(|line| line.contains("until the file is mended"))
            .unwrap();
        assert!(
            line.contains("cannot read \"users.json\": ") && line.contains(said),
            "{line}"
        );

        mend(&server, &good, &format!("group{n}"));
        wait_for("the mended file to be taken up", || {
            let groups = alice.get("/account").json()["groups"].take();
            (groups == json!([format!("group{n}")])).then_some(())
        });
        // It is served from before the log says so.
        wait_for("the log to say so", || {
            (logged("the users file is good again") > n).then_some(())
        });
        assert_eq!(logged("the users file is good again"), n + 1, "{what}");
    }
    Visitor::program(&server).register("carol");
}

#[test]
fn a_damage_that_arrives_while_it_runs_changes_nothing_but_that_changes_are_refused() {
    thread::scope(|scope| {
        for damages in DAMAGES.chunks(4) {
            scope.spawn(move || survives(damages));
        }
    });
}

/// Starts the program, which must end by itself at once, complaining about its users file in
/// these words, and leaving everything as it is.
#[track_caller]
fn does_not_start(setup: &Setup, said: &str) {
    let before = listing(setup.dir());

    let (status, stdout, stderr) = setup.run();

    assert_eq!(status.code(), Some(1), "{said}\n{stderr}");
    assert_eq!(stdout, "");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert_eq!(lines[0], format!("auth_user: cannot read {said}"));
    assert!(lines[1].starts_with("auth_user: hint: "), "{stderr}");
    assert_eq!(listing(setup.dir()), before, "{said}");
}

/// A program that is ended by force, and fails the test, if it serves.
fn impatient() -> Setup {
    Setup::new().under(&["timeout", "20"])
}

/// A file with bob on line 3 and this account, made up of three parts, on line 4.
fn with_account(name: &str, email: &str, password: &str) -> Vec<u8> {
    format!(
        "{{\"version\": 1,\n\"users\": {{\n\
         \"bob\": {{\"email\": \"bob@example.com\", \"password\": \"{HASH}\"}},\n\
         \"{name}\": {{\"email\": \"{email}\", \"password\": \"{password}\"}}\n}}}}\n"
    )
    .into_bytes()
}

#[test]
fn a_damaged_users_file_is_named_and_left_as_it_is() {
    let good = String::from_utf8(with_account("ann", "ann@example.com", HASH)).unwrap();
    let little: Vec<u8> = ("\u{feff}".to_owned() + &good)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let big: Vec<u8> = ("\u{feff}".to_owned() + &good)
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let absurd = HASH.replace("600000", "10000001");
    let salt = HASH.replace("$AAAAAAAAAAAAAAAAAAAAAA$", "$A!$");
    let ann = |email, password| with_account("ann", email, password);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".into(), "is empty"),
        (b"\n \n".into(), "is empty"),
        (vec![0; 4096], "line 1, column 1: expected value"),
        (
            good.as_bytes()[..40].into(),
            "line 3, column 14: EOF while parsing a string",
        ),
        (little, "is in UTF-16, not in UTF-8"),
        (big, "is in UTF-16, not in UTF-8"),
        (
            format!("\u{feff}{good}").into(),
            "starts with a byte order mark",
        ),
        (
            b"{\"version\": 1,\n\"users\": {\"\xff".into(),
            "line 2, column 12: is not in UTF-8",
        ),
        (
            b"null".into(),
            "line 1, column 4: invalid type: null, expected an object with \"version\" and \"users\"",
        ),
        (
            b"[]".into(),
            "line 1, column 1: invalid type: sequence, expected an object with \"version\" and \"users\"",
        ),
        (
            b"{\"users\": {}}".into(),
            "line 1, column 13: missing field `version`",
        ),
        (
            b"{\"version\": 0, \"users\": {}}".into(),
            "line 1, column 13: version is not 1",
        ),
        (
            b"{\"version\": 1, \"users\": []}".into(),
            "line 1, column 24: invalid type: sequence, expected an object of accounts by name",
        ),
        (
            b"{\"version\": 1, \"users\": {\"ann\": 7}}".into(),
            "line 1, column 33: invalid type: integer, expected struct Account",
        ),
        (
            with_account("bob", "ann@example.com", HASH),
            "line 4, column 5: there are two accounts named \"bob\", give or take upper case",
        ),
        (
            with_account("Bob", "ann@example.com", HASH),
            "line 4, column 5: there are two accounts named \"Bob\", give or take upper case",
        ),
        (
            ann("BOB@example.com", HASH),
            "line 4, column 5: the e-mail of \"ann\" is another account's too",
        ),
        (
            ann("ann@example.com", &absurd),
            "line 4, column 148: password has a round count outside 1 to 10,000,000",
        ),
        (
            ann("ann@example.com", &salt),
            "line 4, column 126: password has a salt that is not 1 to 64 bytes in base64 without padding",
        ),
        (
            ann("ann@example.com", "hunter22"),
            "line 4, column 59: password is in clear text, which is not taken: only hashes are",
        ),
    ];
    let setup = impatient();
    let path = setup.dir().join("users.json");
    fs::write(&path, &good).unwrap();
    for (bytes, said) in cases {
        fs::write(&path, &bytes).unwrap();

        does_not_start(&setup, &format!("\"users.json\": {said}"));

        assert_eq!(fs::read(&path).unwrap(), bytes, "{said}");
    }
}

#[test]
fn a_users_file_that_is_no_file_is_named() {
    let setup = impatient();
    let path = setup.dir().join("users.json");

    fs::create_dir(&path).unwrap();
    does_not_start(&setup, "\"users.json\": is not a file");
    fs::remove_dir(&path).unwrap();

    symlink("nowhere.json", &path).unwrap();
    does_not_start(
        &setup,
        "\"users.json\": is a link to a file that does not exist",
    );
    assert!(path.is_symlink());

    let setup = setup.with(&["--users", "missing/users.json"]);
    does_not_start(
        &setup,
        "\"missing/users.json\": there is no directory \"missing\"",
    );
}

#[test]
fn a_users_file_that_may_not_be_read_is_named() {
    let mut launcher = vec!["timeout", "20"];
    // Root may read everything unless it gives that up.
    if rustix::process::geteuid().is_root() {
        launcher.extend([
            "setpriv",
            "--bounding-set",
            "-dac_override,-dac_read_search",
        ]);
    }
    let setup = Setup::new().under(&launcher);
    let path = setup.dir().join("users.json");
    fs::write(&path, "{\"version\": 1, \"users\": {}}").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();

    does_not_start(&setup, "\"users.json\": Permission denied (os error 13)");
}

#[test]
fn a_damaged_sessions_file_is_set_aside_and_everybody_logs_in_again() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    server.kill();
    fs::write(server.path("sessions.json"), "{\"version\": 1, \"sess").unwrap();

    let server = setup.start();

    let alice = alice.at(&server);
    assert!(!alice.is_logged_in());
    let aside = read(setup.dir(), "sessions.json.damaged");
    assert_eq!(aside, "{\"version\": 1, \"sess");
    let log = server.log();
    let warned = |line: &&str| line.contains("WARN") && line.contains("sessions.json.damaged");
    assert_eq!(log.lines().filter(warned).count(), 1, "{log}");
    alice.log_in("alice", PASSWORD, &authenticator);
    assert!(alice.is_logged_in());
}

/// All but what is noted of refusals.
fn at_rest(dir: &Path) -> Vec<String> {
    let mut files = snapshot(dir);
    files.retain(|file| !file.contains("/events.jsonl\""));
    files
}
