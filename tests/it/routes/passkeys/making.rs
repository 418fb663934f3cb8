//! A new passkey: with password and code, confirmed by a device.

use serde_json::{Value, json};

use crate::harness::passkey::{
    ALGORITHMS, ATTESTED, Algorithm, BACKED_UP, Device, ELIGIBLE, EXTENSIONS, PRESENT, challenge,
    device, encoded, making, with,
};
use crate::harness::three_forms::{FORMS, json, page, refused, see_other, text};
use crate::harness::{Accept, PASSWORD, Server, Visitor};
use crate::routes::passkeys::{event, kept};

const REFUSED: (u16, &str, &str) = (422, "passkey_refused", "This passkey could not be set up.");

#[test]
fn what_makes_a_passkey_is_the_w3cs_dictionary_to_the_letter() {
    let server = Server::start_with(&["--issuer", "Example & Sons"]);
    let (alice, codes, passkey) = Visitor::with_passkey(&server, "alice");

    let options = alice.options(&codes[0]);

    let asked = challenge(&options).to_owned();
    assert_eq!(asked.len(), 43, "32 bytes");
    let handle = kept(&server, "alice")["handle"].clone();
    assert_eq!(handle.as_str().unwrap().len(), 43);
    let expected = json!({
        "challenge": asked,
        "rp": { "id": "localhost", "name": "Example & Sons" },
        "user": { "id": handle, "name": "alice", "displayName": "alice" },
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -8 },
            { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -257 },
        ],
        "timeout": 300_000,
        "excludeCredentials": [
            { "type": "public-key", "id": encoded(&passkey.device.id), "transports": [] },
        ],
        "authenticatorSelection": {
            "residentKey": "preferred", "userVerification": "preferred",
        },
        "attestation": "none",
    });
    assert_eq!(options, expected);
    assert_ne!(challenge(&alice.options(&codes[1])), asked);
}

#[test]
fn a_passkey_is_made_and_kept_and_its_owner_is_told() {
    let server = Server::start();
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let (alice, _) = Visitor::with_account(&server, "alice");
    let alice = alice.sending("user-agent", firefox);
    let codes = alice.new_recovery_codes();
    server.next_mail("Your recovery codes were replaced");
    let mut device = device(&server, Algorithm::Es256);
    device.flags |= ELIGIBLE;
    let options = alice.options(&codes[0]);
    server.next_mail("A recovery code was used");

    let fields = with(making(&device, &options), "transports", "internal  new-way");
    let made = alice.send("/account/passkeys/confirm", &fields);

    json(&made, 200, "passkey_added", "Your passkey is set up.");
    let id = encoded(&device.id);
    let kept = kept(&server, "alice")["passkeys"][0].clone();
    let created = kept["created"].clone();
    assert_eq!(
        kept,
        json!({
            "id": id, "key": encoded(device.cose()), "name": "Firefox on Linux",
            "created": created, "used": null, "count": 1, "verified": true, "synced": true,
            "transports": ["internal", "new-way"], "rp": "localhost",
        })
    );
    let listed = alice.get("/account").json()["passkeys"].clone();
    assert_eq!(
        listed,
        json!([{
            "id": id, "name": "Firefox on Linux", "created": created, "used": null,
            "synced": true, "host": "localhost",
        }])
    );
    let mail = server.next_mail("A passkey was added");
    assert!(mail.contains("\r\nFirefox on Linux\r\n"), "{mail}");
    assert_eq!(event(&alice, "passkey_added")["result"], "ok");
    let page = alice.reading(Accept::Page).get("/account").body;
    assert!(page.contains("<strong>Firefox on Linux</strong>"), "{page}");
    assert!(page.contains("not used yet, synced between devices"));
}

#[test]
fn making_has_three_forms() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    for (form, code) in FORMS.into_iter().zip(&codes) {
        let visitor = alice.reading(form);
        let asked = [("current_password", PASSWORD), ("secret", code.as_str())];
        let begun = visitor.post("/account/passkeys", &asked);
        let message = "Confirm with your device.";
        let options: Value = match form {
            Accept::Json => {
                json(&begun, 200, "passkey_options", message);
                begun.json()["options"].clone()
            }
            Accept::Text => {
                let (said, options) = begun.body.split_once('\n').unwrap();
                assert_eq!((begun.status, said), (200, message));
                serde_json::from_str(options).unwrap()
            }
            Accept::Page => {
                page(&begun, 200, message);
                options_on(&begun.body)
            }
        };
        let device = device(&server, Algorithm::Es256);
        let fields = with(making(&device, &options), "name", "  Key ring ");
        let made = visitor.send("/account/passkeys/confirm", &fields);
        let message = "Your passkey is set up.";
        match form {
            Accept::Json => json(&made, 200, "passkey_added", message),
            Accept::Text => text(&made, 200, message),
            Accept::Page => {
                see_other(&made, "/account?notice=passkey_added");
                page(&visitor.get("/account?notice=passkey_added"), 200, message);
            }
        }
    }
    let kept = kept(&server, "alice");
    let names = kept["passkeys"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|kept| kept["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Key ring"; 3]);
}

