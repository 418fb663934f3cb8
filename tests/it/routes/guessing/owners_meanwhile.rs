//! What owners get done while somebody guesses at their accounts, and what the guesser gets.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Authenticator, PASSWORD, Server, Visitor, from_now, wait_for};
use crate::routes::guessing::{LOGIN, WRONG, believing, from};

/// Where somebody guesses.
const THERE: &str = "192.0.2.66";

/// A browser that the account does not know.
fn newcomer(server: &Server, address: &str) -> Visitor {
    from(server, address)
}

fn guess_until_told_to_wait(guess: impl Fn(usize) -> Answer) -> usize {
    for n in 0..60 {
        let answer = guess(n);
        if answer.status == 429 {
            return n;
        }
        answer.expect("wrong_credentials");
    }
    panic!("never told to wait");
}

/// How many guesses are free before the first that waits a second, the next two, then four. Told by
/// the wait that is left: on a busy machine some of those waits are over before the next guess.
fn free_guesses(guess: impl Fn(usize) -> Answer) -> usize {
    let mut failures = 0;
    let mut begun = Instant::now();
    for n in 0..60 {
        let this = Instant::now();
        let answer = guess(n);
        if answer.status != 429 {
            answer.expect("wrong_credentials");
            failures += 1;
            begun = this;
            continue;
        }
        let left: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        let most = left + begun.elapsed().as_secs() + 1;
        let fits = |waits: &usize| (left..most).contains(&(1 << waits));
        let waits: Vec<usize> = (0..10).filter(fits).collect();
        if let [waits] = waits[..] {
            return failures - waits;
        }
        thread::sleep(Duration::from_secs(left));
    }
    panic!("never told how long to wait");
}

fn wrong_codes(server: &Server, count: u32, last: &str) {
    server.edit_account("alice", |alice| {
        alice["wrong_codes"] = json!({ "count": count, "last": last });
    });
}

fn counted(server: &Server) -> Value {
    server.users()["users"]["alice"]["wrong_codes"]["count"].clone()
}

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

#[test]
fn guesses_from_one_network_keep_the_owner_out_nowhere_else() {
    let server = believing(&[]);
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let there = from(&server, THERE);
    guess_until_told_to_wait(|_| there.post("/login", &WRONG));

    newcomer(&server, "192.0.2.1").log_in("alice", PASSWORD, &authenticator);
}

#[test]
fn a_mailed_password_gets_in_from_where_everything_waits() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let mailed = alice.mailed_password(&server, "alice");
    let there = from(&server, THERE);
    guess_until_told_to_wait(|_| there.post("/login", &WRONG));
    guess_until_told_to_wait(|n| {
        let name = format!("nobody{n}");
        there.post(
            "/login",
            &[("username", &name), ("password", "a wrong one")],
        )
    });

    let owner = newcomer(&server, THERE);
    let mailed = [("username", "alice"), ("password", &*mailed)];
    owner.post("/login", &mailed).expect("code_required");
    let code = authenticator.code();
    owner
        .post("/secret_key", &[("secret", &code)])
        .expect("password_change_required");
}

#[test]
fn a_recovery_code_gets_in_whatever_the_counts_say() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let owner = newcomer(&server, THERE);
    owner.post("/login", &LOGIN).expect("code_required");
    let there = from(&server, THERE);
    guess_until_told_to_wait(|n| {
        let name = format!("nobody{n}");
        there.post(
            "/login",
            &[("username", &name), ("password", "a wrong one")],
        )
    });
    for count in [20, 99, 100, 5000] {
        wrong_codes(&server, count, &from_now(50));
        let told = if count < 100 {
            "throttled"
        } else {
            "recovery_code_needed"
        };
        let code = authenticator.at(1);
        // The server takes up the edit in its own time, and says meanwhile what it knew before.
        wait_for(told, || {
            let answer = owner.post("/secret_key", &[("secret", &code)]);
            (answer.json()["code"] == told).then_some(())
        });
        // Nor is a wrong one of its form more than wrong.
        owner
            .post("/secret_key", &[("secret", "abcd-efgh-ijkl-mnop")])
            .expect("wrong_code");
        assert_eq!(counted(&server), count);
    }

    owner
        .post("/secret_key", &[("secret", &codes[0])])
        .expect("login_complete");

    assert_eq!(counted(&server), Value::Null);
}

#[test]
fn after_a_hundred_wrong_codes_only_a_recovery_code_or_a_known_browser_gets_further() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let stranger = newcomer(&server, THERE);
    stranger.post("/login", &LOGIN).expect("code_required");
    let try_one = |code: &str| stranger.post("/secret_key", &[("secret", code)]);
    wrong_codes(&server, 99, LONG_AGO);
    try_one("000000").expect("wrong_code");
    assert_eq!(counted(&server), 100);

    // However long one waits, and however right it is.
    wrong_codes(&server, 100, LONG_AGO);
    for code in ["000000", &authenticator.code()] {
        let answer = try_one(code);
        assert_eq!(answer.status, 403);
        answer.expect("recovery_code_needed");
        assert_eq!(
            answer.json()["message"],
            "Too many wrong codes. Use a recovery code, or a browser that has logged in before."
        );
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(counted(&server), 100, "not counted");

    alice.log_in("alice", PASSWORD, &authenticator);
    assert_eq!(counted(&server), Value::Null, "a good login forgives them");
}

