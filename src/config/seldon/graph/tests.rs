//! Graphs as users write them: what they mean, what is refused, what is told.

use super::*;
use crate::config::fixture;
use crate::config::settings::{Logger, LoggerMode, Split};

const CONTAINERS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn graph(text: &str) -> GraphNode {
    fixture::settings(&fixture::deployment("", &CONTAINERS, text)).graph
}

fn faults(text: &str) -> String {
    fixture::faults(&fixture::deployment("", &CONTAINERS, text))
}

fn notices(text: &str) -> String {
    fixture::notices(&fixture::deployment("", &CONTAINERS, text))
}

fn expect(table: &[(&str, &str)], found: impl Fn(&str) -> String) {
    for (text, wanted) in table {
        let found = found(text);
        assert!(found.contains(wanted), "{text}: {wanted:?} is not in\n{found}");
    }
}

#[test]
fn types_are_read_in_any_case_and_default_to_model_only_where_nothing_is_said() {
    for (text, kind) in [
        ("{name: a}", NodeKind::Model),
        ("{name: a, type: MODEL}", NodeKind::Model),
        ("{name: a, type: router}", NodeKind::Router),
        ("{name: a, type: COMBINER}", NodeKind::Combiner),
        ("{name: a, type: Transformer}", NodeKind::Transformer),
        ("{name: a, type: OUTPUT_TRANSFORMER}", NodeKind::OutputTransformer),
        ("{name: a, type: UNKNOWN_TYPE}", NodeKind::Unknown),
        ("{name: a, methods: [TRANSFORM_INPUT]}", NodeKind::Unknown),
        ("{name: a, implementation: UNKNOWN_IMPLEMENTATION}", NodeKind::Unknown),
        ("{name: a, implementation: UNKNOWN_IMPLEMENTATION, type: MODEL}", NodeKind::Model),
        ("{name: a, implementation: SKLEARN_SERVER}", NodeKind::Model),
        ("{name: a, implementation: SKLEARN_SERVER, methods: [SEND_FEEDBACK]}", NodeKind::Model),
        ("{name: a, implementation: SKLEARN_SERVER, type: TRANSFORMER}", NodeKind::Transformer),
    ] {
        let graph = graph(text);
        assert_eq!((graph.kind, graph.implementation), (kind, Implementation::Server), "{text}");
    }
}

#[test]
fn methods_are_read_in_any_case_and_once() {
    let text = "{name: a, methods: [TRANSFORM_INPUT, transform_output, ROUTE, AGGREGATE, SEND_FEEDBACK, Route], children: [{name: b}]}";
    let wanted =
        [Method::TransformInput, Method::TransformOutput, Method::Route, Method::Aggregate, Method::SendFeedback];
    assert_eq!(graph(text).methods, wanted);
}

#[test]
fn unknown_words_are_refused_with_those_there_are() {
    expect(
        &[
            (
                "{name: a, type: MODLE}",
                "graph.type: type \"MODLE\" is not known; did you mean MODEL? known are MODEL, ROUTER,",
            ),
            ("{name: a, methods: [ROUT]}", "graph.methods[0]: method \"ROUT\" is not known; did you mean ROUTE?"),
            ("{name: a, methods: ROUTE}", "graph.methods: is no list"),
            ("{name: a, type: [MODEL]}", "graph.type: is no type; give one word"),
            (
                "{name: a, implementation: MY_OWN_THING}",
                "graph.implementation: implementation \"MY_OWN_THING\" is not known; known are RANDOM_ABTEST, SIMPLE_MODEL, \
                 SIMPLE_ROUTER, AVERAGE_COMBINER, SHADOW, SKLEARN_SERVER, XGBOOST_SERVER, MLFLOW_SERVER, TENSORFLOW_SERVER, \
                 TRITON_SERVER, HUGGINGFACE_SERVER, TEMPO_SERVER, UNKNOWN_IMPLEMENTATION; a server of your own has a type",
            ),
            ("{name: a, implementation: SKLEAN_SERVER}", "did you mean SKLEARN_SERVER?"),
            (
                "{name: a, children: [{name: b, type: CHOOSER}]}",
                "graph.children[0].type: type \"CHOOSER\" is not known",
            ),
            ("{name: a, children: {name: b}}", "graph.children: node \"a\": `children` is no list"),
            ("{name: a, children: [{name: a}]}", "two nodes have the name \"a\""),
            ("{type: MODEL}", "spec.predictors[0].graph: `name` is missing"),
            ("{name: a b}", "cannot stand in a path"),
            ("[a]", "is no node"),
        ],
        faults,
    );
    let deep = (0..80).fold("{name: z}".to_owned(), |graph, n| format!("{{name: n{n}, children: [{graph}]}}"));
    assert!(faults(&deep).contains("nested too deep"), "{}", faults(&deep));
    let several = faults("{name: a, type: X, children: [{name: b, type: Y}, {name: c, implementation: Z}]}");
    assert_eq!(several.lines().count(), 3, "all at once:\n{several}");
}

