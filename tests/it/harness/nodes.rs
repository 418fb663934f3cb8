//! The same tests once more, on a database: with `TESTED_ON=database` in the environment every server
//! that tests start has its accounts there.

use std::fs;

use crate::cluster::Cluster;
use crate::harness::Setup;
use crate::operator::run;

/// What has no store, or has told where it is.
const ELSEWHERE: [&str; 4] = ["--compat", "--store", "--store-file", "--users"];

/// Where the URL of a folder's database is noted.
const NOTED: &str = ".database";

/// The setup on a database of its folder's own, if the tests are run on one.
pub(super) fn moved(setup: &Setup) -> Option<Setup> {
    let is_wanted = std::env::var("TESTED_ON").is_ok_and(|on| on == "database");
    if !is_wanted || setup.tells(&ELSEWHERE) {
        return None;
    }
    let noted = setup.dir().join(NOTED);
    if !noted.exists() {
        let cluster = Cluster::shared();
        let url = cluster.url(&cluster.database(""));
        for command in [&["store", "key", "store.key"], &["store", "migrate", &url]] {
            let (status, _, err) = run(setup, command, b"");
            assert_eq!(status, 0, "{err}");
        }
        fs::write(&noted, &url).unwrap();
    }
    let url = fs::read_to_string(&noted).unwrap();
    Some(
        setup
            .clone()
            .with(&["--store", &url, "--store-key", "store.key"]),
    )
}
