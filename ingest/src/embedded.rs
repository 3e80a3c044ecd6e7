//! A Kafka broker inside the process, for the demo and for tests.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use rdkafka::mocking::MockCluster;

use crate::error::IngestError;

/// Bytes that the embedded broker keeps per partition; beyond them the oldest records are dropped
/// without a word, as if by retention. A producer that must not lose any keeps each partition's
/// records that are not read yet below this.
pub const EMBEDDED_PARTITION_BYTES: usize = 5 * 1024 * 1024;

/// librdkafka's mock broker: topics and consumers as usual, everything in memory, reachable from
/// other processes on the loopback interface. It keeps [`EMBEDDED_PARTITION_BYTES`] per partition,
/// knows no administrative calls and no offsets by time: never for throughput or recovery claims.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap: String,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

struct Order {
    topic: String,
    partitions: i32,
    done: SyncSender<Result<(), String>>,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port of the loopback interface.
    ///
    /// # Errors
    /// When librdkafka cannot open its sockets or the thread cannot be started.
    pub fn start() -> Result<EmbeddedBroker, IngestError> {
        let (orders, received) = channel();
        let (ready, started) = sync_channel(1);
        let name = "embedded-broker".to_owned();
        // The handle of the mock cluster must not leave its thread.
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || serve(&ready, &received))
            .map_err(|source| IngestError::Thread { name, source })?;
        let bootstrap = started
            .recv()
            .map_err(|_| IngestError::Embedded("its thread ended".to_owned()))?
            .map_err(IngestError::Embedded)?;
        Ok(EmbeddedBroker { bootstrap, orders: Some(orders), thread: Some(thread) })
    }

    /// `host:port`, several separated by commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates an empty topic.
    ///
    /// # Errors
    /// When it exists already or the broker ended.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), IngestError> {
        let ended = || IngestError::Embedded("its thread ended".to_owned());
        let (done, answer) = sync_channel(1);
        let order = Order { topic: topic.to_owned(), partitions, done };
        self.orders.as_ref().ok_or_else(ended)?.send(order).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?.map_err(IngestError::Embedded)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(ready: &SyncSender<Result<String, String>>, orders: &Receiver<Order>) {
    let cluster = match MockCluster::new(1) {
        Ok(cluster) => cluster,
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    let _ = ready.send(Ok(cluster.bootstrap_servers()));
    for order in orders {
        let created = cluster.create_topic(&order.topic, order.partitions, 1);
        let _ = order.done.send(created.map_err(|error| error.to_string()));
    }
}
