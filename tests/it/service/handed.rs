//! Sockets that whoever starts the program hands it: which are served, and how one process takes
//! over from another without a visitor who notices.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::harness::{PASSWORD, PATIENCE, Server, Setup, Visitor, wait_for};

/// Hands on standard input as descriptor 3, and standard error as 4, as a service manager does: the
/// process that becomes the program is the one that is named.
const HAND_OVER: &str = "exec 3<&0 4<&2 </dev/null 2>>log; \
                         export LISTEN_FDS=$0 LISTEN_PID=${PID:-$$}; exec \"$@\"";

/// A setup whose server is handed so many of two descriptors.
fn handing(count: usize) -> Setup {
    let count = count.to_string();
    // Empty, so that no port is asked for.
    let setup = Setup::new().env("AUTH_LISTEN", "");
    setup.under(&["sh", "-c", HAND_OVER, &count])
}

fn owned(descriptor: impl AsFd) -> OwnedFd {
    descriptor.as_fd().try_clone_to_owned().unwrap()
}

/// Starts a server on the sockets.
fn start(setup: &Setup, first: &impl AsFd, second: &impl AsFd) -> Server {
    setup.start_with_descriptors(owned(first), owned(second))
}

/// Runs a program that is expected to refuse them: its status, and what it said.
fn refused(setup: &Setup, first: &impl AsFd) -> (i32, String) {
    let output = setup
        .command()
        .stdin(owned(first))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"");
    let said = fs::read_to_string(setup.dir().join("log")).unwrap();
    (output.status.code().unwrap(), said)
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

