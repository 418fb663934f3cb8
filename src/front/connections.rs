//! The open connections: their caps, which of them makes room when all places are taken, and how
//! they all end.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::front::crowd::Crowd;
use crate::network::Network;

/// The table of open connections, bounded by the caps.
pub struct Connections {
    table: Mutex<Table>,
    /// Notified when a connection has ended.
    ended: Condvar,
    most: usize,
}

struct Table {
    next: u64,
    open: HashMap<u64, Arc<Entry>>,
    /// Connections by the network they come from.
    direct: Crowd,
    /// Requests under way by the network of the visitor that a trusted proxy brings.
    brought: Crowd,
    stopping: bool,
}

struct Entry {
    stream: Arc<TcpStream>,
    /// `None` for a trusted proxy, which speaks for many.
    network: Option<Network>,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Shut down from outside its thread.
    Closed,
    /// Before the first request: TLS is being spoken.
    Greeting(Instant),
    /// Since then, nothing of the first request has come.
    New(Instant),
    /// Since then, nothing of the next request has come.
    Idle(Instant),
    /// Since then, a request is coming in, or its answer going out, at the visitor's pace.
    Waiting(Instant),
    Working,
}

impl State {
    /// Since when it is the visitor's turn.
    fn waits_since(self) -> Option<Instant> {
        match self {
            Self::Greeting(since) | Self::New(since) | Self::Idle(since) | Self::Waiting(since) => {
                Some(since)
            }
            Self::Closed | Self::Working => None,
        }
    }

    /// Since when there has been no request.
    fn idle_since(self) -> Option<Instant> {
        match self {
            Self::New(since) | Self::Idle(since) => Some(since),
            _ => None,
        }
    }
}

/// The place of one connection; given back when dropped.
pub struct Seat {
    connections: Arc<Connections>,
    id: u64,
    entry: Arc<Entry>,
}

/// The place of a request that a trusted proxy brought; given back when dropped.
pub struct Visit {
    connections: Arc<Connections>,
    network: Network,
}

