//! Tests of the flat list of values: by example, and by property against the scanner.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::codec::json;

fn leaves(body: &str) -> Result<(Vec<usize>, String), String> {
    let tape = Tape::parse(body.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let shape = tape.root().grid(|leaf| {
        seen.push(leaf.raw().to_owned());
        Ok(())
    })?;
    Ok((shape, seen.join(" ")))
}

#[test]
fn values_and_their_places_are_found() {
    let body = br#" {"a": [1, {"b":[]}, "x\n"], "c":null, "\u0061":NaN } "#;
    let tape = Tape::parse(body).unwrap();
    let root = tape.root();
    assert_eq!((root.kind(), root.len()), (Kind::Object, 3));
    assert_eq!(root.get("a").unwrap().raw(), "NaN");
    assert!(root.get("c").is_none());
    let (name, array) = root.members().next().unwrap();
    assert_eq!((name.string().unwrap().as_ref(), array.len()), ("a", 3));
    assert_eq!(&body[array.span()], array.raw().as_bytes());
    let items: Vec<_> = array.items().collect();
    assert_eq!(items.iter().map(|item| item.kind()).collect::<Vec<_>>(), [Kind::Number, Kind::Object, Kind::Text]);
    assert_eq!(items[2].string().unwrap(), "x\n");
    assert!(items[1].get("b").unwrap().is_empty());
    assert_eq!(items[0].items().count() + items[0].members().count(), 0);
    assert_eq!(Tape::parse(br#""\ud800""#).unwrap().root().string(), None);
}

#[test]
fn nested_arrays_have_a_shape_or_are_ragged() {
    assert_eq!(leaves("[[1,2,3],[4,5,6]]"), Ok((vec![2, 3], "1 2 3 4 5 6".into())));
    assert_eq!(leaves("[[[1],[2]],[[3],[4]]]"), Ok((vec![2, 2, 1], "1 2 3 4".into())));
    assert_eq!(leaves("3"), Ok((vec![], "3".into())));
    assert_eq!(leaves("[]"), Ok((vec![0], String::new())));
    assert_eq!(leaves("[[],[]]"), Ok((vec![2, 0], String::new())));
    assert_eq!(leaves("[{\"a\":[1]},{}]"), Ok((vec![2], "{\"a\":[1]} {}".into())));
    for ragged in ["[[1],[2,3]]", "[[1],2]", "[1,[2]]", "[[],[1]]", "[[[]],[]]", "[[1],[[2]]]", "[[],1]"] {
        assert!(leaves(ragged).is_err(), "{ragged}");
    }
}

proptest! {
    #[test]
    fn it_accepts_what_the_scanner_accepts_and_says_the_same_of_the_rest(
        pieces in vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "1", "-", ".", "true", "nul", "null", " ", "NaN", "é", "\"a\":",
            "[[", "]]", "{\"b\":[]},",
        ]), 0..14),
    ) {
        let body = pieces.concat();
        let scanned = json::scan(body.as_bytes(), |_| {}).map(|_| ());
        prop_assert_eq!(Tape::parse(body.as_bytes()).map(|_| ()), scanned);
    }

    #[test]
    fn random_bytes_never_panic(body in vec(any::<u8>(), 0..64)) {
        let parsed = Tape::parse(&body);
        prop_assert_eq!(parsed.is_ok(), json::scan(&body, |_| {}).is_ok());
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(Tape::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    let deep = nested(1_000_000);
    assert!(matches!(Tape::parse(deep.as_bytes()), Err(SyntaxError { fault: Fault::Depth, .. })));
}
