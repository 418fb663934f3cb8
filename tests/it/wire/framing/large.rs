//! What is too large, and what just fits.

use std::fs;

use crate::harness::Server;
use crate::wire::framing::{assert_comes, assert_serves, both, table};

/// The most memory the server has ever had in use, in KiB.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_is_too_large_is_refused_before_it_takes_memory_and_what_just_fits_is_answered() {
    let classes = table::large();
    for server in both() {
        assert_serves(&server);
        let before = peak(&server);

        assert_comes(&server, &classes);

        let grown = peak(&server) - before;
        assert!(grown < 32 * 1024, "{grown} KiB more than before");
    }
}
