//! Where each protocol takes predictions and shows readiness, and how a readiness answer is read. Pure.

use std::fmt::Write;

use crate::config::settings::Protocol;

/// Paths of one model's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Takes predict requests (POST).
    pub predict: String,
    /// Shows readiness (GET): tried in order, the next one if a server does not know one.
    pub ready: Vec<String>,
}

impl Paths {
    /// Paths of a protocol for a model, which has the node's name.
    pub fn new(protocol: Protocol, model: &str) -> Self {
        let model = encode(model);
        match protocol {
            Protocol::Seldon => Self { predict: "/predict".into(), ready: vec!["/health/status".into()] },
            Protocol::Tensorflow => {
                Self { predict: format!("/v1/models/{model}:predict"), ready: vec![format!("/v1/models/{model}")] }
            }
            // A server that does not know the model (yet) may say so of the model and still not be ready as a whole.
            Protocol::V2 => Self {
                predict: format!("/v2/models/{model}/infer"),
                ready: vec![format!("/v2/models/{model}/ready"), "/v2/health/ready".into()],
            },
        }
    }
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

    #[test]
    fn each_protocol_has_its_paths() {
        assert_eq!(Paths::new(Protocol::Seldon, "m").predict, "/predict");
        assert_eq!(Paths::new(Protocol::Seldon, "m").ready, ["/health/status"]);
        assert_eq!(Paths::new(Protocol::Tensorflow, "m").predict, "/v1/models/m:predict");
        assert_eq!(Paths::new(Protocol::Tensorflow, "m").ready, ["/v1/models/m"]);
        assert_eq!(Paths::new(Protocol::V2, "m").predict, "/v2/models/m/infer");
        assert_eq!(Paths::new(Protocol::V2, "m").ready, ["/v2/models/m/ready", "/v2/health/ready"]);
    }

    #[test]
    fn a_model_name_is_one_segment() {
        assert_eq!(Paths::new(Protocol::V2, "a b/c:é?").predict, "/v2/models/a%20b%2Fc%3A%C3%A9%3F/infer");
        assert_eq!(
            Paths::new(Protocol::Tensorflow, "tfserving-cifar10_v1.2~x").predict,
            "/v1/models/tfserving-cifar10_v1.2~x:predict"
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
