//! What is counted by network: failures, registrations, recoveries, and questions without a pause.

use std::time::{Duration, Instant};

use crate::harness::{Answer, PASSWORD, Setup, Visitor};
use crate::routes::guessing::limits::{at_once, count, stop_codes, until_throttled};
use crate::routes::guessing::{LOGIN, WRONG, believing, from};

#[test]
fn after_twenty_failures_an_address_waits() {
    let server = believing(&[]);
    let home = Visitor::program(&server);
    home.register("alice");
    let from = |address: &str| Visitor::program(&server).sending("x-forwarded-for", address);
    let neighbours = [from("2001:db8::1"), from("2001:db8::ffff:1")];
    for n in 0..20 {
        let name = format!("nobody{n}");
        let form = [("username", name.as_str()), ("password", "a wrong one")];
        neighbours[n % 2]
            .post("/login", &form)
            .expect("wrong_credentials");
    }

    let next = from("2001:db8::2");
    let mut n = 20;
    let looked_at = until_throttled(|| {
        n += 1;
        next.post(
            "/login",
            &[
                ("username", &format!("nobody{n}")),
                ("password", "a wrong one"),
            ],
        )
    });

    assert!(looked_at <= 3, "{looked_at}");
    let right = [("username", "alice"), ("password", PASSWORD)];
    for address in ["2001:db8:0:1::1", "192.0.2.1"] {
        from(address)
            .post("/login", &right)
            .expect("enrol_required");
    }
}

#[test]
fn the_registrations_of_an_hour_are_enough() {
    let server = believing(&["--registrations-per-hour", "2"]);
    let (home, elsewhere) = (Visitor::program(&server), from(&server, "192.0.2.1"));
    home.register("alice");
    home.register("bob");
    let carol = [
        ("username", "carol"),
        ("email", "carol@example.com"),
        ("password", PASSWORD),
    ];
    let answer = home.post("/register", &carol);

    answer.expect("throttled");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{answer:?}");
    elsewhere.post("/register", &carol).expect("registered");
}

#[test]
fn guesses_at_both_steps_from_next_door_leave_the_owners_browser_alone() {
    let server = believing(&[]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let next_door = Visitor::program(&server);
    let pending = Visitor::program(&server);
    pending.post("/login", &LOGIN).expect("code_required");
    stop_codes(&server, "alice");
    for n in 0..20 {
        // Over and over, or the account's own wait comes first.
        let name = format!("nobody{n}");
        next_door.post(
            "/login",
            &[("username", &name), ("password", "a wrong one")],
        );
    }
    let looked_at = until_throttled(|| next_door.post("/login", &WRONG));
    assert!(looked_at <= 3, "{looked_at}");
    pending
        .post("/secret_key", &[("secret", "000000")])
        .expect("throttled");

    alice.post("/login", &LOGIN).expect("code_required");
    alice
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");
}

#[test]
fn a_login_to_ones_own_account_clears_nothing_of_the_address() {
    let server = believing(&[]);
    let (mallory, authenticator) = Visitor::with_account(&server, "mallory");
    mallory.register("alice");
    mallory.cookies.borrow_mut().clear();
    let guess = |n: usize| {
        let name = format!("nobody{n}");
        mallory.post(
            "/login",
            &[("username", &name), ("password", "a wrong one")],
        )
    };
    for n in 0..19 {
        guess(n).expect("wrong_credentials");
    }

    mallory.log_in("mallory", PASSWORD, &authenticator);

    let mut n = 19;
    let looked_at = until_throttled(|| {
        n += 1;
        guess(n)
    });
    assert!((1..=4).contains(&looked_at), "{looked_at}");
}

#[test]
fn twenty_recoveries_an_hour_are_enough_and_nobody_is_told() {
    let server = believing(&[]);
    let home = Visitor::program(&server);
    home.register("alice");
    let asked: Vec<Answer> = (0..21)
        .map(|n| {
            let name = if n < 20 { "nobody" } else { "alice" };
            home.post("/forgot_password", &[("username", name)])
        })
        .collect();

    for answer in &asked {
        assert_eq!((answer.status, &answer.body), (200, &asked[0].body));
    }
    server.wait_for_log(
        "event=\"forgot_password\" user=\"alice\" address=\"127.0.0.1\" result=\"throttled\"",
    );
    from(&server, "192.0.2.1")
        .post("/forgot_password", &[("username", "alice")])
        .expect("new_password_sent");
    // Errands are run one after the other: the one mail is that of the other address.
    server.next_mail("Your new password");
    let outbox = std::fs::read_dir(server.path("outbox")).unwrap();
    assert_eq!(outbox.count(), 0);
}

#[test]
fn a_64_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
    for (ours, other) in [
        (["2001:db8::1", "2001:db8::ffff:2"], "2001:db8:0:1::1"),
        (["192.0.2.1", "::ffff:192.0.2.1"], "::ffff:192.0.2.2"),
    ] {
        let server = believing(&["--registrations-per-hour", "2"]);
        let register = |n: usize, address| {
            let name = format!("u{n}");
            let email = format!("{name}@example.com");
            let form = [
                ("username", name.as_str()),
                ("email", &email),
                ("password", PASSWORD),
            ];
            from(&server, address).post("/register", &form)
        };
        for (n, address) in ours.iter().enumerate() {
            register(n, address).expect("registered");
        }

        let early = [register(2, ours[0]), register(3, ours[1])];

        for answer in early {
            answer.expect("throttled");
        }
        register(4, other).expect("registered");
    }
}

#[test]
fn a_crowd_that_asks_again_without_a_pause_is_answered_late() {
    let server = Setup::new()
        .alone()
        .with(&["--no-tls", "--registrations-per-hour", "1"])
        .start();
    Visitor::program(&server).register("eve");
    let mallory = [
        ("username", "mallory"),
        ("email", "mallory@example.com"),
        ("password", PASSWORD),
    ];

    let begun = Instant::now();
    let crowd = (0..60).map(|_| Visitor::program(&server)).collect();
    let answers = at_once(crowd, |_, visitor| visitor.post("/register", &mallory));

    assert_eq!(count(&answers, "throttled"), 60);
    // Fifty in a second are answered at once, and three of one address.
    assert!(begun.elapsed() >= Duration::from_secs(1));
}
