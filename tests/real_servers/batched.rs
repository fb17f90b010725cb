//! Batching in front of real servers: each record has the numbers that a call of its own gets, out of calls of many.

use millrace_proto::inference::{ModelInferRequest, ModelInferResponse};
use millrace_proto::seldon::default_data::DataOneof;
use millrace_proto::seldon::seldon_message::DataOneof as Payload;
use millrace_proto::seldon::{DefaultData, Meta, SeldonMessage, Tensor};
use serde_json::{Value, json};

use super::stream::{Ends, config, model, proto_record, record, run_and_look};
use crate::support::config::Config;
use crate::support::real_servers::{Server, Shared};
use crate::support::requests::Protocol;
use crate::support::scenario::Scenario;
use crate::support::send::Draft;
use crate::{BROKER, INFER, KSERVE, MLSERVER, direct, first_output, flowers, id, numbers, v2_json, v2_message};

static SELDON: Shared = Shared::new(|| Server::seldon("iris", "nodes.Model", "MODEL", "[]"));

/// Enough that they collect.
const MANY: usize = 300;

fn batching(scenario: &Scenario<'_>, endpoint: &str) -> Config {
    config(scenario, model("iris")).set("nodes/iris/endpoint", endpoint).set("nodes/iris/batch/rows", 128)
}

/// The ends of records that went in calls of several.
#[track_caller]
fn ends(scenario: &Scenario<'_>, config: &Config, drafts: &[Draft]) -> Ends {
    run_and_look(scenario, config, drafts, |service| {
        let metrics = service.metrics();
        let calls = metrics.sum("millrace_batch_rows_count", &[]);
        eprintln!("{}: {} records in {calls} calls", scenario.name, drafts.len());
        assert!(calls > 0.0 && calls < (drafts.len() / 2) as f64, "{calls} calls for {} records", drafts.len());
        assert_eq!(metrics.sum("millrace_batch_unsplit_total", &[]) as u64, 0);
        assert_eq!(metrics.sum("millrace_batch_halvings_total", &[]) as u64, 0);
    })
}

/// Sums over other rows may round differently.
#[track_caller]
fn same(numbers: &[f64], expected: &[f64]) {
    let near = |(one, other): (&f64, &f64)| (one - other).abs() <= 1e-9 * other.abs().max(1.0);
    assert_eq!(numbers.len(), expected.len());
    assert!(numbers.iter().zip(expected).all(near), "{numbers:?} instead of {expected:?}");
}

/// Records of one to three rows each, with the answer of the server itself.
fn over_rest_by_v2(stem: &str, server: &Server, output: Option<&str>) {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(Protocol::V2);
    let drafts: Vec<_> = (0..MANY).map(|n| record(&id(n), v2_json(n, output))).collect();
    let ends = ends(&scenario, &batching(&scenario, &server.rest()), &drafts);
    for n in 0..MANY {
        let (answer, expected) = (ends.answer(&id(n)).text(), direct::must_post(server, INFER, &v2_json(n, output)));
        same(&first_output(&answer), &first_output(&expected));
        let [mut answer, mut expected]: [Value; 2] =
            [&answer, &expected].map(|text| serde_json::from_str(text).expect("JSON"));
        for side in [&mut answer, &mut expected] {
            side["outputs"][0]["data"].take();
        }
        assert_eq!(answer, expected);
    }
}

