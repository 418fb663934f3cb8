//! A log and a standard output that cannot be written: lines are lost, and nothing else.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, pipe};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PASSWORD, PATIENCE, Server, Setup, Visitor, free_port, wait_for};

/// Has some events logged, by one who is refused.
fn be_refused(server: &Server, times: usize) {
    let request = "POST /account/delete HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let mut wire = server.connect();
    for _ in 0..times {
        wire.send(request.as_bytes());
        assert!(wire.read_answer().starts_with("HTTP/1.1 4"));
    }
}

fn ends_well(mut server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_log_whose_reader_has_gone_costs_nothing_but_lines() {
    let (reader, log) = pipe().unwrap();
    let server = Setup::new().start_logging_to(log);
    drop(reader);

    let (alice, _) = Visitor::with_account(&server, "alice");
    be_refused(&server, 20);

    assert!(alice.is_logged_in());
    ends_well(server);
}

#[test]
fn a_log_on_a_full_disk_costs_nothing_but_lines() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let server = Setup::new().start_logging_to(full);

    let (alice, _) = Visitor::with_account(&server, "alice");
    be_refused(&server, 20);

    assert!(alice.is_logged_in());
    ends_well(server);
}

#[test]
fn a_reader_who_is_stuck_keeps_nobody_waiting_and_reads_on_later() {
    let (reader, mut log) = pipe().unwrap();
    fill(&mut log);
    let server = Setup::new().start_logging_to(log);

    let (alice, _) = Visitor::with_account(&server, "alice");
    be_refused(&server, 20);
    assert!(alice.is_logged_in());

    let mut lines = BufReader::new(reader).lines();
    let complete = lines.find(|line| line.as_ref().unwrap().contains("login_complete"));
    assert!(complete.is_some());
    ends_well(server);
}

/// In bytes, fewer than any line has.
const TORN: usize = 10;

#[test]
fn how_many_lines_were_lost_is_told_when_the_log_takes_lines_again() {
    for format in ["json", "text"] {
        let server = Server::start_with(&["--log", format]);
        be_refused(&server, 3);
        let size = server.log().len();
        let limit = |bytes: &str| {
            let pid = server.pid().to_string();
            let limit = format!("--fsize={bytes}:unlimited");
            let told = Command::new("prlimit")
                .args(["--pid", &pid, &limit])
                .status();
            assert!(told.unwrap().success());
        };

        // Room for the begin of a line.
        limit(&(size + TORN).to_string());
        be_refused(&server, 7);
        assert_eq!(server.log().len(), size + TORN);
        limit("unlimited");

        // Said by itself, and the lines that follow are taken.
        let (told, _) = [("\"lost\":7", "json"), (" lost=7\n", "text")]
            .into_iter()
            .find(|(_, name)| *name == format)
            .unwrap();
        server.wait_for_log(told);
        be_refused(&server, 1);
        assert!(server.log().lines().count() > 4, "{}", server.log());
        let log = server.log();
        assert_eq!(log.matches("lost").count(), 2, "{log}");
        // Nothing was written behind it in the same line.
        let torn = log.lines().filter(|line| line.len() == TORN);
        assert_eq!(torn.count(), 1, "{log}");
        ends_well(server);
    }
}

/// Waits for the program to end, for a while at most.
fn ended(child: &mut Child) -> Option<i32> {
    wait_for("the end", || child.try_wait().unwrap()).code()
}

#[test]
fn the_complaint_at_the_end_waits_for_no_reader() {
    for (arguments, status) in [
        (&["--frobnicate"][..], 2),
        (&["--users", "no/where.json"], 1),
    ] {
        let (reader, mut log) = pipe().unwrap();
        fill(&mut log);
        let setup = Setup::bare().with(arguments);
        let mut command = setup.command();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        assert_eq!(ended(&mut child), Some(status), "{arguments:?}");
        drop(reader);

        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut child = command.stderr(full).spawn().unwrap();
        assert_eq!(ended(&mut child), Some(status), "{arguments:?}");
    }
}

/// Fills a pipe, so that the next write would wait.
fn fill(pipe: &mut std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(&pipe).unwrap();
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while rustix::io::write(&pipe, &vec![b'\n'; size]).is_ok() {}
    }
    fcntl_setfl(&pipe, flags).unwrap();
}

#[test]
fn a_standard_output_that_nobody_reads_keeps_nobody_waiting() {
    for stdout in ["closed", "stuck", "full"] {
        let (reader, mut writer) = pipe().unwrap();
        let (log_reader, log) = pipe().unwrap();
        fill(&mut writer);
        let out = match stdout {
            "closed" => {
                drop(reader);
                Stdio::from(writer)
            }
            "stuck" => {
                std::mem::forget(reader);
                Stdio::from(writer)
            }
            _ => Stdio::from(File::options().write(true).open("/dev/full").unwrap()),
        };
        // A port of our own: nobody tells us which one it took.
        let address = format!("127.0.0.1:{}", free_port());
        let setup = Setup::new().with(&["--no-tls", "--compat", "--listen", &address]);
        let mut child = setup.command().stdout(out).stderr(log).spawn().unwrap();
        drop(log_reader);

        let answer = |request: &str| {
            wait_for("an answer", || {
                let mut socket = std::net::TcpStream::connect(&address).ok()?;
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                std::io::Write::write_all(&mut socket, request.as_bytes()).ok()?;
                let mut answer = String::new();
                socket.read_to_string(&mut answer).ok()?;
                Some(answer)
            })
        };
        let post = |path: &str, form: &str| {
            answer(&format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: \
                 application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            ))
        };
        let password = PASSWORD.replace(' ', "+");
        post(
            "/register",
            &format!("username=al&email=a%40example.com&password={password}"),
        );
        // Each prints a key, which is lost.
        for _ in 0..3 {
            let answer = post("/login", &format!("username=al&password={password}"));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{stdout}: {answer}");
        }

        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(ended(&mut child), Some(0), "{stdout}");
    }
}
