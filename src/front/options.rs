//! The numbers that the front works with: what operators can set, what the system has room for, and
//! how long everything may take.

use std::time::Duration;

use ipnet::IpNet;

use crate::front::Room;

/// What operators can set, and what tests change.
pub struct Options {
    /// Where plain HTTP on the TLS port is sent: scheme, host and port, no path.
    pub public_url: String,
    pub trusted_proxies: Vec<IpNet>,
    /// The most connections, and the servers that their requests go through.
    pub room: Room,
    /// The most connections from one address or one IPv6 /64; a /48 may have three times as many.
    /// For a trusted proxy, the requests under way of each visitor are counted instead.
    pub connections_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// From the first byte of a request until the end of its head.
    pub head: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// Until the client has taken the answer.
    pub answer: Duration,
    /// Until the next request begins, or the first one.
    pub idle: Duration,
    /// How long a client that still sends may take to read a refusal.
    pub linger: Duration,
    /// How long connections without a request yet may take to begin one when the front is stopped:
    /// who was let in gets an answer, and who only keeps a connection ready holds up no restart.
    pub first: Duration,
    /// How long requests under way may take to finish when the front is stopped. Supervisors wait
    /// ten seconds before they kill, and the last of these is for what must still be saved.
    pub grace: Duration,
}

impl Options {
    /// What the program runs with: only tests choose the other values.
    pub fn new(public_url: String, trusted_proxies: Vec<IpNet>, room: Room) -> Self {
        Self {
            public_url,
            trusted_proxies,
            room,
            connections_per_address: 100,
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            linger: Duration::from_secs(1),
            first: Duration::from_secs(3),
            grace: Duration::from_secs(9),
        }
    }
}
