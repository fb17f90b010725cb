//! Batching in front of real servers: each record has the numbers that a call of its own gets, out of calls of many.

use serde_json::{Value, json};

use super::stream::{Ends, config, model, record, run_and_look};
use crate::support::config::Config;
use crate::support::requests::Protocol;
use crate::support::scenario::Scenario;
use crate::support::send::Draft;
use crate::{BROKER, KSERVE, direct, flowers, id};

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
