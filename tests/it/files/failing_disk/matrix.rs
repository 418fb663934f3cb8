//! Every operation that saves against a disk that fails, or a program that is killed, at any one
//! of the calls it makes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::files::failing_disk::operations::{
    self, Facts, Operation, SESSIONS, USERS, assert_no_half_accounts,
};
use crate::files::failing_disk::tracer::{Fault, Injection, Thread, Tracer, kinds};
use crate::files::failing_disk::world::Cast;
use crate::harness::wait_for;

/// One operation with one fault; whether there was a call to be hit.
pub(crate) fn try_one(operation: &Operation, thread: Thread, injection: &Injection) -> bool {
    let what = format!("{}: {thread:?}, {injection:?}", operation.name);
    // Shown if it fails, wherever that is.
    println!("{what}");
    let mut cast = Cast::new();
    (operation.prepare)(&mut cast);
    let tracer = Tracer::inject(&cast.server, thread, injection);

    let answered = (operation.act)(&cast);

    let trace = tracer.detach();
    // Killed, a call is recorded all the same.
    let reached = kinds(&trace)
        .get(&injection.call)
        .is_some_and(|count| *count >= injection.nth);
    let killed = injection.fault == Fault::Kill && (reached || answered.is_none());
    let hit = killed || trace.contains("(INJECTED)");
    if killed {
        if answered.is_some() {
            // The call came beside the answer, and the tracer may have been told to end between the
            // way into it and the kill.
            cast.server.signal(Signal::KILL);
        }
        wait_for("the program to be gone", || {
            cast.server.is_zombie().then_some(())
        });
    } else {
        let code = answered
            .as_deref()
            .unwrap_or_else(|| panic!("no answer: {what}"));
        assert!(
            code == operation.done || (hit && code == "not_saved"),
            "{code}: {what}"
        );
    }
    let is_done = answered.as_deref() == Some(operation.done);
    // Asking for a new password is answered alike whatever comes of it.
    let is_promised = is_done && !(hit && operation.name == "ask for a new password");
    let running = (!killed).then(|| {
        let facts = (operation.look)(&cast);
        cast.stranger_registers("next");
        assert_tidy(cast.setup.dir(), 0, &what);
        facts
    });
    assert_tidy(cast.setup.dir(), 1, &what);

    let cast = cast.restarted();
    let facts = (operation.look)(&cast);

    assert_allowed(operation, is_promised, &facts, &what);
    if let Some(running) = running {
        assert_eq!(running, facts, "before and after a restart: {what}");
    }
    assert_no_half_accounts(cast.setup.dir());
    cast.saves_both_files();
    assert_tidy(cast.setup.dir(), 0, &what);
    hit
}

fn assert_allowed(operation: &Operation, is_promised: bool, facts: &Facts, what: &str) {
    let Operation {
        before,
        after,
        between,
        ..
    } = operation;
    if is_promised {
        assert_eq!(facts, after, "answered, but not kept: {what}");
    } else {
        let allowed = [Some(*before), Some(*after), *between];
        assert!(
            allowed.iter().flatten().any(|allowed| facts == allowed),
            "{facts:?}: {what}"
        );
    }
}

/// No more drafts than that stay, and everything is for the owner alone.
fn assert_tidy(dir: &Path, drafts: usize, what: &str) {
    // A session that was not handed out is dropped beside the answer: one save may be under way.
    wait_for(&format!("{drafts} drafts: {what}"), || {
        let names = fs::read_dir(dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        let found = names.filter(|name| name.to_str().unwrap().ends_with(".new"));
        (found.count() <= drafts).then_some(())
    });
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let Ok(metadata) = entry.metadata() else {
            assert!(name.ends_with(".new"), "{name} is gone: {what}");
            continue;
        };
        if ["log", "trace", "server.crt"].contains(&name.as_str()) {
            continue;
        }
        // What is killed before it has set the bits has made something the owner alone may read.
        let mode = metadata.permissions().mode() & 0o7777;
        let expected = if entry.path().is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{name}: {what}");
    }
}

const EIO: Fault = Fault::Error("EIO");
const ENOSPC: Fault = Fault::Error("ENOSPC");

