//! Seldon's requests in JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::value::RawValue;

use super::*;

mod replies;

const SELDON: Protocol = Protocol::Seldon;

type Members = BTreeMap<String, Box<RawValue>>;

fn members(text: &str) -> Members {
    serde_json::from_str(text).unwrap()
}

fn raw<'m>(members: &'m Members, name: &str) -> &'m str {
    members.get(name).map_or("null", |value| value.get())
}

/// The texts of an array's items.
fn texts_of(array: &str) -> Vec<String> {
    let items: Vec<Box<RawValue>> = serde_json::from_str(array).unwrap();
    items.iter().map(|item| item.get().to_owned()).collect()
}

/// How the stub answers.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// Metadata always, the id first in it.
    Always,
    /// Metadata only for an id.
    ForIds,
    /// A null in the place of metadata that would be empty.
    Null,
}

/// Answers each row with its values, as text that spells them as they came, and with what it made of all rows, as a server
/// that reads them into one array.
fn model(style: Style, tensor: bool) -> impl Fn(&Message) -> Message {
    move |request| {
        let body = members(std::str::from_utf8(&request.body).unwrap());
        let (data, meta) = (members(raw(&body, "data")), body.get("meta").map(|meta| members(meta.get())));
        let rows: Vec<String> = if let Some(rows) = data.get("ndarray") {
            texts_of(rows.get())
        } else {
            let tensor = members(raw(&data, "tensor"));
            let shape: Vec<usize> = serde_json::from_str(raw(&tensor, "shape")).unwrap();
            let values = texts_of(raw(&tensor, "values"));
            assert_eq!(values.len(), shape.iter().product::<usize>());
            values.chunks(values.len() / shape[0]).map(|row| format!("[{}]", row.join(","))).collect()
        };
        let all = rows.concat();
        // A text is whatever stands between quotes; what is left are numbers and truth values.
        let bare = all.replace("\\\"", "").split('"').step_by(2).collect::<String>();
        let numbers = bare.replace("true", "").replace("false", "");
        let saw = [numbers.contains(['.', 'e']), all.contains('"'), numbers.len() < bare.len()];
        let names = format!("[{},\"saw\"]", serde_json::to_string(raw(&data, "names")).unwrap());
        let answers = rows.iter().map(|row| {
            let spelled = serde_json::to_string(row).unwrap();
            if tensor { format!("{}, 2.50,1e2", spelled.len()) } else { format!("[{spelled}, 2.50 ,{saw:?}]") }
        });
        let answers = answers.collect::<Vec<_>>().join(",\n ");
        let data = if tensor {
            format!("{{\"names\":{names},\"tensor\":{{\"values\":[ {answers}],\"shape\":[{},3]}}}}", rows.len())
        } else {
            format!("{{\"names\":{names},\"ndarray\":[ {answers} ]}}")
        };
        let puid = meta.as_ref().map_or("null", |meta| raw(meta, "puid"));
        let tags = meta.as_ref().map_or("null", |meta| raw(meta, "tags"));
        let tags: serde_json::Value = serde_json::from_str(tags).unwrap();
        let (puid, rest) = (
            if puid == "null" { String::new() } else { format!("\"puid\":{puid}") },
            format!("\"tags\":{{\"saw\":{tags}}}"),
        );
        json(match style {
            Style::Always if puid.is_empty() => format!("{{\"data\": {data} ,\"meta\":{{{rest}}}}}"),
            Style::Always => format!("{{\"data\": {data} ,\"meta\":{{{puid},{rest}}}}}"),
            Style::ForIds if puid.is_empty() => {
                format!("{{\"data\": {data}, \"status\":{{\"code\":200,\"status\":\"SUCCESS\"}}}}")
            }
            Style::ForIds => {
                format!("{{\"meta\":{{{puid}}},\"data\": {data}, \"status\":{{\"code\":200,\"status\":\"SUCCESS\"}}}}")
            }
            Style::Null if puid.is_empty() => format!("{{\"meta\" : null, \"data\": {data}}}"),
            Style::Null => format!("{{\"meta\" : {{{puid}}}, \"data\": {data}}}"),
        })
    }
}

