//! Transports, protocols, servers and times, as they come together.

use std::time::Duration;

use crate::config::fixture::{configuration, deployment, faults, loaded, notices, settings};
use crate::config::settings::{Node, Transport};
use crate::config::{Faults, Loaded};

fn node(deployment: &str, flags: &[(&str, &str)], config: Option<&str>) -> (Node, String) {
    let loaded = loaded(Some(deployment), config, flags, &[]).unwrap_or_else(|faults| panic!("{faults}\n{deployment}"));
    (loaded.settings.nodes["a"].clone(), loaded.notices.join("\n"))
}

#[test]
fn the_transport_is_that_of_the_deployment_or_the_flag() {
    let text = deployment("transport: grpc", &["a"], "{name: a}");
    assert_eq!(settings(&text).transport, Transport::Grpc);
    assert_eq!(settings(&text).nodes["a"].transport, None);
    let rest = loaded(Some(&text), None, &[("transport", "rest")], &[]).unwrap().settings;
    assert_eq!(rest.transport, Transport::Rest);
    assert_eq!(settings(&deployment("", &["a"], "{name: a}")).transport, Transport::Rest);
    assert!(
        faults(&deployment("transport: soap", &["a"], "{name: a}"))
            .contains("\"soap\" is not known; one of: rest, grpc")
    );
}

#[test]
fn the_type_of_an_endpoint_is_the_nodes_transport_unless_the_operator_wrote_it() {
    use Transport::{Grpc, Rest};
    for (spec, endpoint, flags, wanted, told) in [
        ("", "{type: REST}", &[] as &[_], None, false),
        ("", "{type: GRPC}", &[], Some(Grpc), false),
        ("transport: rest", "{type: grpc, service_port: 5}", &[], Some(Grpc), false),
        ("transport: grpc", "{type: GRPC}", &[], None, false),
        ("transport: grpc", "{type: REST}", &[], Some(Rest), false),
        ("transport: grpc", "{type: REST, httpPort: 9000}", &[], Some(Rest), false),
        ("transport: grpc", "{type: REST, httpPort: 9000, grpcPort: 9500}", &[], None, true),
        ("", "{type: REST, httpPort: 9000, grpcPort: 9500}", &[("transport", "grpc")], None, true),
        ("", "{type: REST, grpcPort: 9500}", &[], None, false),
        ("transport: rest", "{type: GRPC, httpPort: 9000, grpcPort: 9500}", &[], Some(Grpc), false),
    ] {
        let text = deployment(spec, &["a"], &format!("{{name: a, endpoint: {endpoint}}}"));
        let (node, notices) = node(&text, flags, None);
        assert_eq!(node.transport, wanted, "{spec}, {endpoint}");
        assert_eq!(
            notices.contains("type REST of an endpoint that has a grpcPort"),
            told,
            "{spec}, {endpoint}: {notices}"
        );
    }
    let text = deployment("", &["a"], "{name: a, endpoint: {type: GRPC}}");
    assert_eq!(
        node(&text, &[], Some("nodes: {a: {transport: rest}}")).0.transport,
        Some(Rest),
        "an option is stronger"
    );
    let same = configuration("graph: {name: a}\nnodes: {a: {endpoint: 'h:1', transport: rest}}");
    let own = loaded(None, Some(&same), &[], &[]).unwrap().settings.nodes["a"].transport;
    assert_eq!(own, Some(Rest), "said in so many words, it holds for every record");
}

