//! Names as strangers and links give them, asked of a database.

use crate::cluster::Cluster;
use crate::harness::{PASSWORD, Visitor};
use crate::operator::{run, user};
use crate::store::{on, with_key};

/// PostgreSQL takes no text with a NUL in it.
#[test]
fn a_name_that_no_database_can_have_is_nobody_s_and_no_fault_of_the_database() {
    let (setup, _) = with_key();
    let url = Cluster::shared().url(&Cluster::shared().database(""));
    let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
    assert_eq!(status, 0, "{err}");
    let on_it = on(&setup, &url);
    let server = on_it.start();
    let added = user::add(&on_it, "root", &["--groups", "admins"]);
    assert_eq!(added.0, 0, "{added:?}");
    let root = Visitor::program(&server);
    root.enrol("root");
    let stranger = Visitor::program(&server);

    for name in ["bob\0", "\0b", "bob\0@example.com"] {
        let login = [("username", name), ("password", PASSWORD)];
        stranger.post("/login", &login).expect("wrong_credentials");
        let name_alone = [("username", name)];
        stranger
            .post("/forgot_password", &name_alone)
            .expect("new_password_sent");
    }
    for path in [
        "/people/bob%00",
        "/people/%00",
        "/people/bob%00@example.com",
    ] {
        assert_eq!(root.get(path).status, 404, "{path}");
        let act = root.post(&format!("{path}/disable"), &[]);
        assert_eq!(act.status, 404, "{path}");
    }
    let ended = root.post("/people/invitations/end", &[("invitation", "a\0b")]);
    ended.expect("no_invitation");
    assert!(!server.log().contains("busy"), "{}", server.log());
}
