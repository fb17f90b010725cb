//! Seldon's requests over gRPC.

use millrace_proto::seldon::default_data::DataOneof as Rows;
use millrace_proto::seldon::seldon_message::DataOneof as Payload;
use millrace_proto::seldon::{DefaultData, Meta, Metric, SeldonMessage, Status, Tensor};
use millrace_proto::tensorflow::TensorProto;
use millrace_proto::well_known::value::Kind;
use millrace_proto::well_known::{ListValue, Struct, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;

use super::*;

mod replies;

const SELDON: Protocol = Protocol::Seldon;

fn message(request: &SeldonMessage) -> Message {
    bytes(request.encode_to_vec())
}

fn bytes(body: impl Into<bytes::Bytes>) -> Message {
    Message::proto(SeldonMessage::PROTO_NAME, body)
}

fn decode(message: &Message) -> SeldonMessage {
    SeldonMessage::decode(message.body.clone()).unwrap()
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn number(number: f64) -> Value {
    value(Kind::NumberValue(number))
}

fn text(text: impl Into<String>) -> Value {
    value(Kind::StringValue(text.into()))
}

fn list(values: Vec<Value>) -> Value {
    value(Kind::ListValue(ListValue { values }))
}

fn with(rows: Rows) -> SeldonMessage {
    let data = DefaultData { names: vec!["a".to_owned()], data_oneof: Some(rows) };
    SeldonMessage { data_oneof: Some(Payload::Data(data)), ..SeldonMessage::default() }
}

fn ndarray(values: Vec<Value>) -> SeldonMessage {
    with(Rows::Ndarray(ListValue { values }))
}

fn tensor(shape: &[i32], seed: i64) -> SeldonMessage {
    let values = (0..shape.iter().product::<i32>()).map(|at| (seed * 7 + i64::from(at)) as f64 / 3.0).collect();
    with(Rows::Tensor(Tensor { shape: shape.to_vec(), values }))
}

fn data(message: &mut SeldonMessage) -> &mut DefaultData {
    match &mut message.data_oneof {
        Some(Payload::Data(data)) => data,
        other => panic!("no data: {other:?}"),
    }
}

fn has(value: &Value, found: &impl Fn(&Kind) -> bool) -> bool {
    match &value.kind {
        Some(Kind::ListValue(list)) => list.values.iter().any(|value| has(value, found)),
        Some(kind) => found(kind),
        None => false,
    }
}

/// Answers each row with itself and with what it saw in all rows, or with sums, and with the id and the tags that it got.
fn model(as_tensor: bool) -> impl Fn(&Message) -> Message {
    move |request| {
        let mut request = decode(request);
        let data = data(&mut request);
        let names = [&data.names[..], &["saw".to_owned()]].concat();
        let rows: Vec<Value> = match data.data_oneof.take().unwrap() {
            Rows::Ndarray(list) => list.values,
            Rows::Tensor(tensor) => {
                let row = tensor.values.len() / tensor.shape[0] as usize;
                tensor.values.chunks(row).map(|row| list(row.iter().copied().map(number).collect())).collect()
            }
            Rows::Tftensor(_) => panic!("it is not merged"),
        };
        let whole = list(rows.clone());
        let saw = [
            has(&whole, &|kind| matches!(kind, Kind::StringValue(_))),
            has(&whole, &|kind| matches!(kind, Kind::BoolValue(_))),
        ];
        let mut reply = if as_tensor {
            let values = rows.iter().flat_map(|row| [format!("{row:?}").len() as f64, 0.1]);
            with(Rows::Tensor(Tensor { shape: vec![rows.len() as i32, 2], values: values.collect() }))
        } else {
            ndarray(rows.into_iter().map(|row| list(vec![row, text(format!("{saw:?}"))])).collect())
        };
        self::data(&mut reply).names = names;
        reply.meta = request.meta.map(|meta| Meta { metrics: vec![Metric::default()], ..meta });
        message(&reply)
    }
}

fn same(left: &Message, right: &Message) {
    assert_eq!(decode(left), decode(right));
    assert_eq!(left.form, right.form);
}

fn leaf(class: u8, seed: i64) -> Value {
    match class {
        1 => text("t".repeat(seed.unsigned_abs() as usize % 200)),
        2 => value(Kind::BoolValue(seed & 1 == 1)),
        3 if seed & 1 == 1 => text("odd"),
        _ => number(seed as f64 / 3.0),
    }
}

fn any_request() -> impl Strategy<Value = Message> {
    let plain = (select(vec![1, 2, 3]), 0..4u8, any::<bool>(), any::<bool>(), 0..10u8, 1..4i64, -500..500i64);
    plain.prop_map(|(columns, class, deep, as_tensor, extra, rows, seed)| {
        let mut request = if as_tensor {
            tensor(if deep { vec![rows as i32, columns, 2] } else { vec![rows as i32, columns] }.as_slice(), seed)
        } else {
            let row = |row: i64| {
                let leaves = list((0..i64::from(columns)).map(|at| leaf(class, seed + 3 * row + at)).collect());
                if deep { list(vec![leaves]) } else { leaves }
            };
            ndarray((0..rows).map(row).collect())
        };
        let mut meta = Meta { puid: if seed % 3 == 0 { String::new() } else { seed.to_string() }, ..Meta::default() };
        match extra {
            0 => drop(meta.tags.insert("a".to_owned(), text("1"))),
            1 => drop(meta.routing.insert("r".to_owned(), (seed % 2) as i32)),
            2 => drop(meta.request_path.insert("m".to_owned(), "image".to_owned())),
            3 => meta.metrics.push(Metric { key: "k".to_owned(), ..Metric::default() }),
            4 => data(&mut request).names.clear(),
            _ => {}
        }
        request.meta = (extra < 8).then_some(meta);
        message(&request)
    })
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(any_request(), 1..60), as_tensor: bool) {
        hold(SELDON, &requests, model(as_tensor), same);
    }

    #[test]
    fn requests_alike_are_merged(rows in vec((1..5i32, -500..500i64), 2..9), of_tensor: bool, as_tensor: bool) {
        let request = |(at, (rows, seed)): (usize, &(i32, i64))| {
            let mut request = if of_tensor {
                tensor(&[*rows, 3], *seed)
            } else {
                ndarray((0..*rows).map(|_| list(vec![leaf(0, *seed), leaf(1, *seed)])).collect())
            };
            let tags = [("a".to_owned(), text("1")), ("b".to_owned(), number(1.0))].into();
            request.meta = Some(Meta { puid: "i".repeat(at), tags, ..Meta::default() });
            message(&request)
        };
        let requests: Vec<_> = rows.iter().enumerate().map(request).collect();
        prop_assert_eq!(hold(SELDON, &requests, model(as_tensor), same), requests.len());
    }
}

fn is_alone(request: &SeldonMessage) -> bool {
    of(SELDON, &message(request)).is_none()
}

#[test]
fn what_is_no_list_of_rows_goes_alone() {
    assert!(!is_alone(&tensor(&[1, 2], 1)) && !is_alone(&ndarray(vec![list(vec![number(1.0)])])));
    for shape in [vec![], vec![2], vec![0, 2], vec![2, 0], vec![1, 3], vec![-1, -2], vec![2, -1], vec![i32::MAX; 3]] {
        let Some(Payload::Data(mut data)) = tensor(&[1, 2], 1).data_oneof else { panic!("data") };
        if let Some(Rows::Tensor(tensor)) = &mut data.data_oneof {
            tensor.shape.clone_from(&shape);
        }
        assert!(
            is_alone(&SeldonMessage { data_oneof: Some(Payload::Data(data)), ..SeldonMessage::default() }),
            "{shape:?}"
        );
    }
    let one = || number(1.0);
    for rows in [
        vec![],
        vec![list(vec![])],
        vec![list(vec![]), list(vec![])],
        vec![one(), one()],
        vec![list(vec![one()]), list(vec![one(), one()])],
        vec![list(vec![one()]), one()],
        vec![one(), list(vec![one()])],
        vec![list(vec![one()]), list(vec![list(vec![one()])])],
        vec![list(vec![one()]), list(vec![list(vec![])])],
        vec![list(vec![list(vec![])]), list(vec![one()])],
        vec![list(vec![value(Kind::NullValue(0))])],
        vec![list(vec![value(Kind::StructValue(Struct::default()))])],
        vec![list(vec![Value { kind: None }])],
        vec![Value { kind: None }],
    ] {
        assert!(is_alone(&ndarray(rows.clone())), "{rows:?}");
    }
}

#[test]
fn what_is_more_or_other_than_rows_goes_alone() {
    let good = || tensor(&[1, 2], 1);
    assert!(is_alone(&SeldonMessage { status: Some(Status::default()), ..good() }));
    for payload in [
        Payload::BinData(vec![1].into()),
        Payload::StrData("a".to_owned()),
        Payload::JsonData(list(vec![list(vec![number(1.0)])])),
        Payload::CustomData(millrace_proto::well_known::Any::default()),
        Payload::Data(DefaultData::default()),
        Payload::Data(DefaultData { names: vec![], data_oneof: Some(Rows::Tftensor(TensorProto::default())) }),
    ] {
        assert!(is_alone(&SeldonMessage { data_oneof: Some(payload.clone()), ..good() }), "{payload:?}");
    }
    assert!(is_alone(&SeldonMessage { data_oneof: None, ..good() }));
    let body = message(&good()).body;
    let with = |more: &[u8]| of(SELDON, &bytes([&body[..], more].concat())).is_none();
    assert!(!with(b"") && !with(b"\x12\x03\x0a\x01a") && !with(b"\x12\x03\x0a\x01a\x12\x03\x0a\x01b"));
    for (more, what) in [
        (&b"\x42\x01u"[..], "an unknown field"),
        (b"\x2a\x01a", "text behind the data"),
        (&[b"\x1a", &[body.len() as u8 - 2][..], &body[2..]].concat(), "data twice"),
        (b"\x12\x03\x32\x01u", "an unknown field of the metadata"),
        (b"\x12\x02\x08\x01", "an id that is a number"),
        (b"\x12\x06\x1a\x01a\x1a\x01a", "a broken route"),
        (b"\x12\x0a\x22\x03\x0a\x01a\x22\x03\x0a\x01a", "a path twice"),
        (b"\x10\x01", "metadata that is a number"),
        (b"\x12\x05", "a cut message"),
    ] {
        assert!(with(more), "{what}");
    }
    // Data with a tensor of one number, and what is put behind the one or the other.
    let with = |in_data: &[u8], in_tensor: &[u8]| {
        let tensor = [b"\x0a\x02\x01\x01\x12\x08\0\0\0\0\0\0\0\0", in_tensor].concat();
        let data = [b"\x12", &[tensor.len() as u8][..], &tensor, in_data].concat();
        of(SELDON, &bytes([b"\x1a", &[data.len() as u8][..], &data].concat())).is_none()
    };
    assert!(!with(b"", b""));
    assert!(with(b"", b"\x1a\x00") && with(b"\x2a\x00", b""), "unknown fields");
    assert!(with(b"\x12\x00", b"") && with(b"\x1a\x00", b""), "two tensors, and a list besides");
    assert!(with(b"", b"\x0a\x01\x02") && with(b"", b"\x12\x01\0"), "values that the shape has no place for");
    // A value that is two, and a row with something else in it.
    let list = |value: &[u8], in_row: &[u8]| {
        let row = [b"\x0a", &[value.len() as u8][..], value, in_row].concat();
        let row = [b"\x32", &[row.len() as u8][..], &row].concat();
        let list = [b"\x0a", &[row.len() as u8][..], &row].concat();
        let data = [b"\x1a", &[list.len() as u8][..], &list].concat();
        of(SELDON, &bytes([b"\x1a", &[data.len() as u8][..], &data].concat())).is_none()
    };
    assert!(!list(b"\x20\x01", b"") && !list(b"\x20\x01", b"\x0a\x02\x20\x01"));
    assert!(list(b"\x20\x01\x20\x01", b"") && list(b"", b"") && list(b"\x38\x01", b""));
    assert!(list(b"\x20\x01", b"\x12\x02\x20\x01"));
    for name in ["seldon.protos.SeldonMessageList", "seldon.protos.Feedback"] {
        assert!(of(SELDON, &Message::proto(name, body.clone())).is_none());
    }
    assert!(Part::of(SELDON, CallKind::TransformInput, &message(&good())).is_none());
}

#[test]
fn what_is_answered_differently_has_another_key() {
    let mut keys = BTreeMap::new();
    let mut see = |what: &'static str, request: SeldonMessage| {
        let part = of(SELDON, &message(&request)).expect(what);
        assert_eq!(keys.insert(part.key().to_vec(), what), None, "{what}");
    };
    let row = |values: Vec<Value>| ndarray(vec![list(values)]);
    let truth = || value(Kind::BoolValue(true));
    see("tensor", tensor(&[1, 2], 1));
    see("another row", tensor(&[1, 3], 1));
    see("another depth", tensor(&[1, 1, 2], 1));
    see("ndarray", row(vec![number(1.0), number(2.0)]));
    see("one number", row(vec![number(1.0)]));
    see("a deeper list", row(vec![list(vec![number(1.0), number(2.0)])]));
    see("text", row(vec![text("1"), text("2")]));
    see("truth", row(vec![truth(), truth()]));
    see("text and number", row(vec![text("1"), number(2.0)]));
    see("truth and number", row(vec![truth(), number(2.0)]));
    let mut named = tensor(&[1, 2], 1);
    data(&mut named).names.push("b".to_owned());
    see("names", named.clone());
    data(&mut named).names.reverse();
    see("other names", named);
    let meta = |meta: Meta| SeldonMessage { meta: Some(meta), ..tensor(&[1, 2], 1) };
    see("metadata", meta(Meta::default()));
    for (what, tag) in [("a tag", text("1")), ("another tag", text("2")), ("a tag of another type", number(1.0))] {
        see(what, meta(Meta { tags: [("a".to_owned(), tag)].into(), ..Meta::default() }));
    }
    see("another tag's name", meta(Meta { tags: [("b".to_owned(), text("1"))].into(), ..Meta::default() }));
    for (what, route) in [("a route", 1), ("another route", -1)] {
        see(what, meta(Meta { routing: [("r".to_owned(), route)].into(), ..Meta::default() }));
    }
    see("a path", meta(Meta { request_path: [("r".to_owned(), "i".to_owned())].into(), ..Meta::default() }));
    for (what, count) in [("a metric", 1), ("two metrics", 2)] {
        see(what, meta(Meta { metrics: vec![Metric::default(); count], ..Meta::default() }));
    }
}

#[test]
fn unpacked_numbers_and_scattered_metadata_are_read() {
    let plain = SeldonMessage {
        meta: Some(Meta { tags: [("a".to_owned(), text("1"))].into(), puid: "p".to_owned(), ..Meta::default() }),
        ..with(Rows::Tensor(Tensor { shape: vec![2, 1], values: vec![0.0, 0.0] }))
    };
    // Each number in a field of its own, the data before the metadata, and that in three fields.
    let tensor = b"\x08\x02\x08\x01\x11\0\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0\0";
    let data = [b"\x0a\x01a\x12", &[tensor.len() as u8][..], tensor].concat();
    let tags = Meta { tags: [("a".to_owned(), text("1"))].into(), ..Meta::default() }.encode_to_vec();
    let tags = [b"\x12", &[tags.len() as u8][..], &tags].concat();
    let scattered =
        [b"\x1a", &[data.len() as u8][..], &data, b"\x12\x03\x0a\x01x", &tags, b"\x12\x03\x0a\x01q"].concat();
    assert_eq!(hold(SELDON, &[message(&plain), bytes(scattered.clone()), bytes(scattered)], model(false), same), 3);
}
