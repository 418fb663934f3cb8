//! A data folder in which files cannot be locked and replaced: the program does not start, says
//! what is in the way, and touches nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::harness::directory::snapshot;
use crate::harness::{PASSWORD, Setup, Visitor};
use crate::operator::assert_check_says;

const FOLDER: &str = "mount or hand over the whole folder, not the file alone";

struct Unfit {
    what: &'static str,
    /// Done to a folder with `users.json`, `sessions.json` and a file `other`.
    to: fn(&Path),
    /// Run in that folder, in a mount namespace of its own, before the program.
    script: &'static str,
    /// What root may not do meanwhile.
    without: &'static str,
    said: &'static str,
    hint: &'static str,
}

const USUAL: Unfit = Unfit {
    what: "",
    to: |_| (),
    script: "",
    without: "-sys_rawio",
    said: "",
    hint: FOLDER,
};

const READ_ONLY: &str = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\"";

/// Without flock, as on some file systems that are mounted over a network.
const NO_LOCKS: &str = "exec strace -D -f -o /dev/null -e trace=flock -e inject=flock:error=ENOLCK \
                        \"$0\" \"$@\"";

/// Nothing that is written reaches the disk, which is full.
const FULL: &str = "exec strace -D -f -o /dev/null -e trace=fsync -e inject=fsync:error=ENOSPC \
                    \"$0\" \"$@\"";

const CASES: [Unfit; 13] = [
    Unfit {
        what: "users.json alone is mounted",
        script: "mount --bind other users.json",
        said: "cannot replace \"users.json\": it is mounted by itself",
        ..USUAL
    },
    Unfit {
        what: "users.json is mounted on itself",
        script: "mount --bind users.json users.json",
        said: "cannot replace \"users.json\": it is mounted by itself",
        ..USUAL
    },
    Unfit {
        what: "sessions.json alone is mounted",
        script: "mount --bind other sessions.json",
        said: "cannot replace \"sessions.json\": it is mounted by itself",
        ..USUAL
    },
    Unfit {
        what: "a file that a link leads to is mounted",
        to: |dir| {
            fs::create_dir(dir.join("real")).unwrap();
            fs::rename(dir.join("users.json"), dir.join("real/accounts")).unwrap();
            std::os::unix::fs::symlink("real/accounts", dir.join("users.json")).unwrap();
        },
        script: "mount --bind other real/accounts",
        said: "cannot replace \"users.json\": it is mounted by itself",
        ..USUAL
    },
    Unfit {
        what: "the folder is read-only",
        script: READ_ONLY,
        said: "cannot replace \"users.json\": no file in its folder can be: Read-only file system",
        ..USUAL
    },
    Unfit {
        what: "the folder is read-only and has no accounts yet",
        to: |dir| fs::remove_file(dir.join("users.json")).unwrap(),
        script: READ_ONLY,
        said: "cannot replace \"users.json\": no file in its folder can be: Read-only file system",
        ..USUAL
    },
    Unfit {
        what: "the folder is another user's",
        to: |dir| fs::set_permissions(dir, Permissions::from_mode(0o555)).unwrap(),
        without: "-dac_override",
        said: "cannot replace \"users.json\": no file in its folder can be: Permission denied",
        ..USUAL
    },
    Unfit {
        what: "users.json is another user's in a folder like /tmp",
        to: |dir| {
            fs::set_permissions(dir, Permissions::from_mode(0o1777)).unwrap();
            chown(dir.join("users.json"), Some(1234), None).unwrap();
            chown(dir, Some(1234), None).unwrap();
        },
        without: "-fowner",
        said: "cannot replace \"users.json\": Operation not permitted",
        ..USUAL
    },
    Unfit {
        what: "the lock is another user's",
        to: |dir| {
            fs::write(dir.join("users.json.lock"), "").unwrap();
            let mode = Permissions::from_mode(0o400);
            fs::set_permissions(dir.join("users.json.lock"), mode).unwrap();
        },
        without: "-dac_override",
        said: "users.json.lock\": Permission denied",
        hint: "let the user it runs as write to that file, or remove it",
        ..USUAL
    },
    Unfit {
        what: "the lock is a folder",
        to: |dir| fs::create_dir(dir.join("sessions.json.lock")).unwrap(),
        said: "sessions.json.lock\": Is a directory",
        hint: "let the user it runs as write to that file, or remove it",
        ..USUAL
    },
    Unfit {
        what: "the lock is a pipe",
        to: |dir| {
            let pipe = dir.join("users.json.lock");
            let made = Command::new("mkfifo").arg(pipe).status().unwrap();
            assert!(made.success());
        },
        said: "users.json.lock\": No such device or address",
        hint: "let the user it runs as write to that file, or remove it",
        ..USUAL
    },
    Unfit {
        what: "the file system has no locks",
        script: NO_LOCKS,
        said: "cannot lock files in ",
        hint: "put the folder on a file system that has locks",
        ..USUAL
    },
    Unfit {
        what: "the draft is a folder",
        to: |dir| fs::create_dir(dir.join("users.json.new")).unwrap(),
        said: "users.json.new\": there is a folder of that name",
        hint: "remove it",
        ..USUAL
    },
];

