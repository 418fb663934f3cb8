use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc;

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
    let admit = |address: &str, trusted| connections.admit(peers.connect().1, ip(address), trusted);
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
fn stopping_spares_requests_under_way_and_who_has_had_no_answer() {
    let peers = Peers::new();
    let connections = Connections::new(10, 10);
    let admit = || connections.admit(peers.connect().1, ip("192.0.2.1"), false);
    let [used, working, new, greeting] = [(); 4].map(|()| admit().unwrap());
    assert!(used.work() && used.rest());
    assert!(working.work());
    assert!(new.rest());

    connections.stop();

    assert!(!used.work());
    assert!(greeting.rest());
    assert!(admit().is_none());
    assert!(new.work());
    assert!(!new.rest());
    drop(new);

    connections.close_new();

    assert!(!greeting.work());
    assert!(!connections.wait_until_empty(Duration::ZERO));
    assert!(!working.rest());
    drop(working);
    assert!(connections.wait_until_empty(Duration::ZERO));
}

#[test]
fn when_full_the_one_that_is_slowest_makes_room_and_a_request_worked_on_never() {
    let peers = Peers::new();
    let connections = Connections::new(3, 3);
    let admit = |address: &str| {
        let (client, stream) = peers.connect();
        let seat = connections.admit(stream, ip(address), false);
        (client, seat)
    };
    let (_first, working) = admit("192.0.2.1");
    let (mut second, held) = admit("192.0.2.2");
    let (mut third, sending) = admit("192.0.2.3");
    let (working, held, sending) = (working.unwrap(), held.unwrap(), sending.unwrap());
    assert!(working.work());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        held.hold(Duration::from_secs(600));
        tell.send(held.wait())
    });
    while !connections
        .lock()
        .open
        .values()
        .any(|entry| matches!(*entry.state(), State::Waiting(_)))
    {
        std::thread::yield_now();
    }
    assert!(sending.wait());

    let (_fourth, newcomer) = admit("192.0.2.4");
    let newcomer = newcomer.unwrap();

    // It does not go on sleeping.
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(false));
    assert_eq!(second.read(&mut [0]).ok(), Some(0));
    assert!(newcomer.work());
    assert!(admit("192.0.2.5").1.is_some());
    assert_eq!(third.read(&mut [0]).ok(), Some(0));
    assert!(!sending.work());
    assert!(working.wait() && newcomer.wait());
}

#[test]
fn a_48_gets_three_times_the_share_of_a_network() {
    let peers = Peers::new();
    let connections = Connections::new(100, 2);
    let admit = |address: String| connections.admit(peers.connect().1, ip(&address), false);
    let seats: Vec<Seat> = (0..20)
        .filter_map(|network| admit(format!("2001:db8:1:{network:x}::1")))
        .collect();
    assert_eq!(seats.len(), 6);
    assert!(admit("2001:db8:2::1".to_owned()).is_some());
    // An idle connection of this network makes room for another one.
    assert!(seats[3].rest());
    assert!(admit("2001:db8:1:ffff::1".to_owned()).is_some());
    assert!(!seats[3].work());
}

#[test]
fn visitors_are_counted_behind_a_trusted_proxy_and_given_back() {
    let connections = Connections::new(10, 2);
    let bring = |address: &str| connections.bring(ip(address));
    let visits = [bring("192.0.2.1"), bring("::ffff:192.0.2.1")];
    assert!(visits.iter().all(Option::is_some));
    assert!(bring("192.0.2.1").is_none());
    let others = [
        bring("192.0.2.2"),
        bring("2001:db8::1"),
        bring("2001:db8::2"),
    ];
    assert!(others.iter().all(Option::is_some));
    assert!(bring("2001:db8::3").is_none());
    drop(visits);
    assert!(bring("192.0.2.1").is_some());
}