impl Connections {
    /// At most `most` in all, and `most_per_network` from one network.
    pub fn new(most: usize, most_per_network: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table {
                next: 0,
                open: HashMap::new(),
                direct: Crowd::new(most_per_network),
                brought: Crowd::new(most_per_network),
                stopping: false,
            }),
            ended: Condvar::new(),
            most,
        })
    }

    /// A place for a connection, for which another one may have to close. `None` if the server is
    /// stopping; if its network has as many as it may and none is idle; or if all places are taken
    /// and every connection waits for us, not for its visitor.
    pub fn admit(
        self: &Arc<Self>,
        stream: Arc<TcpStream>,
        peer: IpAddr,
        trusted: bool,
    ) -> Option<Seat> {
        let network = (!trusted).then(|| Network::of(peer));
        let mut table = self.lock();
        if table.stopping {
            return None;
        }
        if let Some(full) = network.and_then(|network| table.direct.full(network)) {
            let among = |entry: &Entry| entry.network.is_some_and(|network| full.has(network));
            if !table.close_longest(among, State::idle_since) {
                return None;
            }
        }
        if table.open.len() >= self.most && !table.close_longest(|_| true, State::waits_since) {
            return None;
        }
        let entry = Arc::new(Entry {
            stream,
            network,
            state: Mutex::new(State::Greeting(Instant::now())),
            closed: Condvar::new(),
        });
        let id = table.add(Arc::clone(&entry));
        Some(Seat {
            connections: Arc::clone(self),
            id,
            entry,
        })
    }

    /// A place for a request of a visitor whom a trusted proxy brings. `None` if their network has
    /// as many requests under way as it could have connections here.
    pub fn bring(self: &Arc<Self>, visitor: IpAddr) -> Option<Visit> {
        let network = Network::of(visitor);
        let mut table = self.lock();
        if table.brought.full(network).is_some() {
            return None;
        }
        table.brought.add(network);
        Some(Visit {
            connections: Arc::clone(self),
            network,
        })
    }

    /// Closes the connection that has waited longest for its visitor, which frees a descriptor and
    /// a thread when those have run out.
    pub fn close_longest_waiting(&self) {
        self.lock().close_longest(|_| true, State::waits_since);
    }

    /// Admits nobody from now on, and closes every connection that has had an answer and has no
    /// request under way. Whoever has been let in gets one answer.
    pub fn stop(&self) {
        let mut table = self.lock();
        table.stopping = true;
        table.close_unless(|state| !matches!(state, State::Idle(_) | State::Closed));
    }

    /// Closes every connection without a request under way.
    pub fn close_new(&self) {
        let spared = |state| matches!(state, State::Waiting(_) | State::Working);
        self.lock().close_unless(spared);
    }

    /// Whether [`Connections::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits until nobody is connected, but no longer than `patience`; false if somebody still is.
    pub fn wait_until_empty(&self, patience: Duration) -> bool {
        let (table, _) = self
            .ended
            .wait_timeout_while(self.lock(), patience, |table| !table.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        table.open.is_empty()
    }

    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Nothing that can panic happens under this lock between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn close_unless(&mut self, spared: impl Fn(State) -> bool) {
        let closed = |entry: &Arc<Entry>| entry.close_unless(&spared);
        let open = self.open.iter();
        let closed: Vec<u64> = open
            .filter(|(_, entry)| closed(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in closed {
            self.remove(id);
        }
    }

    fn add(&mut self, entry: Arc<Entry>) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Some(network) = entry.network {
            self.direct.add(network);
        }
        self.open.insert(id, entry);
        id
    }

    fn remove(&mut self, id: u64) {
        if let Some(network) = self.open.remove(&id).and_then(|entry| entry.network) {
            self.direct.remove(network);
        }
    }

    /// Closes the connection that has been in a state for the longest time; `since` says since
    /// when. False if none is in that state.
    fn close_longest(
        &mut self,
        among: impl Fn(&Entry) -> bool,
        since: fn(State) -> Option<Instant>,
    ) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(_, entry)| among(entry))
            .filter_map(|(id, entry)| since(*entry.state()).map(|since| (since, *id)))
            .min();
        let Some((_, id)) = longest else {
            return false;
        };
        // Since the look it may have become our turn; then the newcomer has to go.
        let closed = self
            .open
            .get(&id)
            .is_some_and(|entry| entry.close_unless(|state| since(state).is_none()));
        if closed {
            self.remove(id);
        }
        closed
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a single value: a panic cannot leave half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_unless(&self, spared: impl Fn(State) -> bool) -> bool {
        let mut state = self.state();
        if spared(*state) {
            return false;
        }
        *state = State::Closed;
        self.closed.notify_all();
        // Wakes its thread. If this fails, the connection is already broken, and its thread needs
        // no waking.
        let _ = self.stream.shutdown(Shutdown::Both);
        true
    }

    /// Notes that nothing of the next request has come; gives whether that is the first. `None` if
    /// the connection was closed.
    fn rest(&self) -> Option<bool> {
        let (mut state, now) = (self.state(), Instant::now());
        let is_first = matches!(*state, State::Greeting(_) | State::New(_));
        match *state {
            State::Closed => return None,
            _ if is_first => *state = State::New(now),
            _ => *state = State::Idle(now),
        }
        Some(is_first)
    }

    fn change(&self, to: State) -> bool {
        let mut state = self.state();
        if *state == State::Closed {
            return false;
        }
        *state = to;
        true
    }
}

impl Seat {
    /// Notes that the connection waits for its next request. False if it was closed to make room,
    /// or the server is stopping and this is not the first request.
    pub fn rest(&self) -> bool {
        let Some(is_first) = self.entry.rest() else {
            return false;
        };
        // The state is set before `is_stopping` is asked: a connection that went idle after `stop`
        // had looked would be waited for.
        is_first || !self.connections.is_stopping()
    }

    /// Notes that a request is coming in, or an answer going out. False if the connection was
    /// closed to make room.
    pub fn wait(&self) -> bool {
        self.entry.change(State::Waiting(Instant::now()))
    }

    /// Notes that a request is being answered. False if the connection was closed to make room.
    pub fn work(&self) -> bool {
        self.entry.change(State::Working)
    }

    /// Holds the connection back for a while, or until it is closed to make room.
    pub fn hold(&self, time: Duration) {
        if self.wait() {
            let state = self.entry.state();
            let open = |state: &mut State| *state != State::Closed;
            drop(self.entry.closed.wait_timeout_while(state, time, open));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.ended.notify_all();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.connections.lock().brought.remove(self.network);
    }
}

#[cfg(test)]
mod tests;
