//! Writes lines to standard output or standard error, whether or not somebody reads them.
//!
//! A thread of its own writes them. What it cannot write is lost and counted; nobody else ever
//! waits longer than a moment, whatever is at the other end: a pipe that nobody empties, a full
//! disk, a terminal that hung up.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most bytes that wait to be written: more than a thousand lines, ten seconds at the worst
/// rate.
const MOST_WAITING: usize = 256 * 1024;

/// How long a caller waits for its line, so that an event is in the log by the time its answer
/// arrives. A line is written within microseconds unless something is wrong.
const MOMENT: Duration = Duration::from_millis(100);

/// The pause between two tries to say how many lines were lost, and the short one between two tries
/// to write where that would block.
const PAUSE: Duration = Duration::from_secs(1);
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// In bytes. The thread only calls `write` and keeps little.
const STACK: usize = 128 * 1024;

/// Where lines go. Clones write to the same place; the thread ends with the last of them.
#[derive(Clone)]
pub struct Lines {
    shared: Arc<Shared>,
    /// Only counted: the thread ends when all are gone.
    _held: Arc<Held>,
}

struct Held(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    wake: Condvar,
    /// For everybody else: a line is written or lost.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many lines were ever taken, and how many of those are written or lost.
    taken: u64,
    finished: u64,
    lost: u64,
    /// The thread has kept somebody waiting, and has not caught up since.
    stuck: bool,
    closed: bool,
}

/// Makes the line that says how many were lost.
pub type Notice = Box<dyn Fn(u64) -> Vec<u8> + Send>;

