//! A line to the database that goes dead: what is said goes nowhere, and nobody hears of that.

use crate::cluster::Cluster;
use crate::harness::{Answer, PASSWORD, Server, Visitor, wait_for};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::line::Line;

pub(crate) fn register(server: &Server, name: &str) -> Answer {
    let email = format!("{name}@example.com");
    let form = [
        ("username", name),
        ("email", &email),
        ("password", PASSWORD),
    ];
    Visitor::program(server).post("/register", &form)
}

/// Waits until what a registration leaves for later is done, which is another change.
pub(crate) fn wait_for_mail(server: &Server, name: &str) {
    server.wait_for_log(&format!("event=\"confirmation\" user=\"{name}\""));
}

#[test]
fn a_line_that_goes_dead_is_as_a_database_that_is_away() {
    let cluster = Cluster::shared();
    let line = Line::to(cluster);
    let server = line.setup(cluster).start();
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    visitor.enrol("alice");

    line.set_dead(true);

    let answer = register(&server, "bob");
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.expect("busy");
    assert_eq!(health(&server), (503, "database".to_owned()));
    line.set_dead(false);
    wait_for("health", || (health(&server).0 == 200).then_some(()));
    assert_eq!(asks(&visitor).status, 200);
    register(&server, "bob").expect("registered");
}

/// Once for a connection that has seen no change before, and then for one on which the statements of
/// changes are prepared.
#[test]
fn of_a_change_whose_answer_is_lost_with_the_line_nobody_says_what_became_of_it() {
    let cluster = Cluster::shared();
    let line = Line::to(cluster);
    let setup = line.setup(cluster);
    let server = setup.start();
    for (before, name) in [(0, "bob"), (5, "carol")] {
        for n in 0..before {
            let name = format!("{name}{n}");
            register(&server, &name).expect("registered");
            wait_for_mail(&server, &name);
        }
        line.die_at_commit();

        let answer = register(&server, name);

        assert!(!line.is_to_die(), "no COMMIT of a change was heard");
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.expect("unknown");
        line.set_dead(false);
        wait_for("health", || (health(&server).0 == 200).then_some(()));
        let (_, out, err) = run(&setup, &["user", "list"], b"");
        let start = format!("{name}\t");
        assert!(
            out.lines().any(|line| line.starts_with(&start)),
            "{out}{err}"
        );
    }
}