#[test]
fn an_address_is_for_the_transport_in_effect() {
    let addresses = |nodes: &str, flags: &[&str]| {
        let config = configuration(&format!("graph: {{name: a}}\nnodes: {{a: {nodes}}}"));
        let loaded = loaded(None, Some(&config), &[], flags);
        loaded.map_or_else(|faults| faults.to_string(), |loaded| loaded.settings.nodes["a"].addresses())
    };
    assert_eq!(addresses("{endpoint: 'h:1'}", &[]), "h:1");
    assert_eq!(addresses("{endpoint: 'h:1', grpc_endpoint: 'g:2'}", &[]), "h:1 (grpc g:2)");
    assert_eq!(addresses("{rest_endpoint: 'h:1', grpc_endpoint: 'g:2'}", &[]), "h:1 (grpc g:2)");
    assert_eq!(addresses("{transport: grpc, endpoint: 'g:2', rest_endpoint: 'h:1'}", &[]), "h:1 (grpc g:2)");
    assert_eq!(addresses("{endpoint: 'h:1', rest_endpoint: 'r:1'}", &[]), "r:1", "the narrower one");
    assert_eq!(addresses("{endpoint: 'h:1', rest_endpoint: 'r:1'}", &["a=f:1"]), "f:1", "the stronger one");
    assert_eq!(
        addresses("{rest_endpoint: 'r:1', transport: grpc}", &[]),
        "node \"a\": it is called over grpc, and only its other address is known, r:1; give it with --endpoint a=HOST:PORT or \
         `nodes.a.endpoint`"
    );
    assert!(addresses("{grpc_endpoint: 'no'}", &["a=f:1"]).contains("grpc_endpoint of node \"a\": \"no\" has no port"));
    let text = deployment("", &["a"], "{name: a}");
    let moved = loaded(Some(&text), None, &[], &["a=h:1"]).unwrap().settings.nodes["a"].addresses();
    assert_eq!(moved, "h:1", "the deployment's other address is not that server's");
    let both = loaded(Some(&text), Some("nodes: {a: {grpc_endpoint: 'g:2'}}"), &[], &[]).unwrap().settings;
    assert_eq!(both.nodes["a"].addresses(), "localhost:9000 (grpc g:2)");
}

#[test]
fn only_a_server_that_is_called_needs_an_address() {
    let fault = faults(&deployment("", &[], "{name: a}"));
    assert!(
        fault.contains("node \"a\": nothing says where its server listens; give it with --endpoint a=HOST:PORT"),
        "{fault}"
    );
    let ab = "{name: x, implementation: RANDOM_ABTEST, children: [{name: a}, {name: m, implementation: SIMPLE_MODEL}]}";
    settings(&deployment("", &["a"], ab));
    settings(&deployment("", &["a"], "{name: x, type: UNKNOWN_TYPE, children: [{name: a}]}"));
    let asked = ab.replace("RANDOM_ABTEST,", "RANDOM_ABTEST, methods: [TRANSFORM_INPUT],");
    let fault = faults(&deployment("", &["a"], &asked));
    assert!(
        fault.contains("node \"x\": nothing says where the server listens that its methods are asked of"),
        "{fault}"
    );
    let text = deployment("", &["a"], ab);
    let told = loaded(Some(&text), None, &[], &["x=h:1"]).unwrap().notices.join("\n");
    assert!(
        told.contains("flag --endpoint: node \"x\" is done here, without a server: its address is not used"),
        "{told}"
    );
}

#[test]
fn tensorflow_is_not_converted() {
    let text = deployment("protocol: tensorflow", &["a"], "{name: a, endpoint: {type: GRPC}}");
    let fault = faults(&text);
    for wanted in ["graph: node \"a\" is called over grpc and the graph over rest", "`nodes.a.transport: rest`"] {
        assert!(fault.contains(wanted), "{wanted:?} is not in\n{fault}");
    }
    for protocol in ["seldon", "v2"] {
        settings(&text.replace("tensorflow", protocol));
    }
    settings(&deployment("protocol: tensorflow\ntransport: grpc", &["a"], "{name: a, endpoint: {type: GRPC}}"));
}

