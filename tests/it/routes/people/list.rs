//! The list, and what is found in it.

use serde_json::{Value, json};

use crate::harness::three_forms::{page, refused, text};
use crate::harness::{Accept, Server, Visitor, wait_for};
use crate::routes::people::administrator;

/// The names of the people on a page of the list.
fn names(visitor: &Visitor, path: &str) -> Vec<String> {
    let list = visitor.get(path).json();
    let people = list["people"].as_array().unwrap().iter();
    people
        .map(|one| one["username"].as_str().unwrap().to_owned())
        .collect()
}

/// Adds accounts by hand, each like the one there is.
fn add(server: &Server, visitor: &Visitor, like: &str, made: &[(String, Value)]) {
    let mut total = 0;
    server.edit("users.json", |users| {
        for (name, changes) in made {
            let mut account = users["users"][like].clone();
            for field in ["id", "seal", "totp", "last_login"] {
                account.as_object_mut().unwrap().remove(field);
            }
            account["email"] = json!(format!("{}@example.com", name.to_lowercase()));
            for (field, value) in changes.as_object().into_iter().flatten() {
                account[field] = value.clone();
            }
            users["users"][name] = account;
        }
        total = users["users"].as_object().unwrap().len();
    });
    wait_for("the accounts", || {
        (visitor.get("/people").json()["total"] == total).then_some(())
    });
}

#[test]
fn the_list_tells_of_everybody_what_it_should_and_nothing_secret() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("Bob");

    let list = ada.get("/people");
    let told = list.json();
    let (one, other) = (&told["people"][0], &told["people"][1]);
    assert_eq!(
        (
            &told["total"],
            &told["page"],
            &told["pages"],
            &told["invitations"]
        ),
        (&json!(2), &json!(1), &json!(1), &json!([]))
    );
    assert_eq!(
        *other,
        json!({
            "username": "Bob", "email": "Bob@example.com", "email_proven": false,
            "groups": ["users"], "state": "active", "second_factor": false,
            "created": other["created"], "last_login": null,
        })
    );
    assert_eq!(
        (&one["username"], &one["groups"], &one["second_factor"]),
        (&json!("ada"), &json!(["users", "admins"]), &json!(true))
    );
    let last_login = one["last_login"].as_str().unwrap();
    assert!(last_login.ends_with('Z'));

    let lines = format!(
        "ada\tada@example.com\tusers,admins\tactive\tyes\t{last_login}\n\
         Bob\tBob@example.com\tusers\tactive\tno\t-"
    );
    text(&ada.reading(Accept::Text).get("/people"), 200, &lines);
    let shown = ada.reading(Accept::Page).get("/people");
    page(&shown, 200, "2 people");
    assert!(shown.body.contains("<a href=\"/people/Bob\">Bob</a>"));

    let users = server.kept("users.json");
    let secrets = users.split('"').filter(|text| text.len() > 30);
    for secret in secrets.filter(|text| !text.contains(' ')) {
        assert!(!list.body.contains(secret), "{secret}");
    }
}

