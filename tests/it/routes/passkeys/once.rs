//! What was asked may be answered once, and only as what it was asked for.

use std::sync::Barrier;
use std::thread;

use serde_json::Value;

use crate::harness::passkey::{
    Algorithm, BACKED_UP, Device, ELIGIBLE, Fields, Passkey, challenge, device, encoded, making,
    with,
};
use crate::harness::{Server, Setup, Visitor};
use crate::routes::passkeys::{WRONG, is_wrong};

#[test]
fn of_two_at_once_one_begins_a_session() {
    let server = Server::start();
    let (_, _, mut passkey) = Visitor::with_passkey(&server, "alice");
    for _ in 0..5 {
        let visitors = [(); 4].map(|()| Visitor::program(&server));
        let fields = &passkey.using(&visitors[0].asked());
        let together = &Barrier::new(visitors.len());
        let mut codes: Vec<String> = thread::scope(|scope| {
            let begin = |visitor: Visitor| {
                scope.spawn(move || {
                    together.wait();
                    let answer = visitor.send("/login/passkey", fields);
                    answer.json()["code"].as_str().unwrap().to_owned()
                })
            };
            let threads = visitors.map(begin);
            threads.map(|thread| thread.join().unwrap()).to_vec()
        });
        codes.sort();
        assert_eq!(
            codes,
            ["login_complete", WRONG.1, WRONG.1, WRONG.1],
            "once, and a passkey alone is never answered again"
        );
    }
}

#[test]
fn what_was_taken_once_is_refused_even_of_a_passkey_that_counts_nothing() {
    let server = Server::start();
    let (alice, codes, _) = Visitor::with_passkey(&server, "alice");
    let mut synced = device(&server, Algorithm::Es256);
    synced.flags |= ELIGIBLE | BACKED_UP;
    synced.count = 0;
    let passkey = alice.add(synced, &codes[0]);
    let visitor = Visitor::program(&server);
    let asked = visitor.asked();
    let fields = used(&passkey, "webauthn.get", &asked);

    // What was signed for a new passkey is no use of one, and spends nothing.
    let for_making = used(&passkey, "webauthn.create", &asked);
    is_wrong(&visitor.send("/login/passkey", &for_making));
    visitor
        .send("/login/passkey", &fields)
        .expect("login_complete");
    is_wrong(&Visitor::program(&server).send("/login/passkey", &fields));
    let fresh = used(&passkey, "webauthn.get", &visitor.asked());
    visitor
        .send("/login/passkey", &fresh)
        .expect("login_complete");
}

/// What a passkey signs for this ceremony, without counting.
fn used(passkey: &Passkey, ceremony: &str, asked: &Value) -> Fields {
    let device = &passkey.device;
    let client = device.client(ceremony, challenge(asked));
    let data = device.data(device.flags);
    vec![
        ("signature", encoded(device.sign(&client, &data))),
        ("client", encoded(client)),
        ("data", encoded(data)),
        ("id", encoded(&device.id)),
        ("user", encoded(&passkey.user)),
    ]
}

#[test]
fn what_was_asked_before_a_restart_is_said_to_be_too_old_and_is_no_failure() {
    of_one_machine!("the key of challenges is the database's, and outlives a restart");
    let setup = Setup::new().with(&["--public-url", "https://localhost:8443"]);
    let mut server = setup.start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let device = || Device::new(Algorithm::Es256, "localhost", "https://localhost:8443");
    let mut passkey = alice.add(device(), &codes[0]);
    let visitor = Visitor::program(&server);
    let (spent, unspent) = (
        passkey.using(&visitor.asked()),
        passkey.using(&visitor.asked()),
    );
    visitor
        .send("/login/passkey", &spent)
        .expect("login_complete");
    let unmade = making(&device(), &alice.options(&codes[1]));

    server.kill();
    let server = setup.start();

    let (visitor, alice) = (Visitor::program(&server), alice.at(&server));
    // More often than failures are free.
    for _ in 0..25 {
        for fields in [&spent, &unspent] {
            visitor
                .send("/login/passkey", fields)
                .expect("passkey_expired");
        }
    }
    alice
        .send("/account/passkeys/confirm", &unmade)
        .expect("passkey_expired");
    // What nobody asked is a failure as ever.
    let forged = encoded(device().client("webauthn.get", &encoded([0; 32])));
    is_wrong(&visitor.send("/login/passkey", &with(unspent, "client", &forged)));
    passkey.log_in(&visitor).expect("login_complete");
}
