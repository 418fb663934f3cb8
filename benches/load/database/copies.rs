//! How long `store copy` takes, either way.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::people::People;
use crate::report;

const ACCOUNTS: usize = 100_000;
const EVENTS: usize = 200_000;

pub(crate) fn run() {
    let (people, cluster) = (People::new(), Cluster::durable());
    let database = Database::new(&cluster);
    let folder = database.dir.path();
    fs::write(
        folder.join("users.json"),
        people.users(report::often(ACCOUNTS)),
    )
    .unwrap();
    fs::write(
        folder.join("sessions.json"),
        people.sessions(report::often(ACCOUNTS)),
    )
    .unwrap();
    fs::write(folder.join("events.jsonl"), events()).unwrap();

    let url = database.url.clone();
    for (what, from, to) in [("to a database", ".", url.as_str()), ("back", &url, "back")] {
        let begun = Instant::now();
        let said = database.copy(from, to);
        let what = format!("store copy {what}");
        let took = begun.elapsed().as_secs_f64();
        report::note(&what, format!("{took:.1} s: {}", said.trim_end()));
    }
}

fn events() -> String {
    let mut text = String::new();
    for n in 0..report::often(EVENTS) {
        let user = n % report::often(ACCOUNTS);
        writeln!(
            text,
            "{{\"time\": \"2026-11-28T05:00:00.000Z\", \"event\": \"logged_in\", \
             \"user\": \"user{user}\", \"address\": \"192.0.2.1\", \"agent\": \"bench\"}}"
        )
        .unwrap();
    }
    text
}
