//! TensorFlow's requests by row.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

use super::*;

const TF: Protocol = Protocol::Tensorflow;

/// Answers each row with its text and with what the server made of all rows, as one that reads them into one array.
fn model(request: &Message) -> Message {
    let read: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&request.body).unwrap();
    let instances = read["instances"].get();
    let rows: Vec<Box<RawValue>> = serde_json::from_str(instances).unwrap();
    let numbers = instances.split(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)));
    let float = numbers
        .into_iter()
        .any(|text| text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.contains(['.', 'e']));
    let (text, float) = (instances.replace("\"b64\"", "").contains('"'), float || instances.contains("NaN"));
    let signature = read.get("signature_name").map_or("null", |name| name.get());
    let mut reply = String::from("{\n  \"model\": \"m\",\n  \"predictions\": [");
    for (at, row) in rows.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        reply += &format!("{comma}\n    {{\"row\": {}, \"saw\": [{float}, {text}, {signature}]}}", row.get());
    }
    reply += "\n  ]\n}\n";
    json(reply)
}

fn leaf(class: u8) -> BoxedStrategy<&'static str> {
    match class {
        0 => select(vec!["0", "-7", "12", "9007199254740993"]).boxed(),
        1 => select(vec!["1.0", "2.50", "-0.0", "1e2", "3"]).boxed(),
        2 => select(vec!["\"a\"", "\"[1,\\\"]\"", "\"\"", "\"ä\""]).boxed(),
        3 => select(vec!["true", "false"]).boxed(),
        _ => select(vec!["{\"b64\":\"AA==\"}", "{ \"b64\": \"\" }"]).boxed(),
    }
}

fn value(class: u8, shape: usize) -> BoxedStrategy<String> {
    let list = |items: BoxedStrategy<String>, n| vec(items, n).prop_map(|items| format!("[{}]", items.join(", ")));
    let leaf = leaf(class).prop_map(str::to_owned).boxed();
    match shape {
        0 => leaf,
        1 => list(leaf, 2).boxed(),
        _ => list(list(leaf, 1).boxed(), 3).boxed(),
    }
}

fn row(class: u8, shape: usize, object: bool) -> BoxedStrategy<String> {
    let value = move || value(class, shape);
    match object {
        false => value(),
        true => (value(), value(), any::<bool>())
            .prop_map(|(x, y, turned)| {
                if turned { format!("{{\"y\":{y},\"\\u0078\":{x}}}") } else { format!("{{\"x\":{x}, \"y\":{y}}}") }
            })
            .boxed(),
    }
}

fn request() -> impl Strategy<Value = Message> {
    (0..5u8, 0..3usize, any::<bool>(), 0..6u8)
        .prop_flat_map(|(class, shape, object, signature)| (vec(row(class, shape, object), 1..4), Just(signature)))
        .prop_map(|(rows, signature)| {
            let rows = rows.join(" ,\n");
            json(match signature {
                0 => format!("{{\"signature_name\":\"s\",\"instances\":[{rows}]}}"),
                1 => format!("{{\"instances\" : [ {rows} ] , \"signature_name\":\"s\"}}"),
                _ => format!("{{\"instances\":[{rows}]}}"),
            })
        })
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(request(), 1..40)) {
        hold(TF, &requests, model, same_bytes);
    }

    #[test]
    fn requests_alike_are_merged(rows in vec(vec(row(1, 1, true), 1..4), 2..9)) {
        // A float in each, whatever else there is.
        let requests: Vec<_> = rows.iter().map(|rows| json(format!("{{\"instances\":[{},{{\"x\":[1.5,1],\"y\":[1.5,2]}}]}}", rows.join(",")))).collect();
        prop_assert_eq!(hold(TF, &requests, model, same_bytes), requests.len());
    }
}

#[test]
fn rows_are_spliced_as_they_were_written() {
    let parts = parts(
        TF,
        &[
            "{ \"instances\" : [ [1.0,2e0] ] , \"signature_name\":\"s\" }",
            "{\"signature_name\":\"s\",\"instances\":[[ 3.50 ,4]\n,[5.0,6]]}",
        ],
    );
    assert_eq!(parts.iter().map(Part::rows).collect::<Vec<_>>(), [1, 2]);
    let merged = "{ \"instances\" : [ [1.0,2e0],[ 3.50 ,4]\n,[5.0,6] ] , \"signature_name\":\"s\" }";
    assert_eq!(merge(&parts), json(merged));
    let replies = split(&parts, &json("{\"predictions\": [ [0.10], NaN , {\"a\":1} ], \"k\":1}")).unwrap();
    assert_eq!(
        texts(&replies),
        ["{\"predictions\": [ [0.10] ], \"k\":1}", "{\"predictions\": [ NaN , {\"a\":1} ], \"k\":1}"]
    );
}