#[test]
fn only_seldon_combines_over_grpc() {
    let with = |spec: &str, node: &str| {
        deployment(spec, &["a", "b", "c"], &format!("{{name: a, {node}, children: [{{name: b}}, {{name: c}}]}}"))
    };
    for (protocol, wanted) in [
        (
            "v2",
            "let implementation AVERAGE_COMBINER do it here, or call its server over REST: `nodes.a.transport: rest`",
        ),
        ("tensorflow", "let implementation AVERAGE_COMBINER do it here"),
    ] {
        let spec = format!("protocol: {protocol}\ntransport: grpc");
        for node in ["type: COMBINER", "methods: [AGGREGATE]"] {
            let fault = faults(&with(&spec, node));
            let first = format!("node \"a\" combines answers over grpc, for which protocol {protocol} has no message");
            assert!(fault.contains(&first) && fault.ends_with(wanted), "{node}: {fault}");
        }
        settings(&with(&spec, "implementation: AVERAGE_COMBINER"));
        settings(&with(&format!("protocol: {protocol}"), "type: COMBINER"));
    }
    settings(&with("protocol: v2\ntransport: grpc", "type: COMBINER, endpoint: {type: REST}"));
    settings(&with("protocol: seldon\ntransport: grpc", "type: COMBINER"));
}

#[test]
fn a_prepackaged_server_speaks_the_protocol() {
    let servers = [
        ("SKLEARN_SERVER", ["seldon", "v2"].as_slice()),
        ("XGBOOST_SERVER", &["seldon", "v2"]),
        ("MLFLOW_SERVER", &["seldon", "v2"]),
        ("TENSORFLOW_SERVER", &["seldon", "tensorflow"]),
        ("TRITON_SERVER", &["v2"]),
        ("HUGGINGFACE_SERVER", &["v2"]),
        ("TEMPO_SERVER", &["v2"]),
    ];
    for (server, right) in servers {
        for protocol in ["seldon", "tensorflow", "v2"] {
            let spec = format!("protocol: {protocol}");
            let text = deployment(&spec, &[], &format!("{{name: a, implementation: {server}}}"));
            if right.contains(&protocol) {
                assert_eq!(settings(&text).nodes["a"].addresses(), "localhost:9000 (grpc localhost:9500)");
            } else {
                let wanted = format!(
                    "graph.implementation: {server} does not speak protocol {protocol}; set `protocol` to {}",
                    right.join(" or ")
                );
                assert!(faults(&text).contains(&wanted), "{wanted:?} is not in\n{}", faults(&text));
            }
        }
    }
    settings(&deployment("protocol: kfserving", &[], "{name: a, implementation: TRITON_SERVER}"));
    let own = configuration(
        "protocol: tensorflow\ngraph: {name: a, implementation: SKLEARN_SERVER}\nnodes: {a: {endpoint: 'h:1'}}",
    );
    assert!(loaded(None, Some(&own), &[], &[]).unwrap_err().to_string().contains("does not speak protocol tensorflow"));
}

#[test]
fn annotations_are_for_the_nodes_of_their_transport() {
    let annotated = "annotations: {seldon.io/rest-timeout: '1000', seldon.io/grpc-timeout: '2000', \
                 seldon.io/grpc-max-message-size: '\"1048576\"'}";
    let text = deployment(annotated, &["a", "b"], "{name: a, children: [{name: b, endpoint: {type: GRPC}}]}");
    let found = settings(&text);
    let seconds = |node: &str| found.nodes[node].timeout.as_secs();
    assert_eq!((seconds("a"), seconds("b")), (1, 2));
    assert_eq!((found.limits.request_bytes, found.limits.reply_bytes), (1 << 20, 1 << 20));
    let times = |config: &str, flags: &[(&str, &str)]| {
        let nodes = loaded(Some(&text), Some(config), flags, &[]).unwrap().settings.nodes;
        (nodes["a"].timeout.as_secs(), nodes["b"].timeout.as_secs())
    };
    assert_eq!(
        times("nodes: {'*': {timeout: 7s}, b: {timeout: 8s}}", &[]),
        (1, 8),
        "a file is weaker, a node's own is not"
    );
    assert_eq!(times("{}", &[("transport", "grpc")]), (2, 2));
    let huge = annotated.replace("\"1048576\"", "2147483647");
    let huge = deployment(&huge, &["a"], "{name: a}");
    assert_eq!(settings(&huge).limits.reply_bytes, 512 << 20);
    assert!(
        notices(&huge)
            .contains("grpc-max-message-size: 2147483647 bytes are more than the largest message here, 536870912")
    );
    for (wrong, wanted) in [
        (
            "seldon.io/grpc-timeout: 5s",
            "spec.annotations.seldon.io/grpc-timeout: \"5s\" is no whole number; give milliseconds",
        ),
        ("seldon.io/grpc-max-message-size: 4MB", "\"4MB\" is no size; give bytes"),
    ] {
        let fault = faults(&deployment(&format!("annotations: {{{wrong}}}"), &["a"], "{name: a}"));
        assert!(fault.contains(wanted), "{wanted:?} is not in\n{fault}");
    }
}

