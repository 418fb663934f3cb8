//! What an operator writes into `users.json` beside what the program wrote, and what comes of it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, wait_for};

#[test]
fn fields_nobody_knows_are_kept_at_every_depth() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let stranger = Visitor::program(&server);
    let password = stranger.mailed_password(&server, "alice");
    stranger
        .post("/login", &[("username", "alice"), ("password", PASSWORD)])
        .expect("code_required");
    stranger
        .post("/secret_key", &[("secret", "12345678")])
        .expect("wrong_code");
    let label = json!({ "kept": ["by me", 1.50, null] });
    let labelled = [
        "/totp",
        "/devices/0",
        "/devices/0/wrong_codes",
        "/networks/0",
        "/wrong_codes",
        "/mails/0",
        "/mailed_passwords/0",
    ];

    server.edit_account("alice", |account| {
        account["devices"][0]["wrong_codes"] = account["wrong_codes"].clone();
        for place in labelled {
            account.pointer_mut(place).unwrap()["label"] = label.clone();
        }
    });
    server.wait_for_log("took up a changed users file");
    // Another's save, a login with another code, a login that ends every count.
    Visitor::program(&server).register("bob");
    let kept = |place: &str| {
        let account = server.users()["users"]["alice"].take();
        account.pointer(place).map(|object| object["label"].clone())
    };
    for place in labelled {
        assert_eq!(kept(place), Some(label.clone()), "{place}");
    }
    alice.log_in("alice", PASSWORD, &authenticator);

    for place in &labelled[..5] {
        assert_eq!(kept(place), Some(label.clone()), "{place}");
    }
    assert!(!password.is_empty() && kept("/mailed_passwords/0").is_none());
}

#[test]
fn fields_nobody_knows_are_kept_in_the_sessions_file() {
    let setup = Setup::new();
    let mut server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    server.kill();
    let path = setup.dir().join("sessions.json");
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    file["note"] = json!([1, 2]);
    file["sessions"][0]["room"] = json!({ "floor": 3 });
    fs::write(&path, file.to_string()).unwrap();

    let server = setup.start();
    let alice = alice.at(&server);
    assert!(alice.is_logged_in());
    Visitor::program(&server).log_in("alice", PASSWORD, &authenticator);

    let saved: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(saved["note"], file["note"]);
    assert_eq!(saved["sessions"][0]["room"], file["sessions"][0]["room"]);
    assert_eq!(saved["sessions"].as_array().unwrap().len(), 2);
}

#[test]
fn when_an_account_was_made_is_said_only_if_it_is_known() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    for (n, written) in [
        None,
        Some(Value::Null),
        Some(json!("")),
        Some(json!("yesterday")),
        Some(json!("2026-11-22")),
        Some(json!(1_795_348_800)),
        Some(json!("1969-12-31T23:59:59Z")),
    ]
    .into_iter()
    .enumerate()
    {
        let group = n.to_string();
        server.edit_account("alice", |account| {
            account["groups"] = json!([group]);
            match &written {
                Some(value) => account["created"] = value.clone(),
                None => drop(account.as_object_mut().unwrap().remove("created")),
            }
        });
        wait_for("the edit to be taken up", || {
            (alice.get("/account").json()["groups"] == json!([group])).then_some(())
        });

        assert_eq!(alice.get("/account").json()["created"], Value::Null);
        let page = alice.reading(Accept::Page).get("/account").body;
        assert!(
            !page.contains("Created") && !page.contains("1970"),
            "{page}"
        );
        Visitor::program(&server).register(&format!("user{n}"));
        let saved = server.users()["users"]["alice"].take();
        assert_eq!(saved.get("created"), written.as_ref());
    }
    // What is missing or null says that nobody knows; the others were meant to say something.
    let log = server.log();
    let warned = |line: &&str| line.contains(" WARN ") && line.contains("is no time such as");
    assert_eq!(log.lines().filter(warned).count(), 5, "{log}");
}

#[test]
fn a_slip_in_the_name_of_a_field_is_warned_of_once_for_each_reading() {
    let hash = format!(
        "$pbkdf2-sha256$i=600000,l=32${}${}",
        "A".repeat(22),
        "A".repeat(43)
    );
    let text = |more: &str| {
        format!(
            "{{\"version\": 1,\n\"users\": {{\n\
             \"bob\": {{\"email\": \"bob@example.com\", \"password\": \"{hash}\",\n  {more}}}}}}}\n"
        )
    };
    let setup = Setup::new();
    let path = setup.dir().join("users.json");
    fs::write(&path, text("\"disbled\": true")).unwrap();
    let server = setup.start();
    let warned = || {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("WARN"));
        let lines = lines.filter(|line| line.contains("is no field"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let said = "\"users.json\", line 4, column 3: \"disbled\" is no field that is read; is \
                \"disabled\" meant?";
    assert_eq!(warned().len(), 1, "{:?}", warned());
    assert!(warned()[0].contains(said), "{:?}", warned());

    for (edit, more) in ["\"disbled\":  true", "\"note\": 1, \"Gruops\": []"]
        .into_iter()
        .enumerate()
    {
        fs::write(server.path("edited"), text(more)).unwrap();
        fs::rename(server.path("edited"), &path).unwrap();
        wait_for("a warning", || (warned().len() == edit + 2).then_some(()));
    }
    let said = "line 4, column 14: \"Gruops\" is no field that is read; is \"groups\" meant?";
    assert!(warned()[2].contains(said), "{:?}", warned());

    // A save writes the same field, and is no reading.
    Visitor::program(&server).register("carol");
    assert!(server.users()["users"]["bob"]["Gruops"].is_array());
    Visitor::program(&server).register("dave");
    assert_eq!(warned().len(), 3, "{:?}", warned());

    fs::write(server.path("edited"), text("\"note\": 1")).unwrap();
    fs::rename(server.path("edited"), &path).unwrap();
    wait_for("the edit to be taken up", || {
        (server.log().matches("took up a changed users file").count() == 3).then_some(())
    });
    assert_eq!(warned().len(), 3);
}

#[test]
fn a_slip_for_a_field_that_has_to_be_there_is_named_in_the_refusal() {
    let setup = Setup::new();
    let text = "{\"version\": 1, \"users\": {\n\"bob\": {\"emial\": \"bob@example.com\"}}}";
    fs::write(setup.dir().join("users.json"), text).unwrap();

    let (status, _, stderr) = setup.run();

    assert_eq!(status.code(), Some(1));
    let said = "missing field `email`; line 2, column 9: \"emial\" is no field that is read; is \
                \"email\" meant?";
    assert!(stderr.contains(said), "{stderr}");
}
