//! A pooler in session mode between nodes and database, which hands on one connection to another.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::{ADMIN, Cluster, NOBODY};
use crate::harness::{Accept, PASSWORD, Setup, Visitor, free_port, wait_for};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::{on, with_key};

/// PgBouncer before a cluster, ended when dropped.
struct Pooler {
    port: u16,
    child: Child,
}

impl Pooler {
    fn before(cluster: &Cluster) -> Self {
        let (port, folder) = (free_port(), cluster.folder());
        let configuration = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={} user={ADMIN}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = session\ndefault_pool_size = 40\n\
             server_login_retry = 1\n",
            folder.display(),
            cluster.port
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg(&configuration);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = quiet.spawn().unwrap();
        wait_for("pgbouncer", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, child }
    }

    /// A folder with a key, on a new database behind it.
    fn setup(&self, cluster: &Cluster) -> Setup {
        let (setup, _) = with_key();
        let database = cluster.database("");
        let url = format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", self.port);
        let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
        assert_eq!(status, 0, "{err}");
        on(&setup, &url).for_applications()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nodes_work_through_a_pooler_and_so_does_their_return() {
    let cluster = Cluster::start(None);
    let pooler = Pooler::before(&cluster);
    let setup = pooler.setup(&cluster);
    let (server, other) = (setup.start(), setup.start());
    let visitor = Visitor::program(&server);
    visitor.sign_up("alice");
    visitor.enrol("alice");
    assert_eq!(asks(&visitor.at(&other)).status, 200);
    let (status, out, err) = run(&setup, &["user", "list"], b"");
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("alice\t"), "{out}");

    // It keeps the nodes' connections and makes new ones to the server.
    cluster.cut(Duration::ZERO);

    // A node may not have noticed yet.
    for node in [&server, &other] {
        wait_for("a registration", || {
            let name = format!("bob{}", node.port);
            let email = format!("{name}@example.com");
            let form = [
                ("username", &*name),
                ("email", &*email),
                ("password", PASSWORD),
            ];
            let answer = Visitor::program(node).post("/register", &form);
            (answer.status < 300).then_some(())
        });
        wait_for("health", || (health(node).0 == 200).then_some(()));
    }
    assert_eq!(asks(&visitor).status, 200);
    visitor.post("/logout", &[]).expect("logged_out");
    let visitor = visitor.at(&other);
    wait_for("the end to be known", || {
        (asks(&visitor).status == 401).then_some(())
    });
    assert_eq!(Visitor::new(&other, Accept::Page).get("/login").status, 200);
}