#[test]
fn what_is_done_here_has_its_type() {
    let with = |implementation: &str, rest: &str| {
        graph(&format!("{{name: x, implementation: {implementation}{rest}, children: [{{name: a}}, {{name: b}}]}}"))
    };
    let even = Implementation::RandomAbtest(Split { weights: vec![1.0, 1.0], seed: None });
    for (name, stated, kind, wanted) in [
        ("RANDOM_ABTEST", ", type: ROUTER", NodeKind::Router, even),
        ("simple_router", ", type: ROUTER", NodeKind::Router, Implementation::SimpleRouter),
        ("AVERAGE_COMBINER", ", type: COMBINER", NodeKind::Combiner, Implementation::AverageCombiner),
        ("SIMPLE_MODEL", ", type: MODEL", NodeKind::Model, Implementation::SimpleModel),
        ("SHADOW", "", NodeKind::Unknown, Implementation::Shadow),
    ] {
        for stated in ["", stated, ", type: UNKNOWN_TYPE"] {
            let node = with(name, stated);
            assert_eq!((node.kind, node.implementation), (kind, wanted.clone()), "{name}{stated}");
        }
    }
    let settings = fixture::settings(&fixture::deployment(
        "",
        &["a"],
        "{name: x, implementation: AVERAGE_COMBINER, children: [{name: a}]}",
    ));
    assert_eq!((&settings.nodes["x"].rest, &settings.nodes["x"].grpc), (&None, &None));
}

#[test]
fn what_is_done_here_is_refused_where_it_does_not_go() {
    expect(
        &[
            (
                "{name: x, implementation: AVERAGE_COMBINER, type: ROUTER, children: [{name: a}]}",
                "graph.type: node \"x\": implementation AVERAGE_COMBINER does not go with type ROUTER; leave the type out, or \
                 give COMBINER",
            ),
            (
                "{name: x, implementation: SHADOW, type: MODEL, children: [{name: a}, {name: b}]}",
                "implementation SHADOW does not go with type MODEL; leave the type out",
            ),
            (
                "{name: x, implementation: SIMPLE_MODEL, type: TRANSFORMER}",
                "SIMPLE_MODEL does not go with type TRANSFORMER",
            ),
            (
                "{name: x, implementation: SIMPLE_MODEL, methods: [TRANSFORM_INPUT]}",
                "graph.methods: node \"x\": implementation SIMPLE_MODEL does not go with method TRANSFORM_INPUT",
            ),
            (
                "{name: x, implementation: SHADOW, methods: [AGGREGATE], children: [{name: a}, {name: b}]}",
                "implementation SHADOW does not go with method AGGREGATE",
            ),
            (
                "{name: x, implementation: RANDOM_ABTEST}",
                "node \"x\": RANDOM_ABTEST needs a child to choose, and has no children; give it at least 1 child",
            ),
            ("{name: x, implementation: SIMPLE_ROUTER, children: []}", "SIMPLE_ROUTER needs a child to choose"),
            ("{name: x, implementation: AVERAGE_COMBINER}", "AVERAGE_COMBINER needs a child whose answer it takes"),
            (
                "{name: x, implementation: SHADOW, children: [{name: a}]}",
                "SHADOW needs a child that answers and one that gets a copy, and has 1 child; give it at least 2 children",
            ),
        ],
        faults,
    );
}

fn abtest(parameters: &str, children: &[&str]) -> String {
    let children: Vec<String> = children.iter().map(|name| format!("{{name: {name}}}")).collect();
    let children = children.join(", ");
    format!("{{name: x, implementation: RANDOM_ABTEST, parameters: [{parameters}], children: [{children}]}}")
}

