//! The process's address space, where it is limited (`ulimit -v`, RLIMIT_AS).
//!
//! If a new thread finds no room for its signal stack, the standard library aborts the process. So
//! no thread is started once room gets short, before it runs out. Large allocations need the same
//! room, and abort the process too if they fail.
//!
//! The program executes itself again to set two variables, and there is no better way: the
//! allocator's `mallopt` and `set_var` are `unsafe`, another allocator would be a large dependency
//! for everybody, and a setting in a systemd unit would help only those who have one.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

/// Bytes that threads leave to everything else: a save, a certificate, requests of full size.
const KEPT_FREE: u64 = 16 << 20;

/// The C library's allocator keeps up to eight heaps for each core, of 64 MiB of address space
/// each, and uses a few percent of that. One heap is enough, since it grows as needed.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// tiny_http's threads do not ask for a stack size, and would get 2 MiB each.
const SMALL_STACKS: (&str, &str) = ("RUST_MIN_STACK", "262144");

/// The limit on this process's address space in bytes, if there is one.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Bytes of address space that are left; `None` if there is no limit, 0 if the use cannot be found
/// out.
pub fn left() -> Option<u64> {
    let limit = limit()?;
    let used = used().unwrap_or(u64::MAX);
    Some(limit.saturating_sub(used))
}

/// Checks that a thread with `stack` bytes of stack can be started with room to spare. This costs a
/// system call, and a few more where there is a limit.
///
/// # Errors
///
/// `OutOfMemory` if it cannot.
pub fn allow_thread(stack: usize) -> io::Result<()> {
    allow(stack)
}

/// Checks that so many bytes can be had with room to spare, at the same cost.
///
/// # Errors
///
/// `OutOfMemory` if they cannot.
pub fn allow(bytes: usize) -> io::Result<()> {
    let needed = KEPT_FREE.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    match left() {
        Some(left) if left < needed => Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the address space is nearly used up",
        )),
        _ => Ok(()),
    }
}

/// Where the address space is limited, executes this program again, in the same process, with an
/// allocator and threads that reserve little of it: both take this setting from the environment,
/// and only when they start. Returns if that is not needed or not possible.
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
    // If this fails, the program goes on as it is, with room for fewer connections.
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
