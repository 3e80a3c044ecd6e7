//! Three real brokers that keep every record three times: one of them may go, and come back.

use std::path::Path;
use std::thread;

use tempfile::TempDir;

use super::kafka::Kafka;

/// As many as a vote needs to survive one of them.
const NODES: usize = 3;

/// Running brokers, killed when dropped.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// What clients know of them: all addresses.
    pub(crate) kafka: Kafka,
}

struct Node {
    /// Dropped before its folder.
    running: Option<Kafka>,
    data: TempDir,
    ports: (u16, u16),
    properties: String,
}

impl Cluster {
    /// Starts the brokers; `None` where there is no Kafka.
    pub(crate) fn start() -> Option<Cluster> {
        let ports: Vec<(u16, u16)> =
            (0..NODES).map(|_| (super::free_port(), super::free_port())).collect();
        let address = |(id, port): (usize, u16)| format!("{id}@127.0.0.1:{port}");
        let controllers = (1..).zip(ports.iter().map(|(_, controller)| *controller));
        let voters = controllers.map(address).collect::<Vec<_>>().join(",");
        let mut nodes: Vec<Node> =
            (1..).zip(&ports).map(|(id, ports)| Node::new(id, *ports, &voters)).collect();
        start_together(&mut nodes);
        if nodes.iter().any(|node| node.running.is_none()) {
            return None;
        }
        let brokers = ports.iter().map(|(broker, _)| format!("127.0.0.1:{broker}"));
        let bootstrap = brokers.collect::<Vec<_>>().join(",");
        Some(Cluster { nodes, kafka: Kafka::of(bootstrap, NODES as u32) })
    }

    /// Ends the broker with this id, counted from 1, by a signal such as `-TERM`.
    pub(crate) fn end(&mut self, id: i32, signal: &str) {
        self.node(id).running.take().expect("it runs").end(signal);
    }

    /// Starts a broker again on what it had.
    pub(crate) fn start_again(&mut self, id: i32) {
        self.node(id).start();
    }

    /// Starts all brokers again.
    pub(crate) fn start_all_again(&mut self) {
        start_together(&mut self.nodes);
    }

    fn node(&mut self, id: i32) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }
}

/// A broker is up only when most of the controllers are.
fn start_together(nodes: &mut [Node]) {
    thread::scope(|scope| {
        for node in nodes {
            scope.spawn(move || node.start());
        }
    });
}

impl Node {
    fn new(id: usize, ports: (u16, u16), voters: &str) -> Node {
        let properties = format!(
            "node.id={id}\n\
             controller.quorum.voters={voters}\n\
             default.replication.factor={NODES}\n\
             min.insync.replicas=2\n\
             offsets.topic.replication.factor={NODES}\n\
             replica.lag.time.max.ms=5000\n\
             broker.session.timeout.ms=9000\n\
             broker.heartbeat.interval.ms=500\n"
        );
        let data = tempfile::Builder::new().prefix("driftline-node-").tempdir();
        let data = data.expect("a temporary folder can be made");
        Node { running: None, data, ports, properties }
    }

    fn start(&mut self) {
        let data: &Path = self.data.path();
        self.running = Kafka::start_with(data, self.ports, &self.properties);
    }
}
