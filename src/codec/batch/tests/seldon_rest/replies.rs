//! Seldon's replies in JSON: what each request gets of them, and which are not split.

use super::*;

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let parts = parts(SELDON, &[&ndarray("[[1]]"), &ndarray("[[2],[3]]")]);
    let split = |reply: &str| split(&parts, &json(reply));
    assert_eq!(split(&ndarray("[1,2,3]")).unwrap().len(), 2);
    for reply in [
        ndarray("[[1],[2]]"),
        ndarray("[[1],[2],[3],[4]]"),
        ndarray("[]"),
        ndarray("3"),
        ndarray("null"),
        tensor("[2,1]", "[1,2]"),
        tensor("[1,3]", "[1,2,3]"),
        tensor("[]", "[1]"),
        tensor("[3,18446744073709551615]", "[1]"),
        "{\"strData\":\"a\"}".to_owned(),
        "{\"jsonData\":[[1],[2],[3]]}".to_owned(),
        "{\"data\":{\"tftensor\":{}}}".to_owned(),
        "{\"data\":null}".to_owned(),
        "{\"data\":{\"ndarray\":[1,2,3],\"tensor\":{}}}".to_owned(),
        "[1,2,3]".to_owned(),
    ] {
        let found = split(&reply);
        assert!(matches!(found, Err(Unsplit::Rows { sent: 3, .. })), "{reply}: {found:?}");
    }
    for reply in [
        String::new(),
        "{\"data\":{\"ndarray\":[1,2,3]}".to_owned(),
        "{\"data\":{},\"data\":{\"ndarray\":[1,2,3]}}".to_owned(),
        "{\"data\":{\"ndarray\":[1,2,3],\"ndarray\":[1,2,3]}}".to_owned(),
        tensor("[3,2]", "[1,2,3]"),
        tensor("[3]", "null"),
        tensor("null", "[1,2,3]"),
        tensor("[3,-1]", "[1,2,3]"),
    ] {
        let found = split(&reply);
        assert!(matches!(found, Err(Unsplit::Unreadable(_))), "{reply}: {found:?}");
    }
    let proto = Message::proto("seldon.protos.SeldonMessage", "");
    assert!(matches!(super::split(&parts, &proto), Err(Unsplit::Unreadable(_))));
}

#[test]
fn a_reply_that_says_it_failed_is_not_split() {
    let parts = parts(SELDON, &[&ndarray("[[1]]"), &ndarray("[[2],[3]]")]);
    let split =
        |status: &str| split(&parts, &json(format!("{{\"status\":{status},\"data\":{{\"ndarray\":[1,2,3]}}}}")));
    for status in [
        "null",
        "{}",
        "{\"status\":\"SUCCESS\"}",
        "{\"status\":0,\"code\":0,\"info\":\"fine\",\"reason\":\"\"}",
        "{\"code\":200}",
        "{\"code\":null,\"status\":null}",
    ] {
        let replies = split(status).unwrap();
        assert_eq!(texts(&replies)[0], format!("{{\"status\":{status},\"data\":{{\"ndarray\":[1]}}}}"));
    }
    for status in [
        "{\"status\":\"FAILURE\"}",
        "{\"status\":1}",
        "{\"status\":\"NEW\"}",
        "{\"code\":-1}",
        "{\"code\":500,\"status\":\"SUCCESS\"}",
        "{\"code\":\"500\"}",
        "{\"code\":1e3}",
        "{\"code\":0,\"code\":500}",
        "{\"more\":1}",
        "[]",
        "\"FAILURE\"",
    ] {
        assert_eq!(split(status), Err(Unsplit::Failed), "{status}");
    }
    // One that has no data besides.
    let failed = "{\"status\":{\"status\":1,\"info\":\"no\",\"code\":-1,\"reason\":\"MICROSERVICE_BAD_DATA\"}}";
    assert_eq!(super::split(&parts, &json(failed)), Err(Unsplit::Failed));
    // Alone it is passed on: its HTTP status has decided.
    assert_eq!(super::split(&parts[..1], &json(failed)), Ok(vec![json(failed)]));
}
