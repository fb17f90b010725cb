//! What becomes of outcomes when their client is replaced.

use std::time::Instant;

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Message as _, TopicPartitionList};

use super::*;
use crate::events::tests::events;
use crate::kafka::holdings::Marks;
use crate::kafka::offsets::Seq;
use crate::record::{Epoch, Headers, NextOffset};

/// A broker with the topic `out`, and the settings of a client for it.
fn cluster() -> (MockCluster<'static, DefaultProducerContext>, ClientConfig) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    (cluster, config)
}

fn owner() -> (Arc<Owner>, Arc<Settlements>) {
    let (settlements, marks) = (Settlements::new(|| {}), Arc::new(Marks::new(NextOffset(0))));
    (Arc::new(Owner { epoch: Epoch(1), settlements: settlements.clone(), marks }), settlements)
}

/// Sends a record with the key `k` and the number as its value.
fn send(sink: &Sink, owner: &Arc<Owner>, seq: u64) {
    let (key, value) = (Some(Bytes::from_static(b"k")), Some(seq.to_string().into()));
    let mut record = OutRecord { topic: "out".into(), partition: None, key, value, headers: Headers::default() };
    let mut ticket =
        Box::new(Ticket { owner: owner.clone(), seq: Seq(seq), letter: Letter::Answer, place: 0, bytes: 0 });
    while let Err(Full(record_back, ticket_back)) = sink.send(record, ticket) {
        (record, ticket) = (record_back, ticket_back);
        std::thread::yield_now();
    }
}

/// Waits until so many outcomes are settled, and tells whether that came and all of them are stored.
fn all_acked(settlements: &Settlements, count: usize, deadline: Instant) -> bool {
    let mut settled = Vec::new();
    while settled.len() < count && Instant::now() < deadline {
        settlements.take(&mut settled);
        std::thread::yield_now();
    }
    let acked = |word: &Word| matches!(word, Word::Settled(Settlement { settled: Settled::Acked, .. }));
    settled.len() == count && settled.iter().all(acked)
}

#[test]
fn owners_whom_the_client_has_no_room_for_again_and_again_are_all_served() {
    let (_cluster, mut config) = cluster();
    config.set("queue.buffering.max.messages", "2").set("linger.ms", "1");
    let (sink, _) = Sink::start(config, 1 << 20, events().0, Heartbeat::new()).unwrap();
    let owners: Vec<_> = (0..8).map(|_| owner()).collect();
    let (sender, all) = (sink.clone(), owners.clone());
    // On a thread of its own: what is stuck there must not keep the test from failing.
    std::thread::spawn(move || {
        for seq in 0..20 {
            for (owner, _) in &all {
                send(&sender, owner, seq);
            }
        }
        while sender.waits() {
            sender.go_on();
            std::thread::yield_now();
        }
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    for (_, settlements) in &owners {
        assert!(all_acked(settlements, 20, deadline));
    }
    sink.stop();
}

#[test]
fn what_a_replaced_client_has_not_delivered_goes_before_what_comes_later() {
    let (_cluster, mut config) = cluster();
    // Long enough for all of the first half to wait in the client that is replaced.
    config.set("linger.ms", "300").set("enable.idempotence", "true");
    let (sink, thread) = Sink::start(config.clone(), 1 << 20, events().0, Heartbeat::new()).unwrap();
    let (owner, settlements) = owner();
    for seq in 0..200 {
        if seq == 100 {
            sink.reopen(config.clone());
        }
        send(&sink, &owner, seq);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    assert!(all_acked(&settlements, 200, deadline));
    sink.stop();
    thread.join().unwrap();

    config.set("group.id", "reader");
    let reader: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("out", 0, rdkafka::Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let mut seen: Vec<u64> = Vec::new();
    while !seen.contains(&199) && Instant::now() < deadline {
        if let Some(Ok(message)) = reader.poll(POLL) {
            let number = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
            // What was stored without a word of it is stored twice.
            if !seen.contains(&number) {
                seen.push(number);
            }
        }
    }
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}
