//! V2's requests over REST, with data in the text and behind it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

use super::*;

const V2: Protocol = Protocol::V2;

type Object = BTreeMap<String, Box<RawValue>>;

/// Texts of the values in nested arrays.
fn leaves(data: &str, into: &mut Vec<String>) {
    match serde_json::from_str::<Vec<Box<RawValue>>>(data) {
        Ok(items) if data.trim_start().starts_with('[') => items.iter().for_each(|item| leaves(item.get(), into)),
        _ => into.push(data.to_owned()),
    }
}

fn text(object: &Object, name: &str) -> String {
    object.get(name).map_or_else(|| "null".to_owned(), |value| value.get().to_owned())
}

fn json_length(message: &Message) -> usize {
    if let Form::Binary { json } = message.form { json } else { message.body.len() }
}

/// Answers with each input as it is and with the number of elements of each row, in the given encoding, with what the
/// request has beside its rows.
fn model(nested: bool, space: &str) -> impl Fn(&Message) -> Message {
    move |request| {
        let (json, mut tail) = request.body.split_at(json_length(request));
        let read: Object = serde_json::from_slice(json).unwrap();
        let inputs: Vec<Object> = serde_json::from_str(read["inputs"].get()).unwrap();
        let (mut outputs, mut raw) = (Vec::new(), Vec::new());
        for input in &inputs {
            let shape: Vec<usize> = serde_json::from_str(input["shape"].get()).unwrap();
            let parameters: Object =
                input.get("parameters").map_or_else(Object::new, |own| serde_json::from_str(own.get()).unwrap());
            let row = shape[1..].iter().product::<usize>();
            let sizes = format!("[{}]", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
            let start = format!(
                "{{\"name\":{},\"datatype\":{},\"shape\":{sizes}",
                text(input, "name"),
                text(input, "datatype")
            );
            if let Some(size) = parameters.get("binary_data_size") {
                let (own, rest) = tail.split_at(size.get().parse().unwrap());
                (tail, raw) = (rest, [raw, own.to_vec()].concat());
                outputs.push(format!("{start},\"parameters\":{{\"binary_data_size\":{}}}}}", own.len()));
            } else {
                let mut values = Vec::new();
                leaves(input["data"].get(), &mut values);
                assert_eq!(values.len(), shape[0] * row);
                let rows = values.chunks(row).map(|row| row.join(&format!(",{space}")));
                let join = |rows: Vec<String>| rows.join(&format!(",{space}"));
                let data = if nested && shape.len() == 2 {
                    join(rows.map(|row| format!("[{row}]")).collect())
                } else {
                    join(rows.collect())
                };
                outputs.push(format!(
                    "{start},\"parameters\":{},\"data\":[{space}{data}{space}]}}",
                    text(input, "parameters")
                ));
            }
            outputs.push(format!(
                "{{\"name\":\"count\",\"shape\":[{}],\"datatype\":\"INT8\",\"data\":[{}]}}",
                shape[0],
                vec![row.to_string(); shape[0]].join(",")
            ));
            outputs.push(format!("{{\"name\":\"none\",\"shape\":[{},0],\"datatype\":\"INT8\",\"data\":[]}}", shape[0]));
        }
        let id = read.get("id").map_or_else(String::new, |id| format!("\"id\":{},", id.get()));
        // As the server read them: in whatever order they were written.
        let own: serde_json::Value = serde_json::from_str(&text(&read, "parameters")).unwrap();
        let saw = format!("[{own},{},{}]", text(&read, "outputs"), text(&read, "model_version"));
        let mut body =
            format!("{{{id}\"parameters\":{{\"saw\":{saw}}},\"outputs\":[{}]}}", outputs.join(", ")).into_bytes();
        let form = match request.form {
            Form::Binary { .. } => Form::Binary { json: body.len() },
            _ => Form::Json { content_type: None },
        };
        body.append(&mut raw);
        Message { body: body.into(), form }
    }
}

fn value(datatype: &str) -> BoxedStrategy<String> {
    let texts = match datatype {
        "BOOL" => vec!["true", "false"],
        "INT64" => vec!["1", "-9007199254740993", "0"],
        "FP32" => vec!["1", "2.50", "1e2", "-0.0", "0.10000000000000001"],
        _ => vec!["\"a\"", "\"],[\"", "\"\\\"\"", "\"\\\\\"", "\"ä\""],
    };
    select(texts).prop_map(str::to_owned).boxed()
}

/// A request with one or two inputs: rows of two, and a list.
fn request() -> impl Strategy<Value = Message> {
    (select(vec!["BOOL", "INT64", "FP32", "BYTES"]), 1..4usize, any::<bool>())
        .prop_flat_map(|(datatype, rows, two)| {
            let data = vec(vec(value(datatype), 2), rows);
            (Just(datatype), data, any::<(bool, bool)>(), Just(two), vec(value("INT64"), rows), 0..12u8, 0..4u8)
        })
        .prop_map(|(datatype, data, (nested, binary), two, list, extra, id)| {
            let rows = data.len();
            let (mut raw, fixed) = (Vec::new(), datatype == "FP32" && binary);
            let flat = data.iter().map(|row| if nested { format!("[ {}]", row.join(", ")) } else { row.join(" ,") });
            let data = format!("\"data\" :[{}]", flat.collect::<Vec<_>>().join(",\n"));
            let mut x = format!("{{\"name\":\"x\",\"shape\":[{rows}, 2],\"datatype\":\"{datatype}\",{data}}}");
            if fixed {
                raw = (0..rows as u8 * 8).map(|byte| byte.wrapping_mul(id + 3)).collect();
                x = format!("{{\"parameters\":{{\"binary_data_size\":{}}}, \"name\":\"x\",\"shape\":[{rows}, 2],\"datatype\":\"FP32\"}}", rows * 8);
            }
            let y = format!(", {{\"data\":[{}],\"shape\":[{rows}],\"name\":\"y\",\"datatype\":\"INT64\"}}", list.join(","));
            let inputs = format!("\"inputs\":[{x}{}]", if two { &y } else { "" });
            let extra = match extra {
                0 => ",\"parameters\":{\"b\":1,\"a\":{\"c\":[]}}",
                1 => ",\"parameters\":{ \"a\":{\"c\":[]} , \"b\":1}",
                2 => ",\"outputs\":[{\"name\":\"o\"}]",
                3 => ",\"model_version\":\"2\"",
                _ => "",
            };
            let body = match id {
                0 => format!("{{{inputs}{extra}}}"),
                1 => format!("{{ \"id\" : \"first\" , {inputs}{extra}}}"),
                2 => format!("{{{inputs}{extra}, \"\\u0069d\":\"l\\\"st\"\n}}"),
                _ => format!("{{{inputs} ,\"id\":\"\"{extra}}}"),
            };
            let form = if fixed { Form::Binary { json: body.len() } } else { Form::Json { content_type: None } };
            Message { body: [body.as_bytes(), &raw].concat().into(), form }
        })
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(request(), 1..60), nested: bool, wide: bool) {
        hold(V2, &requests, model(nested, if wide { "\n " } else { "" }), same_bytes);
    }
}