impl Lines {
    /// Starts a thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn start(out: impl AsFd + Send + 'static, notice: Option<Notice>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            out,
            notice,
            torn: false,
        };
        thread::Builder::new()
            .name("lines".to_owned())
            .stack_size(STACK)
            .spawn(move || writer.run())?;
        Ok(Self {
            _held: Arc::new(Held(Arc::clone(&shared))),
            shared,
        })
    }

    /// Has a line written, which includes its line break. Waits for that, but only a moment, and
    /// not at all once somebody has waited in vain.
    pub fn put(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.bytes.saturating_add(line.len()) > MOST_WAITING {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.waiting.push_back(line.to_vec());
        state.taken += 1;
        let mine = state.taken;
        self.shared.wake.notify_one();
        if state.stuck {
            return;
        }
        let (mut state, _) = self
            .shared
            .done
            .wait_timeout_while(state, MOMENT, |state| state.finished < mine && !state.stuck)
            .unwrap_or_else(PoisonError::into_inner);
        state.stuck |= state.finished < mine;
    }

    /// Waits until all lines are written or lost, but no longer than `patience`.
    pub fn flush(&self, patience: Duration) {
        let state = self.shared.lock();
        let last = state.taken;
        drop(
            self.shared
                .done
                .wait_timeout_while(state, patience, |state| state.finished < last),
        );
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    /// All that happens under this lock is moving lines and counting: a panic leaves nothing half
    /// done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer<Out> {
    shared: Arc<Shared>,
    out: Out,
    notice: Option<Notice>,
    /// Whether the last line was written only in part.
    torn: bool,
}

impl<Out: AsFd> Writer<Out> {
    fn run(&mut self) {
        loop {
            let mut state = self.shared.lock();
            if let Some(line) = state.waiting.pop_front() {
                drop(state);
                let written = self.write(&line).is_ok();
                self.finish(line.len(), written);
                if written {
                    self.tell_lost();
                }
            } else if state.closed {
                return;
            } else {
                // Lost lines are reported even if no other line follows.
                let patience = if state.lost > 0 { PAUSE } else { Duration::MAX };
                let waited = self.shared.wait(state, patience);
                if waited == Waited::InVain {
                    self.tell_lost();
                }
            }
        }
    }

    fn finish(&self, length: usize, written: bool) {
        let mut state = self.shared.lock();
        state.bytes = state.bytes.saturating_sub(length);
        state.finished += 1;
        state.lost += u64::from(!written);
        state.stuck &= !state.waiting.is_empty();
        drop(state);
        self.shared.done.notify_all();
    }

    fn tell_lost(&mut self) {
        let Some(notice) = &self.notice else { return };
        let lost = self.shared.lock().lost;
        if lost == 0 {
            return;
        }
        let line = notice(lost);
        if self.write(&line).is_ok() {
            self.shared.lock().lost -= lost;
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_all(b"\n")?;
        }
        self.torn = false;
        self.write_all(line)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.out, bytes).map_err(io::Error::from) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    self.torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another program that shares this file has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(SHORT_PAUSE),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[derive(PartialEq)]
enum Waited {
    InVain,
    ForSomething,
}

impl Shared {
    fn wait(&self, state: MutexGuard<'_, State>, patience: Duration) -> Waited {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        if patience == Duration::MAX {
            // A line is refused for lack of room only while others wait, so `lost` cannot grow
            // unseen here.
            drop(self.wake.wait_while(state, idle));
            return Waited::ForSomething;
        }
        let (state, waited) = self
            .wake
            .wait_timeout_while(state, patience, idle)
            .unwrap_or_else(PoisonError::into_inner);
        drop(state);
        match waited.timed_out() {
            true => Waited::InVain,
            false => Waited::ForSomething,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader, Read as _, pipe};

    use super::*;

    fn notice() -> Option<Notice> {
        Some(Box::new(|lost| format!("lost {lost}\n").into_bytes()))
    }

    #[test]
    fn a_reader_who_does_not_read_costs_lines_and_nobodys_time() {
        let (reader, writer) = pipe().unwrap();
        let lines = Lines::start(writer, notice()).unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();

        // Ten times what pipe and memory hold; waiting for each line would take minutes.
        for _ in 0..3_000 {
            lines.put(&line);
        }

        assert!(lines.shared.lock().bytes <= MOST_WAITING);
        let mut reader = BufReader::new(reader);
        let (mut kept, mut lost) = (0, 0);
        while kept + lost < 3_000 {
            let mut read = String::new();
            reader.read_line(&mut read).unwrap();
            match read.strip_prefix("lost ") {
                Some(count) => lost += count.trim().parse::<u64>().unwrap(),
                None => kept += 1,
            }
        }
        assert!(lost > 2_000 && kept > 200, "{kept} kept, {lost} lost");
    }

    #[test]
    fn what_a_full_disk_took_is_counted_and_said_when_there_is_room() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, writer) = pipe().unwrap();
        let shared = Arc::new(Shared::default());
        shared.lock().waiting = (0..3).map(|_| b"a line\n".to_vec()).collect();
        let mut on_full = Writer {
            shared: Arc::clone(&shared),
            out: full,
            notice: notice(),
            torn: false,
        };
        while let Some(line) = { shared.lock().waiting.pop_front() } {
            let written = on_full.write(&line).is_ok();
            on_full.finish(line.len(), written);
            on_full.tell_lost();
        }
        assert_eq!(shared.lock().lost, 3);

        let mut again = Writer {
            shared,
            out: writer,
            notice: notice(),
            torn: false,
        };
        again.tell_lost();
        again.tell_lost();
        drop(again);
        let mut said = String::new();
        BufReader::new(reader).read_to_string(&mut said).unwrap();
        assert_eq!(said, "lost 3\n");
    }

    #[test]
    fn the_thread_ends_with_the_last_who_could_write() {
        let (mut reader, writer) = pipe().unwrap();
        let lines = Lines::start(writer, None).unwrap();
        let other = lines.clone();
        lines.put(b"one\n");
        drop(lines);
        other.put(b"two\n");
        drop(other);

        // The thread's end of the pipe is closed with it.
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "one\ntwo\n");
    }

    #[test]
    fn a_reader_who_has_gone_costs_nothing_but_lines() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let lines = Lines::start(writer, notice()).unwrap();
        for _ in 0..10_000 {
            lines.put(b"a line\n");
        }
        lines.flush(Duration::from_secs(20));
        let state = lines.shared.lock();
        assert_eq!((state.lost, state.waiting.len()), (10_000, 0));
    }
}
