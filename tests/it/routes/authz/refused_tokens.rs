//! What the log says of access tokens that are refused.

use serde_json::json;

use crate::harness::tokens::{basic, kept, secret};
use crate::harness::{Server, Visitor, from_now};
use crate::routes::authz::tokens::{HOSTS, bearer, with_tokens};
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, with, without,
};

/// A program brings this to the application, from this address.
fn bring(server: &Server, from: &str, host: &str, value: &str) {
    let question = without(forwarded("GET", host, "/"), "Accept");
    let fields = [("Authorization", value), ("X-Forwarded-For", from)];
    let answer = ask(server, "GET", FORWARD_AUTH, &with(question, &fields));
    assert_eq!(answer.status, 401, "{value}");
}

/// The user, the address and the route of each refused token in the log so far.
fn refused(server: &Server) -> Vec<(String, String, String)> {
    // Lines are in the order of the answers: this one is the last.
    let last = Visitor::program(server).sending("X-Forwarded-For", "198.51.100.99");
    let form = [("username", "nobody"), ("password", "wrong and long")];
    last.post("/login", &form).expect("wrong_credentials");
    server.wait_for_log("198.51.100.99");
    let log = server.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("result=\"wrong_token\""));
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    lines
        .map(|line| {
            (
                field(line, "user"),
                field(line, "address"),
                field(line, "event"),
            )
        })
        .collect()
}

fn at_forward_auth(user: &str, address: &str) -> (String, String, String) {
    let route = FORWARD_AUTH.trim_start_matches('/').to_owned();
    (user.to_owned(), address.to_owned(), route)
}

#[test]
fn a_refused_token_is_logged_with_its_visitor_once_in_a_while() {
    let (server, _) = with_tokens(&[kept(&secret('a'), &HOSTS)]);

    for _ in 0..3 {
        bring(
            &server,
            "192.0.2.1",
            "app.example.com",
            &bearer(&secret('x')),
        );
    }
    // The same from elsewhere, another from there, and one among other things.
    bring(
        &server,
        "192.0.2.2",
        "app.example.com",
        &bearer(&secret('x')),
    );
    bring(
        &server,
        "192.0.2.1",
        "app.example.com",
        &basic("alice", &secret('y')),
    );
    let two = format!("{}, Basic YTpi", bearer(&secret('z')));
    bring(&server, "2001:db8::1", "app.example.com", &two);

    let expected = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1"];
    assert_eq!(
        refused(&server),
        expected.map(|address| at_forward_auth("-", address))
    );
    assert!(!server.log().contains("au_"), "no token is in the log");
}

#[test]
fn a_refused_token_names_its_owner_while_it_lives() {
    let mut expired = kept(&secret('e'), &HOSTS);
    expired["expires"] = json!(from_now(-1));
    let (server, _) = with_tokens(&[kept(&secret('a'), &["www.example.com"]), expired]);

    // Another host, another name, and an expired one.
    bring(
        &server,
        "192.0.2.1",
        "app.example.com",
        &bearer(&secret('a')),
    );
    bring(
        &server,
        "192.0.2.2",
        "www.example.com",
        &basic("bob", &secret('a')),
    );
    bring(
        &server,
        "192.0.2.3",
        "app.example.com",
        &bearer(&secret('e')),
    );

    assert_eq!(
        refused(&server),
        [
            at_forward_auth("alice", "192.0.2.1"),
            at_forward_auth("alice", "192.0.2.2"),
            at_forward_auth("-", "192.0.2.3"),
        ]
    );
}

#[test]
fn a_refused_token_is_logged_at_each_endpoint_and_where_no_token_is_taken() {
    let (server, _) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let people = "https://app.example.com/people";

    for (number, endpoint) in [AUTH_REQUEST, VERIFY].into_iter().enumerate() {
        let (value, from) = (bearer(&secret('x')), format!("192.0.2.{number}"));
        let fields = [
            ("Authorization", value.as_str()),
            ("X-Forwarded-For", &from),
        ];
        let answer = ask(
            &server,
            "GET",
            endpoint,
            &with(original("GET", people), &fields),
        );
        assert_eq!(answer.status, 401);
    }

    let users = [AUTH_REQUEST, VERIFY].map(|path| path.trim_start_matches('/').to_owned());
    let [first, second] = users;
    assert_eq!(
        refused(&server),
        [
            ("-".to_owned(), "192.0.2.0".to_owned(), first),
            ("-".to_owned(), "192.0.2.1".to_owned(), second),
        ]
    );
}

#[test]
fn what_is_no_token_or_enters_is_no_refused_token() {
    let (server, alice) = with_tokens(&[kept(&secret('a'), &HOSTS)]);
    let session = super::session(&alice);

    for value in ["Bearer abc", &basic("alice", "a password of hers"), ""] {
        bring(&server, "192.0.2.1", "app.example.com", value);
    }
    for (value, cookie) in [
        (bearer(&secret('a')), ""),
        // A session enters; what else was brought is not looked at.
        (bearer(&secret('x')), session.as_str()),
    ] {
        let fields = [("Authorization", value.as_str()), ("Cookie", cookie)];
        let question = with(forwarded("GET", "app.example.com", "/"), &fields);
        assert_eq!(ask(&server, "GET", FORWARD_AUTH, &question).status, 200);
    }

    assert_eq!(refused(&server), []);
}
