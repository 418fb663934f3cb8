//! Forms that are garbage or too long: answered, forgotten, and never worth a hash.

use std::fs;
use std::net::Ipv4Addr;

use url::form_urlencoded;

use crate::harness::{FORMS, PASSWORD, Server, Visitor, Wire, read, wait_for};
use crate::wire::framing::status;

fn send_form(wire: &mut Wire, path: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.send(&[head.as_bytes(), body].concat());
    wire.read_answer()
}

/// As arbitrary as bytes need to be here, and the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.roll(most);
        (0..count)
            .map(|_| u8::try_from(self.roll(256)).unwrap())
            .collect()
    }

    /// Garbage, or the fields of a form with garbage in them.
    fn body(&mut self) -> Vec<u8> {
        if self.roll(2) == 0 {
            return self.bytes(300);
        }
        let mut body = Vec::new();
        for field in [
            "username",
            "password",
            "email",
            "secret",
            "rd",
            "current_password",
        ] {
            if self.roll(4) > 0 {
                let value = self.bytes(40);
                let value: String = form_urlencoded::byte_serialize(&value).collect();
                body.extend_from_slice(format!("{field}={value}&").as_bytes());
            }
        }
        body
    }
}

/// Sends that many bodies of garbage; then somebody else logs in as ever.
pub(crate) fn shrugs_off(bodies: usize) {
    let server = Server::start_with(&["--no-tls"]);
    Visitor::program(&server).register("alice");
    let mut dice = Dice(1);
    let mut wire = server.connect();

    for number in 0..bodies {
        let (path, body) = (FORMS[number % FORMS.len()], dice.body());
        let answer = send_form(&mut wire, path, &body);
        assert!(status(&answer) < "500", "{path} {body:?}: {answer}");
    }

    // From an address that has guessed nothing yet.
    let mut other = server.connect_over(server.socket_from(Ipv4Addr::new(127, 0, 0, 2)));
    let login = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
    let answer = send_form(&mut other, "/login", login.as_bytes());
    assert!(answer.contains("\"enrol_required\""), "{answer}");
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn garbage_in_forms_breaks_nothing() {
    shrugs_off(1000);
}

/// How often the hashing threads have gone to sleep: each piece of work makes it one more.
fn naps_of_the_hashing_threads(server: &Server) -> u64 {
    wait_for("the hashing threads to sleep", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        tasks
            .map(|task| read(&task.unwrap().path(), "status"))
            .filter(|status| status.starts_with("Name:\thash-"))
            .map(|status| {
                let asleep = status.contains("\nState:\tS");
                let (_, naps) = status.split_once("\nvoluntary_ctxt_switches:\t")?;
                asleep.then(|| naps.lines().next().unwrap().parse::<u64>().unwrap())
            })
            .sum()
    })
}

/// Whoever sends a long password does not make us work for it: its length is looked at first.
#[test]
fn a_password_over_the_limit_costs_no_hash() {
    let server = Server::start_with(&["--no-tls"]);
    let mut wire = server.connect();
    let login = |password: &str| format!("username=alice&password={password}").into_bytes();
    let register = |password: &str| [&login(password)[..], b"&email=a%40example.com"].concat();
    let before = naps_of_the_hashing_threads(&server);

    for password in [
        "a".repeat(257),
        "a".repeat(1024),
        "%F0%9F%90%8E".repeat(257),
    ] {
        for (path, form) in [
            ("/login", login(&password)),
            ("/register", register(&password)),
        ] {
            let answer = send_form(&mut wire, path, &form);
            assert_eq!(status(&answer), "400");
            let said = "The field password is too long: it may have 256 characters.";
            assert!(answer.contains(said), "{answer}");
        }
    }
    for size in [1 << 20, 100_000] {
        let mut wire = server.connect();
        wire.send(
            format!("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n").as_bytes(),
        );
        wire.send(&login(&"a".repeat(size)));
        assert_eq!(status(&wire.read_to_end()), "413");
    }
    assert_eq!(naps_of_the_hashing_threads(&server), before);

    // The longest that is allowed is hashed, as any other: that is what would have been seen.
    let answer = send_form(&mut wire, "/login", &login(&"a".repeat(256)));
    assert_eq!(status(&answer), "401");
    assert!(naps_of_the_hashing_threads(&server) > before);
}
