//! Paths that lead nowhere: the site is a list, and no path is looked for on the disk.

use crate::harness::{Answer, Server, Wire};

/// What strangers ask for to get at files, or past a check of the path.
const STRANGE: [&str; 34] = [
    "/../../etc/passwd",
    "/../../../../../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e/etc/passwd",
    "/..%2f..%2fetc/passwd",
    "/..\\..\\users.json",
    "/....//....//etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "/users.json",
    "/users.json?",
    "/server.key",
    "/server.crt",
    "/sessions.json",
    "/outbox/",
    "//users.json",
    "/./users.json",
    "/login/../users.json",
    "/static/style.css",
    "/static/../users.json",
    "/file:///etc/passwd",
    "/.git/config",
    "/login/",
    "//login",
    "/./login",
    "/login;x",
    "/login.html",
    "/LOGIN",
    "/%6cogin",
    "/login%00",
    "/\"<script>",
    "/%",
    "/{}|^`",
];

fn ask(wire: &mut Wire, path: &str) -> Answer {
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    let raw = wire.read_answer();
    let mut answer = Answer::parse(&raw);
    answer.headers.retain(|(name, _)| name != "date");
    answer
}

#[test]
fn strange_paths_lead_nowhere_and_look_alike() {
    let server = Server::start();
    let mut wire = server.connect();
    let nowhere = ask(&mut wire, "/nowhere");
    assert_eq!(nowhere.status, 404);
    assert_eq!(nowhere.body, "There is no such page.");

    for path in STRANGE {
        let answer = ask(&mut wire, path);

        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.headers, nowhere.headers, "{path}");
        assert_eq!(answer.body, nowhere.body, "{path}");
    }
}

/// Not even to find that it is not there.
#[cfg(feature = "faults")]
#[test]
fn no_path_of_a_request_is_looked_for_on_the_disk() {
    use crate::harness::{Setup, read, wait_for};
    // The tracer is in the background, so that the program is the one that is killed.
    let launcher = [
        "strace",
        "-D",
        "-f",
        "-e",
        "trace=%file",
        "-s",
        "4096",
        "-o",
        "trace",
    ];
    let setup = Setup::new().under(&launcher);
    let server = setup.start();
    let mut wire = server.connect();

    for path in STRANGE {
        assert_eq!(ask(&mut wire, path).status, 404, "{path}");
    }

    // It looks at its own file again and again: all calls before that are in the trace by then.
    let looks = || read(setup.dir(), "trace").matches("users.json\"").count();
    let before = looks();
    wait_for("the program to look at its own file", || {
        (looks() > before + 1).then_some(())
    });
    let trace = read(setup.dir(), "trace");
    for piece in [
        "passwd",
        "environ",
        "style.css",
        ".git",
        "login",
        "%2e",
        "....",
        "nowhere",
    ] {
        assert!(!trace.contains(piece), "{piece} in {trace}");
    }
}
