//! Seldon's replies over gRPC: what each request gets of them, and which are not split.

use super::*;

#[test]
fn ids_are_each_records_own() {
    let request = |puid: &str| {
        let meta = Some(Meta { puid: puid.to_owned(), ..Meta::default() });
        message(&SeldonMessage { meta, ..tensor(&[1, 2], 1) })
    };
    let parts: Vec<_> = ["a", "", "c"].map(|id| of(SELDON, &request(id)).unwrap()).into();
    assert_eq!(decode(&merge(&parts)).meta, Some(Meta::default()));
    let right = decode(&model(true)(&merge(&parts)));
    let ids = |change: &dyn Fn(&mut SeldonMessage), behind: &[u8]| {
        let mut reply = right.clone();
        change(&mut reply);
        let replies = split(&parts, &bytes([&reply.encode_to_vec()[..], behind].concat())).unwrap();
        replies.iter().map(|reply| decode(reply).meta.map(|meta| (meta.puid, meta.metrics.len()))).collect::<Vec<_>>()
    };
    let with = |puid: &str, metrics| Some((puid.to_owned(), metrics));
    let own = |metrics| [with("a", metrics), with("", metrics), with("c", metrics)];
    assert_eq!(ids(&|_| {}, b""), own(1));
    assert_eq!(ids(&|reply| "other's".clone_into(&mut reply.meta.as_mut().unwrap().puid), b""), own(1));
    // In several fields of metadata.
    assert_eq!(
        ids(
            &|reply| "other's".clone_into(&mut reply.meta.as_mut().unwrap().puid),
            b"\x12\x05\x0a\x03his\x12\x02\x2a\x00"
        ),
        own(2)
    );
    assert_eq!(ids(&|reply| reply.meta = None, b""), [with("a", 0), None, with("c", 0)]);
    // An id that is written and empty is none.
    let body = message(&tensor(&[1, 2], 1)).body;
    let parts: Vec<_> = [1, 2].map(|_| of(SELDON, &bytes([&body[..], b"\x12\x02\x0a\x00"].concat())).unwrap()).into();
    let replies = split(&parts, &message(&tensor(&[2], 1))).unwrap();
    assert!(replies.iter().all(|reply| decode(reply).meta.is_none()));
}

#[test]
fn what_a_reply_has_beside_its_rows_goes_to_each() {
    let parts: Vec<_> = [1, 2].map(|rows| of(SELDON, &message(&tensor(&[rows, 2], 1))).unwrap()).into();
    let mut reply = tensor(&[3, 1], 5);
    reply.status = Some(Status { code: 200, info: "fine".to_owned(), ..Status::default() });
    for own in split(&parts, &bytes([&reply.encode_to_vec()[..], b"\x42\x01u"].concat())).unwrap() {
        assert!(own.body.windows(3).any(|bytes| bytes == b"\x42\x01u"));
        let mut own = decode(&own);
        assert_eq!((&own.status, &data(&mut own.clone()).names), (&reply.status, &vec!["a".to_owned()]));
        assert!(matches!(&data(&mut own).data_oneof, Some(Rows::Tensor(tensor)) if tensor.shape[1..] == [1]));
    }
    // Fields that nobody knows, in the data and in its tensor.
    let reply = b"\x1a\x26\x12\x21\x0a\x01\x03\x1a\x02in\x12\x18";
    let reply = [&reply[..], &[0; 24], b"\x2a\x01d"].concat();
    for own in split(&parts, &bytes(reply)).unwrap() {
        assert!(
            [&b"\x1a\x02in"[..], b"\x2a\x01d"].iter().all(|field| own.body.windows(field.len()).any(|at| at == *field))
        );
    }
}

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let parts: Vec<_> = [1, 2].map(|rows| of(SELDON, &message(&tensor(&[rows, 2], 1))).unwrap()).into();
    let split = |reply: &SeldonMessage| split(&parts, &message(reply));
    assert_eq!(split(&tensor(&[3], 1)).unwrap().len(), 2);
    assert_eq!(split(&ndarray(vec![number(1.0); 3])).unwrap().len(), 2);
    let payload = |payload| SeldonMessage { data_oneof: Some(payload), ..SeldonMessage::default() };
    for reply in [
        tensor(&[], 1),
        tensor(&[2, 1], 1),
        tensor(&[4], 1),
        tensor(&[1, 3], 1),
        with(Rows::Tensor(Tensor { shape: vec![3, i32::MAX, i32::MAX, i32::MAX], values: vec![] })),
        ndarray(vec![number(1.0); 2]),
        ndarray(vec![number(1.0); 4]),
        ndarray(vec![]),
        payload(Payload::StrData("a".to_owned())),
        payload(Payload::JsonData(list(vec![number(1.0); 3]))),
        payload(Payload::Data(DefaultData::default())),
        payload(Payload::Data(DefaultData { names: vec![], data_oneof: Some(Rows::Tftensor(TensorProto::default())) })),
        SeldonMessage::default(),
    ] {
        let found = split(&reply);
        assert!(matches!(found, Err(Unsplit::Rows { sent: 3, .. })), "{reply:?}: {found:?}");
    }
    let short = with(Rows::Tensor(Tensor { shape: vec![3], values: vec![1.0] }));
    assert!(matches!(split(&short), Err(Unsplit::Unreadable(_))));
    let good = tensor(&[3], 1).encode_to_vec();
    for (more, what) in
        [(&b"\x12\x02\x08\x01"[..], "metadata"), (&good[..], "data twice"), (b"\x18\x01", "data"), (b"\x1a\x09", "cut")]
    {
        let found = super::split(&parts, &bytes([&good[..], more].concat()));
        assert!(matches!(found, Err(Unsplit::Unreadable(_))), "{what}: {found:?}");
    }
    // Text behind the data is what counts.
    let found = super::split(&parts, &bytes([&good[..], b"\x2a\x01a"].concat()));
    assert!(matches!(found, Err(Unsplit::Rows { .. })), "{found:?}");
    assert!(matches!(super::split(&parts, &json("{}")), Err(Unsplit::Unreadable(_))));
}

#[test]
fn a_reply_that_says_it_failed_is_not_split() {
    let parts: Vec<_> = [1, 2].map(|rows| of(SELDON, &message(&tensor(&[rows, 2], 1))).unwrap()).into();
    let with = |code, status| {
        let status = Some(Status { code, status, ..Status::default() });
        split(&parts, &message(&SeldonMessage { status, ..tensor(&[3], 1) }))
    };
    assert!([0, 200, 299].map(|code| with(code, 0).is_ok()).iter().all(|split| *split));
    for (code, status) in [(0, 1), (200, 1), (-1, 0), (500, 0), (199, 0), (300, 0), (0, 7)] {
        assert_eq!(with(code, status), Err(Unsplit::Failed), "{code} {status}");
    }
    let status = Some(Status { status: 1, ..Status::default() });
    let failed = message(&SeldonMessage { status, ..SeldonMessage::default() });
    assert_eq!(split(&parts, &failed), Err(Unsplit::Failed), "without data");
    assert_eq!(split(&parts[..1], &failed), Ok(vec![failed]));
    // One that is cut, a code that is text, and one that is there twice.
    for broken in [&b"\x0a\x02\x0d\x00"[..], b"\x0a\x02\x0a\x00", b"\x0a\x04\x08\x00\x08\x00"] {
        assert_eq!(split(&parts, &bytes(broken)), Err(Unsplit::Failed), "{broken:?}");
    }
}