const EMPTY: &str = "{\"version\": 1, \"users\": {}}\n";

/// Whether this test may mount, in a namespace of its own.
fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["--mount", "true"]).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: mounting takes root and unshare(1)");
    }
    may
}

/// The program, in a mount namespace of its own after this script.
fn after(setup: Setup, script: &str, without: &str) -> Setup {
    let script = match script {
        "" => "exec \"$0\" \"$@\"".to_owned(),
        script => format!("{script} && exec \"$0\" \"$@\""),
    };
    let launcher = [
        "unshare",
        "--mount",
        "setpriv",
        "--bounding-set",
        without,
        "sh",
        "-c",
        &script,
    ];
    setup.under(&launcher)
}

#[test]
fn a_folder_in_which_nothing_can_be_saved_is_found_out_at_start() {
    if !may_mount() {
        return;
    }
    for case in CASES {
        let Unfit { what, .. } = case;
        let setup = Setup::new();
        let dir = setup.dir().to_owned();
        for name in ["users.json", "other"] {
            fs::write(dir.join(name), EMPTY).unwrap();
        }
        fs::write(
            dir.join("sessions.json"),
            "{\"version\": 1, \"sessions\": []}\n",
        )
        .unwrap();
        for name in ["users.json", "other", "sessions.json"] {
            fs::set_permissions(dir.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        (case.to)(&dir);
        let setup = after(setup, case.script, case.without);
        let before = snapshot(&dir);

        let (status, stdout, stderr) = setup.run();

        assert_eq!(status.code(), Some(1), "{what}: {stderr}");
        assert_eq!(stdout, "", "{what}");
        let [cannot, hint] = stderr.lines().collect::<Vec<_>>()[..] else {
            panic!("{what}: {stderr}");
        };
        assert!(cannot.starts_with("auth_user: cannot "), "{what}: {cannot}");
        assert!(cannot.contains(case.said), "{what}: {cannot}");
        assert!(hint.starts_with("auth_user: hint: "), "{what}: {hint}");
        assert!(hint.contains(case.hint), "{what}: {hint}");
        assert_check_says(&setup, 1, &stderr);
        assert_eq!(snapshot(&dir), before, "{what}");
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_folder_that_is_mounted_as_a_whole_does() {
    if !may_mount() {
        return;
    }
    let setup = Setup::new();
    fs::write(setup.dir().join("users.json"), EMPTY).unwrap();

    let server = after(setup, "mount --bind . . && cd \"$PWD\"", "-sys_rawio").start();
    Visitor::program(&server).register("alice");

    assert!(server.users()["users"]["alice"].is_object());
    let tried = |name: &std::ffi::OsStr| name.to_string_lossy().contains(".try-");
    let mut names = fs::read_dir(server.dir.path()).unwrap();
    assert!(!names.any(|entry| tried(&entry.unwrap().file_name())));
}

/// It may not be full tomorrow, and who is logged in can be served today.
#[test]
fn a_folder_on_a_full_disk_is_served_from() {
    if !may_mount() {
        return;
    }
    let setup = Setup::new();
    let outbox = setup.dir().join("outbox");
    fs::create_dir(&outbox).unwrap();
    fs::set_permissions(&outbox, Permissions::from_mode(0o700)).unwrap();
    fs::write(setup.dir().join("users.json"), EMPTY).unwrap();

    let server = after(setup, FULL, "-sys_rawio").start();

    let form = [
        ("username", "alice"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    Visitor::program(&server)
        .post("/register", &form)
        .expect("not_saved");
    assert_eq!(
        fs::read_to_string(server.path("users.json")).unwrap(),
        EMPTY
    );
}