#[test]
fn at_the_twentieth_wrong_code_the_owner_is_told_once() {
    let server = believing(&[]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let subject = "Somebody has your password";
    let mails = || {
        let outbox = std::fs::read_dir(server.path("outbox")).unwrap();
        outbox.count()
    };
    let try_one = |count: u32| {
        wrong_codes(&server, count, LONG_AGO);
        let stranger = newcomer(&server, THERE);
        stranger.post("/login", &LOGIN).expect("code_required");
        stranger
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    };
    try_one(18);
    try_one(19);
    server.next_mail(subject);
    try_one(20);
    try_one(21);
    // What is written last comes after whatever those had written.
    alice.mailed_password(&server, "alice");
    assert_eq!(mails(), 0);

    alice.log_in("alice", PASSWORD, &authenticator);
    try_one(19);
    server.next_mail(subject);
}

#[test]
fn a_known_browser_has_a_count_of_its_own_at_each_step_and_counts_for_nothing_else() {
    let server = believing(&[]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    alice.post("/login", &LOGIN).expect("code_required");
    for _ in 0..5 {
        alice.post("/login", &WRONG).expect("wrong_credentials");
    }
    for _ in 0..5 {
        alice
            .post("/secret_key", &[("secret", "000000")])
            .expect("wrong_code");
    }

    assert_eq!(counted(&server), Value::Null);
    // From the same address, and in a browser nobody knows.
    let neighbour = Visitor::program(&server);
    for _ in 0..5 {
        neighbour.post("/login", &WRONG).expect("wrong_credentials");
    }
}

#[test]
fn each_grown_account_that_logs_in_buys_its_network_one_more_failure() {
    let server = believing(&[]);
    let guesses = |address: &str| {
        let guesser = from(&server, address);
        free_guesses(|n| {
            let name = format!("{n}of{address}").replace('.', "-");
            guesser.post(
                "/login",
                &[("username", &name), ("password", "a wrong one")],
            )
        })
    };
    // Made a moment ago, by a stranger: it buys nothing.
    let young = from(&server, "192.0.2.1");
    young.register("young");
    let authenticator = young.enrol("young");
    assert_eq!(guesses("192.0.2.1"), 20);

    // One of an operator's, and one that is two days old.
    server.edit_account("young", |account| {
        account.as_object_mut().unwrap().remove("registered");
    });
    log_in_from(&server, "192.0.2.2", "young", &authenticator);
    assert_eq!(guesses("192.0.2.2"), 21);
    server.edit_account("young", |account| {
        account["registered"] = true.into();
        account["created"] = from_now(-48 * 3600).into();
    });
    log_in_from(&server, "192.0.2.3", "young", &authenticator);
    assert_eq!(guesses("192.0.2.3"), 21);
}

fn log_in_from(server: &Server, address: &str, name: &str, authenticator: &Authenticator) {
    authenticator.forget(server, name);
    from(server, address).log_in(name, PASSWORD, authenticator);
}

#[test]
fn right_passwords_at_once_are_not_refused_for_each_other() {
    let server = believing(&[]);
    Visitor::with_account(&server, "alice");
    let together = Barrier::new(24);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let begin = |_| {
            let (visitor, together) = (from(&server, THERE), &together);
            scope.spawn(move || {
                together.wait();
                visitor.post("/login", &LOGIN)
            })
        };
        let threads: Vec<_> = (0..24).map(begin).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for answer in answers {
        answer.expect("code_required");
    }
}

#[test]
fn asking_what_is_taken_costs_the_asker_and_the_limit_answers_first() {
    let server = believing(&["--registrations-per-hour", "3"]);
    let register = |address: &str, name: &str, password: &str| {
        let email = format!("{name}@example.com");
        let form = [
            ("username", name),
            ("email", &email),
            ("password", password),
        ];
        from(&server, address).post("/register", &form)
    };
    // What is refused for its form is not counted, before and after.
    let bad_form = |address| {
        register(address, "alice", "short").expect("password_too_short");
        register(address, "alice", "password1").expect("password_common");
        register(address, "a b", PASSWORD).expect("bad_field");
    };
    for _ in 0..4 {
        bad_form(THERE);
    }
    register(THERE, "alice", PASSWORD).expect("registered");
    register(THERE, "alice", PASSWORD).expect("user_exists");
    let form = [
        ("username", "alison"),
        ("email", "alice@example.com"),
        ("password", PASSWORD),
    ];
    from(&server, THERE)
        .post("/register", &form)
        .expect("email_exists");

    for name in ["alice", "nobody-has-this"] {
        register(THERE, name, PASSWORD).expect("throttled");
    }
    bad_form(THERE);
    // Nor do other networks of a /48 help for ever: they have ten times as many together.
    for n in 0..30 {
        register(&format!("2001:db8:7:{n}::1"), "alice", PASSWORD).expect("user_exists");
    }
    register("2001:db8:7:99::1", "alice", PASSWORD).expect("throttled");
    register("2001:db8:8:99::1", "bob", PASSWORD).expect("registered");
}

#[test]
fn closed_registration_says_so_whatever_was_asked() {
    let server = believing(&["--registration", "closed", "--registrations-per-hour", "1"]);
    for name in ["alice", "a b", "", "alice"] {
        let form = [("username", name), ("email", "x"), ("password", "y")];
        from(&server, THERE)
            .post("/register", &form)
            .expect("registration_closed");
    }
}
