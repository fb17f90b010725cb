//! Tests of the reader by example: faults say where and what, and fields stand where they are said to.

use super::*;

fn fault(message: &[u8]) -> (usize, Fault) {
    let error = check(schema("seldon.protos.SeldonMessage").unwrap(), message).unwrap_err();
    (error.at, error.fault)
}

#[test]
fn faults_say_where_and_what() {
    let message = "seldon.protos.SeldonMessage";
    assert_eq!(fault(b"\x80"), (0, Fault::Varint));
    assert_eq!(fault(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").1, Fault::WireType { message, number: 1 });
    assert_eq!(fault(b"\x00"), (0, Fault::Tag));
    assert_eq!(fault(b"\x07"), (0, Fault::Tag));
    assert_eq!(fault(b"\x22\x05abcd"), (2, Fault::End));
    assert_eq!(fault(b"\x2a\x02\xc3("), (0, Fault::Utf8 { message, number: 5 }));
    assert_eq!(fault(b"\x7b\x08\x01"), (3, Fault::Varint));
    assert_eq!(fault(b"\x7c"), (1, Fault::Group));
    assert_eq!(fault(b"\x7b\x84\x01"), (3, Fault::Group));
    assert_eq!(fault(&vec![0x7b; 1_000_000]).1, Fault::Depth);
    // The inner message may not reach beyond the outer one.
    assert_eq!(fault(b"\x0a\x02\x12\x03abc"), (4, Fault::End));
    let error = check(schema(message).unwrap(), b"\x22\x05abcd").unwrap_err();
    assert_eq!(error.to_string(), "field longer than what is left at byte 2");
    assert_eq!(
        check(schema(message).unwrap(), b"\x28\x01").unwrap_err().to_string(),
        "field 5 of seldon.protos.SeldonMessage with a wire type that is not its own at byte 0",
    );
    assert!(schema("seldon.protos.Status").is_none());
}

#[test]
fn parts_stand_where_they_are_said_to() {
    let message = b"\x08\x96\x01\x22\x02ab\x7b\x08\x01\x7c\x25abcd";
    let found: Vec<_> = parts(message).map(|part| part.unwrap()).collect();
    let shown: Vec<_> = found.iter().map(|part| (part.number, part.wire, &message[part.value.clone()])).collect();
    assert_eq!(
        shown,
        [
            (1, Wire::Varint, &b"\x96\x01"[..]),
            (4, Wire::Bytes, b"ab"),
            (15, Wire::GroupStart, b"\x08\x01\x7c"),
            (4, Wire::Fixed32, b"abcd"),
        ],
    );
    assert_eq!(found[1].whole, 3..7);
    assert_eq!(found[1].tail, 4..7);
    let mut cut = parts(b"\x08\x01\x22\x05");
    assert!(cut.next().unwrap().is_ok());
    assert_eq!(cut.next(), Some(Err(WireError { at: 4, fault: Fault::End })));
    assert_eq!(cut.next(), None);
}
