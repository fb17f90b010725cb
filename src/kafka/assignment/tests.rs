//! What becomes of assignments at the wrong time.

use std::sync::mpsc::Sender;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;
use crate::events::tests::events;

/// Counts what it is given.
#[derive(Default)]
struct Counting(AtomicU64);

impl Owners for Counting {
    fn assign(&self, _: Assigned) {
        self.0.fetch_add(1, Relaxed);
    }

    fn drain(&self, _: Partition, _: Epoch, _: Sender<()>) {}

    fn end(&self, _: Partition, _: Epoch) {}

    fn position(&self, _: Partition, _: Epoch, _: NextOffset) {}
}

/// A member of a group that is to read the topic `in`, which has one partition.
fn member(cluster: &MockCluster<'static, DefaultProducerContext>, strategy: &str) -> (Arc<Client>, Arc<Counting>) {
    let owners = Arc::new(Counting::default());
    let rules = Rules { topic: "in".into(), start: Start::Earliest, drain: Duration::from_secs(1) };
    let context =
        Assignment::new(rules, owners.clone(), events().0, None, Arc::new(Status::default()), Heartbeat::new());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "g");
    config.set("partition.assignment.strategy", strategy);
    let client: Arc<Client> = Arc::new(config.create_with_context(context).unwrap());
    client.context().belongs_to(&client);
    client.subscribe(&["in"]).unwrap();
    (client, owners)
}

fn poll_until(client: &Client, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < deadline);
        client.poll(Duration::from_millis(50));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "no actor lives on this thread")]
fn an_assignment_that_comes_while_the_client_leaves_is_given_to_nobody() {
    for strategy in ["range", "cooperative-sticky"] {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", 1, 1).unwrap();
        let (client, owners) = member(&cluster, strategy);
        // The library joins on a thread of its own, and the assignment waits to be polled for.
        std::thread::sleep(Duration::from_secs(6));
        client.context().release_all(&client, false);
        client.close_queue().unwrap();
        poll_until(&client, || client.closed());
        assert_eq!(owners.0.load(Relaxed), 0, "{strategy}");
        assert_eq!(client.context().failure(), None, "{strategy}");
    }
}

#[test]
fn an_assignment_in_time_has_an_owner() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("in", 1, 1).unwrap();
    let (client, owners) = member(&cluster, "cooperative-sticky");
    poll_until(&client, || owners.0.load(Relaxed) == 1);
}
