//! Who stands before the hashing threads while a crowd does.

use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Map, Value, json};

use crate::harness::three_forms::FORMS;
use crate::harness::{Accept, PATIENCE, Server, Setup, Visitor, Wire, from_now};

const FORM: &str = "application/x-www-form-urlencoded";

/// A hash that takes about a second of a core.
const SLOW: &str =
    "$pbkdf2-sha256$i=10000000,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";

/// More than find room in the line: strangers wait for fifteen seconds, in 448 places.
fn crowd_size() -> usize {
    let cores = thread::available_parallelism().unwrap().get();
    (80 * cores).min(600)
}

/// A server that believes whoever asks where they come from, with an account for each of a crowd,
/// and these.
fn start(others: Map<String, Value>) -> Server {
    let setup = Setup::new().with(&["--no-tls", "--trusted-proxy", "127.0.0.1"]);
    let slow = |n| json!({ "email": format!("u{n}@example.com"), "password": SLOW });
    let mut users: Map<_, _> = (0..crowd_size())
        .map(|n| (format!("u{n}"), slow(n)))
        .collect();
    users.extend(others);
    let file = json!({ "version": 1, "users": users }).to_string();
    std::fs::write(setup.dir().join("users.json"), file).unwrap();
    setup.start()
}

/// What is answered to a wrong password for this account, from there.
fn guess(mut wire: Wire, user: &str, from: &str, accept: &str) -> String {
    let body = format!("username={user}&password=12345678");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nX-Forwarded-For: {from}\r\n\
         Content-Type: {FORM}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    wire.send(request.as_bytes());
    wire.read_to_end()
}

/// A crowd that guesses at once, each at an account and from a network of their own. Their answers
/// as they come, with the number of what each would accept.
fn crowd(server: &Server, accept: [&'static str; 3]) -> Receiver<(usize, String)> {
    let (sender, answers) = mpsc::channel();
    for n in 0..crowd_size() {
        let (sender, wire) = (sender.clone(), server.connect());
        thread::spawn(move || {
            let from = format!("2001:db8:{n:x}::1");
            let answer = guess(wire, &format!("u{n}"), &from, accept[n % 3]);
            let _ = sender.send((n % 3, answer));
        });
    }
    answers
}

#[test]
fn a_line_that_is_full_of_strangers_has_room_for_where_accounts_log_in() {
    let network = json!({ "network": "192.0.2.1", "last_login": from_now(-29 * 24 * 3600) });
    let alice = json!({
        "email": "alice@example.com",
        "password": SLOW,
        "networks": [network],
    });
    let server = start(Map::from_iter([("alice".to_owned(), alice)]));
    let answers = crowd(&server, ["application/json"; 3]);
    loop {
        let (_, answer) = answers.recv_timeout(PATIENCE).unwrap();
        if answer.starts_with("HTTP/1.1 503 ") {
            break;
        }
    }

    let ask = |from| guess(server.connect(), "nobody", from, "application/json");
    let stranger = ask("198.51.100.1");
    assert!(stranger.starts_with("HTTP/1.1 503 "), "{stranger}");
    // For any account, and before all of the crowd that does not have its turn yet.
    let waiting = crowd_size() - answers.try_iter().count();
    let known = ask("192.0.2.1");
    assert!(known.starts_with("HTTP/1.1 401 "), "{known}");
    let overtaken = answers
        .try_iter()
        .filter(|(_, answer)| answer.starts_with("HTTP/1.1 401 "));
    assert!(overtaken.count() < waiting / 2);
    // Whoever needs no hash has noticed nothing.
    let page = Visitor::program(&server).get("/login");
    assert_eq!(page.status, 200);
}

/// Hashes that take about a second each fill the line on any machine.
#[test]
fn a_busy_server_says_so_in_three_forms() {
    let server = start(Map::new());
    let answers = crowd(&server, ["application/json", "*/*", "text/html"]);
    let mut wanted = FORMS.to_vec();
    while !wanted.is_empty() {
        let (form, answer) = answers.recv_timeout(PATIENCE).unwrap();
        let form = FORMS[form];
        if !answer.starts_with("HTTP/1.1 503 ") {
            continue;
        }
        wanted.retain(|other| *other != form);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let message = "The server is busy. Try again in a moment.";
        let wait = head.split_once("\r\nRetry-After: ").unwrap().1;
        let wait: u64 = wait.split_once("\r\n").unwrap().0.parse().unwrap();
        assert!((1..=15).contains(&wait), "{answer}");
        match form {
            Accept::Json => {
                assert_eq!(
                    body,
                    json!({ "code": "busy", "message": message }).to_string()
                );
            }
            Accept::Text => assert_eq!(body, message),
            Accept::Page => assert!(body.contains(message), "{body}"),
        }
    }
}