fn one(rest: &str) -> String {
    format!("{{\"inputs\":[{{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[1,2]{rest}}}")
}

#[test]
fn rows_are_spliced_as_they_were_written() {
    let texts_in = [
        "{\"id\":\"a\", \"inputs\":[{\"name\":\"x\",\"data\":[[1.0, 2e0]] ,\"shape\":[ 1,2 ],\"datatype\":\"FP32\"}]}",
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[3.50,4 ,5,\n6]}]}",
    ];
    let parts = parts(V2, &texts_in);
    let merged =
        "{\"inputs\":[{\"name\":\"x\",\"data\":[1.0, 2e0,3.50,4 ,5,\n6] ,\"shape\":[3,2],\"datatype\":\"FP32\"}]}";
    assert_eq!(merge(&parts), json(merged));
    // A server that makes up an id, writes null where it means nothing, and has NaN.
    let reply = "{\"model_name\":\"m\",\"id\":\"made-up\",\"parameters\":null,\"outputs\":[{\"name\":\"y\",\"shape\":[3,1],\
                 \"parameters\":null,\"datatype\":\"FP64\",\"data\":[0.10, null ,NaN]}]}";
    let replies = split(&parts, &json(reply)).unwrap();
    assert_eq!(
        texts(&replies),
        [
            "{\"model_name\":\"m\",\"id\":\"a\",\"parameters\":null,\"outputs\":[{\"name\":\"y\",\"shape\":[1,1],\"parameters\":null,\
         \"datatype\":\"FP64\",\"data\":[0.10]}]}",
            "{\"model_name\":\"m\",\"parameters\":null,\"outputs\":[{\"name\":\"y\",\"shape\":[2,1],\"parameters\":null,\
         \"datatype\":\"FP64\",\"data\":[null ,NaN]}]}",
        ]
    );
}

