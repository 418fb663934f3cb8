//! Permission bits: of what the program makes, and of what it finds.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::directory::{contents, mode, names_and_modes, open};
use crate::harness::{Server, Setup, Visitor, wait_for};

#[test]
fn every_file_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "777"] {
        let setup =
            Setup::bare().under(&["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        let server = setup.start();
        let (alice, _) = Visitor::with_account(&server, "alice");

        alice
            .post("/forgot_password", &[("username", "alice")])
            .expect("new_password_sent");

        let mail = || {
            fs::read_dir(server.path("outbox"))
                .unwrap()
                .flatten()
                .next()
        };
        let mail = wait_for("the mail", mail).path();
        for name in ["server.crt", "server.key", "users.json", "sessions.json"] {
            wait_for(name, || server.path(name).exists().then_some(()));
            assert_eq!(mode(&server.path(name)), 0o600, "{name} under {umask}");
        }
        assert_eq!(mode(&mail), 0o600, "{mail:?} under {umask}");
        assert_eq!(mode(&server.path("outbox")), 0o700, "under {umask}");
        let others: Vec<_> = contents(setup.dir())
            .into_iter()
            .filter(|(name, mode, _)| name != "log" && !matches!(mode, 0o600 | 0o700))
            .map(|(name, mode, _)| format!("{name} {mode:o}"))
            .collect();
        assert_eq!(others, [""; 0], "under {umask}");
    }
}

#[test]
fn only_the_owner_may_read_what_the_program_makes_whatever_the_umask() {
    for umask in ["000", "777"] {
        let set = format!("umask {umask}; exec \"$@\"");
        let setup = Setup::new().under(&["sh", "-c", &set, "sh"]);
        fs::write(setup.dir().join("log"), "").unwrap();
        fs::set_permissions(
            setup.dir().join("server.crt"),
            Permissions::from_mode(0o644),
        )
        .unwrap();
        fs::set_permissions(setup.dir().join("log"), Permissions::from_mode(0o644)).unwrap();
        let server = setup.start();

        Visitor::with_account(&server, "alice");
        wait_for("events.jsonl", || {
            server.path("events.jsonl").exists().then_some(())
        });

        let expected = [
            ("events.jsonl", 0o600),
            ("log", 0o644),
            ("outbox", 0o700),
            ("server.crt", 0o644),
            ("server.key", 0o600),
            ("sessions.json", 0o600),
            ("sessions.json.lock", 0o600),
            ("users.json", 0o600),
            ("users.json.lock", 0o600),
        ];
        let expected = expected.map(|(name, mode)| (name.to_owned(), mode));
        assert_eq!(names_and_modes(setup.dir()), expected, "umask {umask}");
    }
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
