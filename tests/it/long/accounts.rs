//! Accounts under attack, where it takes its time: what the time of an answer tells, names by the
//! hundred, forms filled with noise.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::smtp_sink::Sink;
use crate::harness::{FORMS, PASSWORD, Server, Setup, Visitor, free_port};
use crate::routes::names_and_addresses::{many_at_once_make_one, mixed_case};

const FORM: &str = "application/x-www-form-urlencoded";

/// Pairs of a known and an unknown name.
const PAIRS: usize = 40;

/// Bytes nobody chose, always the same ones for one seed (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }
}

/// How often the first is the slower one, ties counting half: Mann and Whitney's U over n².
fn slower(known: &[f64], unknown: &[f64]) -> f64 {
    let pairs = known
        .iter()
        .flat_map(|k| unknown.iter().map(move |u| (k, u)));
    let wins: f64 = pairs
        .map(|(k, u)| {
            if k > u {
                1.0
            } else if k < u {
                0.0
            } else {
                0.5
            }
        })
        .sum();
    wins / (known.len() * unknown.len()) as f64
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Asks for every known name and for as many unknown ones, in no order: seconds of each kind.
fn measure(
    noise: &mut Noise,
    kind: &str,
    mut ask: impl FnMut(&str, usize),
) -> (Vec<f64>, Vec<f64>) {
    let mut order: Vec<(bool, usize)> = (0..2 * PAIRS).map(|n| (n % 2 == 0, n / 2)).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, noise.below(at + 1));
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (at, (is_known, n)) in order.into_iter().enumerate() {
        let name = if is_known {
            format!("{kind}-{n}")
        } else {
            format!("nobody-{n}-{}", noise.below(1000))
        };
        let begun = Instant::now();
        ask(&name, at);
        let took = begun.elapsed().as_secs_f64();
        if is_known {
            known.push(took)
        } else {
            unknown.push(took)
        }
    }
    (known, unknown)
}

/// A share between 0.35 and 0.65 is 2.3 standard deviations to either side by chance alone, so one
/// measurement in forty fails without a cause: three in a row do not.
fn tells_nothing(what: &str, noise: &mut Noise, kind: &str, mut ask: impl FnMut(&str, usize)) {
    for round in 1..=3 {
        let (known, unknown) = measure(noise, kind, &mut ask);
        let share = slower(&known, &unknown);
        let (one, other) = (median(&known), median(&unknown));
        let apart = (one - other).abs();
        println!("{what}, round {round}: share {share:.2}, medians {one:.4} s and {other:.4} s");
        if (0.35..=0.65).contains(&share) && apart < f64::max(0.1 * other, 0.015) {
            return;
        }
    }
    panic!("{what}: time tells who exists");
}

/// A server with accounts of each kind that nobody has logged in to, and a mail server.
fn with_accounts(arguments: &[&str]) -> Server {
    let setup = Setup::new();
    let salted = |rounds: u32| {
        format!("$pbkdf2-sha256$i={rounds},l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs")
    };
    let mut users = serde_json::Map::new();
    for n in 0..PAIRS {
        for (kind, rounds, disabled) in [
            ("known", 600_000, false),
            ("weak", 1_000, false),
            ("disabled", 600_000, true),
        ] {
            let account = serde_json::json!({
                "email": format!("{kind}{n}@example.com"),
                "password": salted(rounds),
                "disabled": disabled,
            });
            users.insert(format!("{kind}-{n}"), account);
        }
    }
    let file = serde_json::json!({ "version": 1, "users": users });
    std::fs::write(setup.dir().join("users.json"), file.to_string()).unwrap();
    setup
        .with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
        .with(arguments)
        .start()
}

/// Every request from an address of its own, over one connection, or limits would be in the way.
fn asking<'a>(server: &'a Server, path: &'a str, status: u16) -> impl FnMut(&str, usize) + 'a {
    let mut total = 0;
    let visitor = Visitor::program(server);
    move |name, _| {
        total += 1;
        let address = format!("10.{}.{}.1", total / 250, total % 250);
        let visitor = visitor.sending("x-forwarded-for", &address);
        let form = [("username", name), ("password", "a wrong one")];
        assert_eq!(visitor.post(path, &form).status, status);
    }
}