#[test]
fn requests_are_divided_as_the_parameters_say() {
    const RATIO: &str = "{name: ratioA, type: FLOAT, value: '0.25'}";
    const SEED: &str = "{name: seed, type: INT, value: 7}";
    let split = |parameters: &str, children: &[&str]| match graph(&abtest(parameters, children)).implementation {
        Implementation::RandomAbtest(split) => (split.weights, split.seed),
        other => panic!("{other:?}"),
    };
    assert_eq!(split("", &["a"]), (vec![1.0], None));
    assert_eq!(split("", &["a", "b", "c"]), (vec![1.0, 1.0, 1.0], None));
    assert_eq!(split(RATIO, &["a", "b"]), (vec![0.25, 0.75], None));
    assert_eq!(split(&format!("{RATIO}, {SEED}"), &["a", "b"]), (vec![0.25, 0.75], Some(7)));
    assert_eq!(
        split("{name: weights, type: STRING, value: '3, 1,0.5'}", &["a", "b", "c"]),
        (vec![3.0, 1.0, 0.5], None)
    );
    assert_eq!(split("{name: weights, type: STRING, value: '1'}", &["a"]), (vec![1.0], None));
    let shares: Vec<f64> = Split { weights: vec![3.0, 1.0], seed: None }.shares().collect();
    assert_eq!(shares, [0.75, 0.25]);
}

#[test]
fn a_division_that_cannot_be_is_refused() {
    for (parameters, children, wanted) in [
        (
            "{name: ratioA, type: FLOAT, value: '1.5'}",
            2,
            "parameters[0].value: ratioA \"1.5\" is no share; a number from 0 to 1",
        ),
        ("{name: ratioA, type: FLOAT, value: nan}", 2, "is no share"),
        (
            "{name: ratioA, type: FLOAT, value: 0.5}",
            3,
            "`ratioA` divides between two children, and node \"x\" has 3; give `weights`",
        ),
        ("{name: weights, type: STRING, value: '1,1'}", 3, "weights \"1,1\" has 2 weights for 3 children"),
        ("{name: weights, type: STRING, value: '1,-1'}", 2, "has a weight below 0"),
        ("{name: weights, type: STRING, value: '1,inf'}", 2, "has a weight below 0"),
        ("{name: weights, type: STRING, value: '1e308,1e308'}", 2, "has weights that are too large"),
        ("{name: weights, type: STRING, value: '0,0'}", 2, "is 0 for all children; a number from 0 for each child"),
        ("{name: weights, type: STRING, value: '1,,1'}", 2, "is no list of numbers"),
        ("{name: seed, type: INT, value: -1}", 2, "seed \"-1\" cannot be used; a whole number from 0"),
        (
            "{name: ratioA, type: FLOAT, value: 1}, {name: weights, type: STRING, value: '1,1'}",
            2,
            "say the same; give one of them",
        ),
        (
            "{name: seed, type: INT, value: 1}, {name: seed, type: INT, value: 2}",
            2,
            "parameter \"seed\" is given twice",
        ),
        (
            "{name: ratio_a, type: FLOAT, value: 1}",
            2,
            "RANDOM_ABTEST has no parameter \"ratio_a\"; did you mean ratioA?",
        ),
    ] {
        let text = faults(&abtest(parameters, &["a", "b", "c"][..children]));
        assert!(text.contains(wanted), "{parameters}: {wanted:?} is not in\n{text}");
    }
    let other = "{name: owner, type: STRING, value: me}";
    let text = notices(&abtest(other, &["a", "b"]));
    assert!(text.contains("RANDOM_ABTEST has no parameter \"owner\"; it is ignored"), "{text}");
}

#[test]
fn parameters_are_of_their_types_whoever_they_are_for() {
    let right = "[{name: n_branches, type: INT, value: '2'}, {name: epsilon, type: FLOAT, value: 0.1}, {name: d, type: DOUBLE, \
                 value: '1e-3'}, {name: verbose, type: BOOL, value: True}, {name: s, type: string, value: x}]";
    graph(&format!("{{name: a, parameters: {right}}}"));
    let one = |parameter: &str| faults(&format!("{{name: a, parameters: [{parameter}]}}"));
    expect(
        &[
            (
                "{name: n, type: INT, value: '2.5'}",
                "graph.parameters[0].value: parameter \"n\": the value is no INT; a whole number",
            ),
            ("{name: n, type: FLOAT, value: much}", "the value is no FLOAT; a number"),
            ("{name: n, type: BOOL, value: 2}", "the value is no BOOL; true or false"),
            ("{name: n, type: STRING, value: [a]}", "the value is no STRING; one text"),
            ("{name: n, type: NUMBER, value: 2}", "type \"NUMBER\" is not known"),
            ("{name: n, type: INT}", "`value` is missing"),
            ("{name: n, value: 2}", "`type` is missing"),
            ("{type: INT, value: 2}", "`name` is missing"),
            ("a", "is no parameter; a list of {name, value, type}"),
        ],
        one,
    );
    assert!(faults("{name: a, parameters: {n: 2}}").contains("graph.parameters: is no list"));
}