fn leaf(class: u8) -> BoxedStrategy<String> {
    let texts = match class {
        0 => vec!["0", "-7", "12", "9007199254740993"],
        1 => vec!["1.0", "2.50", "-0.0", "1e2", "3"],
        2 => vec!["\"a\"", "\"[1,\\\"]\"", "\"\"", "\"ä\""],
        3 => vec!["true", "false"],
        _ => vec!["\"a\"", "1", "2.5", "true"],
    };
    select(texts).prop_map(str::to_owned).boxed()
}

fn any_request() -> impl Strategy<Value = Message> {
    (0..5u8, 1..4usize, 1..3usize, any::<bool>())
        .prop_flat_map(|(class, rows, columns, deep)| {
            let columns = if deep { 2 } else { columns };
            (Just((class, deep)), vec(vec(leaf(class), columns), rows), any::<bool>(), 0..6u8, 0..8u8)
        })
        .prop_map(|((class, deep), rows, tensor, names, meta)| {
            let (n, columns) = (rows.len(), rows[0].len());
            let data = if tensor && class < 2 {
                let shape = if deep { format!("[{n}, 1,{columns}]") } else { format!("[ {n},{columns} ]") };
                let values = rows.iter().map(|row| row.join(" ,")).collect::<Vec<_>>().join(",\n");
                format!("\"tensor\" : {{\"shape\":{shape} ,\"values\" :[ {values}]}}")
            } else {
                let row = |row: &Vec<String>| {
                    if deep { format!("[ [{}]]", row.join(", ")) } else { format!("[{}]", row.join(" ,")) }
                };
                format!("\"ndarray\" :[ {} ]", rows.iter().map(row).collect::<Vec<_>>().join(",\n"))
            };
            let data = match names {
                0 => format!("{{\"names\":[\"a\"],{data}}}"),
                1 => format!("{{{data} , \"names\":[\"a\"] }}"),
                _ => format!("{{ {data}}}"),
            };
            json(match meta {
                0 => format!("{{\"data\":{data}, \"meta\":{{ \"puid\" : \"first\" , \"tags\":{{\"a\":1,\"b\":[]}}}}}}"),
                1 => format!(
                    "{{\"meta\":{{\"tags\":{{ \"b\":[] , \"a\":1}},\"\\u0070uid\":\"l\\\"st\"\n}},\"data\":{data}}}"
                ),
                2 => format!("{{\"meta\":{{\"tags\":{{\"a\":1,\"b\":[]}}, \"puid\":null}},\"data\":{data}}}"),
                3 => format!("{{\"meta\":{{}},\"data\":{data}}}"),
                4 => format!("{{\"meta\" : {{\"puid\":\"only\"}} , \"data\":{data}}}"),
                5 => format!("{{\"meta\":{{\"puid\":\"\"}},\"data\":{data}}}"),
                _ => format!("{{\"data\":{data}}}"),
            })
        })
}

fn any_model() -> impl Strategy<Value = (Style, bool)> {
    (select(vec![Style::Always, Style::ForIds, Style::Null]), any::<bool>())
}

proptest! {
    #[test]
    fn each_gets_what_it_gets_alone(requests in vec(any_request(), 1..60), (style, tensor) in any_model()) {
        hold(SELDON, &requests, model(style, tensor), same_bytes);
    }

    #[test]
    fn requests_alike_are_merged(
        rows in vec(vec(vec(leaf(0), 3), 1..4), 2..9), tensor: bool, (style, answer) in any_model(),
    ) {
        let request = |(at, rows): (usize, &Vec<Vec<String>>)| {
            let texts: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
            let data = if tensor {
                format!("\"tensor\":{{\"values\":[{}],\"shape\":[{},3]}}", texts.join(","), rows.len())
            } else {
                format!("\"ndarray\":[[{}]]", texts.join("],["))
            };
            json(format!("{{\"meta\":{{\"puid\":\"{at}\"}},\"data\":{{{data}}}}}"))
        };
        let requests: Vec<_> = rows.iter().enumerate().map(request).collect();
        prop_assert_eq!(hold(SELDON, &requests, model(style, answer), same_bytes), requests.len());
    }
}

