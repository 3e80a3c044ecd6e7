//! The listener: which path leads where and who may take it, how connections are bounded and encrypted.

pub(crate) mod connections;
pub(crate) mod router;
mod tls;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use crate::board::Board;
use connections::Bounds;

pub use router::router;
pub use tls::{Tls, TlsError};

/// Answers on `listener` until `shutdown` ends, and a few seconds longer for answers in progress.
/// With `tls` only encrypted connections are answered.
///
/// # Errors
/// The listener cannot be used. A taken port is met earlier, by whoever binds it.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    board: Arc<Board>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let beyond_loopback = !listener.local_addr()?.ip().to_canonical().is_loopback();
    let router = router(Arc::clone(&board), beyond_loopback);
    let shutdown = async move {
        shutdown.await;
        // Pages that listen would hold up the end for as long as they stay.
        board.end_events();
    };
    let acceptor = tls.as_ref().map(|tls| tls.acceptor.clone());
    let serving = connections::serve(listener, acceptor, router, Bounds::default(), shutdown);
    let Some(tls) = tls else {
        serving.await;
        return Ok(());
    };
    tokio::select! {
        () = serving => {}
        () = tls.keep_fresh() => {}
    }
    Ok(())
}
