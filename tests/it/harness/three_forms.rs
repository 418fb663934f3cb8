//! Answers as pages, as JSON and as text, compared with a row of the table of outcomes.

use serde_json::json;

use crate::harness::{Accept, Answer, Visitor};

pub(crate) const FORMS: [Accept; 3] = [Accept::Json, Accept::Text, Accept::Page];

/// Asks for something that is refused in all three forms, and compares status, code and message.
#[track_caller]
pub(crate) fn refused(
    visitor: &Visitor,
    (status, code, message): (u16, &str, &str),
    ask: impl Fn(&Visitor) -> Answer,
) {
    for form in FORMS {
        let answer = ask(&visitor.reading(form));
        match form {
            Accept::Json => json(&answer, status, code, message),
            Accept::Text => text(&answer, status, message),
            Accept::Page => page(&answer, status, message),
        }
    }
}

#[track_caller]
pub(crate) fn json(answer: &Answer, status: u16, code: &str, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(
        (&body["code"], &body["message"]),
        (&json!(code), &json!(message)),
        "{answer:?}"
    );
}

#[track_caller]
pub(crate) fn text(answer: &Answer, status: u16, body: &str) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (status, body),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[track_caller]
pub(crate) fn page(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.body.starts_with("<!DOCTYPE html>\n"), "{answer:?}");
    assert!(
        answer.body.contains(&format!(">{message}<")),
        "no {message:?} in {answer:?}"
    );
}

#[track_caller]
pub(crate) fn see_other(answer: &Answer, location: &str) {
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some(location)),
        "{answer:?}"
    );
}
