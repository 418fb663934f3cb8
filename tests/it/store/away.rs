//! Two nodes on one database, and the database away.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::harness::{Accept, Answer, Server, Setup, Visitor, wait_for};
use crate::operator::run;
use crate::store::{on, with_key};

/// A folder with a key, on a new database of this cluster.
fn setup(cluster: &Cluster) -> Setup {
    let (setup, _) = with_key();
    let url = cluster.url(&cluster.database(""));
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    on(&setup, &url).for_applications()
}

/// What a proxy is told of a visitor.
pub(crate) fn asks(visitor: &Visitor) -> Answer {
    visitor
        .sending("X-Forwarded-Method", "GET")
        .sending("X-Forwarded-Proto", "https")
        .sending("X-Forwarded-Host", "app.example.com")
        .sending("X-Forwarded-Uri", "/")
        .get("/api/authz/forward-auth")
}

pub(crate) fn health(server: &Server) -> (u16, String) {
    let answer = Visitor::new(server, Accept::Text).get("/healthz");
    (answer.status, answer.body)
}

#[test]
fn each_step_may_meet_another_node_and_an_end_holds_on_all_of_them() {
    let setup = setup(Cluster::shared());
    let (one, other) = (setup.start(), setup.start());
    let at_one = Visitor::program(&one);
    at_one.sign_up("alice");
    let at_other = Visitor::program(&other);
    at_other.enrol("alice");

    // The session of one node is known to the other at once.
    let at_one = at_other.at(&one);
    assert_eq!(asks(&at_one).status, 200);
    assert_eq!(asks(&at_other).status, 200);

    at_one.post("/logout", &[]).expect("logged_out");
    let ended = Instant::now();
    let at_other = at_other.at(&other);
    wait_for("the end to be known", || {
        (asks(&at_other).status == 401).then_some(())
    });
    // A bound of the product, with room for a slow machine.
    assert!(ended.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_command_holds_on_every_node_and_what_happened_has_the_node_in_it() {
    let setup = setup(Cluster::shared());
    let (one, other) = (setup.start(), setup.start());
    let visitor = Visitor::program(&one);
    visitor.sign_up("alice");
    visitor.enrol("alice");
    let at_other = visitor.at(&other);
    assert_eq!(asks(&at_other).status, 200);

    let (status, _, err) = run(&setup, &["user", "disable", "alice"], b"");

    assert_eq!(status, 0, "{err}");
    wait_for("the end to be known", || {
        (asks(&at_other).status == 401).then_some(())
    });
    let (status, out, err) = run(&setup, &["user", "list"], b"");
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("disabled"), "{out}");
    let port = format!(":{}\"", one.port);
    wait_for("the events of a node", || {
        let (_, out, _) = run(&setup, &["events", "--json"], b"");
        let of_node = out.lines().find(|line| line.contains(&port))?;
        assert!(of_node.contains("\"node\":\""), "{of_node}");
        Some(())
    });
}

#[test]
fn while_the_database_is_frozen_applications_go_on_for_seconds_and_nothing_is_said_to_be_saved() {
    let cluster = Cluster::start(None);
    let setup = setup(&cluster);
    let (server, mut ending) = (setup.start(), setup.start());
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    visitor.enrol("alice");
    assert_eq!(asks(&visitor).status, 200);
    assert_eq!(asks(&visitor.at(&ending)).status, 200);
    assert_eq!(health(&server), (200, "ok".to_owned()));

    cluster.freeze(true);
    let frozen = Instant::now();

    // At least for three seconds, at most for six.
    let mut last_yes = Duration::ZERO;
    loop {
        let asked = frozen.elapsed();
        let answer = asks(&visitor);
        match answer.status {
            200 => last_yes = asked,
            status => {
                assert_eq!(status, 503, "{answer:?}");
                break;
            }
        }
        assert!(asked < Duration::from_secs(10), "it says yes for too long");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(last_yes > Duration::from_secs(3), "{last_yes:?}");
    assert_eq!(health(&server), (503, "database".to_owned()));
    let busy = |answer: Answer| {
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.expect("busy");
    };
    busy(visitor.get("/account"));
    busy(visitor.post("/forgot_password", &[("username", "nobody")]));
    busy(visitor.post("/logout", &[]));
    let stranger = Visitor::program(&server);
    let form = [
        ("username", "bob"),
        ("email", "bob@example.com"),
        ("password", "six tall trees"),
    ];
    busy(stranger.post("/register", &form));
    busy(stranger.post("/login", &[("username", "alice"), ("password", "x")]));
    assert_eq!(asks(&stranger).status, 401);
    for page in ["/login", "/forgot_password"] {
        assert_eq!(Visitor::new(&server, Accept::Page).get(page).status, 200);
    }

    let told = Instant::now();
    ending.signal(rustix::process::Signal::TERM);
    assert!(ending.wait().success());
    assert!(told.elapsed() < Duration::from_secs(10));

    cluster.freeze(false);

    wait_for("the return to be known", || {
        (asks(&visitor).status == 200).then_some(())
    });
    wait_for("health", || (health(&server).0 == 200).then_some(()));
    assert_eq!(visitor.get("/account").status, 200);
    // Both nodes tell of it, into one file.
    let log = server.log();
    let of_database = |word: &str| {
        let lines = log
            .lines()
            .filter(|line| !line.contains("mail waits in the database"));
        let lines = lines.filter(|line| line.contains("the database"));
        lines.filter(|line| line.contains(word)).count()
    };
    assert_eq!(
        (of_database("is away"), of_database("is back")),
        (2, 1),
        "{log}"
    );
    assert_eq!(of_database(""), 3, "{log}");
}
