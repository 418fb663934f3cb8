//! What a server takes of the machine, with all processes that it is made of, from /proc.

use std::collections::HashMap;
use std::fs;

/// Ticks a second of the times in /proc, on every architecture Rust's standard library has.
const TICKS: f64 = 100.0;

/// Milliseconds of processor time since it began, its own and the kernel's on its behalf.
pub(crate) fn cpu(root: u32) -> f64 {
    let ticks: u64 = tree(root).iter().filter_map(|pid| ticks(*pid)).sum();
    ticks as f64 * 1000.0 / TICKS
}

/// Resident memory in MiB. What several processes share counts for each of them.
pub(crate) fn resident(root: u32) -> f64 {
    let kib: f64 = tree(root).iter().filter_map(|pid| kib(*pid)).sum();
    kib / 1024.0
}

/// A process, its children, theirs, and so on.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        // Whatever is not a process, or no longer one, has no parent.
        if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, parent(pid)?))) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(pid) = found.get(looked_at) {
        let more = children.remove(pid).unwrap_or_default();
        found.extend(more);
        looked_at += 1;
    }
    found
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Threads that have ended count too.
fn ticks(pid: u32) -> Option<u64> {
    let stat = stat(pid)?;
    let ticks = |place: usize| stat.get(place)?.parse::<u64>().ok();
    Some(ticks(11)? + ticks(12)?)
}

/// The fields of `stat` from the state on: before it stands a name that may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn kib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