fn over_grpc(stem: &str, server: &Server, output: Option<&str>) {
    let scenario = Scenario::new(&BROKER, stem, 2).protocol(Protocol::V2);
    let drafts: Vec<_> = (0..MANY).map(|n| proto_record(&id(n), &v2_message(n, output))).collect();
    let ends = ends(&scenario, &batching(&scenario, &server.grpc()).set("transport", "grpc"), &drafts);
    for n in 0..MANY {
        let named = ModelInferRequest { model_name: "iris".into(), ..v2_message(n, output) };
        let expected = direct::infer(server, named).expect("the server answers");
        let answer: ModelInferResponse = ends.message(&id(n));
        same(&numbers(&answer), &numbers(&expected));
        assert_eq!((&answer.id, &answer.model_name), (&expected.id, &expected.model_name));
        let shape = |answer: &ModelInferResponse| (answer.outputs[0].name.clone(), answer.outputs[0].shape.clone());
        assert_eq!(shape(&answer), shape(&expected));
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_rest_by_v1() {
    let server = KSERVE.get();
    let scenario = Scenario::new(&BROKER, "batched-kserve-v1", 2).protocol(Protocol::Tensorflow);
    let body = |n| json!({"instances": flowers(n)}).to_string();
    let drafts: Vec<_> = (0..MANY).map(|n| record(&id(n), body(n))).collect();
    let ends = ends(&scenario, &batching(&scenario, &server.rest()), &drafts);
    for n in 0..MANY {
        let [answer, expected] =
            [ends.answer(&id(n)).text(), direct::must_post(&server, "/v1/models/iris:predict", &body(n))]
                .map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        let numbers = |answer: &Value| -> Vec<f64> {
            let rows = answer["predictions"].as_array().expect("rows");
            rows.iter().flat_map(|row| row.as_array().expect("a row")).filter_map(Value::as_f64).collect()
        };
        assert_eq!(numbers(&answer).len(), 3 * flowers(n).len());
        same(&numbers(&answer), &numbers(&expected));
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_rest_by_v2() {
    over_rest_by_v2("batched-kserve-v2", &KSERVE.get(), None);
}

#[test]
#[ignore = "make test-servers runs it"]
fn kserve_over_grpc() {
    over_grpc("batched-kserve-grpc", &KSERVE.get(), None);
}

#[test]
#[ignore = "make test-servers runs it"]
fn mlserver_over_rest() {
    over_rest_by_v2("batched-mlserver-rest", &MLSERVER.get(), Some("predict_proba"));
}

#[test]
#[ignore = "make test-servers runs it"]
fn mlserver_over_grpc() {
    over_grpc("batched-mlserver-grpc", &MLSERVER.get(), Some("predict_proba"));
}

#[test]
#[ignore = "make test-servers runs it"]
fn seldon_over_rest() {
    let server = SELDON.get();
    let scenario = Scenario::new(&BROKER, "batched-seldon-rest", 2).protocol(Protocol::Seldon);
    let names = ["a", "b", "c", "d"];
    let body = |n| json!({"meta": {"puid": id(n)}, "data": {"names": names, "ndarray": flowers(n)}}).to_string();
    let drafts: Vec<_> = (0..MANY).map(|n| record(&id(n), body(n))).collect();
    let ends = ends(&scenario, &batching(&scenario, &server.rest()), &drafts);
    for n in 0..MANY {
        let [mut answer, mut expected] = [ends.answer(&id(n)).text(), direct::must_post(&server, "/predict", &body(n))]
            .map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        let numbers = |answer: &mut Value| -> Vec<f64> {
            let rows = answer["data"]["ndarray"].take();
            let rows = rows.as_array().expect("rows").iter().map(|row| row.as_array().expect("a row"));
            rows.flatten().filter_map(Value::as_f64).collect()
        };
        same(&numbers(&mut answer), &numbers(&mut expected));
        assert_eq!(answer["meta"]["puid"], id(n));
        // Names, tags and metrics.
        assert_eq!(answer, expected);
    }
}

#[test]
#[ignore = "make test-servers runs it"]
fn seldon_over_grpc() {
    let server = SELDON.get();
    let scenario = Scenario::new(&BROKER, "batched-seldon-grpc", 2).protocol(Protocol::Seldon);
    let message = |n| {
        let rows = flowers(n);
        let tensor = Tensor { shape: vec![rows.len() as i32, 4], values: rows.concat() };
        let data = DefaultData { names: Vec::new(), data_oneof: Some(DataOneof::Tensor(tensor)) };
        let meta = Meta { puid: id(n), ..Default::default() };
        SeldonMessage { meta: Some(meta), data_oneof: Some(Payload::Data(data)), ..Default::default() }
    };
    let drafts: Vec<_> = (0..MANY).map(|n| proto_record(&id(n), &message(n))).collect();
    let ends = ends(&scenario, &batching(&scenario, &server.grpc()).set("transport", "grpc"), &drafts);
    for n in 0..MANY {
        let (answer, expected) = (ends.message::<SeldonMessage>(&id(n)), direct::predict(&server, message(n)));
        let tensor = |answer: &SeldonMessage| match &answer.data_oneof {
            Some(Payload::Data(DefaultData { names, data_oneof: Some(DataOneof::Tensor(tensor)) })) => {
                (names.clone(), tensor.shape.clone(), tensor.values.clone())
            }
            other => panic!("{other:?} is no tensor"),
        };
        let ((names, shape, numbers), (expected_names, expected_shape, expected_numbers)) =
            (tensor(&answer), tensor(&expected));
        same(&numbers, &expected_numbers);
        assert_eq!((names, shape), (expected_names, expected_shape));
        assert_eq!(answer.meta.as_ref().map(|meta| meta.puid.as_str()), Some(id(n).as_str()));
        // Tags and metrics.
        assert_eq!((answer.meta, answer.status), (expected.meta, expected.status));
    }
}
