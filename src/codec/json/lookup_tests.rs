//! Tests of looking below the top of a document.

use super::*;

fn at<'a>(body: &'a str, names: &[&str]) -> Option<&'a str> {
    path(body.as_bytes(), names).unwrap().map(|place| &body[place])
}

fn elements(body: &str) -> Vec<&str> {
    let mut found = Vec::new();
    items(body.as_bytes(), |place| found.push(&body[place])).unwrap();
    found
}

#[test]
fn a_path_goes_through_objects_only() {
    let body = r#" {"a":{"b" : {"c":[1, NaN]}},"d":{"b":1},"a":{"b":{"c":1.0}, "b":{"c":1.50}}} "#;
    assert_eq!(at(body, &["a", "b", "c"]), Some("1.50"));
    assert_eq!(at(body, &["d"]), Some("{\"b\":1}"));
    assert_eq!(at(body, &["d", "b", "c"]), None);
    assert_eq!(at(body, &["x", "b"]), None);
    assert_eq!(at(body, &[]), Some(body));
    assert_eq!(at("[{\"a\":1}]", &["a"]), None);
    assert_eq!(path(b"{\"a\":", &["a", "b"]).unwrap_err().at, 5);
}

#[test]
fn elements_are_those_of_the_outermost_array() {
    assert_eq!(elements(" [ [1,2], {\"a\":[3]} ,\"x\",NaN] "), ["[1,2]", "{\"a\":[3]}", "\"x\"", "NaN"]);
    assert_eq!(elements("[]"), Vec::<&str>::new());
    assert_eq!(elements("{\"a\":[1]}"), Vec::<&str>::new());
    assert_eq!(elements("1"), Vec::<&str>::new());
    assert_eq!(first(b"[ 10 ,2]").unwrap(), Some(2..4));
    assert_eq!(first(b"{\"a\":1}").unwrap(), None);
    assert!(first(b"[1").is_err());
}
