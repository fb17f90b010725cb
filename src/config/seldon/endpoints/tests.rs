//! Where servers are, as the operator would say it.

use crate::config::fixture;
use crate::config::settings::Settings;

const PODS: &str = "apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: dep}
spec:
  protocol: seldon
  transport: TRANSPORT
  serverType: kafka
  predictors:
  - name: p
    componentSpecs:
    - spec:
        containers:
        - {name: side}
        - {name: a, image: 'i:1'}
        - {name: b, ports: [{name: http, containerPort: 7}, {name: grpc, containerPort: 70}]}
    - spec: {containers: [{name: c}]}
    svcOrchSpec: {env: [{name: KAFKA_BROKER, value: 'b:1'}, {name: KAFKA_INPUT_TOPIC, value: i}, {name: KAFKA_OUTPUT_TOPIC, value: o}]}
    graph: GRAPH
";

const CHAIN: &str = "{name: a, children: [{name: b, endpoint: {service_port: 8, httpPort: 81, grpcPort: 82}, children: [{name: c, \
                     children: [{name: d, endpoint: {service_host: h, httpPort: 5, grpcPort: 50, service_port: 6}}]}]}]}";

fn settings(transport: &str, graph: &str) -> Settings {
    fixture::settings(&PODS.replace("TRANSPORT", transport).replace("GRAPH", graph))
}

fn addresses(settings: &Settings, node: &str) -> String {
    settings.nodes[node].addresses()
}

#[test]
fn addresses_are_filled_in_as_the_operator_does() {
    let found = settings("rest", CHAIN);
    assert_eq!(addresses(&found, "a"), "localhost:9001");
    assert_eq!(addresses(&found, "b"), "localhost:7 (grpc localhost:70)");
    let service = "dep-p-c.default.svc.cluster.local";
    assert_eq!(addresses(&found, "c"), format!("{service}:9003"));
    assert_eq!(addresses(&found, "d"), "h:5 (grpc h:50)");
    assert_eq!(found.nodes["a"].image, "i:1");
    let separate = PODS.replace("  transport:", "  annotations: {seldon.io/engine-separate-pod: 'true'}\n  transport:");
    let separate = fixture::settings(&separate.replace("TRANSPORT", "rest").replace("GRAPH", CHAIN));
    assert_eq!(
        addresses(&separate, "b"),
        "dep-p-b.default.svc.cluster.local:7 (grpc dep-p-b.default.svc.cluster.local:70)"
    );
}

#[test]
fn a_service_port_is_of_the_deployments_transport() {
    let graph =
        "{name: a, endpoint: {service_port: 8}, children: [{name: x, endpoint: {service_host: h, service_port: 9}}]}";
    let rest = settings("rest", graph);
    assert_eq!(addresses(&rest, "a"), "localhost:8");
    assert_eq!(addresses(&rest, "x"), "h:9");
    let grpc = settings("grpc", graph);
    assert_eq!(addresses(&grpc, "a"), "localhost:8");
    assert_eq!((&grpc.nodes["x"].rest, grpc.nodes["x"].grpc.as_ref().unwrap().port), (&None, 9));
}

#[test]
fn a_prepackaged_server_without_a_container_is_given_one() {
    let graph = "{name: x, implementation: SKLEARN_SERVER, modelUri: 'gs://m', serviceAccountName: s, envSecretRefName: e, \
                 storageInitializerImage: i, children: [{name: b, implementation: XGBOOST_SERVER}, {name: y, implementation: \
                 MLFLOW_SERVER}]}";
    let found = settings("rest", graph);
    assert_eq!(addresses(&found, "x"), "localhost:9004 (grpc localhost:9504)");
    assert_eq!(addresses(&found, "b"), "localhost:7 (grpc localhost:70)", "it has a container");
    assert_eq!(addresses(&found, "y"), "localhost:9005 (grpc localhost:9505)");
    let alone = fixture::deployment("protocol: seldon", &[], "{name: m, implementation: TENSORFLOW_SERVER}");
    assert_eq!(addresses(&fixture::settings(&alone), "m"), "localhost:9000 (grpc localhost:9500)");
    let moved = fixture::loaded(Some(&alone), None, &[], &["m=h:1"]).unwrap().settings;
    assert_eq!(addresses(&moved, "m"), "h:1");
}

#[test]
fn what_is_no_port_and_no_transport_is_refused() {
    for (endpoint, wanted) in [
        ("{httpPort: 70000}", "graph.endpoint.httpPort: is no port; a number from 1 to 65535"),
        ("{grpcPort: x}", "graph.endpoint.grpcPort: is no port"),
        ("{service_port: -1}", "graph.endpoint.service_port: is no port"),
        ("{type: SOAP}", "graph.endpoint.type: type \"SOAP\" of an endpoint is not known; REST or GRPC"),
    ] {
        let text = PODS.replace("TRANSPORT", "rest").replace("GRAPH", &format!("{{name: a, endpoint: {endpoint}}}"));
        let found = fixture::faults(&text);
        assert!(found.contains(wanted), "{endpoint}: {wanted:?} is not in\n{found}");
    }
    // What the operator has not filled in yet.
    settings("rest", "{name: a, endpoint: {type: '', service_host: '', service_port: 0, httpPort: 0}}");
}
