//! Resident memory: after the start, and with a thousand connections that stay open.

use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{Connection, KeyExchange, get, source};
use crate::report::{self, Series, Target};
use crate::servers::{Ours, Pair};

/// Memory hardly varies from one start to the next.
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 1000;
/// One address alone would be refused at a hundred.
const ADDRESSES: usize = 10;
/// For threads to finish what they do before they wait.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn run() {
    make_room();
    let pair = Pair::new();
    let (mut idle, mut full) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let server = Ours::start(&pair);
        thread::sleep(SETTLE);
        idle.push(server.resident());

        let mut connections = connect(&server);
        thread::sleep(SETTLE);
        full.push(server.resident());
        // None of them was closed to make room.
        for connection in &mut connections {
            assert_eq!(ask(connection), 200);
        }
    }

    let (idle, full) = (Series::new(idle).median(), Series::new(full).median());
    let seen = format!("{idle:.1} MiB");
    report::line("resident memory, idle", seen, idle, Target::AtMost(12.0));
    let each = (full - idle) * 1024.0 / CONNECTIONS as f64;
    let seen = format!("{full:.1} MiB, {each:.0} KiB for each");
    let what = format!("resident memory, {CONNECTIONS} connections");
    report::line(&what, seen, full, Target::AtMost(64.0));
}

/// Each makes one request and then waits.
fn connect(server: &Ours) -> Vec<Connection> {
    let peer = server.peer(KeyExchange::AsBrowsers);
    let connect = |n| {
        let mut connection = peer.connect(source(n % ADDRESSES)).unwrap();
        assert_eq!(ask(&mut connection), 200);
        connection
    };
    (0..CONNECTIONS).map(connect).collect()
}

fn ask(connection: &mut Connection) -> u16 {
    connection.ask(&get("/login", "")).unwrap().status
}

/// Our end of the connections needs descriptors too.
fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
