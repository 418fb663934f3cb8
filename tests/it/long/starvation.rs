//! Descriptors, threads or memory run out under a crowd: the same process serves again within
//! seconds once it has gone, and neither spins nor floods its log meanwhile.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Server, Setup, Visitor};

const CROWD: u32 = 200;
const STARVED: Duration = Duration::from_secs(5);
/// What may pass from the end of the crowd to an answer.
const RECOVERED: Duration = Duration::from_secs(5);
/// Half of a core.
const MOST_BUSY: f64 = 0.5;
const MOST_LINES: usize = 10;

#[test]
fn descriptors_that_run_out_are_waited_for() {
    for arguments in [&[][..], &["--no-tls"]] {
        survive(&["prlimit", "--nofile=64"], arguments);
    }
}

#[test]
fn memory_that_runs_out_is_waited_for() {
    for arguments in [&[][..], &["--no-tls"]] {
        for megabytes in [72, 100, 150, 300, 700, 1200] {
            let limit = format!("--as={}", megabytes << 20);
            survive(&["prlimit", &limit], arguments);
        }
    }
}

#[test]
fn memory_that_is_taken_away_while_the_server_runs_is_waited_for() {
    for arguments in [&[][..], &["--no-tls"]] {
        let server = Setup::new().with(arguments).start();
        let (alice, _) = Visitor::with_account(&server, "alice");
        let size = status(&server, "VmSize:") * 1024;
        limit(&server, size + (20 << 20));

        starve(&server);

        limit(&server, u64::MAX);
        serves_again(&server);
        assert!(alice.is_logged_in());
    }
}

fn survive(launcher: &[&str], arguments: &[&str]) {
    let server = Setup::new().with(arguments).under(launcher).start();
    let (alice, _) = Visitor::with_account(&server, "alice");

    starve(&server);

    serves_again(&server);
    assert!(alice.is_logged_in(), "{launcher:?}");
}

/// Sends a crowd that says little and stays, and looks what the server does meanwhile.
fn starve(server: &Server) {
    let (busy, lines) = (processor_time(server), server.log().lines().count());
    let begun = Instant::now();
    let mut crowd: Vec<TcpStream> = Vec::new();
    while begun.elapsed() < STARVED {
        // Those that were turned away come again, a few at a time.
        for n in 0..CROWD / 10 {
            let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 0)) + n % 8);
            if let Ok(socket) = server.try_socket_from(source) {
                use std::io::Write as _;
                let _ = (&socket).write_all(b"GET / HTTP/1.1\r\n");
                crowd.push(socket);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }

    assert!(crowd.len() >= 200, "a crowd of {} only", crowd.len());
    let spent = (processor_time(server) - busy).as_secs_f64() / begun.elapsed().as_secs_f64();
    let written = server.log().lines().count() - lines;
    println!("{spent:.3} of a core, {written} lines");
    assert!(spent < MOST_BUSY, "{spent} of a core");
    assert!(written <= MOST_LINES, "{}", server.log());
}

fn serves_again(server: &Server) {
    let begun = Instant::now();
    loop {
        let mut wire = server.connect();
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        if wire.read_to_end().ends_with("\r\n\r\nok") {
            return;
        }
        assert!(begun.elapsed() < RECOVERED, "no answer: {}", server.log());
        thread::sleep(Duration::from_millis(50));
    }
}

fn limit(server: &Server, bytes: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let bytes = (bytes != u64::MAX).then_some(bytes);
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::As, limit).unwrap();
}

/// A line of `/proc/PID/status`, in KiB.
fn status(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// User and system time: the fields 14 and 15 of `/proc/PID/stat`, in hundredths (proc(5)).
fn processor_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // The name before may hold spaces; it ends with the last bracket.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}
