//! A server whose log cannot grow, which ends it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{ADMIN, Cluster, PATIENCE, new_place};

/// Segments of a megabyte, so that the next is soon wanted, and none is removed or made before.
const SMALL_LOG: &str = "\
fsync = off
shared_buffers = 16MB
checkpoint_timeout = 1h
max_wal_size = 1GB
min_wal_size = 2MB
wal_keep_size = 1GB
autovacuum = off
";

impl Cluster {
    /// A server whose data are where `mount` puts a file system.
    pub(crate) fn on_disk(mount: impl FnOnce(&Path)) -> Self {
        let place = new_place();
        mount(&place.join("data"));
        Self::made(place, &["--wal-segsize=1"], None, SMALL_LOG)
    }

    /// Writes junk to the log until it has no room for much more in the files that are there.
    pub(crate) fn use_up_log(&self) {
        let left =
            "SELECT 1048576 * count(*) FILTER (WHERE name > file_name) + 1048576 - file_offset
            FROM pg_ls_waldir(), pg_walfile_name_offset(pg_current_wal_insert_lsn())
            WHERE name ~ '^[0-9A-F]{24}$' GROUP BY file_name, file_offset";
        loop {
            let left: usize = self.sql(ADMIN, left).parse().unwrap();
            let Some(junk) = left.checked_sub(64 * 1024) else {
                return;
            };
            let junk = junk.clamp(1, 256 * 1024);
            let write = "SELECT pg_logical_emit_message(false, 'junk', repeat('x', ";
            self.sql(ADMIN, &format!("{write}{junk}))"));
        }
    }

    /// Starts the server again if it has ended or is about to, and waits until it takes connections.
    pub(crate) fn start_again(&self) {
        let begun = Instant::now();
        let mut told = None;
        while !self.try_sql(ADMIN, "SELECT 1").0 {
            let ended = self.has_ended();
            if ended.is_some() && ended != told {
                self.hold.as_ref().unwrap().write_all(b"again\n").unwrap();
                told = ended;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process of a server that has ended, until it is started again.
    pub(crate) fn has_ended(&self) -> Option<String> {
        let keeper = self.keeper.id().to_string();
        let server = Command::new("pgrep").args(["-P", &keeper]).output();
        let server = String::from_utf8(server.unwrap().stdout).unwrap();
        let pid = server.lines().next()?.to_owned();
        // The keeper waits for it only once it is to start another.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains(") Z ").then_some(pid)
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap()
    }
}
