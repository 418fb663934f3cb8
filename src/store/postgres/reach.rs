//! The way to a host, up to the first byte: names, sockets and when a silent one counts as dead.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::store::postgres::url::{Guard, Host};

/// How long sent bytes may stay without an answer of the other kernel, in milliseconds. Calls have
/// shorter limits; this is for connections at rest.
const UNANSWERED: u32 = 3_000;

/// When a connection at rest is tried, how often, and how many tries have to fail.
const REST: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// Bytes to and from a server.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// A way to a server.
pub(super) struct Reached(pub(super) Box<dyn Bytes>);

/// Connects to one of the addresses of the host. Without a guard it does not leave this machine,
/// wherever the name leads.
pub(super) async fn reach(host: &Host, guard: Guard) -> io::Result<Reached> {
    let (name, port) = match host {
        Host::Socket(folder, port) => {
            let stream = UnixStream::connect(Host::socket(folder, *port)).await?;
            return Ok(Reached(Box::new(stream)));
        }
        Host::Tcp(name, port) => (name.as_str(), *port),
    };
    let stays = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let mut refused = io::Error::other("the name has no address on this machine");
    for address in lookup_host((name, port)).await? {
        if guard == Guard::Nothing && !stays(&address) {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                keep_alive(&stream)?;
                return Ok(Reached(Box::new(stream)));
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, REST)?;
    sockopt::set_tcp_keepintvl(stream, AGAIN)?;
    sockopt::set_tcp_keepcnt(stream, TRIES)?;
    Ok(sockopt::set_tcp_user_timeout(stream, UNANSWERED)?)
}
