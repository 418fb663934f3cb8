use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;

use super::*;

const TOKEN: &str = "au_abcdefghijklmnopqrstuvwxyz234567";

fn brought(values: &[&str]) -> Brought {
    Brought::of(&Request::with(FIELD, values))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

#[test]
fn our_shape_alone_is_a_token_however_the_rest_is_written() {
    let pair = format!("é>?:{TOKEN}");
    for (value, name) in [
        (format!("Bearer {TOKEN}"), None),
        (format!("bEARER \t {TOKEN} "), None),
        (basic("alice", TOKEN), Some("alice")),
        (basic("", TOKEN), Some("")),
        (
            basic("alice", TOKEN).replace("Basic", "BASIC"),
            Some("alice"),
        ),
        (
            format!("basic\t{}", STANDARD_NO_PAD.encode(&pair)),
            Some("é>?"),
        ),
        (format!("Basic {}", URL_SAFE.encode(&pair)), Some("é>?")),
        // What lenient decoders read all the same.
        (basic("alice", TOKEN) + "===", Some("alice")),
        (basic("alice", TOKEN) + "=x", Some("alice")),
        (
            basic("alice", TOKEN).replace("YWxp", "YW xp!"),
            Some("alice"),
        ),
        (basic("bob", TOKEN) + "A", Some("bob")),
    ] {
        match brought(&[&value]) {
            Brought::Token(token) => {
                assert!(token.hash == Digest::of(TOKEN), "{value}");
                assert_eq!(token.name.as_deref(), name, "{value}");
            }
            _ => panic!("{value}"),
        }
    }
}

#[test]
fn our_shape_among_other_things_is_good_for_nothing_and_goes_nowhere() {
    let bearer = format!("Bearer {TOKEN}");
    for values in [
        &[bearer.as_str(), bearer.as_str()][..],
        &[&bearer, "Basic YTpi"],
        &["Digest x=y", &basic("alice", TOKEN)],
        &[&format!("{bearer}, {bearer}")],
        &[&format!("{bearer},")],
        &[&format!("Digest x=\"y\", {bearer}")],
    ] {
        let brought = brought(values);
        assert!(
            matches!(brought, Brought::Confused(hash) if hash == Digest::of(TOKEN)),
            "{values:?}"
        );
        assert!(brought.is_ours() && brought.into_foreign().is_empty());
    }
}

#[test]
fn anything_else_goes_on_to_the_letter() {
    for value in [
        "Bearer",
        "Bearer abc",
        "Bearer au_abc",
        &format!("Bearer {TOKEN}a"),
        &format!("Bearer AU_{}", &TOKEN[3..]),
        &format!("Bearer {TOKEN} x"),
        &format!("Bearer{TOKEN}"),
        &format!("Token {TOKEN}"),
        TOKEN,
        &basic("alice", "secret"),
        &basic(TOKEN, "secret"),
        &basic("alice", &format!("{TOKEN}:")),
        &basic("alice", &format!(" {TOKEN}")),
        "Basic YTpi",
        "Basic !!",
        "Digest username=\"a\", realm=\"b\"",
        "Negotiate YIIZ",
    ] {
        let brought = brought(&[value]);
        assert!(!brought.is_ours(), "{value}");
        assert_eq!(brought.into_foreign(), [value.as_bytes()], "{value}");
    }
    // As the front writes what is no text.
    let encoded = brought(&["X a%25%E9%20"]).into_foreign();
    assert_eq!(encoded, [b"X a%\xe9 "]);
    assert!(brought(&[]).into_foreign().is_empty());
    assert!(brought(&[""]).into_foreign().is_empty());
    assert_eq!(brought(&["A b", "C d"]).into_foreign(), [b"A b", b"C d"]);
}

proptest! {
    #[test]
    fn whatever_comes_is_ours_or_goes_on_whole(
        values in prop::collection::vec("(?i)(Bearer|Basic)?[ \t,]{0,2}[ -$&-~\t]{0,50}", 0..3),
    ) {
        let fields: Vec<&str> = values.iter().map(String::as_str).collect();
        let brought = brought(&fields);
        let is_ours = brought.is_ours();
        let foreign = brought.into_foreign();
        let whole = fields.iter().filter(|value| !value.is_empty());
        let whole: Vec<Vec<u8>> = whole.map(|value| value.as_bytes().to_vec()).collect();
        let expected = if is_ours { Vec::new() } else { whole };
        prop_assert_eq!(foreign, expected);
    }

    #[test]
    fn a_token_with_any_name_is_known(name in "[^:]{0,40}", days: bool) {
        let value = basic(&name, TOKEN);
        let value = if days { value.trim_end_matches('=').to_owned() } else { value };
        prop_assert!(brought(&[&value]).is_ours());
    }
}
