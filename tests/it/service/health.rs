//! `/healthz` while something is wrong with the files, and after it was mended. Each fault is waited
//! for, not timed: an upper bound of the wait is [`PATIENCE`](crate::harness::PATIENCE).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::directory::listing;
use crate::harness::{Accept, Server, Setup, Visitor, wait_for};

fn health(server: &Server) -> (u16, String) {
    let answer = Visitor::program(server).get("/healthz");
    (answer.status, answer.body)
}

fn wait_for_health(server: &Server, status: u16, word: &str) {
    wait_for(&format!("health to be {word}"), || {
        (health(server) == (status, word.to_owned())).then_some(())
    });
}

/// Whether health is this word and nothing else, whoever asks.
#[track_caller]
fn is_bare(server: &Server, status: u16, word: &str) {
    let program = Visitor::program(server);
    for accept in [Accept::Json, Accept::Page, Accept::Text] {
        let answer = program.reading(accept).get("/healthz");

        assert_eq!((answer.status, answer.body.as_str()), (status, word));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let head = program.reading(accept).ask("HEAD", "/healthz");
        assert_eq!((head.status, head.body.as_str()), (status, ""));
    }
    let mut wire = server.connect();
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: nobody.example:1\r\nConnection: close\r\n\r\n");
    assert!(wire.read_to_end().ends_with(&format!("\r\n\r\n{word}")));
}

#[test]
fn health_is_a_bare_word_whatever_is_asked_for() {
    is_bare(&Server::start(), 200, "ok");
}

#[test]
fn a_fault_is_a_bare_word_whatever_is_asked_for() {
    of_one_machine!("a damaged users.json");
    let server = Server::start();
    fs::write(server.path("users.json"), "{").unwrap();
    wait_for_health(&server, 503, "users_file");
    is_bare(&server, 503, "users_file");
}

#[test]
fn a_damaged_users_file_is_found_out_without_anybody_trying_a_change() {
    of_one_machine!("a damaged users.json");
    let server = Server::start();
    Visitor::program(&server).register("alice");
    let users = server.path("users.json");
    let good = fs::read(&users).unwrap();
    for damage in ["{", "{\"version\": 99, \"users\": {}}", "[]"] {
        fs::write(&users, damage).unwrap();
        wait_for_health(&server, 503, "users_file");
        assert_eq!(fs::read_to_string(&users).unwrap(), damage);

        fs::write(&users, &good).unwrap();
        wait_for_health(&server, 200, "ok");
    }
    let aside = server.path("aside");
    fs::rename(&users, &aside).unwrap();
    wait_for_health(&server, 503, "users_file");
    fs::rename(&aside, &users).unwrap();
    wait_for_health(&server, 200, "ok");
    assert_eq!(fs::read(&users).unwrap(), good);
}

/// Sets the largest size of a file that the running server may write; the hard limit stays.
fn limit_files(server: &Server, bytes: &str) {
    let pid = server.pid().to_string();
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(set.unwrap().success());
}

#[test]
fn a_disk_that_cannot_take_the_next_save_is_found_out_and_nothing_is_left_there() {
    of_one_machine!("a disk is full");
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let before = listing(server.dir.path());
    let users = fs::read(server.path("users.json")).unwrap();

    limit_files(&server, "100");
    wait_for_health(&server, 503, "disk");

    // It is for alarms: nobody is turned away.
    assert!(alice.is_logged_in());
    assert_eq!(listing(server.dir.path()), before);
    assert_eq!(fs::read(server.path("users.json")).unwrap(), users);

    // What is wrong with the accounts comes first.
    fs::write(server.path("users.json"), "{").unwrap();
    wait_for_health(&server, 503, "users_file");
    fs::write(server.path("users.json"), &users).unwrap();
    wait_for_health(&server, 503, "disk");

    limit_files(&server, "unlimited");
    wait_for_health(&server, 200, "ok");
    assert_eq!(listing(server.dir.path()), before);
    server.wait_for_log("changes could be saved again");
}

#[test]
fn a_folder_that_may_not_be_written_to_is_found_out() {
    of_one_machine!("a folder is closed to writers");
    // Root may write anywhere, unless it is told not to.
    let setup = Setup::new().under(&[
        "setpriv",
        "--bounding-set=-dac_override",
        "--inh-caps=-dac_override",
    ]);
    let server = match rustix::process::geteuid().is_root() {
        true => setup.start(),
        false => Server::start(),
    };
    Visitor::program(&server).register("alice");
    let dir = server.dir.path();

    fs::set_permissions(dir, Permissions::from_mode(0o500)).unwrap();
    wait_for_health(&server, 503, "disk");

    fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
    wait_for_health(&server, 200, "ok");
}

/// A small file system of its own, gone when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(at).status();
        if !mounted.is_ok_and(|status| status.success()) {
            eprintln!("skipped: mounting needs root");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Fills it, but for less than `left` bytes.
    fn fill(&self, left: usize) {
        let chunk = vec![0; left];
        let mut filler = Vec::new();
        while fs::write(self.0.join("filler"), &filler).is_ok() {
            filler.extend_from_slice(&chunk);
            assert!(filler.len() < 1 << 20);
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn on_small_disk(launcher: &[&str]) -> Option<(Setup, Small)> {
    let setup = Setup::new()
        .with(&["--users", "data/users.json"])
        .under(launcher);
    let small = Small::mount(&setup.dir().join("data"))?;
    Some((setup, small))
}

fn a_full_disk_is_found_out(launcher: &[&str]) {
    let Some((setup, small)) = on_small_disk(launcher) else {
        return;
    };
    let server = setup.start();
    Visitor::program(&server).register("alice");
    wait_for_health(&server, 200, "ok");

    small.fill(512);
    wait_for_health(&server, 503, "disk");
    let full = listing(&small.0);
    wait_for_health(&server, 503, "disk");
    assert_eq!(listing(&small.0), full);

    fs::remove_file(small.0.join("filler")).unwrap();
    wait_for_health(&server, 200, "ok");
}

#[test]
fn a_full_disk_is_found_out_before_anybody_needs_it() {
    of_one_machine!("a disk is full");
    a_full_disk_is_found_out(&[]);
}

#[cfg(feature = "faults")]
#[test]
fn a_full_disk_is_found_out_where_no_room_can_be_kept_for_a_file() {
    of_one_machine!("a disk is full");
    for call in ["fallocate:error=EOPNOTSUPP", "fallocate:error=ENOSYS"] {
        let inject = format!("inject={call}");
        let trace = ["strace", "-D", "-f", "-o", "/dev/null"];
        let calls = ["-e", "trace=fallocate", "-e", inject.as_str()];
        a_full_disk_is_found_out(&[&trace[..], &calls[..]].concat());
    }
}

#[cfg(feature = "faults")]
#[test]
fn a_disk_that_hangs_is_found_out_and_no_answer_waits_for_it() {
    of_one_machine!("a disk hangs");
    let setup = Setup::new().under(&[
        "strace",
        "-D",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=fallocate",
        "-e",
        // The third look of a thread takes twelve seconds.
        "inject=fallocate:delay_enter=12000000:when=3",
    ]);
    let server = setup.start();

    wait_for_health(&server, 503, "disk");
    assert_eq!(Visitor::program(&server).get("/login").status, 200);
    wait_for_health(&server, 200, "ok");
}
