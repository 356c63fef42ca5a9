//! The network seam in the shape that the HTTP server wants it, and what strangers may take of it.
//!
//! The server itself waits for a request for as long as it takes. Here a connection ends when too much
//! time goes by without a part of an answer, so that neither silence nor a request that comes byte by byte
//! keeps one of the places.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flumen_client::connection::{Listener, ReadHalf, Transport, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How long accepting pauses after an error, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// Connections at once: monitoring needs a few.
const CONNECTIONS_MAX: usize = 100;

/// The longest time between two answers, or parts of one: more than anybody leaves between two looks
/// at the metrics.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(150);

/// Accepts connections of the seam.
pub(super) struct Streams {
    listener: Box<dyn Listener>,
    places: Arc<Semaphore>,
}

impl Streams {
    pub(super) fn new(listener: Box<dyn Listener>) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl axum::serve::Listener for Streams {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(transport) => {
                    let peer = transport.2;
                    match Arc::clone(&self.places).try_acquire_owned() {
                        Ok(place) => return (Stream::new(transport, place), peer),
                        Err(_none_left) => tracing::debug!(%peer, "too many http connections"),
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "an http connection was not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Both halves of a connection.
pub(super) struct Stream {
    read: Box<dyn ReadHalf>,
    write: Box<dyn WriteHalf>,
    /// Ends when the connection does, if nothing is answered before.
    patience: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    fn new((read, write, _): Transport, place: OwnedSemaphorePermit) -> Self {
        Self { read, write, patience: Box::pin(sleep(ANSWER_TIME_MAX)), _place: place }
    }

    /// What happens next, unless the time is up.
    fn within_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        next: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => next(self, cx),
        }
    }

    fn written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.patience.set(sleep(ANSWER_TIME_MAX));
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.within_time(cx, |stream, cx| Pin::new(&mut *stream.read).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.within_time(cx, |stream, cx| {
            let written = Pin::new(&mut *stream.write).poll_write(cx, bytes);
            stream.written(written)
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.within_time(cx, |stream, cx| {
            let written = Pin::new(&mut *stream.write).poll_write_vectored(cx, slices);
            stream.written(written)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within_time(cx, |stream, cx| Pin::new(&mut *stream.write).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within_time(cx, |stream, cx| Pin::new(&mut *stream.write).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Says nothing, or byte after byte, and takes what it is sent.
    #[derive(Debug)]
    struct Stranger {
        speaks: bool,
    }

    impl AsyncRead for Stranger {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if !self.speaks {
                return Poll::Pending;
            }
            buffer.put_slice(b"G");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Stranger {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ReadHalf for Stranger {}
    impl WriteHalf for Stranger {}

    fn stream(speaks: bool) -> Stream {
        let (read, write) = (Box::new(Stranger { speaks }), Box::new(Stranger { speaks }));
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Stream::new((read, write, ([127, 0, 0, 1], 1).into()), place)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection() {
        let ended = stream(false).read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_never_ends_does_not_keep_a_connection() {
        let mut stream = stream(true);
        let mut bytes = 0;
        while stream.read_u8().await.is_ok() {
            bytes += 1;
            sleep(Duration::from_secs(1)).await;
        }
        assert!((100..200).contains(&bytes), "{bytes}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_used_now_and_then_stays() {
        let mut stream = stream(true);
        for _ in 0..20 {
            sleep(Duration::from_secs(120)).await;
            stream.read_u8().await.unwrap();
            stream.write_all(b"answer").await.unwrap();
        }
    }
}
