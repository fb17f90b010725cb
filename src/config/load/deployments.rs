//! Deployments of the shapes that users have, whole.

use std::time::Duration;

use crate::config::fixture::{deployment, notices, settings};
use crate::config::settings::{Implementation, Method, NodeKind, Protocol, Split, Transport};

const ABTEST: &str = include_str!("../../../config/samples/abtest.yaml");
const ENSEMBLE: &str = include_str!("../../../config/samples/ensemble.yaml");
const TRITON: &str = include_str!("../../../config/samples/triton-grpc.yaml");

#[test]
fn an_ab_test() {
    let settings = settings(ABTEST);
    let Implementation::RandomAbtest(Split { weights, seed }) = &settings.graph.implementation else {
        panic!("{:?}", settings.graph)
    };
    assert_eq!((weights.len(), weights[0], *seed), (2, 0.9, None));
    assert_eq!(settings.nodes["split"].addresses(), "no server");
    assert_eq!(settings.nodes["stable"].rest.as_ref().unwrap().port, 9000);
    assert_eq!(settings.nodes["canary"].rest.as_ref().unwrap().port, 9001);
    assert_eq!(settings.nodes["canary"].image, "example/scoring:1.5");
    assert_eq!(notices(ABTEST), "");
}

#[test]
fn an_ensemble_with_its_mean() {
    let settings = settings(ENSEMBLE);
    let root = &settings.graph;
    assert_eq!((root.kind, root.methods.as_slice()), (NodeKind::Transformer, [Method::TransformOutput].as_slice()));
    let mean = &root.children[0];
    assert_eq!((mean.kind, &mean.implementation), (NodeKind::Combiner, &Implementation::AverageCombiner));
    let ports: Vec<u16> =
        mean.children.iter().map(|child| settings.nodes[&child.name].rest.as_ref().unwrap().port).collect();
    assert_eq!(ports, [9001, 9002, 9003]);
    assert_eq!(settings.nodes["forest"].timeout, Duration::from_secs(5));
    assert_eq!(notices(ENSEMBLE), "");
}

#[test]
fn a_transformer_and_a_model() {
    let graph = "{name: prepare, type: TRANSFORMER, endpoint: {type: REST}, children: [{name: classifier, type: MODEL, \
                 endpoint: {type: REST}, children: []}]}";
    let settings = settings(&deployment("transport: rest", &["prepare", "classifier"], graph));
    assert_eq!(settings.nodes["classifier"].addresses(), "localhost:9001");
    assert_eq!(settings.nodes["classifier"].transport, None);
}

/// As of Seldon's example: the router is an image, and its parameters are its own.
#[test]
fn a_multi_armed_bandit() {
    let graph = "{name: eg-router, type: ROUTER, parameters: [{name: n_branches, value: '2', type: INT}, {name: epsilon, value: \
                 '0.1', type: FLOAT}, {name: verbose, value: '1', type: BOOL}, {name: branch_names, value: 'rf:xgb', type: STRING}], \
                 children: [{name: rf, type: MODEL}, {name: xgb, type: MODEL}]}";
    let text = deployment("", &["eg-router", "rf", "xgb"], graph);
    let settings = settings(&text);
    assert_eq!((settings.graph.kind, &settings.graph.implementation), (NodeKind::Router, &Implementation::Server));
    assert_eq!(settings.nodes["eg-router"].rest.as_ref().unwrap().port, 9000);
    assert_eq!(notices(&text), "");
}

#[test]
fn a_prepackaged_model_of_v2() {
    let graph = "{name: iris, implementation: SKLEARN_SERVER, modelUri: 'gs://seldon-models/sklearn/iris', children: [], \
                 parameters: [{name: method, type: STRING, value: decision_function}]}";
    let settings = settings(&deployment("protocol: v2\nname: iris", &[], graph));
    assert_eq!(settings.protocol, Protocol::V2);
    assert_eq!(settings.graph.kind, NodeKind::Model);
    assert_eq!(settings.nodes["iris"].rest.as_ref().unwrap().to_string(), "localhost:9000");
}

#[test]
fn triton_over_grpc() {
    let settings = settings(TRITON);
    assert_eq!((settings.protocol, settings.transport), (Protocol::V2, Transport::Grpc));
    let node = &settings.nodes["densenet"];
    assert_eq!(node.endpoint(Transport::Grpc).unwrap().to_string(), "localhost:9500");
    assert_eq!((node.timeout, node.transport), (Duration::from_secs(10), None));
    assert_eq!((settings.limits.request_bytes, settings.limits.reply_bytes), (64 << 20, 64 << 20));
    assert_eq!(notices(TRITON), "");
}