fn ndarray(rows: &str) -> String {
    format!("{{\"data\":{{\"ndarray\":{rows}}}}}")
}

fn tensor(shape: &str, values: &str) -> String {
    format!("{{\"data\":{{\"tensor\":{{\"shape\":{shape},\"values\":{values}}}}}}}")
}

#[test]
fn rows_are_spliced_as_they_were_written() {
    let parts = parts(
        SELDON,
        &[
            "{ \"meta\" : { \"puid\" : \"a\" } , \"data\":{\"ndarray\":[ [1.0, 2e0] ], \"names\":[\"x\",\"y\"]}}",
            "{\"data\":{\"names\":[\"x\",\"y\"],\"ndarray\":[[3.50,4]\n,[5 , 6]]},\"meta\":{\"puid\":\"b\"}}",
        ],
    );
    assert_eq!(parts.iter().map(Part::rows).collect::<Vec<_>>(), [1, 2]);
    let merged =
        "{ \"meta\" : {  } , \"data\":{\"ndarray\":[ [1.0, 2e0],[3.50,4]\n,[5 , 6] ], \"names\":[\"x\",\"y\"]}}";
    assert_eq!(merge(&parts), json(merged));
    let reply = "{\"data\":{\"names\":[\"t:0\"],\"ndarray\":[ 0.10, NaN , {\"k\":[1,2]} ]},\"meta\":{\"metrics\":[{\"value\":1}]}}";
    assert_eq!(
        texts(&split(&parts, &json(reply)).unwrap()),
        [
            "{\"data\":{\"names\":[\"t:0\"],\"ndarray\":[ 0.10 ]},\"meta\":{\"puid\":\"a\",\"metrics\":[{\"value\":1}]}}",
            "{\"data\":{\"names\":[\"t:0\"],\"ndarray\":[ NaN , {\"k\":[1,2]} ]},\"meta\":{\"puid\":\"b\",\"metrics\":[{\"value\":1}]}}",
        ]
    );
    let parts = super::parts(SELDON, &[&tensor("[ 1,2 ]", "[1.0, 2]"), &tensor("[2,2]", "[3,4 , 5.50,6]")]);
    assert_eq!(merge(&parts), json(tensor("[3,2]", "[1.0, 2,3,4 , 5.50,6]")));
    let reply = json(tensor("[3, 1]", "[ 0.10 ,0.20,0.30]"));
    assert_eq!(texts(&split(&parts, &reply).unwrap()), [tensor("[1,1]", "[ 0.10]"), tensor("[2,1]", "[ 0.20,0.30]")]);
    // An output without values has rows all the same.
    let replies = split(&parts, &json(tensor("[3,0]", "[]"))).unwrap();
    assert_eq!(texts(&replies), [tensor("[1,0]", "[]"), tensor("[2,0]", "[]")]);
}

