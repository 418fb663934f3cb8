//! The end of the program where something hangs, made by strace: it comes within ten seconds, and
//! its status says whether something was lost.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PASSWORD, Server, Visitor, wait_for};

/// Longer than any test waits.
const HANG: &str = "60s";

/// A supervisor's patience, and what this machine may be late by.
const BOUND: Duration = Duration::from_secs(13);

/// Lets calls of all threads of the program hang, as a disk does that does not answer.
struct Hanging(Child);

impl Hanging {
    fn begin(server: &Server, calls: &str, path: &str) -> Self {
        let inject = format!("inject={calls}:delay_enter={HANG}");
        let child = Command::new("strace")
            .args([
                "-f",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={calls}"),
                "-e",
                &inject,
            ])
            .args(["-p", &server.pid().to_string(), "-P"])
            .arg(server.dir.path().canonicalize().unwrap().join(path))
            // As the program calls it.
            .args(["-P", path])
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need strace; install it");
        wait_for("strace to be there", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
            let traced = status.lines().any(|line| {
                line.strip_prefix("TracerPid:")
                    .is_some_and(|pid| pid.trim() != "0")
            });
            traced.then_some(())
        });
        Self(child)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Tells the program to end and waits for it; its status.
fn end(server: &mut Server, hanging: Hanging) -> Option<i32> {
    let begun = Instant::now();
    server.signal(Signal::TERM);
    wait_for("the end", || server.is_zombie().then_some(()));
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    // It keeps the thread that hangs from being buried.
    drop(hanging);
    server.wait().code()
}

/// Sends a form and waits for no answer.
fn send(server: &Server, path: &str, form: &str) -> crate::harness::Wire {
    let mut wire = server.connect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        form.len()
    );
    wire.send(format!("{head}{form}").as_bytes());
    wire
}

#[test]
fn a_disk_that_hangs_under_a_mail_does_not_prolong_the_end() {
    let mut server = Server::start();
    let alice = Visitor::program(&server);
    alice.register("alice");
    let hanging = Hanging::begin(&server, "fsync", "outbox");
    alice
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");

    let status = end(&mut server, hanging);

    // The mail was still to be written.
    assert_eq!(status, Some(1), "{}", server.log());
    assert!(server.log().contains("could not be written before the end"));
}

#[test]
fn a_disk_that_hangs_under_a_change_does_not_prolong_the_end() {
    let mut server = Server::start();
    Visitor::program(&server).register("alice");
    let hanging = Hanging::begin(&server, "fsync", "users.json.new");
    let password = PASSWORD.replace(' ', "+");
    let form = format!("username=bob&email=bob%40example.com&password={password}");
    let wire = send(&server, "/register", &form);
    wait_for("the save to begin", || {
        server.path("users.json.new").exists().then_some(())
    });

    let status = end(&mut server, hanging);

    assert_eq!(status, Some(1), "{}", server.log());
    assert!(server.log().contains("could not be saved before the end"));
    drop(wire);
}

#[test]
fn an_event_that_could_not_be_written_is_told_at_the_end() {
    let mut server = Server::start();
    let events = std::fs::File::create(server.path("events.jsonl")).unwrap();
    // As a command does that was stopped.
    events.lock().unwrap();
    Visitor::program(&server).register("alice");

    server.signal(Signal::TERM);

    assert_eq!(server.wait().code(), Some(1), "{}", server.log());
    assert!(server.log().contains("could not be written before the end"));
    drop(events);
}

#[test]
fn a_disk_that_hangs_under_the_certificate_holds_nobody_up() {
    let mut server = Server::start();
    let hanging = Hanging::begin(&server, "openat,open,stat,statx,newfstatat", "server.crt");
    server.signal(Signal::HUP);
    // Both looks at the files by now.
    std::thread::sleep(Duration::from_secs(1));

    let mut wire = server.connect();
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(wire.read_to_end().ends_with("\r\n\r\nok"));

    // Nothing was to be saved.
    assert_eq!(end(&mut server, hanging), Some(0), "{}", server.log());
}
