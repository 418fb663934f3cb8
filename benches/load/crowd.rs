//! Many clients of one server at once, and what they cost it.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{KeyExchange, Peer, get, source};
use crate::report;
use crate::servers::Server;

/// Clients that keep their connections open.
pub(crate) const CONNECTIONS: usize = 32;
/// Clients that come anew for each page.
const VISITORS: usize = 16;
const ROUND: Duration = Duration::from_secs(3);

/// Answers a second to one request, repeated over connections that stay open, and the server's
/// milliseconds of processor time for each.
pub(crate) fn repeat(server: &Server, request: &[u8]) -> [f64; 2] {
    let [rate, cpu, _] = repeat_in_turn(server, &[request]);
    [rate, cpu]
}

/// As [`repeat`], of several requests in turn; gives how many answers there were too.
pub(crate) fn repeat_in_turn(server: &Server, requests: &[impl AsRef<[u8]> + Sync]) -> [f64; 3] {
    let peer = server.peer(KeyExchange::AsBrowsers);
    let round = report::round(ROUND);
    let all_are_connected = Barrier::new(CONNECTIONS + 1);
    let client = |n| {
        let mut connection = peer.connect(source(n)).unwrap();
        all_are_connected.wait();
        let end = Instant::now() + round;
        let mut answers = 0;
        let mut requests = requests.iter().cycle().skip(n).step_by(CONNECTIONS);
        while Instant::now() < end {
            let request = requests.next().unwrap().as_ref();
            let answer = connection.ask(request).unwrap();
            assert_eq!(answer.status, 200, "{}: {}", server.name, answer.head);
            answers += 1;
        }
        answers
    };
    let client = &client;
    let (answers, cpu_before) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        all_are_connected.wait();
        let cpu = server.cpu();
        let answers: u32 = clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum();
        (f64::from(answers), cpu)
    });
    let cpu = server.cpu() - cpu_before;
    [answers / round.as_secs_f64(), cpu / answers, answers]
}

/// Whether a client that comes again offers the ticket of its last visit.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tickets {
    Never,
    Always,
}

/// New connections a second with one page each, the server's milliseconds of processor time for
/// each, and how many of a hundred that were not a client's first were resumed.
pub(crate) fn visit(server: &Server, keys: KeyExchange, tickets: Tickets) -> [f64; 3] {
    let peer = server.peer(keys);
    let round = report::round(ROUND);
    let resumed = AtomicU32::new(0);
    let cpu = server.cpu();
    let begun = Instant::now();
    let client = |n| {
        // Tickets are each client's own.
        let peer = match tickets {
            Tickets::Never => peer.clone(),
            Tickets::Always => peer.with_tickets(),
        };
        let mut visits = 0;
        while begun.elapsed() < round {
            let was_resumed = visit_once(server, &peer, n).unwrap();
            resumed.fetch_add(u32::from(was_resumed), Ordering::Relaxed);
            visits += 1;
        }
        visits
    };
    let client = &client;
    let visits: u32 = thread::scope(|scope| {
        let clients: Vec<_> = (0..VISITORS)
            .map(|n| scope.spawn(move || client(n)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    let took = begun.elapsed().as_secs_f64();
    let (visits, resumed) = (f64::from(visits), f64::from(resumed.into_inner()));
    let cpu = server.cpu() - cpu;
    let again = (visits - VISITORS as f64).max(1.0);
    [visits / took, cpu / visits, 100.0 * resumed / again]
}

/// Whether the connection was resumed.
fn visit_once(server: &Server, peer: &Peer, client: usize) -> io::Result<bool> {
    let mut connection = peer.connect(source(client))?;
    let answer = connection.ask(&get(server.page, "Connection: close\r\n"))?;
    assert_eq!(answer.status, 200, "{}: {}", server.name, answer.head);
    Ok(connection.was_resumed())
}
