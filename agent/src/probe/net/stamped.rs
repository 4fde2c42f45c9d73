//! When did the first and the last byte of a request leave, and when did the first byte of its answer arrive?
//!
//! A [`Stamped`] stream sits between HTTP and TLS (or TCP), where bytes are those of the request and the answer and
//! nothing else. For HTTP/1 every byte counts. For HTTP/2 the connection carries settings and window updates too, so
//! [`Frames`] finds the frames that belong to the request and to the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::probe::trail::Trail;

/// What the bytes on a stream mean.
enum Framing {
    Plain,
    Http2 { out: Frames, into: Frames },
}

/// A stream that marks a [`Trail`].
pub(crate) struct Stamped<S> {
    inner: S,
    trail: Trail,
    framing: Framing,
    /// Bytes of the request were written since the last flush.
    dirty: bool,
    /// The request is complete once flushed.
    complete: bool,
}

impl<S> Stamped<S> {
    /// Every byte counts.
    pub(crate) const fn plain(inner: S, trail: Trail) -> Self {
        Self { inner, trail, framing: Framing::Plain, dirty: false, complete: true }
    }

    /// Frames of requests and responses count.
    pub(crate) const fn http2(inner: S, trail: Trail) -> Self {
        let framing = Framing::Http2 { out: Frames::from_client(), into: Frames::from_server() };
        Self { inner, trail, framing, dirty: false, complete: false }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        match &mut self.framing {
            Framing::Plain => self.dirty = true,
            Framing::Http2 { out, .. } => {
                let seen = out.feed(bytes);
                self.dirty |= seen.message;
                self.complete |= seen.end;
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let counts = match &mut self.framing {
            Framing::Plain => !bytes.is_empty(),
            Framing::Http2 { into, .. } => into.feed(bytes).message,
        };
        if counts {
            self.trail.received();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let at = self.trail.now();
        if matches!(self.framing, Framing::Plain) {
            self.trail.writing(at);
        }
        match ready!(Pin::new(&mut self.inner).poll_write(cx, buf)) {
            Ok(n) => {
                self.wrote(&buf[..n]);
                if self.dirty {
                    self.trail.writing(at);
                }
                Poll::Ready(Ok(n))
            }
            Err(error) => {
                self.trail.write_failed();
                Poll::Ready(Err(error))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = ready!(Pin::new(&mut self.inner).poll_flush(cx)) {
            self.trail.write_failed();
            return Poll::Ready(Err(error));
        }
        if self.dirty && self.complete {
            self.dirty = false;
            self.trail.sent();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