#[test]
fn parameters_have_no_order() {
    let with = |own: &str| format!("{}],\"parameters\":{own}}}", one(""));
    parts(V2, &[&with("{\"a\":1,\"b\":[2]}"), &with("{ \"b\":[2], \"\\u0061\" :1 }")]);
}

#[test]
fn what_is_no_list_of_rows_goes_alone() {
    let input = |shape: &str, datatype: &str, data: &str| {
        let text = format!(
            "{{\"inputs\":[{{\"name\":\"x\",\"shape\":{shape},\"datatype\":\"{datatype}\",\"data\":{data}}}]}}"
        );
        of(V2, &json(text)).is_none()
    };
    assert!(!input("[2,2]", "FP32", "[[1,2],[3,4]]"));
    for (shape, datatype, data) in [
        ("[]", "FP32", "1"),
        ("[]", "FP32", "[1]"),
        ("[0,2]", "FP32", "[]"),
        ("[2,0]", "FP32", "[[],[]]"),
        ("[2,2]", "FP32", "[1,2,3]"),
        ("[2,2]", "FP32", "[[1,2],[3]]"),
        ("[2,2]", "FP32", "[[1,2,3,4]]"),
        ("[2,2]", "FP32", "[[1],[2],[3],[4]]"),
        ("[2,-2]", "FP32", "[]"),
        ("[2.0]", "FP32", "[1,2]"),
        ("[\"2\"]", "FP32", "[1,2]"),
        ("2", "FP32", "[1,2]"),
        ("[18446744073709551615,2]", "FP32", "[1,2]"),
        ("[2]", "FP32", "[1,\"2\"]"),
        ("[2]", "FP32", "[1,null]"),
        ("[2]", "FP32", "[1,true]"),
        ("[2]", "FP32", "null"),
        ("[2]", "INT32", "[1,1.5]"),
        ("[2]", "INT8", "[1,128]"),
        ("[2]", "UINT8", "[1,-1]"),
        ("[2]", "BOOL", "[1,0]"),
        ("[2]", "BYTES", "[\"a\",1]"),
        ("[2]", "BYTES", "[\"a\",\"\\ud800\"]"),
        ("[2]", "FP8", "[1,2]"),
    ] {
        assert!(input(shape, datatype, data), "{shape} {datatype} {data}");
    }
    alone(
        V2,
        &[
            "{\"inputs\":[]}",
            "{\"inputs\":{}}",
            "{\"outputs\":[]}",
            "[]",
            "",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]},{\"name\":\"y\",\"shape\":[2],\"datatype\":\"INT8\",\"data\":[1,2]}]}",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]},{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}]}",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1],\"data\":[1]}]}",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1],\"more\":1}]}",
            "{\"inputs\":[{\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}]}",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\"}]}",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT8\",\"parameters\":{\"binary_data_size\":1}}]}",
        ],
    );
}

