//! What goes on to an application of what visitors send in `Authorization`.

use std::fs;

use crate::harness::tokens::{basic, secret};
use crate::routes::authz::{
    AUTH_REQUEST, FORWARD_AUTH, VERIFY, ask, forwarded, original, with, with_alice, without,
};

#[test]
fn what_is_the_applications_goes_on_to_the_letter_and_opens_nothing() {
    let (server, _, cookie) = with_alice();
    let long = format!("Negotiate {}", "Y".repeat(12 * 1024));
    for value in [
        "Bearer abc",
        "Digest username=\"alice\", realm=\"a%20b\", response=\"%\"",
        "Odd \téÿ=%41",
        &basic("alice", "seven wild horses"),
        &basic("alice", &secret('a')[1..]),
        &format!("Bearer {}", secret('a').to_uppercase()),
        &long,
    ] {
        let fields = [("Authorization", value)];
        let known = [("Cookie", cookie.as_str()), ("Authorization", value)];
        for (path, question) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/")),
            (VERIFY, original("GET", "https://app.example.com/")),
        ] {
            let answer = ask(&server, "GET", path, &with(question.clone(), &known));
            assert_eq!(answer.status, 200, "{value}");
            let passed: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| name == "authorization")
                .collect();
            assert!(
                passed.len() == 1 && passed[0].1 == value,
                "{passed:?} {value}"
            );

            let stranger = ask(
                &server,
                "GET",
                path,
                &with(without(question, "Accept"), &fields),
            );
            assert_eq!(stranger.status, 401, "{value}");
            assert_eq!(stranger.header("authorization"), None);
            assert_eq!(
                stranger.header("www-authenticate"),
                None,
                "no rule takes tokens"
            );
        }
    }
}

#[test]
fn our_shape_never_goes_on_living_or_not_and_whatever_else_is_there() {
    let (server, _, cookie) = with_alice();
    let bearer = format!("Bearer {}", secret('a'));
    let basic = basic("alice", &secret('a'));
    let list = format!("Digest a=b, {bearer}");
    for values in [
        &[bearer.as_str()][..],
        &[&basic],
        &[&bearer, "Bearer abc"],
        &["Bearer abc", &basic],
        &[&list],
    ] {
        let mut fields = vec![("Cookie", cookie.as_str())];
        fields.extend(values.iter().map(|value| ("Authorization", *value)));
        for (path, question) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/")),
        ] {
            let answer = ask(&server, "GET", path, &with(question, &fields));
            assert_eq!(answer.status, 200, "a session decides first: {values:?}");
            assert_eq!(answer.header("authorization"), None, "{values:?}");
            assert_eq!(answer.header("remote-user"), Some("alice"));
        }
    }
    assert!(
        !fs::read_to_string(server.path("log"))
            .unwrap()
            .contains("au_aaa")
    );
}
