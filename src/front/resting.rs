//! Connections at rest. One thread watches all of them, so that an idle one costs only its own
//! state: the stack of a thread, and what the allocator keeps for it, are more than all the rest.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::front::threads::Threads;
use crate::front::timer::Timer;

/// How many connections one call wakes.
const BATCH: usize = 64;
/// Stands for the bell among the connections.
const BELL: u64 = u64::MAX;

/// What a connection does when it is woken. Dropping this closes the connection.
type Wake = Box<dyn FnOnce() + Send>;

/// The connections at rest, each until something comes or its time is over.
pub struct Resting {
    watched: OwnedFd,
    /// Rung when there is something that the watching thread does not know of yet.
    bell: OwnedFd,
    table: Mutex<Table>,
    threads: Arc<Threads>,
    timer: Timer,
}

#[derive(Default)]
struct Table {
    next: u64,
    by_id: BTreeMap<u64, Sleeper>,
    /// When the thread will look by itself; `None` if only when something comes.
    looks_at: Option<Instant>,
    stopped: bool,
}

struct Sleeper {
    stream: Arc<TcpStream>,
    until: Instant,
    wake: Wake,
}

impl Resting {
    /// Starts the thread that watches.
    ///
    /// # Errors
    ///
    /// If the system has no thread or no descriptors to give.
    pub fn start(threads: Arc<Threads>, timer: Timer) -> io::Result<Arc<Self>> {
        let watched = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&watched, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let resting = Arc::new(Self {
            watched,
            bell,
            table: Mutex::default(),
            threads,
            timer,
        });
        let watching = Arc::clone(&resting);
        thread::Builder::new()
            .name("resting".to_owned())
            .spawn(move || watching.watch())?;
        Ok(resting)
    }

    /// Lets a connection rest until its client sends something or closes it, until it is shut down,
    /// or until `until` at the latest; then `wake` goes on with it in a thread.
    ///
    /// # Errors
    ///
    /// If the system cannot watch the connection; then it is closed. After [`Resting::stop`] it is
    /// closed too.
    pub fn keep(
        &self,
        stream: Arc<TcpStream>,
        until: Instant,
        wake: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut table = self.lock();
        if table.stopped {
            return Ok(());
        }
        let id = table.next;
        // Anything that has come in the meantime is reported at once.
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        epoll::add(&self.watched, &stream, EventData::new_u64(id), flags)?;
        table.next += 1;
        let wake = Box::new(wake);
        table.by_id.insert(
            id,
            Sleeper {
                stream,
                until,
                wake,
            },
        );
        let is_first = table.looks_at.is_none_or(|at| until < at);
        if is_first {
            table.looks_at = Some(until);
            self.ring();
        }
        Ok(())
    }

    /// Ends the thread and closes the connections at rest.
    pub fn stop(&self) {
        let mut table = self.lock();
        table.stopped = true;
        let resting = std::mem::take(&mut table.by_id);
        drop(table);
        drop(resting);
        self.ring();
    }

    fn watch(&self) {
        loop {
            for id in self.wait() {
                self.wake(id);
            }
            let Some(over) = self.over(self.timer.now()) else {
                return;
            };
            for id in over {
                self.wake(id);
            }
        }
    }