/// What the form on a page asks for.
fn options_on(page: &str) -> Value {
    let (_, asked) = page.split_once("data-passkey=\"").unwrap();
    let (asked, _) = asked.split_once('"').unwrap();
    serde_json::from_str(&asked.replace("&quot;", "\"")).unwrap()
}

#[test]
fn keys_of_each_algorithm_are_taken() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    for (algorithm, code) in ALGORITHMS.into_iter().zip(&codes) {
        let mut passkey = alice.add(device(&server, algorithm), code);
        let visitor = Visitor::program(&server);
        passkey.log_in(&visitor).expect("login_complete");
        assert!(visitor.is_logged_in(), "{algorithm:?}");
    }
}

#[test]
fn password_comes_first_and_both_must_be_right() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    for (password, code, outcome) in [
        ("not this one", "000000", "wrong_password"),
        (PASSWORD, "000000", "wrong_code"),
        (PASSWORD, "", "bad_field"),
        ("", "000000", "bad_field"),
    ] {
        let form = [("current_password", password), ("secret", code)];
        alice.post("/account/passkeys", &form).expect(outcome);
    }
    assert_eq!(kept(&server, "alice").get("handle"), None);
    let page = alice.reading(Accept::Page);
    let form = [("current_password", PASSWORD), ("secret", "000000")];
    let again = page.post("/account/passkeys", &form).body;
    let (_, open) = again.split_once("hidden open>").unwrap();
    assert!(open.trim_start().starts_with("<summary>Add a passkey"));
}

type Spoil = fn(&mut Device);

#[test]
fn what_does_not_hold_is_refused_whatever_the_reason() {
    let server = Server::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let options = alice.options(&codes[0]);
    let spoilt: [(&str, Spoil); 8] = [
        ("another origin", |device| device.origin.push('0')),
        ("another site", |device| {
            device.rp_id = "example.com".to_owned();
        }),
        ("a frame", |device| {
            device.members = r#","crossOrigin":true"#.to_owned();
        }),
        ("nobody there", |device| device.flags &= !PRESENT),
        ("a copy that cannot be", |device| device.flags |= BACKED_UP),
        ("other bytes behind the key", |device| device.more.push(0)),
        ("no extensions where there should be", |device| {
            device.flags |= EXTENSIONS;
        }),
        ("no id", |device| device.id.clear()),
    ];
    for (why, spoil) in spoilt {
        let mut device = device(&server, Algorithm::Es256);
        spoil(&mut device);
        let made = alice.send("/account/passkeys/confirm", &making(&device, &options));
        assert_eq!(made.json()["code"], REFUSED.1, "{why}");
    }
    let device = device(&server, Algorithm::Es256);
    let good = making(&device, &options);
    let for_use = encoded(device.client("webauthn.get", challenge(&options)));
    let unsaid = encoded(Device::attestation(&device.data(device.flags)));
    let cut = encoded(&Device::attestation(&device.data(device.flags | ATTESTED))[..100]);
    for (field, value) in [
        ("client", for_use.as_str()),
        ("client", "e30"),
        ("attestation", &unsaid),
        ("attestation", &cut),
    ] {
        let fields = with(good.clone(), field, value);
        let made = alice.send("/account/passkeys/confirm", &fields);
        assert_eq!(made.json()["code"], REFUSED.1, "{field} {value}");
    }
    let fields = with(good.clone(), "client", "e30");
    refused(&alice, REFUSED, |visitor| {
        visitor.send("/account/passkeys/confirm", &fields)
    });
    // Nothing of this has spent what was asked.
    let made = alice.send("/account/passkeys/confirm", &good);
    made.expect("passkey_added");
}

#[test]
fn a_challenge_is_for_one_session_and_one_passkey() {
    let server = Server::start();
    let (alice, codes, mut passkey) = Visitor::with_passkey(&server, "alice");
    let (bob, _) = Visitor::with_account(&server, "bob");
    let bobs = bob.new_recovery_codes();
    let fresh = || device(&server, Algorithm::Es256);
    let confirm = |visitor: &Visitor, device: &Device, options: &Value| {
        visitor.send("/account/passkeys/confirm", &making(device, options))
    };

    // Another session of the same account, another account, and what was asked for something else.
    let options = alice.options(&codes[0]);
    let elsewhere = Visitor::program(&server);
    passkey.log_in(&elsewhere).expect("login_complete");
    confirm(&elsewhere, &fresh(), &options).expect(REFUSED.1);
    confirm(&bob, &fresh(), &options).expect(REFUSED.1);
    confirm(&alice, &fresh(), &alice.asked()).expect(REFUSED.1);
    // Once.
    let one = fresh();
    confirm(&alice, &one, &options).expect("passkey_added");
    confirm(&alice, &fresh(), &options).expect(REFUSED.1);
    // An id that is known already, whoever has it.
    confirm(&alice, &one, &alice.options(&codes[1])).expect(REFUSED.1);
    confirm(&bob, &one, &bob.options(&bobs[0])).expect(REFUSED.1);
    assert_eq!(kept(&server, "bob").get("passkeys"), None);
    // Without a session.
    let nobody = Visitor::program(&server);
    confirm(&nobody, &fresh(), &options).expect("login_required");
}

