//! The bytes of a connection, watched until the server has said how the user is to prove itself.
//!
//! The client library would send a password in clear to whoever asks for it. Here the question is
//! seen before the library sees it, and refused where somebody could listen.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The type of the message, its length and the way of proving it ("Message Formats" in the
/// documentation of PostgreSQL).
const QUESTION: usize = 9;

/// What asks for the password in clear, and for its MD5.
const IN_CLEAR: u32 = 3;
const BY_MD5: u32 = 5;

/// A stream that is watched at its beginning.
pub(super) struct Watched<S> {
    inner: S,
    begin: Vec<u8>,
    /// Whether nobody can listen in.
    is_private: bool,
    asks_md5: Arc<AtomicBool>,
}

impl<S> Watched<S> {
    /// `asks_md5` becomes true if the server asks for an MD5.
    pub(super) fn new(inner: S, is_private: bool, asks_md5: &Arc<AtomicBool>) -> Self {
        Self {
            inner,
            begin: Vec::new(),
            is_private,
            asks_md5: Arc::clone(asks_md5),
        }
    }

    fn watch(&mut self, read: &[u8]) -> io::Result<()> {
        let missing = QUESTION - self.begin.len();
        self.begin.extend(read.iter().take(missing));
        let [b'R', _, _, _, _, way @ ..] = self.begin.as_slice() else {
            return Ok(());
        };
        match <[u8; 4]>::try_from(way).map(u32::from_be_bytes) {
            Ok(IN_CLEAR) if !self.is_private => Err(io::Error::other(
                "the server asks for the password in clear, which goes over TLS only",
            )),
            Ok(BY_MD5) => {
                self.asks_md5.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if self.begin.len() < QUESTION && matches!(polled, Poll::Ready(Ok(()))) {
            let read = buffer.filled().get(before..).unwrap_or_default().to_vec();
            self.watch(&read)?;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a server's first bytes, which come in pieces, and whether an MD5 was seen.
    fn watch(pieces: &[&[u8]], is_private: bool) -> (bool, bool) {
        let asks_md5 = Arc::new(AtomicBool::new(false));
        let mut watched = Watched::new((), is_private, &asks_md5);
        let passed = pieces.iter().all(|piece| watched.watch(piece).is_ok());
        (passed, asks_md5.load(Ordering::Relaxed))
    }

    #[test]
    fn a_password_in_clear_is_not_asked_for_where_somebody_could_listen() {
        let asks = b"R\0\0\0\x08\0\0\0\x03";

        assert_eq!(watch(&[asks], false), (false, false));
        assert_eq!(
            watch(&[b"R\0\0\0", b"\x08\0\0\0", b"\x03"], false),
            (false, false)
        );
        assert_eq!(watch(&[asks], true), (true, false));
    }

    #[test]
    fn md5_is_noticed_and_everything_else_goes_through() {
        assert_eq!(watch(&[b"R\0\0\0\x0c\0\0\0\x05salt"], false), (true, true));
        assert_eq!(
            watch(&[b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256"], false),
            (true, false)
        );
        assert_eq!(watch(&[b"E\0\0\0\x08\0\0\0\x03"], false), (true, false));
    }
}