#[test]
fn the_time_of_a_refused_login_tells_nothing() {
    let mut noise = Noise(7);
    for kind in ["known", "weak", "disabled"] {
        // Anew for each, or the names asked before would have to wait.
        let server = with_accounts(&[]);
        let mut ask = asking(&server, "/login", 401);
        tells_nothing(&format!("login, {kind}"), &mut noise, kind, &mut ask);
    }
}

#[test]
fn the_time_of_a_recovery_tells_nothing_whatever_the_mail_server_does() {
    let mut noise = Noise(8);
    let good = Sink::start();
    let slow = Sink::that_says(|| {
        thread::sleep(Duration::from_secs(3));
        "250 taken"
    });
    let refusing = Sink::that_says(|| "554 not here");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free_port();
    for (what, port) in [
        ("a good mail server", good.port),
        ("a slow mail server", slow.port),
        ("a mail server that refuses", refusing.port),
        ("a silent mail server", silent.local_addr().unwrap().port()),
        ("no mail server", closed),
    ] {
        let url = format!("smtp://127.0.0.1:{port}?tls=none");
        for kind in ["known", "disabled"] {
            let server = with_accounts(&["--smtp", &url]);
            let mut ask = asking(&server, "/forgot_password", 200);
            let what = format!("recovery, {what}, {kind}");
            tells_nothing(&what, &mut noise, kind, &mut ask);
        }
    }
}

#[test]
fn two_hundred_and_fifty_seven_made_up_names_lock_out_nobody() {
    let server = Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    alice.cookies.borrow_mut().clear();
    let stranger = Visitor::program(&server);
    for n in 0..257 {
        let visitor = stranger.sending("x-forwarded-for", &format!("10.0.{}.{}", n / 250, n % 250));
        let form = [
            ("username", format!("made-up-{n}")),
            ("password", "a wrong one".to_owned()),
        ];
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        visitor.post("/login", &form).expect("wrong_credentials");
    }

    alice.log_in("alice", PASSWORD, &authenticator);
}

#[test]
fn a_name_or_an_address_registered_fifty_times_at_once_is_one_account() {
    many_at_once_make_one(50, |n| {
        (mixed_case("alice", n), format!("a{n}@example.com"))
    });
    many_at_once_make_one(50, |n| {
        (format!("user{n}"), mixed_case("alice@example.com", n))
    });
}

/// A body that looks more or less like a form.
fn body(noise: &mut Noise) -> String {
    const PARTS: [&str; 24] = [
        "username=",
        "email=",
        "password=",
        "secret=",
        "current_password=",
        "new_password=",
        "session=",
        "rd=",
        "&",
        "=",
        "%",
        "%00",
        "%0d%0a",
        "%ff",
        "%C3%A9",
        "+",
        "alice",
        "others",
        "@",
        "000000",
        "aaaa-aaaa-aaaa-aaaa",
        "{",
        "\u{202e}",
        "seven+wild+horses",
    ];
    let mut body = String::new();
    for _ in 0..noise.below(24) {
        match noise.below(4) {
            0 => body.push(char::from(u8::try_from(noise.below(256)).unwrap())),
            _ => body.push_str(PARTS[noise.below(PARTS.len())]),
        }
    }
    body
}

#[test]
fn ten_thousand_bodies_of_noise_at_every_form_leave_it_as_it_was() {
    let server = Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"]);
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let (mallory, _) = Visitor::with_account(&server, "mallory");
    let pid = server.pid();
    let mut noise = Noise(9);

    for n in 0..10_000 {
        for path in FORMS {
            // Within the session, unless a logout or the noise itself has ended it.
            let visitor = mallory.sending("x-forwarded-for", &format!("10.0.{}.1", n % 250));
            let answer = visitor.post_as(path, FORM, &body(&mut noise));
            assert!(answer.status < 500 || answer.status == 503, "{answer:?}");
        }
    }

    assert_eq!(server.pid(), pid);
    assert!(!server.log().contains("panic"), "{}", server.log());
    alice.cookies.borrow_mut().clear();
    alice.log_in("alice", PASSWORD, &authenticator);
}
