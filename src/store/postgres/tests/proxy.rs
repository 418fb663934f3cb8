//! A bad line to the database: passes on what is said, until a COMMIT goes by, and loses that or its
//! answer.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::store::postgres::tests::cluster::Cluster;

/// What becomes of the next COMMIT.
#[derive(Default)]
pub(super) struct Fate {
    /// It does not arrive.
    pub(super) loses_commit: AtomicBool,
    /// It arrives, and its answer does not.
    pub(super) loses_answer: AtomicBool,
    /// Nobody gets through any more.
    pub(super) is_cut: AtomicBool,
    /// How often somebody has said something to the database.
    pub(super) asked: AtomicUsize,
    /// What is said goes nowhere, and nobody hears that.
    pub(super) is_frozen: AtomicBool,
    /// Nobody gets through once a COMMIT was lost.
    pub(super) cuts_then: AtomicBool,
}

/// The line, which ends with the process.
pub(super) struct Proxy {
    directory: TempDir,
    port: u16,
    pub(super) fate: Arc<Fate>,
}

impl Proxy {
    pub(super) fn start() -> Self {
        let cluster = Cluster::shared();
        let directory = tempfile::tempdir().unwrap();
        let name = format!(".s.PGSQL.{}", cluster.port);
        let listener = UnixListener::bind(directory.path().join(&name)).unwrap();
        let target = cluster.folder().join(name);
        let fate = Arc::new(Fate::default());
        let of_all = Arc::clone(&fate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, fate) = (target.clone(), Arc::clone(&of_all));
                thread::spawn(move || carry(&client, &target, &fate));
            }
        });
        Self {
            directory,
            port: cluster.port,
            fate,
        }
    }

    /// The URL of a database by this line.
    pub(super) fn url(&self, database: &str) -> String {
        let folder = self.directory.path().display();
        format!(
            "postgres://{database}@:{}/{database}?host={folder}",
            self.port
        )
    }
}

fn carry(client: &UnixStream, target: &PathBuf, fate: &Fate) {
    if fate.is_cut.load(Ordering::SeqCst) {
        return;
    }
    let server = UnixStream::connect(target).unwrap();
    let is_muted = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(bytes) = next(&server) {
                if is_muted.load(Ordering::SeqCst) || (&*client).write_all(&bytes).is_err() {
                    break;
                }
            }
            close(client, &server);
        });
        while let Some(bytes) = next(client) {
            fate.asked.fetch_add(1, Ordering::SeqCst);
            if fate.is_frozen.load(Ordering::SeqCst) {
                continue;
            }
            let is_commit = bytes.windows(7).any(|word| word == b"COMMIT\0");
            if is_commit && fate.loses_commit.swap(false, Ordering::SeqCst) {
                break;
            }
            if is_commit && fate.loses_answer.swap(false, Ordering::SeqCst) {
                is_muted.store(true, Ordering::SeqCst);
                let cuts = fate.cuts_then.load(Ordering::SeqCst);
                fate.is_cut.store(cuts, Ordering::SeqCst);
            }
            if (&server).write_all(&bytes).is_err() {
                break;
            }
        }
        if !is_muted.load(Ordering::SeqCst) {
            close(client, &server);
        }
    });
}

fn next(mut stream: &UnixStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 65_536];
    let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
    bytes.truncate(length);
    Some(bytes)
}

fn close(one: &UnixStream, other: &UnixStream) {
    // Whoever has closed it already has done the same.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}
