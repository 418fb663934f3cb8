//! What works once, sent to two nodes in the same moment: it is won once.

use std::sync::Mutex;
use std::thread;

use crate::accounts::{PASSWORD, code, cookie_field};
use crate::client::{Answer, Connection, KeyExchange, post, source};
use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::people::{People, invitation, mailed};
use crate::report::{self, Target};
use crate::servers::{Pair, Server};

/// How often each is tried.
const TRIES: usize = 1000;

/// Who try at the same time.
const CLIENTS: usize = 4;

/// Tries something at both nodes at once, and gives how often it was won.
type AtBoth = fn(&mut Try<'_>) -> usize;

/// What is tried, in the order in which an account goes through them.
const KINDS: [(&str, AtBoth); 5] = [
    ("a code", code_at_both),
    ("a recovery code", recovery_code_at_both),
    ("a pending login", pending_at_both),
    ("a mailed password", mailed_at_both),
    ("an invitation", invitation_at_both),
];

/// One client at its account.
struct Try<'a> {
    nodes: &'a mut [Connection; 2],
    people: &'a People,
    account: usize,
    /// An account of nobody who logs in otherwise: that would end what was mailed.
    forgetful: usize,
}

pub(crate) fn run() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let tries = report::often(TRIES);
    let database = Database::with(&cluster, &people.users(2 * tries), &people.sessions(0));
    let nodes = [database.start(&pair), database.start(&pair)];
    // By kind, how many were won by nobody, by one, by both.
    let won = Mutex::new([[0_usize; 3]; KINDS.len()]);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (nodes, people, won) = (&nodes, &people, &won);
            scope.spawn(move || {
                for account in (client..tries).step_by(CLIENTS) {
                    let mut nodes = connect(nodes, client);
                    let mut one = Try {
                        nodes: &mut nodes,
                        people,
                        account,
                        forgetful: tries + account,
                    };
                    for (n, (_, at_both)) in KINDS.iter().enumerate() {
                        let winners = at_both(&mut one);
                        won.lock().unwrap()[n][winners] += 1;
                    }
                }
            });
        }
    });
    for ((what, _), [none, once, twice]) in KINDS.iter().zip(won.into_inner().unwrap()) {
        let what = format!("{what} at two nodes at once, {tries} times");
        let seen = format!("won once {once}, by both {twice}, by nobody {none}");
        report::line(&what, seen, once as f64, Target::AtLeast(tries as f64));
    }
}

fn connect(nodes: &[Server; 2], client: usize) -> [Connection; 2] {
    [0, 1].map(|n: usize| {
        let peer = nodes[n].peer(KeyExchange::AsBrowsers);
        peer.connect(source(client)).unwrap()
    })
}

impl Try<'_> {
    /// Everybody comes from an address of their own.
    fn post(&self, path: &str, cookies: &str, body: &str) -> Vec<u8> {
        let (high, low) = (self.account / 200, self.account % 200);
        let from = format!("X-Forwarded-For: 192.0.{high}.{low}\r\n{cookies}");
        post(path, &from, body)
    }

    /// The first step at a node; gives the cookie that waits for the second.
    fn begin(&mut self, node: usize, password: &str) -> String {
        let body = format!("username=user{}&password={password}", self.account);
        let form = self.post("/login", "", &body);
        let answer = self.nodes[node].ask(&form).unwrap();
        assert_eq!(said(&answer), "code_required", "{}", answer.head);
        cookie_field(&answer)
    }

    /// Both in the same moment; how many were told this.
    fn both(&mut self, forms: [Vec<u8>; 2], won: &str) -> usize {
        let [one, other] = &mut *self.nodes;
        let [first, second] = forms;
        let answers = thread::scope(|scope| {
            let second = scope.spawn(move || other.ask(&second).unwrap());
            [one.ask(&first).unwrap(), second.join().unwrap()]
        });
        answers.iter().filter(|answer| said(answer) == won).count()
    }
}

fn code_at_both(one: &mut Try<'_>) -> usize {
    let password = PASSWORD.replace(' ', "+");
    let pending = [0, 1].map(|node| one.begin(node, &password));
    let secret = format!("secret={}", code());
    let forms = pending.map(|pending| one.post("/secret_key", &pending, &secret));
    one.both(forms, "login_complete")
}

fn recovery_code_at_both(one: &mut Try<'_>) -> usize {
    let password = PASSWORD.replace(' ', "+");
    let pending = [0, 1].map(|node| one.begin(node, &password));
    let secret = format!("secret={}", one.people.recovery_codes[0]);
    let forms = pending.map(|pending| one.post("/secret_key", &pending, &secret));
    one.both(forms, "login_complete")
}

/// By two recovery codes: the same one at another node may be answered the same.
fn pending_at_both(one: &mut Try<'_>) -> usize {
    let pending = one.begin(0, &PASSWORD.replace(' ', "+"));
    let forms = [1, 2].map(|n: usize| {
        let secret = format!("secret={}", one.people.recovery_codes[n]);
        one.post("/secret_key", &pending, &secret)
    });
    one.both(forms, "login_complete")
}

/// One login begins with it.
fn mailed_at_both(one: &mut Try<'_>) -> usize {
    let body = format!(
        "username=user{0}&password={1}",
        one.forgetful,
        mailed(one.forgetful)
    );
    let forms = [0, 1].map(|_| one.post("/login", "", &body));
    one.both(forms, "code_required")
}

fn invitation_at_both(one: &mut Try<'_>) -> usize {
    let token = invitation(one.account);
    let password = PASSWORD.replace(' ', "+");
    let forms = ["a", "b"].map(|end| {
        let name = format!("new{}{end}", one.account);
        let body =
            format!("token={token}&username={name}&email={name}@example.com&password={password}");
        one.post("/register", "", &body)
    });
    one.both(forms, "registered")
}

/// The code of an answer.
fn said(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}
