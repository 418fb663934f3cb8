//! The database's disk without room, for its tables or for its log. Mounting one takes root.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::cluster::{ADMIN, Cluster, NOBODY};
use crate::harness::{Accept, PASSWORD, Server, Setup, Visitor, wait_for};
use crate::long::full_disk::{SmallDisk, register};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::failover::{Lives, Told};
use crate::store::{on, with_key};

/// Longer than a session is believed in that the database does not vouch for.
const LASTING: Duration = Duration::from_secs(7);

/// A folder with a key, on this database.
fn setup(cluster: &Cluster, database: &str) -> Setup {
    let (setup, _) = with_key();
    let url = cluster.url(database);
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    let setup = on(&setup, &url).for_applications();
    setup.with(&["--registrations-per-hour", "0"])
}

/// Somebody with a session, who is known to the node.
fn known(server: &Server) -> Visitor {
    let visitor = Visitor::program(server);
    visitor.sign_up("known");
    visitor.enrol("known");
    assert_eq!(asks(&visitor).status, 200);
    visitor
}

fn accounts(setup: &Setup) -> BTreeSet<String> {
    let (status, out, err) = run(setup, &["user", "list"], b"");
    assert_eq!(status, 0, "{err}");
    let names = out.lines().filter_map(|line| line.split('\t').next());
    names.map(str::to_owned).collect()
}

/// Logs in, which writes what the next step needs.
#[track_caller]
fn log_in(server: &Server, name: &str, done: &str) -> Told {
    let login = [("username", name), ("password", PASSWORD)];
    Told::of(&Visitor::program(server).post("/login", &login), done)
}

#[test]
fn tables_that_cannot_grow_refuse_accounts_until_there_is_room_and_lose_none() {
    let cluster = Cluster::start(None);
    // Dropped before the server's folder, which it is in.
    let disk = SmallDisk::mount_for(NOBODY, cluster.folder().join("small"), "32m");
    // What others leave behind is not to be made room of.
    cluster.sql(ADMIN, "ALTER SYSTEM SET autovacuum TO off");
    cluster.sql(ADMIN, "SELECT pg_reload_conf()");
    let place = disk.path().display();
    cluster.sql(
        ADMIN,
        &format!("CREATE TABLESPACE small LOCATION '{place}'"),
    );
    let database = cluster.database("");
    cluster.sql(
        ADMIN,
        &format!("ALTER DATABASE {database} SET TABLESPACE small"),
    );
    let setup = setup(&cluster, &database);
    let server = setup.start();
    let known = known(&server);
    disk.fill_but(300 * 1024);

    let (mut done, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for n in 0.. {
        let name = format!("user{n}");
        match register(&server, &name) {
            (201, _) => done.insert(name),
            answer => {
                assert_eq!(answer, (503, "not_saved".to_owned()));
                refused.insert(name)
            }
        };
        if refused.len() == 20 {
            break;
        }
        assert!(n < 5_000, "the disk is never full");
    }

    let there = accounts(&setup);
    assert!(done.is_subset(&there) && refused.is_disjoint(&there));
    thread::sleep(LASTING);
    assert_eq!(asks(&known).status, 200);
    assert_eq!(known.get("/account").status, 200);
    let of_done: Vec<Told> = done
        .iter()
        .rev()
        .take(20)
        .map(|name| log_in(&server, name, "enrol_required"))
        .collect();
    let none = refused.first().unwrap();
    assert!(log_in(&server, none, "wrong_credentials") != Told::Unknown);
    let page = Visitor::new(&server, Accept::Page).get("/login");
    assert_eq!(page.status, 200);
    println!(
        "{} accounts fitted; of 20 logins then {} were begun",
        done.len(),
        of_done.iter().filter(|told| **told == Told::Done).count()
    );
    assert!(cluster.log().contains("No space left on device"));

    disk.make_room();

    assert_eq!(register(&server, none), (201, "registered".to_owned()));
    for name in done.iter().rev().take(3).chain([none]) {
        assert_eq!(log_in(&server, name, "enrol_required"), Told::Done);
    }
    assert_eq!(health(&server), (200, "ok".to_owned()));
    known.post("/logout", &[]).expect("logged_out");
    assert_eq!(accounts(&setup).len(), there.len() + 1);
}

#[test]
fn a_log_that_cannot_grow_ends_the_database_and_nobody_is_told_what_is_not_so() {
    let mut disk = None;
    let cluster = Cluster::on_disk(|data| {
        disk = Some(SmallDisk::mount_for(NOBODY, data.to_owned(), "96m"));
    });
    // Dropped before the server's folder, which it is in.
    let disk = disk.unwrap();
    let database = cluster.database("");
    let setup = setup(&cluster, &database);
    let server = setup.start();
    let known = known(&server);

    let lives = Lives::led(&server, "p", |lives| {
        lives.wait_for_more(10);
        disk.fill_but(200 * 1024);
        cluster.use_up_log();
        wait_for("the end of the server", || cluster.has_ended());
        wait_for("health", || (health(&server).0 == 503).then_some(()));
        thread::sleep(LASTING);
        // Nobody is called logged out.
        assert_eq!(asks(&known).status, 503);
        known.get("/account").expect("busy");

        disk.make_room();
        cluster.start_again();

        lives.wait_for_more(10);
        wait_for("health", || (health(&server).0 == 200).then_some(()));
    });

    assert_eq!(asks(&known).status, 200);
    lives.judge(&setup);
    let log = cluster.log();
    assert!(
        log.contains("PANIC") && log.contains("No space left on device"),
        "{log}"
    );
    println!(
        "{} changes answered and there, {} refused and not there, {} unknown",
        lives.count(Told::Done),
        lives.count(Told::Nothing),
        lives.count(Told::Unknown)
    );
}
