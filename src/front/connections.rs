//! Who is connected: the caps, the longest idle connection that makes room, and the end of all.

use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::origin::Origin;

/// The open connections. Bounded by its caps.
pub struct Connections {
    table: Mutex<Table>,
    /// Told when a connection has ended.
    ended: Condvar,
    most: usize,
    most_per_network: usize,
}

struct Table {
    next: u64,
    open: HashMap<u64, Arc<Entry>>,
    per_network: HashMap<Origin, usize>,
    stopping: bool,
}

struct Entry {
    stream: Arc<TcpStream>,
    /// None for a trusted proxy, which speaks for many.
    network: Option<Origin>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Shut down from outside.
    Closed,
    /// Before the first request: TLS is being spoken.
    Greeting,
    /// Nothing of the next request has come since then.
    Idle(Instant),
    Working,
}

/// One connection's place; given back when dropped.
pub struct Seat {
    connections: Arc<Connections>,
    id: u64,
    entry: Arc<Entry>,
}

impl Connections {
    pub fn new(most: usize, most_per_network: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table {
                next: 0,
                open: HashMap::new(),
                per_network: HashMap::new(),
                stopping: false,
            }),
            ended: Condvar::new(),
            most,
            most_per_network,
        })
    }

    /// A place for a connection; none if all are taken by clients that are not idle, or the server
    /// is stopping.
    pub fn admit(
        self: &Arc<Self>,
        stream: Arc<TcpStream>,
        peer: IpAddr,
        trusted: bool,
    ) -> Option<Seat> {
        let network = (!trusted).then(|| Origin::of(peer));
        let mut table = self.lock();
        if table.stopping {
            return None;
        }
        if let Some(network) = network
            && table.per_network.get(&network).copied().unwrap_or(0) >= self.most_per_network
            && !table.close_longest_idle(|entry| entry.network == Some(network))
        {
            return None;
        }
        if table.open.len() >= self.most && !table.close_longest_idle(|_| true) {
            return None;
        }
        let entry = Arc::new(Entry {
            stream,
            network,
            state: Mutex::new(State::Greeting),
        });
        let id = table.add(Arc::clone(&entry));
        Some(Seat {
            connections: Arc::clone(self),
            id,
            entry,
        })
    }

    /// Frees a descriptor and a thread where they have run out.
    pub fn close_longest_idle(&self) {
        self.lock().close_longest_idle(|_| true);
    }

    /// Admits nobody any more and closes whoever has no request under way.
    pub fn stop(&self) {
        let mut table = self.lock();
        table.stopping = true;
        let entries: Vec<(u64, Arc<Entry>)> = table
            .open
            .iter()
            .map(|(id, entry)| (*id, Arc::clone(entry)))
            .collect();
        for (id, entry) in entries {
            if entry.close_unless(|state| state == State::Working) {
                table.remove(id);
            }
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Waits until nobody is connected. False if somebody still is after `patience`.
    pub fn wait_until_empty(&self, patience: Duration) -> bool {
        let (table, _) = self
            .ended
            .wait_timeout_while(self.lock(), patience, |table| !table.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        table.open.is_empty()
    }

    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Nothing that can panic happens under this lock between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, entry: Arc<Entry>) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Some(network) = entry.network {
            *self.per_network.entry(network).or_default() += 1;
        }
        self.open.insert(id, entry);
        id
    }

    fn remove(&mut self, id: u64) {
        let Some(network) = self.open.remove(&id).map(|entry| entry.network) else {
            return;
        };
        if let Some(network) = network
            && let Some(count) = self.per_network.get_mut(&network)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_network.remove(&network);
            }
        }
    }

    /// False if none was idle.
    fn close_longest_idle(&mut self, among: impl Fn(&Entry) -> bool) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(_, entry)| among(entry))
            .filter_map(|(id, entry)| entry.idle_since().map(|since| (since, *id)))
            .min();
        let Some((_, id)) = longest else {
            return false;
        };
        // Between the look and now its next request may have come; then the newcomer has to go.
        let closed = self
            .open
            .get(&id)
            .is_some_and(|entry| entry.close_unless(|state| !matches!(state, State::Idle(_))));
        if closed {
            self.remove(id);
        }
        closed
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state is one word: a panic cannot leave half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle_since(&self) -> Option<Instant> {
        match *self.state() {
            State::Idle(since) => Some(since),
            _ => None,
        }
    }

    fn close_unless(&self, spared: impl Fn(State) -> bool) -> bool {
        let mut state = self.state();
        if spared(*state) {
            return false;
        }
        *state = State::Closed;
        // Wakes its thread; a connection that is already broken needs no waking.
        let _ = self.stream.shutdown(Shutdown::Both);
        true
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
    /// The connection waits for its next request. False if it was closed to make room.
    pub fn rest(&self) -> bool {
        // Asked first: a connection that rests after `stop` looked would be waited for.
        self.entry.change(State::Idle(Instant::now())) && !self.connections.is_stopping()
    }

    /// A request is coming in. False if the connection was closed to make room.
    pub fn work(&self) -> bool {
        self.entry.change(State::Working)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
        self.connections.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    struct Peers(TcpListener);

    impl Peers {
        fn new() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").unwrap())
        }

        fn connect(&self) -> (TcpStream, Arc<TcpStream>) {
            let client = TcpStream::connect(self.0.local_addr().unwrap()).unwrap();
            (client, Arc::new(self.0.accept().unwrap().0))
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn when_full_the_longest_idle_makes_room() {
        let peers = Peers::new();
        let connections = Connections::new(2, 2);
        let (mut first, stream) = peers.connect();
        let older = connections.admit(stream, ip("192.0.2.1"), false).unwrap();
        let newer = connections
            .admit(peers.connect().1, ip("192.0.2.2"), false)
            .unwrap();
        assert!(older.rest());
        assert!(newer.rest());

        let third = connections.admit(peers.connect().1, ip("192.0.2.3"), false);

        assert!(third.is_some());
        assert_eq!(first.read(&mut [0]).ok(), Some(0));
        assert!(!older.work());
        assert!(newer.work());
        drop(older);
        assert_eq!(connections.count(), 2);
    }

    #[test]
    fn when_full_of_work_the_newcomer_goes() {
        let peers = Peers::new();
        let connections = Connections::new(1, 1);
        let seat = connections
            .admit(peers.connect().1, ip("192.0.2.1"), false)
            .unwrap();
        assert!(seat.work());
        assert!(
            connections
                .admit(peers.connect().1, ip("192.0.2.2"), false)
                .is_none()
        );
        drop(seat);
        assert!(
            connections
                .admit(peers.connect().1, ip("192.0.2.2"), false)
                .is_some()
        );
    }

    #[test]
    fn one_address_gets_its_share_and_a_trusted_proxy_more() {
        let peers = Peers::new();
        let connections = Connections::new(10, 2);
        let admit =
            |address: &str, trusted| connections.admit(peers.connect().1, ip(address), trusted);
        let seats = [admit("2001:db8::1", false), admit("2001:db8::2", false)];
        assert!(seats.iter().all(Option::is_some));
        assert!(admit("2001:db8::3", false).is_none());
        assert!(admit("2001:db8:0:1::1", false).is_some());
        let proxied: Vec<_> = (0..4).map(|_| admit("10.0.0.1", true)).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop(seats);
        assert!(admit("2001:db8::3", false).is_some());
    }

    #[test]
    fn stopping_spares_only_requests_under_way() {
        let peers = Peers::new();
        let connections = Connections::new(10, 10);
        let admit = || connections.admit(peers.connect().1, ip("192.0.2.1"), false);
        let (idle, working, greeting) = (admit().unwrap(), admit().unwrap(), admit().unwrap());
        assert!(idle.rest());
        assert!(working.work());

        connections.stop();

        assert!(!idle.work());
        assert!(!greeting.rest());
        assert!(admit().is_none());
        assert!(!connections.wait_until_empty(Duration::ZERO));
        assert!(!working.rest());
        drop(working);
        assert!(connections.wait_until_empty(Duration::ZERO));
    }
}
