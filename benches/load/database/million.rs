//! A node on a million accounts beside one on a few: it loads none of them.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::{KeyExchange, get, source};
use crate::cluster::Cluster;
use crate::columns::alternate;
use crate::database::people::People;
use crate::database::{Database, FILES, on_files};
use crate::report::{self, Target};
use crate::servers::{Pair, Server};

/// How many there are, beside the few.
const MANY: usize = 1_000_000;
const FEW: usize = 10;

/// The columns.
const ON_MANY: &str = "on 1,000,000";
const ON_FEW: &str = "on 10";

/// For threads to finish what they do, and for chores to be done once.
const SETTLE: Duration = Duration::from_secs(5);

/// The most memory that it may take above a node on few, in MiB.
const MEMORY: f64 = 8.0;

pub(crate) fn run() {
    let (pair, people, cluster) = (Pair::new(), People::new(), Cluster::durable());
    let (users, sessions) = (people.users(FEW), people.sessions(FEW));
    let few = Database::with(&cluster, &users, &sessions);
    let many = Database::with(&cluster, &users, &sessions);
    fill(&cluster, &many.name, report::often(MANY));

    let (on_many, on_few) = (|| many.start(&pair), || few.start(&pair));
    let on_files = || on_files(&pair, &users, &sessions);
    let starts: [(&str, &dyn Fn() -> Server); 3] =
        [(ON_MANY, &on_many), (ON_FEW, &on_few), (FILES, &on_files)];
    let [times, memory, more] = {
        let mut of_few = f64::NAN;
        alternate(
            // So that the one to compare with comes first.
            &starts.iter().rev().collect::<Vec<_>>(),
            |(name, _)| name,
            |(name, start)| {
                let [time, memory] = measure(start);
                if *name == ON_FEW {
                    of_few = memory;
                }
                [time, memory, memory - of_few]
            },
        )
    };
    times.print("start to first answer", "ms", &[]);
    memory.print("resident memory, idle", "MiB", &[]);
    let (start, more) = (times.of(ON_MANY), more.of(ON_MANY));
    let what = "start on a million accounts";
    report::line(what, format!("{start:.0} ms"), start, Target::AtMost(200.0));
    let what = "memory above that of a node on few";
    report::line(what, format!("{more:.1} MiB"), more, Target::AtMost(MEMORY));
}

/// Milliseconds to the first answer, and MiB some seconds later.
fn measure(start: &dyn Fn() -> Server) -> [f64; 2] {
    let begun = Instant::now();
    let server = start();
    let peer = server.peer(KeyExchange::AsBrowsers);
    let mut connection = peer.connect(source(0)).unwrap();
    let answer = connection.ask(&get(server.page, "")).unwrap();
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(answer.status, 200, "{}", answer.head);
    thread::sleep(SETTLE);
    [time, server.resident()]
}

/// Accounts as large as real ones, and a session of each.
fn fill(cluster: &Cluster, database: &str, count: usize) {
    let statement = format!(
        "INSERT INTO account (id, name, email, username, body)
        SELECT lpad(n::text, 26, 'a'), 'many' || n, 'many' || n || '@example.com', 'many' || n,
            json_build_object('id', lpad(n::text, 26, 'a'), 'email', 'many' || n || '@example.com',
                'password', template ->> 'password', 'created', template ->> 'created',
                'groups', template -> 'groups', 'recovery_codes', template -> 'recovery_codes',
                'disabled', false)::text
        FROM generate_series(1, {count}) n,
            (SELECT body::json AS template FROM account ORDER BY place LIMIT 1) one;
        INSERT INTO session (id, name, created, last_seen, body)
        SELECT lpad(n::text, 43, 'a'), 'many' || n, created, last_seen,
            replace(body, '\"user0\"', '\"many' || n || '\"')
        FROM generate_series(1, {count}) n, (SELECT * FROM session ORDER BY place LIMIT 1) one;
        ANALYZE"
    );
    cluster.sql(database, &statement);
}
