//! A TCP connection that gives up at a point in time, however many bytes trickle in before then.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::front::timer::Timer;

/// What a conversation reads and writes: the connection itself, or TLS on top of it.
pub trait Wire: Read + Write {
    /// The connection underneath.
    fn socket(&mut self) -> &mut Socket;

    /// Tells the client that nothing more will come. Failures are ignored: the connection closes
    /// anyway.
    fn say_goodbye(&mut self);
}

/// Blocking reads and writes that end in `TimedOut` at the deadline.
pub struct Socket {
    /// Shared with the table of connections, which shuts down idle ones.
    stream: Arc<TcpStream>,
    deadline: Instant,
    timer: Timer,
    /// What the kernel was last told; `None` if nothing yet, so it would wait forever.
    receive_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
}

impl Socket {
    /// The first deadline is now: the caller sets a deadline for each phase.
    pub fn new(stream: Arc<TcpStream>, timer: Timer) -> Self {
        Self {
            stream,
            deadline: timer.now(),
            timer,
            receive_timeout: None,
            send_timeout: None,
        }
    }

    /// The connection itself, for others to watch and shut down.
    pub fn stream(&self) -> Arc<TcpStream> {
        Arc::clone(&self.stream)
    }

    /// Sets the deadline of all reads and writes from now on.
    pub fn until(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The first byte, which can still be read afterwards; `None` if the client has closed.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let count = self.receive(|stream| stream.peek(&mut first))?;
        Ok((count > 0).then_some(first[0]))
    }

    /// Closes the sending half and drops what the client still sends, until `most` bytes or the
    /// deadline. Closing with unread bytes would send a reset, which can overtake the answer.
    pub fn linger(&mut self, most: usize) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut dropped = 0;
        let mut bytes = [0; 4096];
        while dropped < most {
            match self.read(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(count) => dropped += count,
            }
        }
    }

    fn left(&self) -> io::Result<Duration> {
        self.deadline
            .checked_duration_since(self.timer.now())
            // Zero would mean no timeout at all.
            .filter(|left| *left >= Duration::from_millis(1))
            .ok_or_else(|| ErrorKind::TimedOut.into())
    }

    fn receive(
        &mut self,
        mut read: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if is_too_long(self.receive_timeout, left) {
                self.stream.set_read_timeout(Some(left))?;
                self.receive_timeout = Some(left);
            }
            match read(&self.stream) {
                // The timeout was shorter than the time left; the next wait takes all of that.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.receive_timeout = None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn send(
        &mut self,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = self.left()?;
            if is_too_long(self.send_timeout, left) {
                self.stream.set_write_timeout(Some(left))?;
                self.send_timeout = Some(left);
            }
            match write(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.send_timeout = None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Whether the kernel's timeout would overshoot noticeably. An eighth too much is accepted, and a
/// timeout that is too short only wakes us early, so the usual request costs no system call for
/// this.
fn is_too_long(timeout: Option<Duration>, left: Duration) -> bool {
    timeout.is_none_or(|timeout| timeout > left + left / 8 + Duration::from_millis(5))
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.receive(|mut stream| stream.read(bytes))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(|mut stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(|mut stream| stream.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Socket {
    fn socket(&mut self) -> &mut Self {
        self
    }

    /// Closing the connection says goodbye.
    fn say_goodbye(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::front::tests::Passed;

    fn pair() -> (TcpStream, Socket) {
        timed_pair(Timer::default())
    }

    fn timed_pair(timer: Timer) -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        (client, Socket::new(Arc::new(server), timer))
    }

    #[test]
    fn a_trickle_does_not_renew_the_deadline() {
        let passed = Passed::default();
        let (mut client, mut socket) = timed_pair(passed.timer());
        socket.until(Instant::now() + Duration::from_secs(100));

        let outcomes = [40, 40, 40].map(|seconds| {
            client.write_all(b"x").unwrap();
            passed.pass(Duration::from_secs(seconds));
            socket.read(&mut [0]).map_err(|error| error.kind())
        });

        assert_eq!(outcomes, [Ok(1), Ok(1), Err(ErrorKind::TimedOut)]);
    }

    #[test]
    fn a_short_kernel_timeout_does_not_end_a_long_phase() {
        let (mut client, mut socket) = pair();
        let now = Instant::now();
        socket.until(now + Duration::from_millis(20));
        let early = socket.read(&mut [0]).err().map(|error| error.kind());
        assert_eq!(early, Some(ErrorKind::TimedOut));

        socket.until(now + Duration::from_secs(60));
        // The kernel still has the short timeout from above; only its own time can show that it
        // ends before the byte comes.
        let late = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(60));
            client.write_all(b"y").unwrap();
            client
        });
        let mut byte = [0];

        assert_eq!(socket.read(&mut byte).ok(), Some(1));
        assert_eq!(byte, *b"y");
        late.join().unwrap();
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let (client, mut socket) = pair();
        socket.until(Instant::now() + Duration::from_millis(100));
        let outcome = socket.write_all(&vec![0; 64 << 20]);
        assert_eq!(outcome.err().map(|e| e.kind()), Some(ErrorKind::TimedOut));
        drop(client);
    }
}