#[test]
fn other_members_and_control_parameters_go_alone() {
    let with = |more: &str| of(V2, &json(format!("{}]{more}}}", one("")))).is_none();
    assert!(!with("") && !with(",\"id\":\"a\"") && !with(",\"id\":null,\"model_name\":\"m\",\"parameters\":null"));
    for more in [
        ",\"more\":1",
        ",\"id\":1",
        ",\"id\":\"a\",\"id\":\"b\"",
        ",\"parameters\":[]",
        ",\"parameters\":{\"a\":1,\"a\":1}",
        ",\"outputs\":{}",
        ",\"outputs\":[{\"name\":\"o\",\"more\":1}]",
        ",\"outputs\":[{}]",
    ] {
        assert!(with(more), "{more}");
    }
    for name in [
        "sequence_id",
        "sequence_start",
        "sequence_end",
        "priority",
        "timeout",
        "binary_data_output",
        "shared_memory_region",
    ] {
        assert!(with(&format!(",\"parameters\":{{\"{name}\":1}}")), "{name}");
        assert!(with(&format!(",\"outputs\":[{{\"name\":\"o\",\"parameters\":{{\"{name}\":1}}}}]")), "{name}");
        let of_input = format!("{}]}}", one(&format!(",\"parameters\":{{\"{name}\":1}}")));
        assert!(of(V2, &json(of_input)).is_none(), "{name}");
    }
}

#[test]
fn what_is_answered_differently_has_another_key() {
    let input = |name: &str, shape: &str, datatype: &str, more: &str| {
        format!("{{\"name\":\"{name}\",\"shape\":{shape},\"datatype\":\"{datatype}\",\"data\":[1,2]{more}}}")
    };
    let one = |input: &str, more: &str| format!("{{\"inputs\":[{input}]{more}}}");
    let (x, y) = (input("x", "[1,2]", "FP32", ""), input("y", "[1,2]", "FP32", ""));
    let texts = [
        one(&x, ""),
        one(&y, ""),
        one(&format!("{x},{y}"), ""),
        one(&format!("{y},{x}"), ""),
        one(&input("x", "[2]", "FP32", ""), ""),
        one(&input("x", "[1,2]", "FP64", ""), ""),
        one(&input("x", "[1,2]", "FP32", ",\"parameters\":{\"content_type\":\"np\"}"), ""),
        one(&input("x", "[1,2]", "FP32", ",\"parameters\":{\"content_type\":\"pd\"}"), ""),
        one(&x, ",\"parameters\":{\"headers\":{\"a\":1}}"),
        one(&x, ",\"parameters\":{\"headers\":{\"a\":2}}"),
        one(&x, ",\"outputs\":[]"),
        one(&x, ",\"outputs\":[{\"name\":\"o\"}]"),
        one(&x, ",\"outputs\":[{\"name\":\"o\"},{\"name\":\"p\"}]"),
        one(&x, ",\"outputs\":[{\"name\":\"p\"},{\"name\":\"o\"}]"),
        one(&x, ",\"outputs\":[{\"name\":\"o\",\"parameters\":{\"binary_data\":true}}]"),
        one(&x, ",\"model_version\":\"1\""),
        one(&x, ",\"model_name\":\"1\""),
    ];
    strangers(V2, &texts.each_ref().map(String::as_str));
}

