//! Tests of the JSON scanner: by example, and by property against a real parser.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn fault(body: &str) -> (usize, Fault) {
    let error = scan(body.as_bytes(), |_| {}).unwrap_err();
    (error.at, error.fault)
}

/// What a real parser says of the same bytes, without reading numbers into a range.
fn reference(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn agrees(body: &[u8]) {
    let ours = scan(body, |_| {});
    assert_eq!(ours.is_ok(), reference(body), "{ours:?} for {:?}", String::from_utf8_lossy(body));
    if let Err(error) = ours {
        assert!(error.at <= body.len());
    }
}

#[test]
fn faults_say_where_and_what() {
    assert_eq!(fault(""), (0, Fault::Empty));
    assert_eq!(fault(" \n"), (2, Fault::Empty));
    assert_eq!(fault("{"), (1, Fault::End));
    assert_eq!(fault("{\"a\""), (4, Fault::End));
    assert_eq!(fault("{\"a\" 1}"), (5, Fault::Colon));
    assert_eq!(fault("{a:1}"), (1, Fault::Key));
    assert_eq!(fault("{\"a\":1,}"), (7, Fault::Key));
    assert_eq!(fault("[1,]"), (3, Fault::Value));
    assert_eq!(fault("[1 2]"), (3, Fault::Separator));
    assert_eq!(fault("[1}"), (2, Fault::Separator));
    assert_eq!(fault("[01]"), (2, Fault::Number));
    assert_eq!(fault("[1.]"), (3, Fault::Number));
    assert_eq!(fault("[-]"), (2, Fault::Number));
    assert_eq!(fault("[1e+]"), (4, Fault::Number));
    assert_eq!(fault("\"\\x\""), (2, Fault::Escape));
    assert_eq!(fault("\"\\u12g4\""), (5, Fault::Escape));
    assert_eq!(fault("\"a\nb\""), (2, Fault::Control));
    assert_eq!(fault("\"12345678\u{1}\""), (9, Fault::Control));
    assert_eq!(fault("\"12345678"), (9, Fault::End));
    assert_eq!(fault("{} x"), (3, Fault::Trailing));
    assert_eq!(fault("\u{feff}{}"), (0, Fault::Value));
    assert_eq!(fault("nul"), (3, Fault::End));
    assert_eq!(scan(b"[\"\xff\"]", |_| {}).unwrap_err(), SyntaxError { at: 2, fault: Fault::Utf8 });
    assert_eq!(fault("hello").1.to_string(), "expected a value");
    assert_eq!(scan(b"{]", |_| {}).unwrap_err().to_string(), "expected a member name in double quotes at byte 1");
}

#[test]
fn the_tokens_that_model_servers_emit_pass() {
    for body in ["NaN", "[NaN, Infinity,-Infinity]", "{\"a\":-Infinity}"] {
        assert!(scan(body.as_bytes(), |_| {}).is_ok(), "{body}");
    }
    for body in ["nan", "[-NaN]", "[Inf]", "[+Infinity]", "[NaNs]", "[-Infinit]"] {
        assert!(scan(body.as_bytes(), |_| {}).is_err(), "{body}");
    }
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(scan(nested(MAX_DEPTH).as_bytes(), |_| {}), Ok(Root::Array));
    assert_eq!(fault(&nested(MAX_DEPTH + 1)), (MAX_DEPTH, Fault::Depth));
    assert_eq!(fault(&"{\"a\":".repeat(1_000_000)).1, Fault::Depth);
    // Leaving a container forgets what kind it was.
    assert!(scan(b"[{\"a\":[1]},[2],{\"b\":{}}]", |_| {}).is_ok());
}

#[test]
fn the_last_member_of_a_name_is_found_however_it_is_written() {
    let body = br#" { "a" : 1 , "b":{"a":9}, "\u0061": [1, 2] , "c":null } "#;
    let (root, [a, b, d]) = members(body, ["a", "b", "d"]).unwrap();
    assert_eq!(root, Root::Object);
    let a = a.unwrap();
    assert_eq!((&body[a.key], &body[a.value]), (&br#""\u0061""#[..], &b"[1, 2]"[..]));
    assert_eq!(&body[b.unwrap().value], b"{\"a\":9}");
    assert_eq!(d, None);
    assert_eq!(members(b"[{\"a\":1}]", ["a"]).unwrap(), (Root::Array, [None]));
    assert_eq!(members(b" 1 ", ["a"]).unwrap(), (Root::Scalar, [None]));
}

#[test]
fn an_array_follows_another_only_in_an_array() {
    for body in [r#"{"a":[1.5],[2.5]}"#, r#"{"a":{"b":[1.5],[2.5]}}"#, r#"[{"b":[1.5],[2.5]}]"#, "[1.5],[2.5]"] {
        assert!(scan(body.as_bytes(), |_| ()).is_err(), "{body}");
        agrees(body.as_bytes());
    }
    let mut found = Vec::new();
    walk(b"[[1.5],[2.5],[[3.5],[4.5]]]", |member, _| found.push(member.value)).unwrap();
    assert_eq!(found, [1..6, 7..12, 13..26], "each element of the top is shown");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Into::into),
            vec((".{0,10}", inner), 0..6).prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_accepted_and_its_members_are_found(value in json(), pretty: bool) {
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let mut found = Vec::new();
        let root = scan(&body, |member| found.push(member)).unwrap();
        prop_assert_eq!(root == Root::Object, value.is_object());
        let members: Vec<_> = value.as_object().into_iter().flatten().collect();
        prop_assert_eq!(found.len(), members.len());
        for (at, (key, value)) in found.into_iter().zip(members) {
            prop_assert_eq!(&serde_json::from_slice::<String>(&body[at.key]).unwrap(), key);
            if pretty {
                prop_assert_eq!(scan(&body[at.value], |_| ()).err(), None);
            } else {
                prop_assert_eq!(&body[at.value], serde_json::to_vec(value).unwrap());
            }
        }
    }

    #[test]
    fn a_damaged_document_is_judged_as_a_real_parser_does(
        value in json(), at: prop::sample::Index, byte: u8, cut: bool,
    ) {
        let mut body = serde_json::to_vec(&value).unwrap();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        agrees(&body);
    }

    #[test]
    fn a_damaged_tensor_is_judged_as_a_real_parser_does(
        rows in vec(vec(vec("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?(e-?[0-9])?", 1..4), 1..4), 1..4),
        object: bool, space: bool, at: prop::sample::Index, byte in prop::sample::select(b"0],[.-e} :1".to_vec()), whole: bool,
    ) {
        let comma = if space { ", " } else { "," };
        let list = |items: Vec<String>| format!("[{}]", items.join(comma));
        let tensor = list(rows.into_iter().map(|row| list(row.into_iter().map(list).collect())).collect());
        let mut body = if object { format!("{{\"a\":{tensor},\"b\":[1]}}") } else { tensor.clone() }.into_bytes();
        if whole {
            let mut found = Vec::new();
            prop_assert!(scan(&body, |member| found.push(body[member.value].to_vec())).is_ok());
            prop_assert_eq!(found, if object { vec![tensor.into_bytes(), b"[1]".to_vec()] } else { Vec::new() });
        } else {
            let at = at.index(body.len());
            body[at] = byte;
            agrees(&body);
        }
    }

    #[test]
    fn soup_of_json_pieces_is_judged_as_a_real_parser_does(
        pieces in vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "\\u00e9", "1", "0", "-", ".", "e", "E+", "true", "nul", "null",
            " ", "\n", "\t", "é", "\u{1}", "\u{7f}", "12345678",
        ]), 0..12),
    ) {
        agrees(pieces.concat().as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(body in vec(any::<u8>(), 0..64)) {
        let _unused = scan(&body, |_| {});
    }
}