    /// Waits until something comes or a connection's time is over; gives the connections for which
    /// something came.
    fn wait(&self) -> Vec<u64> {
        let looks_at = self.lock().looks_at;
        let left = looks_at.map(|at| at.saturating_duration_since(self.timer.now()));
        // Rounded up, or the thread would look again and again within the last millisecond.
        let left = left.map(|left| left + Duration::from_millis(1));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut events = [MaybeUninit::<Event>::uninit(); BATCH];
        match epoll::wait(&self.watched, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events.iter().map(|event| event.data.u64()).collect(),
            Err(Errno::INTR) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "cannot watch the connections that rest");
                thread::sleep(Duration::from_secs(1));
                Vec::new()
            }
        }
    }

    /// The connections whose time is over; `None` once all is stopped. Notes when to look next.
    fn over(&self, now: Instant) -> Option<Vec<u64>> {
        let mut table = self.lock();
        if table.stopped {
            return None;
        }
        if table.looks_at.is_some_and(|at| at > now) {
            return Some(Vec::new());
        }
        let over = table.by_id.iter().filter(|(_, one)| one.until <= now);
        let over = over.map(|(id, _)| *id).collect();
        let later = table.by_id.values().map(|one| one.until);
        table.looks_at = later.filter(|until| *until > now).min();
        Some(over)
    }

    fn wake(&self, id: u64) {
        if id == BELL {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
            return;
        }
        let Some(sleeper) = self.lock().by_id.remove(&id) else {
            return;
        };
        // Its descriptor stays open while it is in use, so it would still be watched.
        if let Err(error) = epoll::delete(&self.watched, &sleeper.stream) {
            tracing::debug!(%error, "cannot let go of a connection that rested");
        }
        if let Err(error) = self.threads.run(sleeper.wake) {
            // If threads have run out, the accept loop says so and makes room.
            tracing::debug!(%error, "no thread for a connection that rested");
        }
    }

    /// How many connections rest.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Has the thread look what has come and whose time is over.
    pub fn ring(&self) {
        // If this fails, the bell has no room for another ring, and so is ringing already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Nothing that can panic happens under this lock between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener};
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    struct Room {
        resting: Arc<Resting>,
        listener: TcpListener,
    }

    /// A client, and the server's end of its connection, which is at rest.
    struct One {
        client: TcpStream,
        stream: Arc<TcpStream>,
        woken: Receiver<()>,
    }

    impl Room {
        fn new() -> Self {
            Self {
                resting: Resting::start(Arc::default(), Timer::default()).unwrap(),
                listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            }
        }

        fn rests_for(&self, time: Duration) -> One {
            let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            let stream = Arc::new(self.listener.accept().unwrap().0);
            let woken = self.rests(&stream, time);
            One {
                client,
                stream,
                woken,
            }
        }

        fn rests(&self, stream: &Arc<TcpStream>, time: Duration) -> Receiver<()> {
            let (tell, woken) = mpsc::channel();
            let wake = move || {
                let _ = tell.send(());
            };
            let until = Instant::now() + time;
            self.resting.keep(Arc::clone(stream), until, wake).unwrap();
            woken
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            self.resting.stop();
        }
    }

    #[test]
    fn one_is_woken_by_what_its_client_sends_and_no_other_is() {
        let room = Room::new();
        let [other, one] = [room.rests_for(LONG), room.rests_for(LONG)];
        (&one.client).write_all(b"G").unwrap();
        one.woken.recv().unwrap();
        assert!(other.woken.try_recv().is_err());
    }

    #[test]
    fn one_is_woken_by_its_clients_end_and_by_ours() {
        let room = Room::new();
        let one = room.rests_for(LONG);
        one.client.shutdown(Shutdown::Write).unwrap();
        one.woken.recv().unwrap();
        let one = room.rests_for(LONG);
        one.stream.shutdown(Shutdown::Both).unwrap();
        one.woken.recv().unwrap();
    }

    #[test]
    fn each_is_woken_when_its_time_is_over_in_whatever_order_they_came() {
        let room = Room::new();
        let others = [room.rests_for(LONG), room.rests_for(LONG)];
        let soon = [30, 10, 20].map(|time| room.rests_for(Duration::from_millis(time)));
        for one in &soon {
            one.woken.recv().unwrap();
        }
        assert!(others.iter().all(|other| other.woken.try_recv().is_err()));
    }

    #[test]
    fn one_that_was_woken_may_rest_again_and_is_woken_by_what_has_come_meanwhile() {
        let room = Room::new();
        let mut one = room.rests_for(LONG);
        (&one.client).write_all(b"G").unwrap();
        for _ in 0..3 {
            one.woken.recv().unwrap();
            one.woken = room.rests(&one.stream, LONG);
        }
    }

    #[test]
    fn the_end_closes_what_rests_and_what_comes_later() {
        let room = Room::new();
        let one = room.rests_for(LONG);
        room.resting.stop();
        assert!(one.woken.recv().is_err());
        let late = room.rests_for(LONG);
        assert!(late.woken.recv().is_err());
        // The watching thread holds a share.
        while Arc::strong_count(&room.resting) > 1 {
            thread::yield_now();
        }
    }
}
