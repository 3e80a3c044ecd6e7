//! A real listener with a real client: answers, bounds, and the end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Listening {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _rig: Rig,
}

async fn listen(bounds: Bounds) -> Listening {
    let rig = local();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(&rig.board), false);
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(connections::serve(listener, None, router, bounds, shutdown));
    Listening { address, stop, ended, _rig: rig }
}

/// Reads until `end` has come; the whole text where the connection ends before.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut piece = [0; 1024];
    while !text.contains(end) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&piece[..length])),
        }
    }
    text
}

#[tokio::test]
async fn a_listener_answers_until_it_is_told_to_stop() {
    let rig = local();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let serving = tokio::spawn(serve(listener, None, Arc::clone(&rig.board), shutdown));
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(ASK).await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\nok\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    stop.send(()).unwrap();
    // The connection is idle: it ends at once, not after its grace.
    assert_eq!(read_until(&mut stream, "never").await, "");
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn further_connections_wait_for_a_slot() {
    let bounds = Bounds { connections: 1, ..Bounds::default() };
    let listening = listen(bounds).await;
    let mut first = TcpStream::connect(listening.address).await.unwrap();
    first.write_all(ASK).await.unwrap();
    assert!(read_until(&mut first, "ok\n").await.ends_with("ok\n"));
    let mut second = TcpStream::connect(listening.address).await.unwrap();
    second.write_all(ASK).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), second.readable()).await;
    assert!(early.is_err(), "answered beyond the bound");
    drop(first);
    assert!(read_until(&mut second, "ok\n").await.ends_with("ok\n"));
}

/// Four hundred clients that sent a byte now and then kept the probes of an orchestrator waiting until they gave up,
/// and it ended a service that was well.
#[tokio::test]
async fn clients_that_never_finish_asking_keep_nobody_waiting() {
    let long = Duration::from_secs(3600);
    let bounds = Bounds { connections: 8, head: long, life: long, ..Bounds::default() };
    let listening = listen(bounds).await;
    let mut page = TcpStream::connect(listening.address).await.unwrap();
    page.write_all(ASK).await.unwrap();
    assert!(read_until(&mut page, "ok\n").await.ends_with("ok\n"));
    let mut trickling = Vec::new();
    for _ in 0..50 {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(listening.address).await.unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: loc").await.unwrap();
            trickling.push(stream);
        }
        let mut probe = TcpStream::connect(listening.address).await.unwrap();
        probe.write_all(ASK).await.unwrap();
        assert!(read_until(&mut probe, "ok\n").await.ends_with("ok\n"));
    }
    // Who has asked once is not sent away for them.
    page.write_all(ASK).await.unwrap();
    assert!(read_until(&mut page, "ok\n").await.ends_with("ok\n"));
}

/// Clients that send a byte now and then held every slot for ever.
#[tokio::test]
async fn a_client_that_never_finishes_asking_is_dropped() {
    let short = Duration::from_millis(50);
    for bounds in [
        Bounds { head: short, ..Bounds::default() },
        Bounds { life: short, grace: short, ..Bounds::default() },
    ] {
        let listening = listen(bounds).await;
        let mut stream = TcpStream::connect(listening.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: loc").await.unwrap();
        let told = read_until(&mut stream, "never").await;
        assert!(!told.contains("200 OK"), "{told}");
        listening.stop.send(()).unwrap();
        listening.ended.await.unwrap();
    }
}

/// One address took every place with requests that it had made, for minutes.
#[tokio::test]
async fn one_address_leaves_places_to_others() {
    let bounds = Bounds { connections: 8, of_one_peer: 6, ..Bounds::default() };
    let listening = listen(bounds).await;
    let ask = async |from: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(listening.address).await.unwrap();
        stream.write_all(ASK).await.unwrap();
        let answer = read_until(&mut stream, "ok\n").await;
        answer.ends_with("ok\n").then_some(stream)
    };
    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.push(ask("127.0.0.1").await.expect("it is answered"));
    }
    assert!(ask("127.0.0.1").await.is_none(), "it has all that it may have");
    let other = ask("127.0.0.2").await;
    assert!(other.is_some(), "and another one finds a place");
    drop(taken.pop());
    // Its end is noticed by a task of its own.
    while ask("127.0.0.1").await.is_none() {}
}

/// Whoever may write sent a byte of a body now and then for as long as an answer may take.
#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = axum::extract::Request::new(axum::body::Body::from_stream(never));
    let refused = crate::server::router::whole(request, Duration::from_millis(20)).await;
    let answer = axum::response::IntoResponse::into_response(refused.unwrap_err());
    assert_eq!(answer.status(), axum::http::StatusCode::REQUEST_TIMEOUT);
}
