//! The address space, for where it is limited (`ulimit -v`, RLIMIT_AS).
//!
//! A thread that finds no room for its own signal stack ends the process: the standard library
//! knows no way out. So threads are not started when room gets short, rather than when there is
//! none. The same room is what larger allocations live on, which end the process as well if they
//! fail.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

/// Room that threads leave to everything else: a save, a certificate, requests of full size.
const KEPT_FREE: u64 = 16 << 20;

/// The C library's allocator keeps up to eight heaps for each core, of 64 MiB of address space
/// each, though it uses a few percent of that. Its first one grows as needed.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// The threads of tiny_http ask for no size of stack, and would get 2 MiB each.
const SMALL_STACKS: (&str, &str) = ("RUST_MIN_STACK", "262144");

/// The limit on this process's address space in bytes, if there is one.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Bytes of address space that are left, if they are limited. What cannot be found out counts as
/// none left.
pub fn left() -> Option<u64> {
    let limit = limit()?;
    let used = used().unwrap_or(u64::MAX);
    Some(limit.saturating_sub(used))
}

/// Whether a thread with this much stack can be started with room to spare.
///
/// # Errors
///
/// Says that it cannot. Asking costs a system call, and a few more where there is a limit.
pub fn allow_thread(stack: usize) -> io::Result<()> {
    let needed = KEPT_FREE.saturating_add(u64::try_from(stack).unwrap_or(u64::MAX));
    match left() {
        Some(left) if left < needed => Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the address space is nearly used up",
        )),
        _ => Ok(()),
    }
}

/// Where the address space is limited, starts this program anew, in the same process, with an
/// allocator and threads that reserve little of it. Both can be told by their environment only, and
/// only before they start. Returns if there is no need, or no way.
pub fn reserve_less(arguments: impl IntoIterator<Item = OsString>) {
    let told = env::var_os(ONE_HEAP.0).is_some();
    if told || limit().is_none() {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = arguments.into_iter();
    let mut again = Command::new(&program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // If this fails we go on as we are: with fewer connections than there could be.
    let _ = again.args(arguments).envs([ONE_HEAP, SMALL_STACKS]).exec();
}

fn used() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_found_out() {
        assert!(used().is_some_and(|used| used > 1 << 20));
    }
}
