//! Where each protocol takes predictions and shows readiness, and how a readiness answer is read. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::config::settings::Protocol;
use crate::record::CallKind;

/// Paths of one model's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Takes predict calls; their name in Seldon's metrics.
    pub predict: String,
    /// Takes calls (POST). A kind that the protocol does not have is not there.
    pub calls: BTreeMap<CallKind, String>,
    /// Shows readiness (GET): tried in order, the next one if a server does not know one.
    pub ready: Vec<String>,
}

impl Paths {
    /// Paths of a protocol for a model, which has the node's name. Routing and joining answers are Seldon's additions to
    /// the other two protocols; feedback they do not have.
    pub fn new(protocol: Protocol, model: &str) -> Self {
        let model = encode(model);
        let (calls, ready) = match protocol {
            Protocol::Seldon => {
                let path = |kind| match kind {
                    CallKind::Predict => "/predict",
                    CallKind::TransformInput => "/transform-input",
                    CallKind::TransformOutput => "/transform-output",
                    CallKind::Route => "/route",
                    CallKind::Aggregate => "/aggregate",
                    CallKind::SendFeedback => "/send-feedback",
                };
                let calls = CallKind::ALL.into_iter().map(|kind| (kind, path(kind).to_owned())).collect();
                (calls, vec!["/health/status".to_owned()])
            }
            Protocol::Tensorflow => {
                let path = |verb: &str| format!("/v1/models/{model}:{verb}");
                let ready = vec![format!("/v1/models/{model}")];
                (calls(path("predict"), path("route"), path("aggregate")), ready)
            }
            Protocol::V2 => {
                let infer = format!("/v2/models/{model}/infer");
                // A server that does not know the model (yet) may say so of the model and still not be ready as a whole.
                let ready = vec![format!("/v2/models/{model}/ready"), "/v2/health/ready".to_owned()];
                (calls(infer, "/route".to_owned(), "/aggregate".to_owned()), ready)
            }
        };
        Self { predict: calls[&CallKind::Predict].clone(), calls, ready }
    }
}

/// Of a protocol that transforms where it predicts.
fn calls(predict: String, route: String, aggregate: String) -> BTreeMap<CallKind, String> {
    BTreeMap::from([
        (CallKind::TransformInput, predict.clone()),
        (CallKind::TransformOutput, predict.clone()),
        (CallKind::Predict, predict),
        (CallKind::Route, route),
        (CallKind::Aggregate, aggregate),
    ])
}

/// A text as one segment of a path.
fn encode(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
        encoded
    })
}

/// What a readiness answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It takes calls.
    Ready,
    /// It does not.
    NotReady,
    /// The server has no such path. If it has none of the paths it is alive, and calls will tell.
    Unknown,
}

/// Reads a readiness answer.
pub fn readiness(protocol: Protocol, status: u16, body: &[u8]) -> Readiness {
    match status {
        200 if protocol == Protocol::Tensorflow => tensorflow_state(body),
        200..=299 => Readiness::Ready,
        404 | 405 | 501 => Readiness::Unknown,
        // Servers of Seldon's protocol are people's own; one that answers at all without failing is taken as alive.
        300..=499 if protocol == Protocol::Seldon => Readiness::Ready,
        _ => Readiness::NotReady,
    }
}

/// TensorFlow Serving answers 200 in any state; one version that is available is enough.
fn tensorflow_state(body: &[u8]) -> Readiness {
    let has = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    if has("\"state\"") && !has("\"AVAILABLE\"") { Readiness::NotReady } else { Readiness::Ready }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of all kinds, in their order; `-` is none.
    fn paths(protocol: Protocol, model: &str) -> String {
        let paths = Paths::new(protocol, model).calls;
        CallKind::ALL.map(|kind| paths.get(&kind).map_or("-", String::as_str)).join(" ")
    }

    #[test]
    fn each_protocol_has_its_paths() {
        let seldon = "/predict /transform-input /transform-output /route /aggregate /send-feedback";
        assert_eq!(paths(Protocol::Seldon, "m"), seldon);
        let all = "/v1/models/m:predict /v1/models/m:predict /v1/models/m:predict /v1/models/m:route /v1/models/m:aggregate -";
        assert_eq!(paths(Protocol::Tensorflow, "m"), all);
        let all = "/v2/models/m/infer /v2/models/m/infer /v2/models/m/infer /route /aggregate -";
        assert_eq!(paths(Protocol::V2, "m"), all);
        assert_eq!(Paths::new(Protocol::Seldon, "m").ready, ["/health/status"]);
        assert_eq!(Paths::new(Protocol::Tensorflow, "m").ready, ["/v1/models/m"]);
        assert_eq!(Paths::new(Protocol::V2, "m").ready, ["/v2/models/m/ready", "/v2/health/ready"]);
    }

    #[test]
    fn a_model_name_is_one_segment() {
        assert!(paths(Protocol::V2, "a b/c:é?").starts_with("/v2/models/a%20b%2Fc%3A%C3%A9%3F/infer "));
        assert!(
            paths(Protocol::Tensorflow, "tfserving-cifar10_v1.2~x")
                .starts_with("/v1/models/tfserving-cifar10_v1.2~x:predict ")
        );
    }

    #[test]
    fn readiness_is_read_per_protocol() {
        let loading = br#"{"model_version_status":[{"version":"1","state":"LOADING"}]}"#;
        let available = br#"{"model_version_status":[{"version":"1", "state": "AVAILABLE"}]}"#;
        assert_eq!(readiness(Protocol::Tensorflow, 200, loading), Readiness::NotReady);
        assert_eq!(readiness(Protocol::Tensorflow, 200, available), Readiness::Ready);
        assert_eq!(readiness(Protocol::Tensorflow, 200, b""), Readiness::Ready);
        for protocol in [Protocol::Seldon, Protocol::Tensorflow, Protocol::V2] {
            assert_eq!(readiness(protocol, 404, b""), Readiness::Unknown);
            assert_eq!(readiness(protocol, 503, b""), Readiness::NotReady);
        }
        // Triton says 400 of a model that is not ready.
        assert_eq!(readiness(Protocol::V2, 400, b""), Readiness::NotReady);
        assert_eq!(readiness(Protocol::Seldon, 400, b""), Readiness::Ready);
    }
}
