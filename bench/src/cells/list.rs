//! The cells.

use super::{
    Base, Bound, CPU, Cell, Condition, GROWTH, IDLE, Measure, Metric, Model, P50, P99, PEAK, Program, RATE, READY,
    SIZE, Subject, Target,
};
use crate::format::Format;
use crate::keys::Keys;
use crate::models::Reply;

const ECHO: Model = Model { reply: Reply::Echo, call_us: 0, row_us: 0, workers: 0 };
const FIXED: Model = Model { reply: Reply::Fixed, ..ECHO };
/// So many that no key waits for itself.
const MANY_KEYS: Keys = Keys::RoundRobin(100_000);
const IN_FLIGHT: u64 = 1000;

fn subject(name: &'static str, program: Program, amount: [u64; 2]) -> Subject {
    Subject { name, program, partitions: 4, amount, order: "key", exactly_once: false, batch_rows: 0 }
}

fn plain(amount: [u64; 2]) -> Subject {
    subject("plain", Program::Plain, amount)
}

fn millrace(amount: [u64; 2]) -> Subject {
    subject("millrace", Program::Millrace, amount)
}

fn cell(name: &'static str, about: &'static str, format: Format) -> Cell {
    Cell {
        name,
        about,
        format,
        keys: MANY_KEYS,
        in_flight: IN_FLIGHT,
        model: ECHO,
        measure: Measure::Drain,
        subjects: Vec::new(),
        targets: Vec::new(),
        quick: true,
    }
}

fn condition(subject: &'static str, metric: Metric, over: &[Base], bound: Bound) -> Condition {
    Condition { subject, metric, over: over.to_vec(), bound }
}

fn target(subject: &'static str, metric: Metric, over: &[Base], bound: Bound) -> Target {
    Target(vec![condition(subject, metric, over, bound)])
}

fn rate_against_plain(share: f64) -> Target {
    target("millrace", RATE, &[Base::Of("plain")], Bound::AtLeast(share))
}

/// All cells, in the order in which they are measured.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = vec![seldon_rest(), v2_grpc(), tensorflow_grpc(), cifar10_rest()];
    cells.extend(models());
    cells.extend([batching(), trickle(), exactly_once(), backlog(), idle(), start()]);
    cells
}

fn seldon_rest() -> Cell {
    let amount = [200_000, 40_000];
    Cell {
        subjects: vec![plain(amount), millrace(amount), subject("copy", Program::Copy, amount)],
        targets: vec![rate_against_plain(0.8), target("millrace", CPU, &[Base::Of("plain")], Bound::AtMost(1.5))],
        ..cell("seldon-rest", "small Seldon requests over REST, a model that answers at once", Format::SeldonRest)
    }
}

fn v2_grpc() -> Cell {
    let amount = [200_000, 40_000];
    Cell {
        subjects: vec![plain(amount), millrace(amount)],
        targets: vec![rate_against_plain(0.8)],
        ..cell("v2-grpc", "small V2 requests over gRPC, a model that answers at once", Format::V2Grpc)
    }
}

fn tensorflow_grpc() -> Cell {
    let amount = [60_000, 10_000];
    Cell {
        subjects: vec![plain(amount), millrace(amount)],
        targets: vec![rate_against_plain(0.8)],
        quick: false,
        ..cell(
            "tensorflow-grpc",
            "TensorFlow tensors of 12 KB over gRPC, a model that answers at once",
            Format::TensorflowGrpc,
        )
    }
}

fn cifar10_rest() -> Cell {
    let amount = [20_000, 4_000];
    Cell {
        model: FIXED,
        subjects: vec![plain(amount), millrace(amount)],
        targets: vec![rate_against_plain(0.8)],
        ..cell("cifar10-rest", "CIFAR10 pictures of 60 KB as JSON over REST, ten numbers at once", Format::CifarRest)
    }
}