#[test]
fn raw_data_must_be_all_there_and_no_more() {
    let text =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"INT8\",\"parameters\":{\"binary_data_size\":2}}]}";
    let binary = |tail: &str| Message { body: format!("{text}{tail}").into(), form: Form::Binary { json: text.len() } };
    assert!(of(V2, &binary("ab")).is_some());
    for tail in ["", "a", "abc"] {
        assert!(of(V2, &binary(tail)).is_none(), "{tail}");
    }
    assert!(of(V2, &Message { body: text.into(), form: Form::Binary { json: text.len() + 1 } }).is_none());
    let parts: Vec<_> = ["ab", "cd"].map(|tail| of(V2, &binary(tail)).unwrap()).into();
    let merged = text.replace("[1,2]", "[2,2]").replace(":2}", ":4}");
    assert_eq!(
        merge(&parts),
        Message { body: format!("{merged}abcd").into(), form: Form::Binary { json: text.len() } }
    );
    // A server may answer with text, or with raw data, or with both.
    let reply = "{\"outputs\":[{\"name\":\"t\",\"shape\":[2],\"datatype\":\"INT8\",\"data\":[1,2]},\
                 {\"name\":\"r\",\"shape\":[2],\"datatype\":\"BYTES\",\"parameters\":{\"binary_data_size\":11}}]}";
    let answer_with = |tail: &[u8]| Message {
        body: [reply.as_bytes(), tail].concat().into(),
        form: Form::Binary { json: reply.len() },
    };
    let replies = split(&parts, &answer_with(b"\x02\0\0\0hi\x01\0\0\0!")).unwrap();
    assert!(replies[0].body.ends_with(b"\"binary_data_size\":6}}]}\x02\0\0\0hi"), "{:?}", replies[0]);
    assert!(replies[1].body.ends_with(b"\"binary_data_size\":5}}]}\x01\0\0\0!"), "{:?}", replies[1]);
    assert!(replies.iter().all(|reply| reply.body[..json_length(reply)].ends_with(b"}]}")));
    for tail in [&b""[..], b"\x02\0\0\0hi\x01\0\0\0!more", b"\x07\0\0\0hi\x01\0\0\0!"] {
        assert!(matches!(split(&parts, &answer_with(tail)), Err(Unsplit::Unreadable(_))), "{tail:?}");
    }
}

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let input = |shape: &str, data: &str| {
        format!("{{\"inputs\":[{{\"name\":\"x\",\"shape\":[{shape}],\"datatype\":\"FP32\",\"data\":[{data}]}}]}}")
    };
    let (first, second) = (input("1", "1"), input("2", "1,2"));
    let parts = parts(V2, &[&first, &second]);
    let output =
        |shape: &str, data: &str| format!("{{\"name\":\"y\",\"shape\":{shape},\"datatype\":\"FP32\",\"data\":{data}}}");
    let with = |outputs: &str| split(&parts, &json(format!("{{\"outputs\":[{outputs}]}}")));
    let good = output("[3]", "[1,2,3]");
    assert_eq!(with(&good).unwrap().len(), 2);
    for (shape, data) in
        [("[]", "[1]"), ("[1,3]", "[1,2,3]"), ("[4]", "[1,2,3,4]"), ("[3,18446744073709551615]", "[1]")]
    {
        // Every output, not only the first.
        let found = with(&format!("{good},{}", output(shape, data)));
        assert!(matches!(found, Err(Unsplit::Rows { sent: 3, .. })), "{shape}: {found:?}");
    }
    assert!(matches!(with(""), Err(Unsplit::Rows { .. })));
    assert!(matches!(split(&parts, &json("{\"error\":\"no\"}")), Err(Unsplit::Rows { .. })));
    for (shape, data) in [
        ("[3]", "[1,2]"),
        ("[3,2]", "[[1,2],[3,4],[5]]"),
        ("[3,2]", "[1,2,3]"),
        ("[3]", "[1,2,{}]"),
        ("[3]", "null"),
        ("null", "[1]"),
    ] {
        let found = with(&output(shape, data));
        assert!(matches!(found, Err(Unsplit::Unreadable(_))), "{shape} {data}: {found:?}");
    }
    for reply in
        ["", "{\"outputs\":[1]}", "{\"outputs\":[],\"outputs\":[]}", "{\"id\":\"\",\"id\":\"\",\"outputs\":[1]}"]
    {
        assert!(split(&parts, &json(reply)).is_err(), "{reply}");
    }
}