#[test]
fn ids_are_each_records_own() {
    let with = |meta: &str| format!("{{\"meta\":{{{meta}}},\"data\":{{\"ndarray\":[[1]]}}}}");
    let texts_in = [with("\"puid\":\"a\""), with(""), with("\"puid\":null"), with("\"puid\":\"\\u0063\"")];
    let parts = parts(SELDON, &texts_in.each_ref().map(String::as_str));
    assert_eq!(merge(&parts).body, &b"{\"meta\":{},\"data\":{\"ndarray\":[[1],[1],[1],[1]]}}"[..]);
    let reply = |meta: &str| json(format!("{{\"data\":{{\"ndarray\":[1,2,3,4]}}{meta}}}"));
    for (meta, first, second) in [
        (
            ",\"meta\":{\"puid\":\"other's\",\"tags\":{}}",
            ",\"meta\":{\"puid\":\"a\",\"tags\":{}}",
            ",\"meta\":{\"tags\":{}}",
        ),
        (
            ",\"meta\":{\"tags\":{},\"puid\":\"other's\"}",
            ",\"meta\":{\"tags\":{},\"puid\":\"a\"}",
            ",\"meta\":{\"tags\":{}}",
        ),
        (",\"meta\":{\"puid\":\"other's\"}", ",\"meta\":{\"puid\":\"a\"}", ",\"meta\":{}"),
        (",\"meta\":{\"puid\":null}", ",\"meta\":{\"puid\":\"a\"}", ",\"meta\":{}"),
        (",\"meta\":{}", ",\"meta\":{\"puid\":\"a\"}", ",\"meta\":{}"),
        (",\"meta\":null", ",\"meta\":{\"puid\":\"a\"}", ",\"meta\":null"),
    ] {
        let replies = split(&parts, &reply(meta)).unwrap();
        let expected = |row: u8, meta: &str| format!("{{\"data\":{{\"ndarray\":[{row}]}}{meta}}}");
        let fourth = first.replace("\"a\"", "\"\\u0063\"");
        let all = [expected(1, first), expected(2, second), expected(3, second), expected(4, &fourth)];
        assert_eq!(texts(&replies), all.each_ref().map(String::as_str), "{meta}");
    }
    let replies = split(&parts, &reply("")).unwrap();
    assert_eq!(
        texts(&replies)[..2],
        ["{\"meta\":{\"puid\":\"a\"},\"data\":{\"ndarray\":[1]}}", "{\"data\":{\"ndarray\":[2]}}"]
    );
    for meta in [",\"meta\":1", ",\"meta\":{},\"meta\":{}", ",\"meta\":{\"puid\":\"a\",\"puid\":\"b\"}"] {
        assert!(matches!(split(&parts, &reply(meta)), Err(Unsplit::Unreadable(_))), "{meta}");
    }
}

#[test]
fn what_is_no_list_of_rows_goes_alone() {
    for rows in [
        "[]",
        "[[]]",
        "[[],[]]",
        "[1,2]",
        "1",
        "\"ab\"",
        "null",
        "{}",
        "[[1],[2,3]]",
        "[[1],2]",
        "[[1],[[2]]]",
        "[[null]]",
        "[[{}]]",
        "[[{\"b64\":\"AA==\"}]]",
        "[[9223372036854775808]]",
        "[[1],[18446744073709551615]]",
    ] {
        assert!(of(SELDON, &json(ndarray(rows))).is_none(), "{rows}");
    }
    for (shape, values) in [
        ("[]", "[1]"),
        ("[2]", "[1,2]"),
        ("[0,2]", "[]"),
        ("[2,0]", "[]"),
        ("[1,2]", "[1]"),
        ("[1,2]", "[1,2,3]"),
        ("[1,2]", "[[1,2]]"),
        ("[1,-2]", "[1,2]"),
        ("[1.0,2]", "[1,2]"),
        ("[\"1\",2]", "[1,2]"),
        ("2", "[1,2]"),
        ("null", "[1,2]"),
        ("[1,2]", "null"),
        ("[1,2]", "[1,null]"),
        ("[1,2]", "[1,\"NaN\"]"),
        ("[1,2]", "[1,true]"),
        ("[1,2]", "[1,18446744073709551616]"),
        ("[18446744073709551615,2]", "[1,2]"),
    ] {
        assert!(of(SELDON, &json(tensor(shape, values))).is_none(), "{shape} {values}");
    }
}

