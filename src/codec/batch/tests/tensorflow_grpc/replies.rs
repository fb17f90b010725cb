//! TensorFlow's replies over gRPC: what each request gets of them, and which are not split.

use super::*;

#[test]
fn a_list_that_leaves_out_repetitions_is_written_out() {
    let parts: Vec<_> = [1, 3, 1].map(|rows| of(TF, &message(&simple(rows, 1))).unwrap()).into();
    let reply = |values: &[f32], sizes: &[i64]| {
        let mut short = tensor(DataType::DtFloat, &[0], false, 0);
        (short.float_val, short.tensor_shape) = (values.to_vec(), Some(shape(sizes)));
        let reply = PredictResponse { outputs: [("y".to_owned(), short)].into(), ..PredictResponse::default() };
        let replies = split(&parts, &Message::proto(PredictResponse::PROTO_NAME, reply.encode_to_vec()))?;
        Ok::<_, Unsplit>(replies.iter().map(|reply| decode(reply).outputs["y"].float_val.clone()).collect::<Vec<_>>())
    };
    assert_eq!(reply(&[1.0, 2.0], &[5]).unwrap(), [vec![1.0], vec![2.0; 3], vec![2.0]]);
    assert_eq!(reply(&[1.0, 2.0, 3.0], &[5]).unwrap(), [vec![1.0], vec![2.0, 3.0, 3.0], vec![3.0]]);
    assert_eq!(reply(&[4.0], &[5, 2]).unwrap(), [vec![4.0; 2], vec![4.0; 6], vec![4.0; 2]]);
    assert_eq!(reply(&[], &[5, 2]).unwrap(), [Vec::<f32>::new(), vec![], vec![]], "none stands for zeros");
    // It would be written out to more bytes than any reply has.
    for size in [1 << 22, 1 << 40, i64::MAX / 8] {
        assert!(matches!(reply(&[4.0], &[5, size]), Err(Unsplit::Unreadable(_) | Unsplit::Rows { .. })), "{size}");
    }
    assert!(matches!(reply(&[4.0; 6], &[5]), Err(Unsplit::Unreadable(_))));
}

#[test]
fn what_a_reply_has_beside_its_rows_goes_to_each() {
    let parts: Vec<_> = [1, 2].map(|rows| of(TF, &message(&simple(rows, 1))).unwrap()).into();
    let mut reply = decode(&model(false)(&merge(&parts)));
    reply.model_spec = Some(ModelSpec { version_choice: Some(VersionChoice::Version(7)), ..spec("other") });
    let output = reply.outputs.get_mut("count").unwrap();
    output.version_number = 3;
    output.tensor_shape.as_mut().unwrap().dim[0].name = "batch".to_owned();
    // And a field that nobody knows.
    let body = [&reply.encode_to_vec()[..], b"\x42\x01u"].concat();
    for own in split(&parts, &Message::proto(PredictResponse::PROTO_NAME, body)).unwrap() {
        assert!(own.body.windows(3).any(|bytes| bytes == b"\x42\x01u"));
        let own = decode(&own);
        assert_eq!(own.model_spec, reply.model_spec);
        let count = &own.outputs["count"];
        assert_eq!((count.version_number, count.tensor_shape.as_ref().unwrap().dim[0].name.as_str()), (3, "batch"));
    }
}

#[test]
fn a_reply_without_a_row_for_each_is_not_split() {
    let parts: Vec<_> = [1, 2].map(|rows| of(TF, &message(&simple(rows, 1))).unwrap()).into();
    let right = decode(&model(false)(&merge(&parts)));
    let split = |change: &dyn Fn(&mut PredictResponse)| {
        let mut reply = right.clone();
        change(&mut reply);
        split(&parts, &Message::proto(PredictResponse::PROTO_NAME, reply.encode_to_vec()))
    };
    assert_eq!(split(&|_| {}).unwrap().len(), 2);
    // Every output, not only the first.
    for name in ["x itself", "count", "saw"] {
        for sizes in [vec![], vec![1, 6], vec![6], vec![4, 2], vec![0], vec![3, i64::MAX, 2]] {
            let found = split(&|reply| reply.outputs.get_mut(name).unwrap().tensor_shape = Some(shape(&sizes)));
            assert!(matches!(found, Err(Unsplit::Rows { sent: 3, .. })), "{sizes:?}: {found:?}");
        }
    }
    let with = |change: &dyn Fn(&mut TensorProto)| split(&|reply| change(reply.outputs.get_mut("x itself").unwrap()));
    let unknown = |tensor: &mut TensorProto| tensor.tensor_shape.as_mut().unwrap().unknown_rank = true;
    assert!(matches!(with(&unknown), Err(Unsplit::Rows { .. })));
    assert!(matches!(with(&|tensor| tensor.tensor_shape = None), Err(Unsplit::Rows { .. })));
    assert!(matches!(split(&|reply| reply.outputs.clear()), Err(Unsplit::Rows { .. })));
    for change in [
        (|tensor: &mut TensorProto| tensor.tensor_shape = Some(shape(&[3, 1]))) as fn(&mut TensorProto),
        |tensor| tensor.tensor_shape = Some(shape(&[3, -2])),
        |tensor| tensor.tensor_content = vec![0; 24].into(),
        |tensor| tensor.int_val.push(1),
        |tensor| tensor.set_dtype(DataType::DtVariant),
        |tensor| {
            tensor.tensor_content = vec![0; 20].into();
            tensor.float_val.clear();
        },
    ] {
        let found = with(&change);
        assert!(matches!(found, Err(Unsplit::Unreadable(_))), "{found:?}");
    }
    let own = |body: Vec<u8>| super::split(&parts, &Message::proto(PredictResponse::PROTO_NAME, body));
    // A map reads the last entry of a name.
    let twice = [right.encode_to_vec(), right.encode_to_vec()].concat();
    assert!(matches!(own(twice), Err(Unsplit::Unreadable(_))));
    assert!(matches!(own(b"\x0a\x05".to_vec()), Err(Unsplit::Unreadable(_))));
    assert!(matches!(super::split(&parts, &json("{}")), Err(Unsplit::Unreadable(_))));
}