#[test]
fn people_are_sorted_by_name_fifty_a_page_and_found_by_name_address_and_group() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let mut made: Vec<(String, Value)> = (0..60)
        .map(|n| {
            (
                format!("{}ser{n:02}", if n % 2 == 0 { "U" } else { "u" }),
                json!({}),
            )
        })
        .rev()
        .collect();
    made.push((
        "carol".to_owned(),
        json!({ "groups": ["staff"], "disabled": true }),
    ));
    made.push((
        "dave".to_owned(),
        json!({ "email": "d.smith@other.example", "groups": [] }),
    ));
    add(&server, &ada, "ada", &made);

    let first = names(&ada, "/people");
    assert_eq!(
        (first.len(), &first[..5]),
        (
            50,
            &["ada", "carol", "dave", "User00", "user01"].map(str::to_owned)[..]
        )
    );
    let second = names(&ada, "/people?page=2");
    assert_eq!(
        (second.len(), second.last().unwrap().as_str()),
        (13, "user59")
    );
    for path in ["/people?page=3", "/people?page=99999999999999999999999999"] {
        let beyond = ada.get(path).json();
        assert_eq!(
            (&beyond["people"], &beyond["total"], &beyond["pages"]),
            (&json!([]), &json!(63), &json!(2))
        );
    }
    for (query, found) in [
        ("q=CAR", &["carol"][..]),
        ("q=other.EXAMPLE", &["dave"]),
        ("q=staff", &["carol"]),
        ("q=+staff+", &["carol"]),
        ("q=staf", &[]),
        ("q=Staff", &[]),
        (
            "q=ser5&page=1",
            &[
                "User50", "user51", "User52", "user53", "User54", "user55", "User56", "user57",
                "User58", "user59",
            ],
        ),
        ("q=&page=", &[]),
    ] {
        let names = names(&ada, &format!("/people?{query}"));
        match query {
            "q=&page=" => assert_eq!(names, first),
            _ => assert_eq!(names, found, "{query}"),
        }
    }
    let browser = ada.reading(Accept::Page);
    let shown = browser.get("/people?q=ser&page=1");
    assert!(
        shown
            .body
            .contains("<a rel=\"next\" href=\"/people?q=ser&amp;page=2\">")
    );
    assert!(!shown.body.contains("rel=\"prev\""));
    let shown = browser.get("/people?q=ser&page=2");
    assert!(
        shown
            .body
            .contains("<a rel=\"prev\" href=\"/people?q=ser&amp;page=1\">")
    );
    assert!(!shown.body.contains("rel=\"next\""));
    page(&browser.get("/people?q=xyz"), 200, "Nobody found for “xyz”");
    text(&ada.reading(Accept::Text).get("/people?q=xyz"), 200, "");
    text(
        &ada.reading(Accept::Text).get("/people?q=carol"),
        200,
        "carol\tcarol@example.com\tstaff\tdisabled\tno\t-",
    );
    text(
        &ada.reading(Accept::Text).get("/people?q=dave"),
        200,
        "dave\td.smith@other.example\t-\tactive\tno\t-",
    );
}

#[test]
fn a_query_that_is_none_is_refused() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    for page in ["0", "00", "-1", "x", "1.5", "%2B1", "1+"] {
        refused(
            &ada,
            (
                400,
                "bad_field",
                "The field page must be a number from 1 on.",
            ),
            |visitor| visitor.get(&format!("/people?page={page}")),
        );
    }
    for (query, message) in [
        ("page=1&page=1", "The field page was sent more than once."),
        ("q=%ff", "The field q is not UTF-8."),
    ] {
        refused(&ada, (400, "bad_field", message), |visitor| {
            visitor.get(&format!("/people?{query}"))
        });
    }
    let long = format!("/people?q={}", "a".repeat(255));
    assert_eq!(ada.get(&long).json()["field"], "q");
}

#[test]
fn markup_in_what_people_and_operators_chose_is_shown_to_the_letter() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let group = "<b>\"&'\t\u{fc}\u{1b}\u{202e}";
    add(
        &server,
        &ada,
        "ada",
        &[("bob".to_owned(), json!({ "groups": [group] }))],
    );

    let browser = ada.reading(Accept::Page);
    for path in ["/people?q=bob", "/people/bob", "/people?q=%3Cb%3E"] {
        let shown = browser.get(path);
        assert!(shown.body.contains("&lt;b&gt;"), "{path}");
        assert!(!shown.body.contains("<b>"), "{path}");
        assert!(!shown.body.contains(['\u{1b}', '\u{202e}']), "{path}");
    }
    for path in ["/people?q=bob", "/people/bob"] {
        let group = "&lt;b&gt;&quot;&amp;&#39;\\t\u{fc}\\u{1b}\\u{202e}";
        let shown = browser.get(path).body;
        assert!(shown.contains(group), "{path}: {shown}");
    }
    assert_eq!(
        ada.get("/people?q=bob").json()["people"][0]["groups"],
        json!([group])
    );
    // A tab between two fields would be read as three.
    text(
        &ada.reading(Accept::Text).get("/people?q=bob"),
        200,
        "bob\tbob@example.com\t<b>\"&'\\t\u{fc}\\u{1b}\\u{202e}\tactive\tno\t-",
    );
}