#[test]
fn a_making_sent_twice_is_one_passkey() {
    let server = Server::start_alone();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let device = device(&server, Algorithm::Es256);
    let form = [
        ("current_password", PASSWORD),
        ("secret", codes[0].as_str()),
    ];
    let begun = [(); 2].map(|()| alice.post("/account/passkeys", &form));
    assert_eq!(begun[0].json(), begun[1].json());
    let fields = making(&device, &begun[0].json()["options"]);

    for form in FORMS {
        let made = alice
            .reading(form)
            .send("/account/passkeys/confirm", &fields);
        assert!(matches!(made.status, 200 | 303), "{made:?}");
    }

    let kept = kept(&server, "alice");
    assert_eq!(kept["passkeys"].as_array().unwrap().len(), 1);
    server.next_mail("A passkey was added");
    assert!(!server.log().contains("passkey_refused"));

    // Once it was removed, nobody is told that it is there.
    let id = encoded(&device.id);
    let form = [("passkey", id.as_str()), ("current_password", PASSWORD)];
    let removed = alice.post("/account/passkeys/remove", &form);
    removed.expect("passkey_removed");
    let again = alice.send("/account/passkeys/confirm", &fields);
    assert_eq!(again.status, 422);
    again.expect(REFUSED.1);
}

#[test]
fn there_are_ten_at_most() {
    let server = Server::start();
    let (alice, codes, _) = Visitor::with_passkey(&server, "alice");
    let asked = alice.options(&codes[0]);
    server.edit_account("alice", |alice| {
        let one = alice["passkeys"][0].clone();
        for number in 1..10_u8 {
            let mut another = one.clone();
            another["id"] = json!(encoded([number]));
            alice["passkeys"].as_array_mut().unwrap().push(another);
        }
    });
    crate::harness::wait_for("ten passkeys", || {
        let listed = alice.get("/account").json()["passkeys"].clone();
        (listed.as_array().unwrap().len() == 10).then_some(())
    });
    let row = (
        409,
        "too_many_passkeys",
        "There are ten passkeys already. Remove one first.",
    );

    let device = device(&server, Algorithm::Es256);
    let fields = making(&device, &asked);
    refused(&alice, row, |visitor| {
        visitor.send("/account/passkeys/confirm", &fields)
    });
    let form = [
        ("current_password", PASSWORD),
        ("secret", codes[1].as_str()),
    ];
    refused(&alice, row, |visitor| {
        visitor.post("/account/passkeys", &form)
    });

    // The code was not used up for that.
    let form = [("passkey", "AQ"), ("current_password", PASSWORD)];
    alice
        .post("/account/passkeys/remove", &form)
        .expect("passkey_removed");
    alice.add(device, &codes[1]);
}

#[test]
fn a_field_that_is_no_field_is_named() {
    let server = Server::start();
    let (alice, codes, passkey) = Visitor::with_passkey(&server, "alice");
    let options = alice.options(&codes[0]);
    let good = making(&passkey.device, &options);
    let long = |bytes: usize| encoded(vec![0; bytes]);
    for (field, value) in [
        ("client", String::new()),
        ("client", "a+b/".to_owned()),
        ("client", long(4097)),
        ("attestation", "=".to_owned()),
        ("attestation", long(16_385)),
        ("transports", "usb,nfc".to_owned()),
        ("name", "x".repeat(65)),
        ("name", "a\u{7}b".to_owned()),
    ] {
        let answer = alice.send(
            "/account/passkeys/confirm",
            &with(good.clone(), field, &value),
        );
        answer.expect("bad_field");
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!(field))
        );
    }
    let twice = [good.clone(), good.clone()].concat();
    alice
        .send("/account/passkeys/confirm", &twice)
        .expect("bad_field");
    // At its limit a field is one, and what it holds is judged.
    for (field, bytes) in [("client", 4096), ("attestation", 16_384)] {
        let fields = with(good.clone(), field, &long(bytes));
        alice
            .send("/account/passkeys/confirm", &fields)
            .expect(REFUSED.1);
    }
    // Padding is taken.
    let device = device(&server, Algorithm::EdDsa);
    let fields: Vec<_> = making(&device, &options)
        .into_iter()
        .map(|(name, value)| {
            (
                name,
                format!("{value}{}", &"==="[..(4 - value.len() % 4) % 4]),
            )
        })
        .collect();
    assert!(fields.iter().any(|(_, value)| value.ends_with('=')));
    alice
        .send("/account/passkeys/confirm", &fields)
        .expect("passkey_added");
}