/// How a model cell of one time and one choice of keys is called and how many records it takes.
struct Timed {
    ms: u64,
    names: [&'static str; 4],
    /// With enough keys; with keys drawn evenly; with keys of Zipf, of which one at a time is the most that can be had.
    amounts: [[u64; 2]; 3],
}

const TIMED: [Timed; 3] = [
    Timed {
        ms: 1,
        names: ["model-1ms-none", "model-1ms-key", "model-1ms-uniform", "model-1ms-zipf"],
        amounts: [[200_000, 40_000], [100_000, 20_000], [40_000, 10_000]],
    },
    Timed {
        ms: 10,
        names: ["model-10ms-none", "model-10ms-key", "model-10ms-uniform", "model-10ms-zipf"],
        amounts: [[200_000, 40_000], [100_000, 20_000], [8_000, 2_000]],
    },
    Timed {
        ms: 100,
        names: ["model-100ms-none", "model-100ms-key", "model-100ms-uniform", "model-100ms-zipf"],
        amounts: [[100_000, 20_000], [40_000, 10_000], [1_000, 500]],
    },
];

fn models() -> Vec<Cell> {
    let mut cells = Vec::new();
    for Timed { ms, names: [none, key, uniform, zipf], amounts: [amount, drawn, few] } in TIMED {
        let model = Model { call_us: ms * 1000, ..ECHO };
        let in_time = Base::Number(IN_FLIGHT as f64 * 1000.0 / ms as f64);
        let keys_in_time = in_time;
        let at_least = |share, over: &[Base]| target("millrace", RATE, over, Bound::AtLeast(share));
        let timed = |name, about, keys| Cell { keys, model, quick: ms == 10, ..cell(name, about, Format::SeldonRest) };
        cells.push(Cell {
            subjects: vec![plain(amount), Subject { order: "none", ..millrace(amount) }],
            targets: vec![at_least(0.95, &[in_time, Base::Of("plain")])],
            ..timed(none, "a model that takes its time, no order", MANY_KEYS)
        });
        cells.push(Cell {
            subjects: vec![plain(amount), millrace(amount)],
            targets: vec![at_least(0.9, &[keys_in_time, Base::Of("plain")])],
            ..timed(key, "a model that takes its time, 1,000 keys in turn, each in order", Keys::RoundRobin(1000))
        });
        for (name, about, keys, amount) in [
            (
                uniform,
                "a model that takes its time, 1,000 keys drawn evenly, each in order",
                Keys::Uniform(1000),
                drawn,
            ),
            (zipf, "a model that takes its time, 1,000 keys drawn by Zipf, each in order", Keys::Zipf(1000), few),
        ] {
            cells.push(Cell { subjects: vec![millrace(amount)], quick: false, ..timed(name, about, keys) });
        }
    }
    cells
}

fn batching() -> Cell {
    let batched = Subject { name: "batched", batch_rows: 256, ..millrace([200_000, 40_000]) };
    let unbatched = Subject { name: "unbatched", ..millrace([5_000, 2_000]) };
    Cell {
        model: Model { reply: Reply::Echo, call_us: 2000, row_us: 20, workers: 2 },
        subjects: vec![unbatched, batched],
        targets: vec![target("batched", RATE, &[Base::Of("unbatched")], Bound::AtLeast(30.0))],
        ..cell("batching", "two workers, 2 ms a call and 20 us a row, up to 256 rows a call", Format::RowRest)
    }
}

fn trickle() -> Cell {
    let seconds = [20, 5];
    let either = |metric, ms| {
        Target(vec![
            condition("millrace", metric, &[], Bound::AtMost(ms)),
            condition("millrace", metric, &[Base::Of("plain")], Bound::AtMost(1.2)),
        ])
    };
    Cell {
        measure: Measure::Steady { per_second: 1000 },
        subjects: vec![plain(seconds), millrace(seconds)],
        targets: vec![either(P50, 2.0), either(P99, 5.0)],
        ..cell(
            "trickle",
            "1,000 records a second, from the time each was due to its answer's arrival",
            Format::SeldonRest,
        )
    }
}

fn exactly_once() -> Cell {
    let amount = [200_000, 40_000];
    Cell {
        subjects: vec![
            Subject { name: "at-least-once", ..millrace(amount) },
            Subject { name: "exactly-once", exactly_once: true, ..millrace(amount) },
        ],
        targets: vec![target("exactly-once", RATE, &[Base::Of("at-least-once")], Bound::AtLeast(0.8))],
        ..cell("exactly-once", "a transaction every 100 ms, against none", Format::SeldonRest)
    }
}

fn backlog() -> Cell {
    Cell {
        subjects: vec![
            Subject { name: "4-partitions", ..millrace([300_000, 40_000]) },
            Subject { name: "64-partitions", partitions: 64, ..millrace([1_000_000, 100_000]) },
        ],
        targets: vec![
            target("64-partitions", PEAK, &[], Bound::AtMost(150.0)),
            target("64-partitions", GROWTH, &[], Bound::AtMost(1.1)),
            target("64-partitions", RATE, &[Base::Of("4-partitions")], Bound::AtLeast(0.9)),
        ],
        quick: false,
        ..cell("backlog-64", "a million records on 64 partitions", Format::SeldonRest)
    }
}

fn idle() -> Cell {
    Cell {
        measure: Measure::Idle,
        subjects: vec![Subject { partitions: 64, ..millrace([20, 5]) }],
        targets: vec![target("millrace", IDLE, &[], Bound::AtMost(1.0))],
        ..cell("idle-64", "64 partitions and nothing to do", Format::SeldonRest)
    }
}

fn start() -> Cell {
    Cell {
        measure: Measure::Start,
        subjects: vec![millrace([1, 1])],
        targets: vec![
            target("millrace", READY, &[], Bound::AtMost(2.0)),
            target("millrace", SIZE, &[], Bound::AtMost(30.0)),
        ],
        ..cell("start", "from the start of the process until it is ready; the size of the binary", Format::SeldonRest)
    }
}
