//! A database that answers and does not do everything: read-only, full, without connections to give,
//! or at odds with itself.

use std::thread;
use std::time::Duration;

use crate::cluster::{ADMIN, Cluster};
use crate::harness::{Answer, Server, Setup, Visitor, wait_for};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::{on, with_key};

/// Longer than a session is believed in that the database does not vouch for.
const LASTING: Duration = Duration::from_secs(7);

/// A folder with a key, on a new database; gives its name too.
fn setup(cluster: &Cluster, parameters: &str) -> (Setup, String) {
    let (setup, _) = with_key();
    let database = cluster.database("");
    let url = format!("{}{parameters}", cluster.url(&database));
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    (on(&setup, &url).for_applications(), database)
}

fn register(server: &Server, name: &str) -> Answer {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", &email),
        ("password", "six tall trees"),
    ];
    Visitor::program(server).post("/register", &form)
}

#[track_caller]
fn is_busy(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.expect("busy");
}

/// Somebody with a session, who is known to the node.
fn known(server: &Server) -> Visitor {
    let visitor = Visitor::program(server);
    visitor.sign_up("alice");
    visitor.enrol("alice");
    assert_eq!(asks(&visitor).status, 200);
    visitor
}

/// Makes every transaction of the server read-only that does not say otherwise, or ends that.
fn make_read_only(cluster: &Cluster, is_read_only: bool) {
    let set = format!("ALTER SYSTEM SET default_transaction_read_only TO {is_read_only}");
    cluster.sql(ADMIN, &set);
    cluster.sql(ADMIN, "SELECT pg_reload_conf()");
}

/// Waits until the server is as well as `/healthz` is to say.
fn wait_for_health(server: &Server, status: u16) {
    wait_for("health", || (health(server).0 == status).then_some(()));
}

#[test]
fn what_only_reads_goes_on_while_the_database_is_read_only() {
    let cluster = Cluster::start(None);
    let (setup, _) = setup(&cluster, "");
    let (server, other) = (setup.start(), setup.start());
    let visitor = known(&server);

    make_read_only(&cluster, true);

    // An alarm hears that nothing can be saved.
    wait_for_health(&server, 503);
    assert_eq!(health(&server).1, "database");
    thread::sleep(LASTING);
    is_busy(&register(&server, "bob"));
    is_busy(&visitor.post("/logout", &[]));
    is_busy(&visitor.post("/forgot_password", &[("username", "nobody")]));
    assert_eq!(asks(&visitor).status, 200);
    assert_eq!(visitor.get("/account").status, 200);
    // Nor does a node need to have heard of the session.
    assert_eq!(asks(&visitor.at(&other)).status, 200);

    make_read_only(&cluster, false);

    wait_for_health(&server, 200);
    register(&server, "bob").expect("registered");
    visitor.post("/logout", &[]).expect("logged_out");
    let log = server.log();
    assert!(log.contains("the database takes no changes"), "{log}");
    assert!(log.contains("the database is back"), "{log}");
}

#[test]
fn a_database_that_is_wanted_for_writing_is_away_while_it_is_read_only() {
    let cluster = Cluster::start(None);
    let (setup, _) = setup(&cluster, "&target_session_attrs=read-write");
    let server = setup.start();
    let visitor = known(&server);

    make_read_only(&cluster, true);

    wait_for_health(&server, 503);
    is_busy(&visitor.get("/account"));
    is_busy(&register(&server, "bob"));
    wait_for("the session to be unknown", || {
        (asks(&visitor).status == 503).then_some(())
    });
    make_read_only(&cluster, false);
    wait_for_health(&server, 200);
    assert_eq!(asks(&visitor).status, 200);
    register(&server, "bob").expect("registered");
}

