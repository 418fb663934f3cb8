//! Where connections come in: the port that this program has opened, or the sockets that it was
//! handed, which it may share with another process.
//!
//! None of them is ever shut down, only closed: what waits in a shared one is for the other process
//! to take.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_acceptconn;

use crate::front::StartError;

/// The first descriptor that whoever starts a program hands it, behind the standard streams
/// (sd_listen_fds(3)).
const FIRST: usize = 3;

/// The sockets that connections come in by.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    is_shared: bool,
}

/// Rung once, to have whoever waits for connections stop.
pub(super) struct Bell(OwnedFd);

impl Listeners {
    /// The port that this program has opened.
    pub fn own(socket: TcpListener) -> Self {
        Self {
            sockets: vec![socket],
            is_shared: false,
        }
    }

    /// Takes the sockets that this process was handed, `count` of them, and none if that is 0.
    /// Whatever it starts from now on gets neither them nor the variables that tell of them, so this
    /// must come before any thread could read the environment.
    ///
    /// # Errors
    ///
    /// If one of them is not a TCP socket that listens.
    pub fn handed(count: usize) -> Result<Option<Self>, StartError> {
        let mut handed = ListenFd::from_env();
        let take = |at: usize| {
            let taken = handed.take_tcp_listener(at).ok().flatten();
            let listening = taken.filter(|socket| socket_acceptconn(socket) == Ok(true));
            listening.ok_or_else(|| StartError {
                what: format!(
                    "serve on descriptor {}: it is no listening TCP socket",
                    FIRST + at
                ),
                hint: "hand it TCP sockets that listen, as ListenStream= with a port does in a \
                       systemd socket unit, and none besides"
                    .to_owned(),
            })
        };
        let sockets: Vec<TcpListener> = (0..count).map(take).collect::<Result<_, _>>()?;
        let listeners = Self {
            sockets,
            is_shared: true,
        };
        Ok((count > 0).then_some(listeners))
    }

    /// Where they listen, in order.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// Never blocks in accept: of two processes that are told of a connection, one gets it, and
    /// the other would wait for the next and not hear the bell.
    fn never_block(&self) -> io::Result<()> {
        self.sockets
            .iter()
            .try_for_each(|socket| socket.set_nonblocking(true))
    }

    /// The next connection; `None` once the bell has been rung. What `turn` counts up decides which
    /// socket is looked at first, so that none starves.
    pub(super) fn accept(
        &self,
        bell: &Bell,
        turn: &mut usize,
    ) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        loop {
            // The setting is that of a shared socket too, and may have been changed by others.
            if self.is_shared || *turn == 0 {
                self.never_block()?;
            }
            *turn = turn.wrapping_add(1).max(1);
            let from = *turn % self.sockets.len();
            let (before, after) = self.sockets.split_at(from);
            for socket in after.iter().chain(before) {
                match socket.accept() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    taken => return taken.map(Some),
                }
            }
            if self.wait(bell)? {
                return Ok(None);
            }
        }
    }

    /// Waits for a connection or the bell; true if it was the bell.
    fn wait(&self, bell: &Bell) -> io::Result<bool> {
        let mut waits = vec![PollFd::new(&bell.0, PollFlags::IN)];
        let sockets = self.sockets.iter();
        waits.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut waits, None) {
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(!waits[0].revents().is_empty()),
        }
    }
}

impl Bell {
    /// # Errors
    ///
    /// If the system has no descriptor to give.
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    pub(super) fn ring(&self) {
        // If this fails, it has no room for another ring, and so is ringing already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}