const ASKED: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes back on a connection for a request in plain HTTP.
fn answer_on(mut stream: TcpStream) -> String {
    stream.write_all(ASKED).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_well(address: SocketAddr) -> bool {
    answer_on(connect(address)).ends_with("\r\n\r\nok")
}

#[test]
fn all_sockets_that_are_handed_over_are_served_alike() {
    let ((first, one), (second, two)) = (listener(), listener());

    let server = start(&handing(2).with(&["--no-tls"]), &first, &second);

    // The port is that of the first.
    assert_eq!(server.port, one.port());
    assert!(is_well(one) && is_well(two) && is_well(one));
    assert!(!server.log().contains("listen"), "{}", server.log());

    let tls = start(&handing(1), &listener().0, &second);
    assert_eq!(Visitor::program(&tls).get("/healthz").body, "ok");
}

#[test]
fn nothing_that_is_started_later_would_get_them() {
    let (socket, address) = listener();
    let server = start(&handing(1).with(&["--no-tls"]), &socket, &socket);
    assert!(is_well(address));

    let info = fs::read_to_string(format!("/proc/{}/fdinfo/3", server.pid())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();

    assert_eq!(flags & 0o2_000_000, 0o2_000_000, "closed on exec: {info}");
}

#[test]
fn an_address_beside_them_is_ignored_with_a_warning() {
    let (socket, address) = listener();
    let elsewhere = Setup::new().under(&["sh", "-c", HAND_OVER, "1"]);
    // One that would be refused if it counted.
    let by_variable = elsewhere
        .clone()
        .env("AUTH_LISTEN", "0.0.0.0:0")
        .with(&["--no-tls"]);
    let by_flag = elsewhere.with(&["--listen", "127.0.0.1:0", "--no-tls"]);
    for (setup, name) in [(by_flag, "--listen"), (by_variable, "AUTH_LISTEN")] {
        let server = start(&setup, &socket, &socket);

        assert_eq!(server.port, address.port());
        assert!(is_well(address));
        let said = format!("{name} is ignored: ");
        assert_eq!(server.log().matches(&said).count(), 1, "{}", server.log());
    }
}

#[test]
fn variables_that_are_meant_for_another_process_are_ignored() {
    let (socket, address) = listener();
    let setup = Setup::new()
        .with(&["--no-tls"])
        .env("PID", "1")
        .under(&["sh", "-c", HAND_OVER, "1"]);

    let server = start(&setup, &socket, &socket);

    assert_ne!(server.port, address.port());
    assert!(!server.log().contains("socket"), "{}", server.log());
    assert_eq!(Visitor::program(&server).get("/healthz").body, "ok");
}

#[test]
fn what_is_no_listening_tcp_socket_is_named() {
    let (socket, address) = listener();
    let connected = TcpStream::connect(address).unwrap();
    let file = tempfile::tempfile().unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = tempfile::tempdir().unwrap();
    let local = std::os::unix::net::UnixListener::bind(local.path().join("socket")).unwrap();
    for wrong in [
        owned(&connected),
        owned(&file),
        owned(&datagrams),
        owned(&local),
    ] {
        let (status, said) = refused(&handing(1), &wrong);
        assert_eq!(status, 1, "{said}");
        assert!(
            said.starts_with("auth_user: cannot serve on descriptor 3: "),
            "{said}"
        );
        assert!(said.contains("auth_user: hint: "), "{said}");
    }
    // The second is standard error of whoever starts it, here no socket at all.
    let (status, said) = refused(&handing(2), &socket);
    assert_eq!(status, 1, "{said}");
    assert!(
        said.starts_with("auth_user: cannot serve on descriptor 4: "),
        "{said}"
    );
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear() {
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let plain = handing(1).with(&["--no-tls"]);

    let (status, said) = refused(&plain, &open);

    assert_eq!(status, 2, "{said}");
    assert!(said.contains("passwords in the clear"), "{said}");
    assert!(said.contains("auth_user: hint: "), "{said}");
    let proxied = handing(1).with(&["--no-tls", "--trusted-proxy", "127.0.0.1"]);
    assert_eq!(
        start(&proxied, &open, &open).port,
        open.local_addr().unwrap().port()
    );
}

#[test]
fn who_was_let_in_is_answered_and_who_waits_is_left_to_the_next() {
    let (socket, address) = listener();
    let setup = handing(1).with(&["--no-tls"]);
    let mut old = start(&setup, &socket, &socket);
    let silent = connect(address);
    let late = connect(address);
    // Connections are taken in the order in which they come.
    assert!(is_well(address));

    old.signal(Signal::TERM);
    old.wait_for_log("finishing what is in flight");
    let answer = answer_on(late);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    let mut waiting = connect(address);
    waiting.write_all(ASKED).unwrap();
    // Who never says a word holds up nobody for long.
    assert_eq!(old.wait().code(), Some(0));
    drop(silent);

    let _new = start(&setup, &socket, &socket);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[test]
fn one_process_takes_over_from_another_and_no_visitor_notices() {
    let (socket, address) = listener();
    let setup = handing(1).with(&["--no-tls", "--registrations-per-hour", "0"]);
    let mut running = start(&setup, &socket, &socket);
    let stop = AtomicBool::new(false);
    let asked = || {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            assert!(is_well(address));
            count += 1;
        }
        count
    };
    let registered = |who: usize| {
        let mut names = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let name = format!("user{who}x{}", names.len());
            let form = format!(
                "username={name}&email={name}%40example.com&password={}",
                PASSWORD.replace(' ', "+")
            );
            let mut stream = connect(address);
            let head = "POST /register HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                        Content-Type: application/x-www-form-urlencoded\r\n";
            let request = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
            names.push(name);
        }
        names
    };

    let names: Vec<String> = thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(asked)).collect();
        let registered = &registered;
        let registering: Vec<_> = (0..2)
            .map(|who| scope.spawn(move || registered(who)))
            .collect();
        for _ in 0..3 {
            // Both run for a while, on the same files.
            let next = start(&setup, &socket, &socket);
            running.signal(Signal::TERM);
            assert_eq!(running.wait().code(), Some(0));
            running = next;
        }
        stop.store(true, Ordering::Relaxed);
        for thread in asking {
            assert!(thread.join().unwrap() > 0);
        }
        let names = registering
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        names.collect()
    });

    assert!(names.len() >= 2);
    let users = running.users();
    for name in &names {
        assert!(users["users"][name].is_object(), "{name} is lost");
    }
}

#[test]
fn a_port_of_its_own_is_closed_at_once() {
    let mut server = Setup::new().with(&["--no-tls"]).alone().start();
    let address = SocketAddr::from(([127, 0, 0, 1], server.port));
    let late = connect(address);
    assert!(is_well(address));

    server.signal(Signal::TERM);

    wait_for("the port to close", || {
        TcpStream::connect(address).is_err().then_some(())
    });
    assert!(answer_on(late).ends_with("\r\n\r\nok"));
    assert_eq!(server.wait().code(), Some(0));
}
