//! strace, attached to one thread of a running program or to all: it records system calls, and
//! makes chosen ones fail or deadly.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Server, wait_for};

/// The calls that reach a disk.
#[cfg(feature = "long")]
const DISK: &str = "trace=%file,%desc";

/// Among them, what only asks for memory.
const MEMORY: &str = "mmap";

/// What is done to a system call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It fails with this error and is not made.
    Error(&'static str),
    /// The program is killed on the way into it.
    Kill,
}

/// One fault: the n-th call of a kind, counted from when the tracer was attached.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) call: String,
    pub(crate) nth: usize,
    pub(crate) fault: Fault,
}

/// The threads that reach the disk once the program runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Thread {
    Store,
    Errands,
}

impl Thread {
    fn id(self, server: &Server) -> String {
        let name = match self {
            Self::Store => "store",
            Self::Errands => "errands",
        };
        // A thread has its name a moment after it has begun.
        wait_for(name, || {
            let found = named(name, server);
            (found.len() == 1).then(|| found[0].to_string())
        })
    }
}

/// The threads of this name.
fn named(name: &str, server: &Server) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    tasks
        .map(|task| task.unwrap())
        .filter(|task| {
            // A thread of the start may end meanwhile.
            let comm = fs::read_to_string(task.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim() == name)
        })
        .map(|task| task.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

/// An strace at work. Detached when dropped.
pub(crate) struct Tracer {
    child: Child,
    trace: PathBuf,
}

impl Tracer {
    /// Records what a thread asks of the disk.
    #[cfg(feature = "long")]
    pub(crate) fn record(server: &Server, thread: Thread) -> Self {
        Self::attach(server, &["-p", &thread.id(server), "-e", DISK])
    }

    /// Records these calls of all threads, in one order.
    pub(crate) fn record_all(server: &Server, calls: &str) -> Self {
        let trace = format!("trace={calls}");
        let pid = server.pid().to_string();
        Self::attach(server, &["-f", "-p", &pid, "-s", "64", "-e", &trace])
    }

    /// Makes one call of a thread fail.
    pub(crate) fn inject(server: &Server, thread: Thread, injection: &Injection) -> Self {
        let Injection { call, nth, fault } = injection;
        let trace = format!("trace={call}");
        let fault = match fault {
            Fault::Error(error) => format!("error={error}"),
            Fault::Kill => "signal=SIGKILL".to_owned(),
        };
        let inject = format!("inject={call}:{fault}:when={nth}");
        let id = thread.id(server);
        Self::attach(server, &["-p", &id, "-e", &trace, "-e", &inject])
    }

    /// Returns once it is attached.
    fn attach(server: &Server, options: &[&str]) -> Self {
        let trace = server.path("trace");
        let mut child = Command::new("strace")
            .args(["-y", "-o"])
            .arg(&trace)
            .args(options)
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need strace; install it");
        let mut said = String::new();
        let stderr = child.stderr.as_mut().unwrap();
        BufReader::new(stderr).read_line(&mut said).unwrap();
        assert!(
            said.contains("attached"),
            "{said}strace has to be allowed to attach: be root, or set kernel.yama.ptrace_scope=0"
        );
        Self { child, trace }
    }

    /// Lets the program go on by itself; what was recorded.
    pub(crate) fn detach(mut self) -> String {
        self.end();
        let trace = fs::read_to_string(&self.trace).unwrap();
        fs::remove_file(&self.trace).unwrap();
        trace
    }

    fn end(&mut self) {
        // One that has seen its program killed has ended by itself, and waits to be waited for.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

/// How often each kind of call was made.
pub(crate) fn kinds(trace: &str) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for line in trace.lines() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        if call != MEMORY
            && call
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *kinds.entry(call.to_owned()).or_default() += 1;
        }
    }
    kinds
}
