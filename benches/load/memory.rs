//! Resident memory: after the start, and with a thousand connections that stay open. Of a server of
//! several processes that of all, what they share counted for each.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{Answer, Connection, KeyExchange, get, source};
use crate::columns::alternate;
use crate::report::{Goal, Target};
use crate::servers::{Build, Pair, Server};
use crate::{glewlwyd, hyper_server, nginx, report};

const CONNECTIONS: usize = 1000;
/// One address alone would be refused at a hundred.
const ADDRESSES: usize = 10;
/// For threads to finish what they do, and to end if nothing comes.
const SETTLE: Duration = Duration::from_secs(3);

/// What starts a server, anew for each round.
type Start<'a> = (&'static str, Box<dyn Fn() -> Option<Server> + 'a>);

pub(crate) fn run() {
    make_room();
    let pair = Pair::new();
    let page = Build::this().start(&pair).wait_for_page();
    let starts = starts(&pair, &page);
    let [idle, full] = alternate(&starts, |(name, _)| name, |(_, start)| measure(&**start));
    idle.print(
        "resident memory, idle",
        "MiB",
        &[Goal::Alone(Target::AtMost(8.0))],
    );
    full.print(
        &format!("resident memory, {CONNECTIONS} connections"),
        "MiB",
        &[Goal::Alone(Target::AtMost(32.0))],
    );
}

fn starts<'a>(pair: &'a Pair, page: &'a Answer) -> Vec<Start<'a>> {
    let mut starts: Vec<Start<'a>> = Vec::new();
    for build in Build::all() {
        let name = build.name;
        starts.push((name, Box::new(move || Some(build.start(pair)))));
    }
    if nginx::version().is_some() {
        starts.push((nginx::NAME, Box::new(|| nginx::start(pair, page))));
    }
    if glewlwyd::version().is_some() {
        starts.push((glewlwyd::NAME, Box::new(|| glewlwyd::start(pair, page))));
    }
    starts.push((
        hyper_server::NAME,
        Box::new(|| Some(hyper_server::start(pair, page))),
    ));
    starts
}

/// Idle, and with all connections; not a number for one that does not hold so many.
fn measure(start: &dyn Fn() -> Option<Server>) -> [f64; 2] {
    let server = start().unwrap();
    thread::sleep(SETTLE);
    let idle = server.resident();
    let full = connect(&server).and_then(|mut connections| {
        thread::sleep(SETTLE);
        let full = server.resident();
        // None of them was closed to make room.
        for connection in &mut connections {
            ask(&server, connection)?;
        }
        Ok(full)
    });
    match full {
        Ok(full) => [idle, full],
        Err(error) => {
            let what = format!("{CONNECTIONS} connections to {}", server.name);
            report::note(&what, format!("not all held: {error}"));
            [idle, f64::NAN]
        }
    }
}

/// Each makes one request and then waits.
fn connect(server: &Server) -> io::Result<Vec<Connection>> {
    let peer = server.peer(KeyExchange::AsBrowsers);
    let connect = |n| {
        let mut connection = peer.connect(source(n % ADDRESSES))?;
        ask(server, &mut connection)?;
        Ok(connection)
    };
    (0..CONNECTIONS).map(connect).collect()
}

fn ask(server: &Server, connection: &mut Connection) -> io::Result<()> {
    let answer = connection.ask(&get(server.page, ""))?;
    assert_eq!(answer.status, 200, "{}: {}", server.name, answer.head);
    Ok(())
}

/// Our end of the connections needs descriptors too, and so do servers that take this limit over.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