#[test]
fn what_may_be_no_rows_goes_alone() {
    alone(
        TF,
        &[
            "{\"inputs\":[[1.0]]}",
            "{\"inputs\":[[1]],\"instances\":[[1]]}",
            "{\"instances\":[]}",
            "{\"instances\":[[],[]]}",
            "{\"instances\":[{},{}]}",
            "{\"instances\":1}",
            "{\"instances\":{\"x\":[1]}}",
            "{\"instances\":null}",
            "{\"instances\":[null]}",
            "{\"instances\":[[1,2],[3]]}",
            "{\"instances\":[1,[2]]}",
            "{\"instances\":[{\"x\":1},{\"y\":1}]}",
            "{\"instances\":[{\"x\":1},{\"x\":1,\"y\":1}]}",
            "{\"instances\":[{\"x\":1},{\"x\":[1]}]}",
            "{\"instances\":[{\"x\":1,\"x\":2}]}",
            "{\"instances\":[{\"x\":1},2]}",
            "{\"instances\":[{\"b64\":\"AA==\"},\"text\"]}",
            "{\"instances\":[[{\"x\":1}]]}",
            "{\"instances\":[9223372036854775808]}",
            "{\"instances\":[[1]],\"parameters\":{\"k\":1}}",
            "{\"instances\":[[1]],\"instances\":[[2]]}",
            "{\"instances\":[[1]],\"signature_name\":null}",
            "{\"instances\":[[1]],\"signature_name\":1}",
            "{\"instances\":[[1]]} {}",
            "{\"instances\":[[1]]",
            "[[1]]",
            "",
            "{\"predictions\":[[1]]}",
        ],
    );
    assert!(of(TF, &Message { body: "{\"instances\":[1]}".into(), form: Form::Binary { json: 17 } }).is_none());
}

#[test]
fn what_is_answered_differently_has_another_key() {
    strangers(
        TF,
        &[
            "{\"instances\":[[1]]}",
            "{\"instances\":[[1.0]]}",
            "{\"instances\":[[\"1\"]]}",
            "{\"instances\":[[true]]}",
            "{\"instances\":[[{\"b64\":\"\"}]]}",
            "{\"instances\":[1]}",
            "{\"instances\":[[1,2]]}",
            "{\"instances\":[[[1]]]}",
            "{\"instances\":[{\"x\":[1]}]}",
            "{\"instances\":[{\"x\":[1.0]}]}",
            "{\"instances\":[{\"y\":[1]}]}",
            "{\"instances\":[{\"x\":[1],\"y\":1}]}",
            "{\"instances\":[[1]],\"signature_name\":\"\"}",
            "{\"instances\":[[1]],\"signature_name\":\"s\"}",
        ],
    );
    let typed = Form::Json { content_type: Some("application/json; charset=utf-8".into()) };
    let typed = Message { body: "{\"instances\":[[1]]}".into(), form: typed };
    assert_ne!(of(TF, &typed).unwrap().key(), parts(TF, &["{\"instances\":[[1]]}"])[0].key());
}

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let parts = parts(TF, &["{\"instances\":[[1]]}", "{\"instances\":[[2],[3]]}"]);
    let rows = |found: &str| Err(Unsplit::Rows { sent: 3, found: found.to_owned() });
    for (reply, found) in [
        ("{\"predictions\":[1,2]}", "2 predictions"),
        ("{\"predictions\":[1,2,3,4]}", "4 predictions"),
        ("{\"predictions\":[]}", "0 predictions"),
        ("{\"predictions\":3}", "no array of predictions"),
        ("{\"predictions\":null,\"message\":\"m\"}", "no array of predictions"),
        ("{\"outputs\":[1,2,3]}", "no array of predictions"),
        ("[1,2,3]", "no array of predictions"),
    ] {
        assert_eq!(split(&parts, &json(reply)), rows(found), "{reply}");
    }
    for reply in ["", "{\"predictions\":[1,2,3]", "{\"predictions\":[1,2,3],\"predictions\":[1,2,3]}"] {
        assert!(matches!(split(&parts, &json(reply)), Err(Unsplit::Unreadable(_))), "{reply}");
    }
    let proto = Message::proto("tensorflow.serving.PredictResponse", "");
    assert!(matches!(split(&parts, &proto), Err(Unsplit::Unreadable(_))));
}