/// Each an operation, a file, and a call of the first save of that file.
fn try_these(cases: &[(&str, &str, &str, usize, Fault)]) {
    for (name, file, call, nth, fault) in cases {
        let operation = operations::named(name);
        let thread = match *file {
            "outbox" => Thread::Errands,
            _ => Thread::Store,
        };
        let injection = Injection {
            call: (*call).to_owned(),
            nth: calls_before(operation, file, call) + nth,
            fault: *fault,
        };

        let hit = try_one(operation, thread, &injection);

        assert!(hit, "{name} makes no such call: {injection:?}");
    }
}

/// How many such calls an operation makes before it saves this file: the locks of both come first,
/// opened in vain as if they were new, and then for good.
fn calls_before(operation: &Operation, file: &str, call: &str) -> usize {
    let mut saves = operation.saves.iter();
    let before = saves.position(|saved| *saved == file).unwrap_or(0);
    match call {
        "fsync" => 2 * before,
        "write" | "renameat" => before,
        "openat" if before > 0 => 2,
        _ => 0,
    }
}

#[test]
fn a_kill_during_a_save_leaves_a_change_whole_or_undone() {
    try_these(&[
        ("register", USERS, "write", 1, Fault::Kill),
        ("register", USERS, "renameat", 1, Fault::Kill),
        ("register", USERS, "fsync", 2, Fault::Kill),
        ("ask for a new password", USERS, "fsync", 1, Fault::Kill),
        ("use a mailed password", USERS, "renameat", 1, Fault::Kill),
        ("log out", SESSIONS, "renameat", 1, Fault::Kill),
        ("end the other sessions", SESSIONS, "fsync", 2, Fault::Kill),
        ("make new recovery codes", USERS, "fsync", 2, Fault::Kill),
        ("move the authenticator", USERS, "renameat", 1, Fault::Kill),
    ]);
}

#[test]
fn a_kill_between_two_saves_leaves_nobody_in_who_should_be_out() {
    try_these(&[
        ("enrol", SESSIONS, "renameat", 1, Fault::Kill),
        ("log in with a code", SESSIONS, "renameat", 1, Fault::Kill),
        (
            "choose a password after a mailed one",
            SESSIONS,
            "fsync",
            2,
            Fault::Kill,
        ),
        (
            "choose a password after a mailed one",
            USERS,
            "fsync",
            2,
            Fault::Kill,
        ),
        ("change the password", SESSIONS, "fsync", 2, Fault::Kill),
        ("change the password", USERS, "renameat", 1, Fault::Kill),
        ("change the password", USERS, "fsync", 2, Fault::Kill),
        ("delete the account", USERS, "fsync", 2, Fault::Kill),
        ("delete the account", SESSIONS, "renameat", 1, Fault::Kill),
        ("end the other sessions", USERS, "fsync", 2, Fault::Kill),
    ]);
}

#[test]
fn a_failing_disk_leaves_memory_and_file_agreed_whatever_is_done() {
    try_these(&[
        ("register", USERS, "openat", 1, ENOSPC),
        ("enrol", USERS, "write", 1, ENOSPC),
        ("enrol", USERS, "fsync", 1, EIO),
        ("enrol", SESSIONS, "fsync", 1, EIO),
        ("log in with a code", USERS, "fsync", 1, EIO),
        ("log in with a code", SESSIONS, "renameat", 1, EIO),
        ("ask for a new password", USERS, "renameat", 1, EIO),
        ("ask for a new password", "outbox", "fsync", 1, EIO),
        ("use a mailed password", USERS, "fsync", 2, EIO),
        (
            "choose a password after a mailed one",
            USERS,
            "write",
            1,
            EIO,
        ),
        ("change the password", SESSIONS, "renameat", 1, ENOSPC),
        ("change the password", USERS, "renameat", 1, EIO),
        ("log out", SESSIONS, "fsync", 2, EIO),
        ("end the other sessions", USERS, "renameat", 1, EIO),
        ("end the other sessions", SESSIONS, "openat", 1, EIO),
        ("make new recovery codes", USERS, "fsync", 1, EIO),
        ("move the authenticator", USERS, "write", 1, ENOSPC),
        ("delete the account", USERS, "fsync", 1, EIO),
        ("delete the account", SESSIONS, "write", 1, EIO),
    ]);
}
