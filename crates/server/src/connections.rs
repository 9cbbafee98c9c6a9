//! How many may be connected to the server, and how long they may take to ask and to take the answer.
//!
//! Each connection is a file descriptor, of which the store, the database and the engine's processes need some too.
//! Whoever comes when all connections are taken is refused at once; those that say nothing, or take nothing of what
//! they asked for, are closed, so there is always room again soon. HTTP/2 is not spoken: a connection of it could stay without ever asking anything.

use axum_server::Server;
use axum_server::accept::Accept;
use hyper_util::rt::TokioTimer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Most connections, however many file descriptors there are: each takes memory as well.
const MOST: u64 = 4096;
/// Fewest connections, however few file descriptors there are.
const FEWEST: u64 = 16;
/// How long the server waits for who is connected.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many may be connected, and how long the server waits for them.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// Most at a time.
    pub most: usize,
    /// How long the headers of a request may take, a connection may be kept without one, and nothing of an answer may be
    /// taken.
    pub patience: Duration,
}

impl Connections {
    /// As many as half of the file descriptors that this process may have, after it has asked for all that it can get.
    pub fn of_this_process() -> Connections {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // Fails where the hard limit is more than the kernel gives any process; what there was stays then.
        let limit = setrlimit(Resource::Nofile, raised).map_or(limit, |()| raised);
        let most = limit.current.map_or(MOST, |files| (files / 2).clamp(FEWEST, MOST));
        Connections { most: usize::try_from(most).unwrap_or(usize::MAX), patience: PATIENCE }
    }

    /// A server that accepts through `acceptor` and keeps to this.
    pub(crate) fn keep<A, B>(
        self,
        server: Server<SocketAddr, A>,
        acceptor: B,
    ) -> Server<SocketAddr, Bounded<B>> {
        let room = Arc::new(Semaphore::new(self.most));
        let full = Arc::new(AtomicBool::new(false));
        let mut server =
            server.acceptor(Bounded { acceptor, patience: self.patience, room, full }).http1_only();
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(self.patience);
        server
    }
}

/// Accepts as long as there is room.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<A> {
    acceptor: A,
    patience: Duration,
    room: Arc<Semaphore>,
    /// The log has been told that there was no room.
    full: Arc<AtomicBool>,
}

impl<A, I, S> Accept<I, S> for Bounded<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Admitted<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            if !self.full.swap(true, Ordering::Relaxed) {
                tracing::warn!("as many are connected as may be; others are refused until some leave");
            }
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        };
        self.full.store(false, Ordering::Relaxed);
        let accepted = self.acceptor.accept(stream, service);
        let patience = self.patience;
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((Admitted { stream, patience, waiting: None, _place: place }, service))
        })
    }
}

/// A connection that takes its place until it ends.
#[derive(Debug)]
pub(crate) struct Admitted<S> {
    stream: S,
    patience: Duration,
    /// How long it may still take nothing, while it does not.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Admitted<S> {
    /// What came of writing, unless the client has taken nothing for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Admitted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Admitted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
