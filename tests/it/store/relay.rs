//! A line to the database that goes dead: what is said goes nowhere, and nobody hears of that.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cluster::Cluster;
use crate::harness::{PASSWORD, Setup, Visitor, wait_for};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::{on, with_key};

/// What becomes of what is said.
#[derive(Default)]
struct Fate {
    is_dead: AtomicBool,
    /// The line goes dead behind the next COMMIT of a change, which arrives.
    dies_at_commit: AtomicBool,
}

/// The line, which ends with the process.
struct Relay {
    port: u16,
    fate: Arc<Fate>,
}

impl Relay {
    fn to(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fate, server) = (Arc::new(Fate::default()), cluster.port);
        let of_all = Arc::clone(&fate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let fate = Arc::clone(&of_all);
                thread::spawn(move || carry(&client, server, &fate));
            }
        });
        Self { port, fate }
    }

    fn set_dead(&self, is_dead: bool) {
        self.fate.is_dead.store(is_dead, Ordering::SeqCst);
    }
}

fn carry(client: &TcpStream, server: u16, fate: &Fate) {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
    let is_dead = || fate.is_dead.load(Ordering::SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(bytes) = next(&server) {
                if !is_dead() && (&*client).write_all(&bytes).is_err() {
                    break;
                }
            }
            close(client, &server);
        });
        let mut is_change = false;
        while let Some(bytes) = next(client) {
            let says = |what: &[u8]| bytes.windows(what.len()).any(|word| word == what);
            is_change |= says(b"INSERT INTO change");
            let is_dead_already = is_dead();
            if is_change && says(b"COMMIT") && fate.dies_at_commit.swap(false, Ordering::SeqCst) {
                fate.is_dead.store(true, Ordering::SeqCst);
            }
            if !is_dead_already && (&server).write_all(&bytes).is_err() {
                break;
            }
        }
        close(client, &server);
    });
}

fn next(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 65_536];
    let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
    bytes.truncate(length);
    Some(bytes)
}

fn close(one: &TcpStream, other: &TcpStream) {
    // Whoever has closed it already has done the same.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

/// A folder with a key, on a new database behind this line.
fn setup(relay: &Relay) -> Setup {
    let (setup, _) = with_key();
    let database = Cluster::shared().database("secret");
    let port = relay.port;
    let url = format!("postgres://{database}:secret@127.0.0.1:{port}/{database}");
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    on(&setup, &url).for_applications()
}

const BOB: [(&str, &str); 3] = [
    ("username", "bob"),
    ("email", "bob@example.com"),
    ("password", PASSWORD),
];

#[test]
fn a_line_that_goes_dead_is_as_a_database_that_is_away() {
    let relay = Relay::to(Cluster::shared());
    let server = setup(&relay).start();
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    visitor.enrol("alice");

    relay.set_dead(true);

    let answer = Visitor::program(&server).post("/register", &BOB);
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.expect("busy");
    assert_eq!(health(&server), (503, "database".to_owned()));
    relay.set_dead(false);
    wait_for("health", || (health(&server).0 == 200).then_some(()));
    assert_eq!(asks(&visitor).status, 200);
    Visitor::program(&server)
        .post("/register", &BOB)
        .expect("registered");
}

#[test]
fn of_a_change_whose_answer_is_lost_with_the_line_nobody_says_what_became_of_it() {
    let relay = Relay::to(Cluster::shared());
    let setup = setup(&relay);
    let server = setup.start();
    relay.fate.dies_at_commit.store(true, Ordering::SeqCst);

    let answer = Visitor::program(&server).post("/register", &BOB);

    assert_eq!(answer.status, 503, "{answer:?}");
    answer.expect("unknown");
    relay.set_dead(false);
    wait_for("health", || (health(&server).0 == 200).then_some(()));
    let (_, out, err) = run(&setup, &["user", "list"], b"");
    assert!(out.starts_with("bob\t"), "{out}{err}");
}