#[test]
fn a_record_has_the_time_of_the_longest_way() {
    let deadline = |graph: &str, nodes: &str| {
        let config = format!("graph: {graph}\nnodes: {{'*': {{endpoint: 'h:1', timeout: 40s}}, {nodes}}}");
        loaded(None, Some(&configuration(&config)), &[], &[]).map(|loaded| loaded.settings.limits.record_deadline)
    };
    let seconds = |graph: &str, nodes: &str| deadline(graph, nodes).unwrap().as_secs();
    assert_eq!(seconds("{name: a}", ""), 60, "the default is enough");
    assert_eq!(seconds("{name: a, children: [{name: b}]}", ""), 80);
    let wide = "{name: x, implementation: AVERAGE_COMBINER, children: [{name: a}, {name: b, children: [{name: c}]}, {name: d}]}";
    assert_eq!(seconds(wide, ""), 80, "the branches run at the same time");
    assert_eq!(seconds(wide, "d: {timeout: 200s}"), 200);
    let busy =
        "{name: a, methods: [TRANSFORM_INPUT, ROUTE, AGGREGATE, TRANSFORM_OUTPUT], children: [{name: b}, {name: c}]}";
    assert_eq!(seconds(busy, ""), 200, "each call has its time");
    let short = configuration(
        "graph: {name: a, children: [{name: b}]}\nnodes: {'*': {endpoint: 'h:1'}}\nlimits: {record_deadline: 59s}",
    );
    let fault = loaded(None, Some(&short), &[], &[]).unwrap_err().to_string();
    assert!(fault.contains("is shorter than the timeouts on the longest way together, 1m"), "{fault}");
    assert_eq!(deadline("{name: a}", "a: {timeout: 90s}").unwrap(), Duration::from_secs(90));
}

#[test]
fn what_a_protocol_has_not_is_told() {
    let feedback = |protocol: &str| {
        notices(&deployment(
            &format!("protocol: {protocol}"),
            &["a"],
            "{name: a, type: MODEL, methods: [SEND_FEEDBACK]}",
        ))
    };
    assert!(feedback("v2").contains("node \"a\": SEND_FEEDBACK has no message in protocol v2"));
    assert_eq!(feedback("seldon"), "");
    let inject = |protocol: &str| -> Result<Loaded, Faults> {
        let text = deployment(&format!("protocol: {protocol}"), &["a"], "{name: a}");
        loaded(Some(&text), Some("inject_routing: true"), &[], &[])
    };
    assert!(inject("v2").unwrap().notices[0].contains("inject_routing changes nothing"));
    let seldon = inject("seldon").unwrap();
    assert!(seldon.settings.inject_routing && seldon.notices.is_empty(), "{:?}", seldon.notices);
    let variable = deployment("", &["a"], "{name: a}")
        .replace("{env: [", "{env: [{name: SELDON_ENABLE_ROUTING_INJECTION, value: 'true'}, ");
    assert!(settings(&variable).inject_routing);
}
