//! What becomes of outcomes when their client is replaced.

use std::time::Instant;

use bytes::Bytes;
use prometheus::Registry;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::{Message as _, TopicPartitionList};

use super::*;
use crate::config::settings::{Deployment, Limits};
use crate::events::Metrics;
use crate::kafka::holdings::Marks;
use crate::kafka::offsets::Seq;
use crate::record::{Epoch, Headers, NextOffset};

fn events() -> Events {
    let deployment = Deployment {
        name: "d".into(),
        namespace: "n".into(),
        predictor: "p".into(),
        predictor_version: String::new(),
        file: None,
    };
    let limits = Limits {
        in_flight_records: 1,
        in_flight_bytes: 1,
        window: 1,
        commit_span: 1,
        held_bytes: 1,
        prefetch_bytes: 1,
        request_bytes: 1,
        reply_bytes: 1,
        record_deadline: POLL,
        drain: POLL,
        termination_grace: POLL,
    };
    let metrics = Metrics::register(&Registry::new(), &deployment, &limits).unwrap();
    Events::new(slog::Logger::root(slog::Discard, slog::o!()), metrics)
}

#[test]
fn what_a_replaced_client_has_not_delivered_goes_before_what_comes_later() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    // Long enough for all of the first half to wait in the client that is replaced.
    config.set("linger.ms", "300").set("enable.idempotence", "true");
    let (sink, thread) = Sink::start(config.clone(), 1 << 20, events(), Heartbeat::new()).unwrap();
    let settlements = Settlements::new(|| {});
    let marks = Arc::new(Marks::new(NextOffset(0)));
    let owner = Arc::new(Owner { epoch: Epoch(1), settlements: settlements.clone(), marks });
    for seq in 0..200 {
        if seq == 100 {
            sink.reopen(config.clone());
        }
        let text: Bytes = seq.to_string().into();
        let (key, value) = (Some(Bytes::from_static(b"k")), Some(text));
        let mut record = OutRecord { topic: "out".into(), partition: None, key, value, headers: Headers::default() };
        let mut ticket =
            Box::new(Ticket { owner: owner.clone(), seq: Seq(seq), letter: Letter::Answer, place: 0, bytes: 0 });
        while let Err(Full(record_back, ticket_back)) = sink.send(record, ticket) {
            (record, ticket) = (record_back, ticket_back);
            std::thread::yield_now();
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut settled = Vec::new();
    while settled.len() < 200 && Instant::now() < deadline {
        settlements.take(&mut settled);
        std::thread::yield_now();
    }
    assert!(settled.len() == 200 && settled.iter().all(|settlement| settlement.settled == Settled::Acked));
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