#[test]
fn what_is_more_or_other_than_rows_goes_alone() {
    let rows = "\"ndarray\":[[1]]";
    let with = |data: &str, more: &str| of(SELDON, &json(format!("{{\"data\":{{{data}}}{more}}}"))).is_none();
    assert!(!with(rows, "") && !with(rows, ",\"meta\":{\"puid\":\"a\",\"metrics\":[],\"requestPath\":null}"));
    for more in [
        ",\"status\":{}",
        ",\"status\":null",
        ",\"more\":1",
        ",\"strData\":\"a\"",
        ",\"binData\":\"AA==\"",
        ",\"jsonData\":[[1]]",
        ",\"customData\":null",
        ",\"data\":{\"ndarray\":[[1]]}",
        ",\"meta\":null",
        ",\"meta\":[]",
        ",\"meta\":{\"more\":1}",
        ",\"meta\":{},\"meta\":{}",
        ",\"meta\":{\"puid\":1}",
        ",\"meta\":{\"puid\":\"a\",\"puid\":\"b\"}",
        ",\"meta\":{\"tags\":[]}",
        ",\"meta\":{\"tags\":{\"a\":1,\"\\u0061\":1}}",
    ] {
        assert!(with(rows, more), "{more}");
    }
    for data in [
        "",
        "\"names\":[]",
        "\"ndarray\":[[1]],\"ndarray\":[[1]]",
        "\"ndarray\":[[1]],\"tensor\":{\"shape\":[1,1],\"values\":[1]}",
        "\"ndarray\":[[1]],\"tftensor\":null",
        "\"tftensor\":{\"dtype\":\"DT_FLOAT\"}",
        "\"ndarray\":[[1]],\"more\":1",
        "\"tensor\":{\"shape\":[1,1],\"values\":[1],\"more\":1}",
        "\"tensor\":{\"shape\":[1,1],\"values\":[1],\"values\":[1]}",
        "\"tensor\":[[1]]",
    ] {
        assert!(with(data, ""), "{data}");
    }
    alone(
        SELDON,
        &[
            "{\"strData\":\"a\"}",
            "{\"jsonData\":[[1]]}",
            "{\"data\":[[1]]}",
            "{\"meta\":{}}",
            "{}",
            "[[1]]",
            "",
            "{\"data\":{\"ndarray\":[[1]]}",
        ],
    );
    for kind in CallKind::ALL {
        let merged = Part::of(SELDON, kind, &json(ndarray("[[1]]"))).is_some();
        assert_eq!(merged, kind == CallKind::Predict, "{kind:?}");
    }
}

#[test]
fn what_is_answered_differently_has_another_key() {
    let with = |more: &str| format!("{{\"data\":{{\"ndarray\":[[1,2]]}},\"meta\":{more}}}");
    let texts = [
        ndarray("[[1,2]]"),
        ndarray("[[1.0,2]]"),
        ndarray("[[\"1\",2]]"),
        ndarray("[[\"1\",2.0]]"),
        ndarray("[[\"1\",\"2\"]]"),
        ndarray("[[true,false]]"),
        ndarray("[[true,1]]"),
        ndarray("[[1,2,3]]"),
        ndarray("[[[1,2]]]"),
        ndarray("[[[1],[2]]]"),
        tensor("[1,2]", "[1,2]"),
        tensor("[1,2]", "[1.0,2]"),
        tensor("[1,1,2]", "[1,2]"),
        "{\"data\":{\"ndarray\":[[1,2]],\"names\":null}}".to_owned(),
        "{\"data\":{\"ndarray\":[[1,2]],\"names\":[\"a\",\"b\"]}}".to_owned(),
        "{\"data\":{\"ndarray\":[[1,2]],\"names\":[\"b\",\"a\"]}}".to_owned(),
        with("{}"),
        with("{\"tags\":{\"a\":1}}"),
        with("{\"tags\":{\"a\":2}}"),
        with("{\"tags\":{\"b\":1}}"),
        with("{\"routing\":{\"a\":1}}"),
        with("{\"requestPath\":{\"a\":1}}"),
        with("{\"metrics\":[]}"),
        with("{\"metrics\":[{\"key\":\"k\"}]}"),
    ];
    strangers(SELDON, &texts.each_ref().map(String::as_str));
}
