//! Two nodes behind HAProxy on a PostgreSQL of their own, with a mail server, and what happens to
//! them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::harness::nodes::{Running, haproxy};
use crate::harness::{Server, Setup, free_port};
use crate::operator::run;

/// How long after a fault its effects are still excused: nodes know of a database that is back, and
/// the balancer of a node, within 2 s.
const AFTERMATH: Duration = Duration::from_secs(3);

pub(super) struct Site {
    pub(super) cluster: Cluster,
    pub(super) database: String,
    pub(super) setup: Setup,
    /// Those of the nodes.
    pub(super) ports: [u16; 2],
    /// That of the balancer.
    pub(super) port: u16,
    nodes: [Mutex<Server>; 2],
    _balancer: Running,
    fault: Mutex<Fault>,
}

/// Whether something is wrong, and when it last was.
struct Fault {
    is_there: bool,
    last: Instant,
}

/// What can happen, and for how many tenths of a second.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    NodeKilled(usize),
    NodeFrozen(usize),
    DatabaseFrozen,
    DatabaseCut,
    ConnectionsEnded,
}

impl Site {
    pub(super) fn start(smtp: &str) -> Self {
        let cluster = Cluster::start(None);
        let database = cluster.database("");
        let url = cluster.url(&database);
        let setup = Setup::new();
        for command in [&["store", "key", "store.key"], &["store", "migrate", &url]] {
            let (status, _, err) = run(&setup, command, b"");
            assert_eq!(status, 0, "{err}");
        }
        note_mails(&cluster, &database);
        let setup = setup.with(&["--store", &url, "--store-key", "store.key"]);
        let ports = [free_port(), free_port()];
        let nodes = ports.map(|port| Mutex::new(node(&setup, smtp, port).start()));
        let port = free_port();
        let balancer = haproxy(setup.dir(), &configuration(port, ports), port);
        let last = Instant::now();
        Self {
            cluster,
            database,
            setup,
            ports,
            port,
            nodes,
            _balancer: balancer,
            fault: Mutex::new(Fault {
                is_there: false,
                last,
            }),
        }
    }

    /// Whether nothing has been wrong since then.
    pub(super) fn was_well_since(&self, then: Instant) -> bool {
        let fault = self.fault();
        !fault.is_there && fault.last + AFTERMATH < then
    }

    /// Lets something happen, and waits until it is over.
    pub(super) fn suffer(&self, kind: Kind, lasting: Duration, smtp: &str) {
        self.fault().is_there = true;
        match kind {
            Kind::NodeKilled(n) => {
                let mut node_n = self.node(n);
                node_n.kill();
                thread::sleep(lasting);
                *node_n = node(&self.setup, smtp, self.ports[n]).start();
            }
            Kind::NodeFrozen(n) => {
                self.node(n).signal(Signal::STOP);
                thread::sleep(lasting);
                self.node(n).signal(Signal::CONT);
            }
            Kind::DatabaseFrozen => {
                self.cluster.freeze(true);
                thread::sleep(lasting);
                self.cluster.freeze(false);
            }
            Kind::DatabaseCut => self.cluster.cut(lasting),
            Kind::ConnectionsEnded => {
                let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.cluster.sql(&self.database, all);
            }
        }
        *self.fault() = Fault {
            is_there: false,
            last: Instant::now(),
        };
    }

    pub(super) fn sql(&self, statement: &str) -> String {
        self.cluster.sql(&self.database, statement)
    }

    pub(super) fn log(&self) -> String {
        self.node(0).log()
    }

    fn node(&self, n: usize) -> MutexGuard<'_, Server> {
        self.nodes[n].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn node(setup: &Setup, smtp: &str, port: u16) -> Setup {
    let listen = format!("127.0.0.1:{port}");
    setup.clone().for_applications().with(&[
        "--no-tls",
        "--listen",
        &listen,
        "--smtp",
        smtp,
        "--registrations-per-hour",
        "0",
        "--session-idle",
        "12h",
    ])
}

/// Has the database itself note each mail that is posted, in the transaction that posts it.
fn note_mails(cluster: &Cluster, database: &str) {
    let statement = format!(
        "CREATE TABLE posted (id text PRIMARY KEY);
        ALTER TABLE posted OWNER TO {database};
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.posted VALUES (NEW.id); RETURN NEW; END';
        CREATE TRIGGER note BEFORE INSERT ON mail FOR EACH ROW EXECUTE FUNCTION note()"
    );
    cluster.sql(database, &statement);
}

/// As the documentation has it, in short.
fn configuration(port: u16, nodes: [u16; 2]) -> String {
    let servers = nodes.map(|port| format!(" server node{port} 127.0.0.1:{port} check inter 1s\n"));
    format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 30s\n timeout server 8s\n \
         retries 3\n option redispatch 1\n\
         listen nodes\n bind 127.0.0.1:{port}\n balance roundrobin\n option httpchk GET /login\n{}",
        servers.concat()
    )
}
