//! What the system refuses a program that starts, and whether the program blames that.

use crate::harness::Setup;

/// A kind of call, from which one on, its error, and what has to be said of it: what failed, and
/// what is to be done.
const REFUSED: [(&str, usize, &str, [&str; 2]); 9] = [
    ("socket", 1, "EMFILE", ["cannot listen on", "ulimit -n"]),
    ("bind", 1, "EADDRINUSE", ["cannot listen on", "ss -ltnp"]),
    // The first socket is the port's, the others are those between the threads.
    ("socket", 2, "EAFNOSUPPORT", [SOCKETS, "AF_UNIX"]),
    ("socket", 2, "EMFILE", [SOCKETS, "ulimit -a"]),
    ("bind", 2, "EACCES", [SOCKETS, "AF_UNIX"]),
    ("connect", 1, "EPERM", [SOCKETS, "AF_UNIX"]),
    ("flock", 1, "ENOLCK", ["cannot lock files", "has locks"]),
    ("fsync", 1, "EIO", ["cannot replace", "whole folder"]),
    (
        "socketpair",
        1,
        "EMFILE",
        ["cannot listen for signals", "ulimit -n"],
    ),
];

const SOCKETS: &str = "cannot open the sockets between its own threads";

/// Starts the program with calls of this kind failing from the `nth` on; what it complains of, and
/// its hint.
fn complaint(call: &str, nth: usize, error: &str) -> [String; 2] {
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={error}:when={nth}+");
    let options = ["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let strace: Vec<&str> = ["strace"].into_iter().chain(options).collect();

    let (status, out, err) = Setup::bare().with(&["--no-tls"]).under(&strace).run();

    let what = format!("{call} {nth}, {error}: {err}");
    assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{what}");
    let said: Vec<String> = err
        .lines()
        .filter_map(|line| line.strip_prefix("auth_user: "))
        .map(str::to_owned)
        .collect();
    said.try_into().unwrap_or_else(|_| panic!("{what}"))
}

#[test]
fn what_the_system_refuses_at_the_start_is_what_is_blamed() {
    for (call, nth, error, parts) in REFUSED {
        let said = complaint(call, nth, error);

        for (line, part) in said.iter().zip(parts) {
            assert!(line.contains(part), "{call} {nth}, {error}: {said:?}");
        }
    }
}

#[test]
fn a_start_that_runs_out_of_threads_says_so_wherever_it_gets() {
    for nth in (1..25).step_by(3) {
        let [what, hint] = complaint("clone3", nth, "EAGAIN");

        assert!(what.contains("thread"), "{nth}: {what}");
        assert!(
            hint.contains("processes") && hint.contains("memory"),
            "{nth}: {hint}"
        );
    }
}
