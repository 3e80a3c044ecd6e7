//! Connections: how many, for how long, and how they end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// The bounds of one listener. Each is against a client that costs us without asking anything: one
/// that opens many connections, that never finishes its handshake or its head, or that never leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at the same time; further ones wait in the system's queue.
    pub(crate) connections: u32,
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
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            life: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
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
    let (stop, stopping) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let (router, stopping) = (router.clone(), stopping.clone());
                let tls = tls.clone();
                // The handshake is part of the connection: a slow one keeps nobody from being accepted.
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, router, bounds, stopping).await,
                        Some(tls) => answer_encrypted(stream, tls, router, bounds, stopping).await,
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
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // The slot comes first: connections that we cannot serve stay in the system's queue, where they
    // cost no descriptor, instead of being accepted and dropped.
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// Agrees on encryption in the time for that, then answers.
async fn answer_encrypted(
    stream: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    bounds: Bounds,
    mut stopping: watch::Receiver<()>,
) {
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(bounds.handshake, tls.accept(stream)) => handshake,
        _ = stopping.changed() => return,
    };
    match handshake {
        Ok(Ok(stream)) => answer(stream, router, bounds, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client did not agree on encryption"),
        Err(_) => tracing::debug!("a client did not finish its handshake"),
    }
}

/// Answers one client until it leaves, its time is over or we stop.
async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    bounds: Bounds,
    mut stopping: watch::Receiver<()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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