#[test]
fn a_full_database_saves_nothing_and_says_so() {
    let cluster = Cluster::shared();
    let (setup, database) = setup(cluster, "");
    let server = setup.start();
    let visitor = known(&server);
    cluster.sql(
        &database,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON account
            FOR EACH ROW EXECUTE FUNCTION fail();
         CREATE TRIGGER fail BEFORE DELETE ON session FOR EACH ROW EXECUTE FUNCTION fail()",
    );

    for answer in [register(&server, "bob"), visitor.post("/logout", &[])] {
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.expect("not_saved");
    }
    assert_eq!(asks(&visitor).status, 200);

    cluster.sql(&database, "DROP FUNCTION fail CASCADE");
    register(&server, "bob").expect("registered");
    visitor.post("/logout", &[]).expect("logged_out");
}

#[test]
fn a_change_that_others_are_in_the_way_of_is_made_again_and_nobody_hears_of_it() {
    let cluster = Cluster::shared();
    let (setup, database) = setup(cluster, "");
    let server = setup.start();
    cluster.sql(
        &database,
        "CREATE SEQUENCE tries;
         CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN
                IF nextval('public.tries') % 2 = 1 THEN
                    RAISE EXCEPTION 'others are in the way' USING ERRCODE = '40001';
                END IF;
                RETURN NEW;
            END $$;
         CREATE TRIGGER conflict BEFORE INSERT ON change
            FOR EACH ROW EXECUTE FUNCTION conflict()",
    );

    let visitor = known(&server);
    register(&server, "bob").expect("registered");
    visitor.post("/logout", &[]).expect("logged_out");

    // Each of them was refused once.
    let tries = cluster.sql(&database, "SELECT last_value FROM tries");
    assert!(tries.parse::<u32>().unwrap() >= 8, "{tries}");
    assert!(!server.log().contains("others are in the way"));
}

#[test]
fn known_sessions_go_on_while_there_is_no_connection_to_be_had() {
    let cluster = Cluster::shared();
    let (setup, database) = setup(cluster, "");
    let server = setup.start();
    let visitor = known(&server);
    let limit = |most: i32| {
        cluster.sql(
            &database,
            &format!("ALTER ROLE {database} CONNECTION LIMIT {most}"),
        );
    };

    limit(1);
    let of_node = format!("FROM pg_stat_activity WHERE usename = '{database}'");
    let end_all = format!("SELECT count(pg_terminate_backend(pid)) {of_node}");
    // Only who asks about sessions asks again and again.
    let is_asked = "count(*) = 1 AND bool_and(query_start > backend_start + interval '200 ms')";
    let is_asked = format!("SELECT {is_asked} {of_node}");
    cluster.sql(&database, &end_all);
    wait_for("the node to be left with that one", || {
        thread::sleep(Duration::from_millis(800));
        let is_left = cluster.sql(&database, &is_asked) == "t";
        if !is_left {
            cluster.sql(&database, &end_all);
        }
        is_left.then_some(())
    });

    is_busy(&register(&server, "bob"));
    wait_for_health(&server, 503);
    for _ in 0..7 {
        thread::sleep(LASTING / 7);
        assert_eq!(asks(&visitor).status, 200);
    }
    limit(-1);
    wait_for_health(&server, 200);
    register(&server, "bob").expect("registered");
}

#[test]
fn what_the_database_will_not_tell_is_said_to_the_operator_alone() {
    let cluster = Cluster::shared();
    let (setup, database) = setup(cluster, "");
    let server = setup.start();
    let visitor = known(&server);

    cluster.sql(&database, "ALTER TABLE session RENAME TO sessions");

    let answer = visitor.get("/account");
    is_busy(&answer);
    let why = "relation \"session\" does not exist";
    assert!(!answer.body.contains("relation"), "{}", answer.body);
    let log = server.log();
    let line = log.lines().find(|line| line.contains(why));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("the database has refused a question"));

    cluster.sql(&database, "ALTER TABLE sessions RENAME TO session");
    assert_eq!(visitor.get("/account").status, 200);
}
