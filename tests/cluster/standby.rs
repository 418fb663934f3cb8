//! A second server that has all that the first has, and takes its place.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{ADMIN, Cluster, PATIENCE, as_nobody, free_port, new_place, program};

impl Cluster {
    /// A server that follows this one. From now on this one commits nothing that the other does not
    /// have.
    pub(crate) fn standby(&self) -> Cluster {
        let (place, port) = (new_place(), free_port());
        let data = place.join("data");
        let copied = as_nobody(&program("pg_basebackup"))
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--username", ADMIN, "--port", &self.port.to_string()])
            .arg("--host")
            .arg(&self.place)
            .arg("--pgdata")
            .arg(&data)
            .current_dir(&place)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        let conf = File::options()
            .append(true)
            .open(data.join("postgresql.conf"));
        // What is said last counts.
        write!(
            conf.unwrap(),
            "\nport = {port}\nunix_socket_directories = '{}'\n",
            place.display()
        )
        .unwrap();
        let standby = Self::serve(place, port);
        self.sql(ADMIN, "ALTER SYSTEM SET synchronous_standby_names TO '*'");
        self.sql(ADMIN, "SELECT pg_reload_conf()");
        let state = "SELECT sync_state FROM pg_stat_replication";
        let begun = Instant::now();
        while self.sql(ADMIN, state) != "sync" {
            assert!(begun.elapsed() < PATIENCE, "the standby does not follow");
            thread::sleep(Duration::from_millis(20));
        }
        standby
    }

    /// Kills the server and all of its processes, as losing its machine would.
    pub(crate) fn kill(&self) {
        // So that none is begun meanwhile.
        self.freeze(true);
        self.signal("-KILL");
    }

    /// Kills the processes that serve a database, at which the server ends all others too and begins
    /// anew from its log.
    pub(crate) fn crash(&self, database: &str) {
        let serving = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{database}'");
        let serving = self.sql(ADMIN, &serving);
        let mut kill = Command::new("kill");
        let told = kill.arg("-KILL").args(serving.split_whitespace());
        told.stderr(Stdio::null()).status().unwrap();
    }

    /// Makes a standby the one that takes writes, and waits until it is.
    pub(crate) fn promote(&self) {
        assert_eq!(self.sql(ADMIN, "SELECT pg_promote(true, 60)"), "t");
    }

    /// The URL of a database for its owner, who has this password: on this server or, where that
    /// takes no writes, on the other.
    pub(crate) fn url_of_pair(&self, other: &Cluster, database: &str, password: &str) -> String {
        let [one, other] = [self.port, other.port];
        format!(
            "postgres://{database}:{password}@127.0.0.1:{one},127.0.0.1:{other}/{database}\
             ?target_session_attrs=read-write"
        )
    }
}
