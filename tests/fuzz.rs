//! No bytes make a decoder panic: every decoder is fed with mutations of the vectors and of what was once found to hurt.
//!
//! A stable stand-in for a coverage-guided fuzzer. Each run takes other mutations (the seed is printed) for a bounded time;
//! `MILLRACE_FUZZ_SECONDS` makes it longer and `MILLRACE_FUZZ_SEED` repeats one. Input that panics is written to
//! `tests/corpus/`, from where every later run begins with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use millrace::codec::batch::{self, Part};
use millrace::codec::{self, average, convert, difference, meta, simple};
use millrace::config::settings::{Protocol, Transport};
use millrace::record::{CallKind, Form, Headers, Message};

const PROTOCOLS: [Protocol; 3] = [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2];
const LIMIT: usize = 1 << 20;

/// Names that may stand in `proto-name`, some of which are no requests.
const NAMES: [&str; 12] = [
    "tensorflow.serving.PredictRequest",
    "tensorflow.serving.PredictResponse",
    "tensorflow.serving.ClassificationRequest",
    "tensorflow.serving.ClassificationResponse",
    "tensorflow.serving.RegressionRequest",
    "tensorflow.serving.MultiInferenceRequest",
    "seldon.protos.SeldonMessage",
    "seldon.protos.SeldonMessageList",
    "seldon.protos.Feedback",
    "inference.ModelInferRequest",
    "inference.ModelInferResponse",
    "no.Such",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// All that mutations start from.
fn corpus() -> Vec<Bytes> {
    let mut paths = Vec::new();
    for folder in ["tests/vectors", "proto/tests/vectors", "tests/corpus"] {
        files(&root().join(folder), &mut paths);
    }
    paths.sort();
    let wanted = ["pb", "json", "bin", "body", "input"];
    let known = |path: &PathBuf| path.extension().is_some_and(|e| wanted.iter().any(|wanted| e == *wanted));
    let bodies =
        paths.iter().filter(|path| known(path)).map(|path| Bytes::from(std::fs::read(path).expect("readable")));
    bodies.collect()
}

/// Lets every decoder have the bytes, as every kind of message.
fn feed(body: &Bytes, random: &mut Rng) {
    let name = NAMES[random.usize(..NAMES.len())];
    let mut headers = Headers::default();
    match random.u8(..5) {
        0 => headers.push("Inference-Header-Content-Length", random.usize(..=body.len() + 1).to_string()),
        1 => headers.push("Content-Encoding", "gzip"),
        2 => headers.push("proto-name", name),
        3 => headers.push("Content-Type", body.slice(..body.len().min(20))),
        _ => {}
    }
    let form = match random.u8(..3) {
        0 => Form::Json { content_type: None },
        1 => Form::Binary { json: random.usize(..=body.len() + 1) },
        _ => Form::Proto(name),
    };
    let message = Message { body: body.clone(), form };
    for protocol in PROTOCOLS {
        for transport in [Transport::Rest, Transport::Grpc] {
            let decoded = codec::decode(protocol, transport, &headers, Some(body), LIMIT);
            drop(codec::decode_feedback(transport, &headers, Some(body), LIMIT));
            for message in decoded.iter().chain([&message]) {
                use_it(protocol, transport, message);
            }
        }
    }
}

fn use_it(protocol: Protocol, transport: Transport, message: &Message) {
    for kind in CallKind::ALL {
        if let Ok(prepared) = codec::prepare(protocol, message, kind, "next") {
            // What was made ready once is ready.
            drop(codec::prepare(protocol, &prepared, kind, "next"));
        }
    }
    drop(codec::aggregate(protocol, &[message.clone(), message.clone()]));
    drop(codec::route(protocol, message));
    drop(codec::feedback_route(message, "node"));
    drop(average::average(protocol, &[message.clone(), message.clone()]));
    drop(difference::compare(protocol, message, &simple::answer(protocol, message)));
    if let Ok(converted) = convert::to(protocol, message, transport) {
        drop(convert::to(protocol, &converted, message.transport()));
    }
    merge_it(protocol, message);
    let merged = meta::merge(message, &[message]).unwrap_or_else(|_| message.clone());
    drop(meta::with_routing(&merged, &[("node", 1)]));
}

/// Requests of one row of each kind that are merged, three as the recorded replies have rows, whose reply is to be split.
static MERGED: LazyLock<Vec<(Protocol, [Part; 3])>> = LazyLock::new(|| {
    let json = |folder: &'static str, protocol| (format!("tests/vectors/{folder}"), "json", protocol, None);
    let proto =
        |folder: &'static str, protocol, name| (format!("proto/tests/vectors/{folder}"), "pb", protocol, Some(name));
    let kinds = [
        json("seldon", Protocol::Seldon),
        json("tensorflow", Protocol::Tensorflow),
        json("v2", Protocol::V2),
        proto("seldon", Protocol::Seldon, "seldon.protos.SeldonMessage"),
        proto("tensorflow", Protocol::Tensorflow, "tensorflow.serving.PredictRequest"),
        proto("v2", Protocol::V2, "inference.ModelInferRequest"),
    ];
    let parts = |(folder, extension, protocol, name): (String, &str, Protocol, Option<&'static str>)| {
        let body = std::fs::read(root().join(format!("{folder}/batch_a.{extension}"))).expect("the vector is there");
        let message = match name {
            Some(name) => Message::proto(name, body),
            None => Message::json(body),
        };
        let part = Part::of(protocol, CallKind::Predict, &message).expect("it is one that can be merged");
        (protocol, [part.clone(), part.clone(), part])
    };
    kinds.map(parts).into()
});

/// Merges a request with itself, and takes the message for the reply to others.
fn merge_it(protocol: Protocol, message: &Message) {
    if let Some(part) = Part::of(protocol, CallKind::Predict, message) {
        let parts = [part.clone(), part];
        let merged = batch::merge(&parts);
        let whole = Part::of(protocol, CallKind::Predict, &merged).expect("what is merged can be merged again");
        assert_eq!(whole.rows(), 2 * parts[0].rows());
        drop(batch::split(&parts, &merged));
        drop(batch::split(&parts, &simple::answer(protocol, &merged)));
    }
    for (_, parts) in MERGED.iter().filter(|(known, _)| *known == protocol) {
        if let Ok(replies) = batch::split(parts, message) {
            assert_eq!(replies.len(), parts.len());
        }
    }
}

/// Another input, made of one or two known ones.
fn mutate(corpus: &[Bytes], random: &mut Rng) -> Bytes {
    let mut body = corpus[random.usize(..corpus.len())].to_vec();
    body.truncate(4096);
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..=body.len());
        match random.u8(..8) {
            0 if at < body.len() => body[at] = random.u8(..),
            1 if at < body.len() => body[at] ^= 1 << random.u8(..8),
            2 => body.truncate(at),
            3 => body.insert(at, random.u8(..)),
            4 if at < body.len() => drop(body.remove(at)),
            5 => {
                let tokens =
                    ["NaN", "-Infinity", "1e999", "9007199254740993", "{", "[", "null", "\"\\ud800\"", "\u{0}"];
                body.splice(at..at, tokens[random.usize(..tokens.len())].bytes());
            }
            6 => {
                // A length or tag that promises more than there is.
                body.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, random.u8(..2)]);
            }
            _ => {
                let other = &corpus[random.usize(..corpus.len())];
                let (from, to) = (random.usize(..=other.len()), random.usize(..=other.len()));
                body.splice(at..at, other[from.min(to)..from.max(to).min(from.min(to) + 256)].iter().copied());
            }
        }
    }
    body.into()
}

/// The input that a decoder panicked on, kept for the next run.
fn keep(body: &Bytes) -> PathBuf {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let hash = body.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    let path = root().join(format!("tests/corpus/{hash:016x}.input"));
    std::fs::write(&path, body).expect("the corpus can be written");
    path
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let seconds = number("MILLRACE_FUZZ_SECONDS").unwrap_or(10);
    let seed = number("MILLRACE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let corpus = corpus();
    assert!(corpus.len() > 150, "the vectors are there");
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut inputs = 0_u64;
    for body in &corpus {
        try_it(body, &mut random);
    }
    while Instant::now() < end {
        try_it(&mutate(&corpus, &mut random), &mut random);
        inputs += 1;
    }
    eprintln!("{inputs} inputs");
    assert!(inputs > 100, "there was time for few inputs only");
}

fn try_it(body: &Bytes, random: &mut Rng) {
    // The same draws as in the run, for whoever repeats it.
    let panicked = catch_unwind(AssertUnwindSafe(|| feed(body, random))).is_err();
    let kept = panicked.then(|| keep(body));
    assert!(kept.is_none(), "a decoder panicked; the input is in {kept:?}");
}
