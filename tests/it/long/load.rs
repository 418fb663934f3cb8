//! A crowd that guesses passwords without a pause while others upload what is refused: everybody
//! else is served, and when it has gone all is as before.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::long::client::{Client, post};
use crate::long::owners::{Account, users};
use crate::long::usage::{Most, Usage, watch};
use crate::long::{percentile, setup};

const CROWD: u32 = 200;
const LASTS: Duration = Duration::from_secs(60);
/// Between two looks of those who only want a page, or have their session checked.
const PACE: Duration = Duration::from_millis(25);
/// Between two honest logins.
const LOGINS: Duration = Duration::from_secs(4);

const SLOWEST_PAGE: Duration = Duration::from_millis(250);
const SLOWEST_LOGIN: Duration = Duration::from_secs(5);
const MOST_MEMORY: u64 = 200 << 20;

/// Whoever looks at a page, and whoever logs in, comes from an address of their own.
const READER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const UPLOADERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 4), Ipv4Addr::new(127, 0, 0, 5)];

#[test]
fn two_hundred_who_guess_from_one_address_keep_nobody_waiting() {
    withstand(|_| Ipv4Addr::LOCALHOST);
}

#[test]
fn two_hundred_who_guess_from_as_many_addresses_keep_nobody_waiting() {
    withstand(|n| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 0)) + n));
}

fn withstand(source: impl Fn(u32) -> Ipv4Addr) {
    let accounts = 2000;
    let setup = setup(&users(accounts));
    let server = &setup.start();
    let account = |n| Account::numbered(accounts - 1 - n);
    let session = &account(0).log_in(server, READER, SLOWEST_LOGIN).cookies;
    // What is made at first use is there before anything is counted.
    Client::connect(server, READER).unwrap().get("/", "");
    let before = Usage::of(server);

    let over = &AtomicBool::new(false);
    let (pages, checks, logins, most) = thread::scope(|scope| {
        for n in 0..CROWD {
            let source = source(n);
            scope.spawn(move || guess_until(over, server, source, n));
        }
        scope.spawn(move || upload_until(over, server, UPLOADERS[0], &megabyte()));
        scope.spawn(move || upload_until(over, server, UPLOADERS[1], &many_fields()));
        let most = scope.spawn(move || watch(over, server));
        let pages = scope.spawn(move || look_until(over, server, "/login", ""));
        let checks = scope.spawn(move || look_until(over, server, "/account", session));
        let logins = scope.spawn(move || log_in_until(over, server, |n| account(n + 1)));
        thread::sleep(LASTS);
        over.store(true, Ordering::Relaxed);
        (
            pages.join().unwrap(),
            checks.join().unwrap(),
            logins.join().unwrap(),
            most.join().unwrap(),
        )
    });

    let (pages, checks) = (percentile(99, pages), percentile(99, checks));
    let (slowest, typical) = (percentile(100, logins.clone()), percentile(50, logins));
    println!("page p99 {pages:.0?}, session check p99 {checks:.0?}");
    println!("logins: median {typical:.1?}, slowest {slowest:.1?}");
    println!("at most {most}");
    assert!(pages <= SLOWEST_PAGE && checks <= SLOWEST_PAGE);
    assert!(slowest <= SLOWEST_LOGIN);
    assert!(most.memory <= MOST_MEMORY);
    assert!(most.threads <= Most::PROMISED.threads);
    assert!(most.descriptors <= Most::PROMISED.descriptors);
    thread::sleep(Duration::from_secs(10));
    let after = Usage::of(server);
    println!("before {before}, ten seconds after {after}");
    assert!(after.threads <= before.threads && after.descriptors <= before.descriptors);
    account(90).log_in(server, OWNER, Duration::from_secs(1));
}

fn guess_until(over: &AtomicBool, server: &Server, source: Ipv4Addr, mut n: u32) {
    let mut client = None;
    while !over.load(Ordering::Relaxed) {
        n = (n + CROWD) % 1800;
        let form = format!("username=user{n}&password=seven+tame+horses");
        Client::insist(&mut client, server, source, &post("/login", "", &form));
    }
}

fn upload_until(over: &AtomicBool, server: &Server, source: Ipv4Addr, request: &[u8]) {
    let mut client = None;
    while !over.load(Ordering::Relaxed) {
        Client::insist(&mut client, server, source, request);
    }
}

fn megabyte() -> Vec<u8> {
    post("/login", "", &"a".repeat(1 << 20))
}

/// As many as are refused unread, and as many as just fit.
fn many_fields() -> Vec<u8> {
    let mut request = post("/login", "", &"a&".repeat(32_000));
    request.extend(post("/login", "", &"a=b&".repeat(100_000)));
    request
}

/// How long each look took, on a connection that stays.
pub(super) fn look_until(
    over: &AtomicBool,
    server: &Server,
    path: &str,
    cookies: &str,
) -> Vec<Duration> {
    let mut client = Client::connect(server, READER).unwrap();
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = client.get(path, cookies);
        times.push(asked.elapsed());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        thread::sleep(PACE.saturating_sub(asked.elapsed()));
    }
    times
}

fn log_in_until(
    over: &AtomicBool,
    server: &Server,
    account: impl Fn(usize) -> Account,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        account(n).log_in(server, OWNER, SLOWEST_LOGIN * 4);
        times.push(begun.elapsed());
        thread::sleep(LOGINS.saturating_sub(begun.elapsed()));
    }
    times
}
