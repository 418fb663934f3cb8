//! Where a server has its accounts: in files, or where `TESTED_ON` says (see `nodes`). What a test
//! reads or changes behind the server's back goes through here, so that it need not know.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

#[cfg(feature = "databases")]
use crate::harness::nodes;
use crate::harness::read;

/// Where it is noted that mails come to the outbox by way of a mail server.
pub(super) const SINK: &str = ".sink";

/// What tests on a database keep in a server's folder.
const OF_TESTS: [&str; 5] = [SINK, ".database", ".started", "nodes.cfg", "store.key"];

/// Whether a file in a server's folder is of tests on a database.
pub(super) fn is_of_tests(name: &OsStr) -> bool {
    is_database() && OF_TESTS.iter().any(|of_tests| name == *of_tests)
}

/// Whether accounts lie in a database.
pub(crate) fn is_database() -> bool {
    std::env::var("TESTED_ON").is_ok()
}

/// Whether a test is left out for this reason.
pub(crate) fn is_left_out(why: &str) -> bool {
    if is_database() {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        // Nobody is there who could be told.
        let _ = writeln!(std::io::stderr(), "left out: {test}: {why}");
    }
    is_database()
}

/// What is kept in a file of this name; from a database, what a copy of it has there. Empty if there
/// is no such file.
pub(crate) fn kept(dir: &Path, name: &str) -> String {
    #[cfg(feature = "databases")]
    if let Some(copy) = nodes::copied(dir) {
        return read(copy.path(), name);
    }
    read(dir, name)
}

/// The mails that wait.
pub(crate) fn mails(dir: &Path) -> Vec<String> {
    let waiting = |dir: &Path| {
        let entries = fs::read_dir(dir.join("outbox")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        // One may just have been sent.
        mails
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    };
    #[cfg(feature = "databases")]
    if !mails_come_by_server(dir)
        && let Some(copy) = nodes::copied(dir)
    {
        return waiting(copy.path());
    }
    waiting(dir)
}

/// Changes what is kept in `users.json` or `sessions.json` as an operator with an editor would. Nobody
/// else may be changing anything meanwhile.
pub(crate) fn edit(dir: &Path, name: &str, edit: impl FnOnce(&mut Value)) {
    let edited = |dir: &Path| {
        let mut value: Value = serde_json::from_str(&read(dir, name)).unwrap();
        edit(&mut value);
        // Moved into place, as editors do: the server must never see half of it.
        fs::write(
            dir.join("edited"),
            serde_json::to_vec_pretty(&value).unwrap(),
        )
        .unwrap();
        fs::rename(dir.join("edited"), dir.join(name)).unwrap();
    };
    #[cfg(feature = "databases")]
    if let Some(copy) = nodes::copied(dir) {
        edited(copy.path());
        return nodes::replace(dir, copy.path());
    }
    edited(dir);
}

/// Whether what holds goes on to hold when each node has heard of what one has answered.
pub(crate) fn lasts(dir: &Path, mut holds: impl FnMut() -> bool) -> bool {
    #[cfg(feature = "databases")]
    if nodes::settle(dir) {
        // Of two that are asked in turn, each.
        return holds() && holds();
    }
    let _ = (dir, &mut holds);
    true
}

/// Waits until what has been answered, or done by a command, holds at every node.
pub(crate) fn settle(dir: &Path) {
    lasts(dir, || true);
}

/// Whether mails come to where they wait by way of a mail server, and so a little later.
pub(crate) fn mails_come_by_server(dir: &Path) -> bool {
    dir.join(SINK).exists()
}
