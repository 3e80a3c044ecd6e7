//! Connections: how many, for how long, and how they end.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::access::Peer;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// The bounds of one listener. Each is against a client that costs us without asking anything: one
/// that opens many connections, that never finishes its handshake or its head, or that never leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at the same time. For a further one the oldest leaves that has not asked anything yet; where
    /// all have, it waits in the system's queue.
    pub(crate) connections: u32,
    /// Of these, how many one address may have, so that others always find some. For a further one its own oldest
    /// leaves that has not asked anything yet; where all have, the further one does.
    pub(crate) of_one_peer: u32,
    /// How long a client may take to agree on encryption.
    pub(crate) handshake: Duration,
    /// How long a client may take for a request's head, and stay without asking.
    pub(crate) head: Duration,
    /// How long a connection lives: then it ends after the answer in progress.
    pub(crate) life: Duration,
    /// How long an answer in progress may go on once its connection is to end.
    pub(crate) grace: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 256,
            of_one_peer: 192,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            life: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

/// A connection, as far as others are concerned that want its place.
#[derive(Debug)]
struct Guest {
    peer: IpAddr,
    /// Whether it has sent a whole head.
    has_asked: AtomicBool,
    leave: Notify,
}

/// Who has come, the longest ago first. It holds those that live and not many more.
#[derive(Debug, Default)]
struct Guests(Mutex<VecDeque<Weak<Guest>>>);

impl Guests {
    /// Takes in another one; `None` where its address has all the places that it may have.
    fn welcome(&self, peer: IpAddr, bounds: Bounds) -> Option<Arc<Guest>> {
        let guest =
            Arc::new(Guest { peer, has_asked: AtomicBool::new(false), leave: Notify::new() });
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|guest| guest.strong_count() > 0);
        let of_peer = |guest: &Weak<Guest>| guest.upgrade().is_some_and(|it| it.peer == peer);
        let has = guests.iter().filter(|guest| of_peer(guest)).count();
        if has >= bounds.of_one_peer as usize && !leave_first(&mut guests, Some(peer)) {
            return None;
        }
        guests.push_back(Arc::downgrade(&guest));
        Some(guest)
    }

    /// Asks the one to leave that has come first of those that have not asked anything.
    fn make_room(&self) {
        leave_first(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), None);
    }
}

/// Whether somebody leaves: the first who has not asked anything, of one address or of all.
fn leave_first(guests: &mut VecDeque<Weak<Guest>>, peer: Option<IpAddr>) -> bool {
    let waits = |guest: &Guest| {
        peer.is_none_or(|peer| guest.peer == peer) && !guest.has_asked.load(Ordering::Relaxed)
    };
    let first = guests.iter().position(|guest| guest.upgrade().is_some_and(|guest| waits(&guest)));
    let first = first.and_then(|at| guests.remove(at)).and_then(|guest| guest.upgrade());
    first.inspect(|guest| guest.leave.notify_one()).is_some()
}

/// Answers until `shutdown`, then lets the answers in progress end. With `tls` nothing is answered in
/// the clear.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    bounds: Bounds,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections as usize));
    let guests = Guests::default();
    let (stop, stopping) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots, &guests) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                let Some(guest) = guests.welcome(peer, bounds) else {
                    tracing::debug!(%peer, "an address has all the connections that it may have");
                    continue;
                };
                let (router, stopping) = (router.clone(), stopping.clone());
                let tls = tls.clone();
                // The handshake is part of the connection: a slow one keeps nobody from being accepted.
                tokio::spawn(async move {
                    let asked = Arc::clone(&guest);
                    let answered = async {
                        let host = Host { router, guest: asked, bounds, stopping };
                        match tls {
                            None => host.answer(stream).await,
                            Some(tls) => host.answer_encrypted(stream, tls).await,
                        }
                    };
                    tokio::select! {
                        () = answered => {}
                        () = guest.leave.notified() => {}
                    }
                    drop(slot);
                });
            }
            // The system is out of descriptors or the like: that passes, or other parts say so.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    drop(stop);
    // All slots are free once all connections have ended: they have seen `stop` go, and their own
    // grace is no longer than ours.
    let _ = tokio::time::timeout(bounds.grace, slots.acquire_many(bounds.connections)).await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    guests: &Guests,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    // One at the door costs a descriptor; those behind it stay in the system's queue, where they cost none.
    if slots.available_permits() == 0 {
        guests.make_room();
    }
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    Ok((stream, peer.ip().to_canonical(), slot))
}

/// What one connection is answered with.
struct Host {
    router: Router,
    guest: Arc<Guest>,
    bounds: Bounds,
    stopping: watch::Receiver<()>,
}

impl Host {
    /// Agrees on encryption in the time for that, then answers.
    async fn answer_encrypted(mut self, stream: TcpStream, tls: TlsAcceptor) {
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(self.bounds.handshake, tls.accept(stream)) => handshake,
            _ = self.stopping.changed() => return,
        };
        match handshake {
            Ok(Ok(stream)) => self.answer(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a client did not agree on encryption"),
            Err(_) => tracing::debug!("a client did not finish its handshake"),
        }
    }

    /// Answers one client until it leaves, its time is over or we stop.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Host { router, guest, bounds, mut stopping } = self;
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<_>| {
            guest.has_asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Peer(guest.peer));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            // However it ended: a client that broke off has had what it wanted of us.
            _ = connection.as_mut() => return,
            // A page that listens for changes asks again in good order before this (LISTEN in events).
            () = tokio::time::sleep(bounds.life) => {}
            _ = stopping.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(bounds.grace, connection).await;
    }
}
