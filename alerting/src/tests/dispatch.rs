//! The dispatcher: receipts, bounds, and that a slow receiver delays only itself.

use std::time::Duration;

use super::deliver_http::{PATIENCE, hook, row, settings};
use super::servers::{Answer, HttpServer};
use crate::deliver::{Deliverer, DeliverySettings, Outcome};
use crate::dispatch::{Dispatcher, QUEUE_ROWS, Receipt, SubmitError};

fn answer(line: &str) -> Answer {
    Answer::Send(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))
}

async fn next(receipts: &mut tokio::sync::mpsc::Receiver<Receipt>) -> Receipt {
    tokio::time::timeout(PATIENCE, receipts.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_slow_receiver_delays_only_itself() {
    let slow = HttpServer::start(vec![Answer::Hang]).await;
    let quick = HttpServer::start(vec![answer("200 OK")]).await;
    let receivers = [hook("slow", &slow.url), hook("quick", &quick.url)];
    // Whoever waited for the slow one would lose the patience of this test.
    let patient = DeliverySettings { webhook_timeout: Duration::from_secs(3600), ..settings() };
    let deliverer = Deliverer::new(&receivers, &patient).unwrap();
    let (dispatcher, mut receipts) = Dispatcher::start(deliverer);
    dispatcher.submit(row("1", "slow"), 0).unwrap();
    dispatcher.submit(row("2", "slow"), 0).unwrap();
    for id in 0..20 {
        dispatcher.submit(row(&id.to_string(), "quick"), 0).unwrap();
    }
    for id in 0..20 {
        let receipt = next(&mut receipts).await;
        assert_eq!((receipt.receiver.as_str(), receipt.row_id), ("quick", id.to_string()));
        assert_eq!((receipt.outcome, receipt.next_at_us), (Outcome::Delivered, None));
    }
    for id in ["1", "2"] {
        let again = dispatcher.submit(row(id, "slow"), 0);
        assert_eq!(again, Err(SubmitError::OnItsWay(id.to_owned())));
    }
    dispatcher.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_receipt_says_when_to_try_again_and_when_to_give_up() {
    let server = HttpServer::start(vec![answer("500 Oops")]).await;
    let deliverer = Deliverer::new(&[hook("hook", &server.url)], &settings()).unwrap();
    let (dispatcher, mut receipts) = Dispatcher::start(deliverer);

    dispatcher.submit(row("1", "hook"), 0).unwrap();
    let first = next(&mut receipts).await;
    assert_eq!(first.attempt, 1);
    let wait_us = first.next_at_us.unwrap() - first.at_us;
    assert!((5_000_000..=5_500_000).contains(&wait_us), "{wait_us}");

    dispatcher.submit(row("1", "hook"), 9).unwrap();
    let last = next(&mut receipts).await;
    assert_eq!((last.attempt, last.next_at_us), (10, None));
    assert!(matches!(last.outcome, Outcome::Failed { .. }));
    // The id is the receiver's key against doubles: it never changes.
    let ids: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.header("webhook-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["1", "1"]);
}

#[tokio::test]
async fn after_410_nothing_more_is_sent() {
    let server = HttpServer::start(vec![answer("410 Gone"), answer("200 OK")]).await;
    let deliverer = Deliverer::new(&[hook("hook", &server.url)], &settings()).unwrap();
    let (dispatcher, mut receipts) = Dispatcher::start(deliverer);
    for id in ["1", "2"] {
        dispatcher.submit(row(id, "hook"), 0).unwrap();
        assert!(matches!(next(&mut receipts).await.outcome, Outcome::Disabled { .. }));
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_queue_is_bounded_and_takes_no_row_twice() {
    let server = HttpServer::start(vec![Answer::Hang]).await;
    let patient = DeliverySettings { webhook_timeout: Duration::from_secs(3600), ..settings() };
    let deliverer = Deliverer::new(&[hook("hook", &server.url)], &patient).unwrap();
    let (dispatcher, _receipts) = Dispatcher::start(deliverer);
    dispatcher.submit(row("0", "hook"), 0).unwrap();
    let again = dispatcher.submit(row("0", "hook"), 0);
    assert_eq!(again, Err(SubmitError::OnItsWay(String::from("0"))));
    let refused = (1..=QUEUE_ROWS + 1)
        .filter_map(|id| dispatcher.submit(row(&id.to_string(), "hook"), 0).err())
        .next();
    assert_eq!(refused, Some(SubmitError::Full(String::from("hook"))));
    let nobody = dispatcher.submit(row("x", "nobody"), 0);
    assert_eq!(nobody, Err(SubmitError::UnknownReceiver(String::from("nobody"))));
}

#[tokio::test]
async fn stopping_waits_for_what_is_on_its_way() {
    let server = HttpServer::start(vec![answer("200 OK")]).await;
    let deliverer = Deliverer::new(&[hook("hook", &server.url)], &settings()).unwrap();
    let (dispatcher, mut receipts) = Dispatcher::start(deliverer);
    for id in 0..5 {
        dispatcher.submit(row(&id.to_string(), "hook"), 0).unwrap();
    }
    dispatcher.stop(PATIENCE).await;
    let mut settled = 0;
    while receipts.recv().await.is_some() {
        settled += 1;
    }
    assert_eq!(settled, 5);
}