#[test]
fn loggers_are_kept_and_checked() {
    let read = |logger: &str| graph(&format!("{{name: a, logger: {logger}}}")).logger.unwrap();
    assert_eq!(read("{}"), Logger { mode: LoggerMode::All, url: None });
    let url = Some("https://broker.ns:80/x".to_owned());
    assert_eq!(read("{mode: request, url: 'https://broker.ns:80/x'}"), Logger { mode: LoggerMode::Request, url });
    assert_eq!(read("{mode: Response}").mode, LoggerMode::Response);
    let one = |logger: &str| faults(&format!("{{name: a, logger: {logger}}}"));
    expect(
        &[
            ("{mode: both}", "graph.logger.mode: mode \"both\" is not known; known are all, request, response"),
            ("{url: 'ftp://h'}", "graph.logger.url: \"ftp://h\" is no address over HTTP; http://HOST"),
            ("{url: 'http://'}", "is no address over HTTP"),
            ("{url: 'http://h:x/'}", "is no address over HTTP"),
            ("{url: broker}", "is no address over HTTP"),
            ("all", "is no logger"),
        ],
        one,
    );
    assert!(notices("{name: a, logger: {mode: all}}").contains("payloads are not logged by this version"));
}

#[test]
fn what_may_not_be_meant_is_told() {
    expect(
        &[
            (
                "{name: a, type: ROUTER}",
                "node \"a\" has no children to choose from: its server is never asked for a route",
            ),
            ("{name: a, methods: [AGGREGATE]}", "node \"a\" has no children whose answers it could combine"),
            (
                "{name: a, children: [{name: b}, {name: c}]}",
                "node \"a\" has 2 children and none of ROUTER and COMBINER: all are called, \"b\" answers, and the others' answers \
                 are dropped; with implementation AVERAGE_COMBINER",
            ),
            (
                "{name: a, type: UNKNOWN_TYPE}",
                "node \"a\" has no type and no method that is called: messages pass it unchanged",
            ),
            ("{name: a, methods: []}", "messages pass it unchanged"),
        ],
        notices,
    );
    for quiet in [
        "{name: a, type: TRANSFORMER, children: [{name: b}]}",
        "{name: a, type: OUTPUT_TRANSFORMER, children: [{name: b}]}",
        "{name: a, type: ROUTER, children: [{name: b}, {name: c}]}",
        "{name: a, type: COMBINER, children: [{name: b}, {name: c}]}",
        "{name: x, implementation: SHADOW, children: [{name: b}, {name: c}]}",
        "{name: x, implementation: RANDOM_ABTEST, children: [{name: b}, {name: c}]}",
        "{name: x, implementation: AVERAGE_COMBINER, children: [{name: b}, {name: c}]}",
    ] {
        assert_eq!(notices(quiet), "", "{quiet}");
    }
}

#[test]
fn a_graph_of_a_configuration_file_is_read_strictly() {
    let read = |graph: &str| {
        let config = format!("graph: {graph}\nnodes: {{'*': {{endpoint: 'h:1'}}}}");
        fixture::loaded(None, Some(&fixture::configuration(&config)), &[], &[])
    };
    let text = "{name: a, implementation: RANDOM_ABTEST, parameters: [{name: ratioA, type: FLOAT, value: 0.1}], logger: {mode: all}, \
                children: [{name: b, type: TRANSFORMER, methods: [TRANSFORM_OUTPUT]}, {name: c}]}";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.settings.graph.children[0].methods, [Method::TransformOutput]);
    assert!(loaded.notices[0].contains(": graph: payloads are not logged"), "{:?}", loaded.notices);
    expect(
        &[
            ("{name: a, childern: []}", "childern: unknown key; did you mean `children`?"),
            ("{name: a, modelUri: 'gs://m'}", "modelUri: unknown key; a node has name, type, methods,"),
            (
                "{name: a, endpoint: {httpPort: 1}}",
                "endpoint: a node's address does not stand in the graph; give it as `nodes.NAME.endpoint`",
            ),
        ],
        |text| read(text).unwrap_err().to_string(),
    );
}
