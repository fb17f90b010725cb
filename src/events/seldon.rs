//! The predecessor's four metrics, so that its dashboards go on. Only the two of calls to models move.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry};

use super::names;
use super::node::NodeLabels;
use super::summary::{Summary, SummaryVec};
use crate::config::settings::Deployment;

/// Seldon's `method` of a gRPC call.
pub const UNARY: &str = "unary";

/// The families, and the label values that are the same for every node.
#[derive(Clone)]
pub(super) struct SeldonMetrics {
    client_seconds: HistogramVec,
    client_summary: SummaryVec,
    deployment: [String; 3],
}

impl SeldonMetrics {
    pub(super) fn register(registry: &Registry, deployment: &Deployment) -> prometheus::Result<Self> {
        let server_seconds = histogram(registry, &names::SERVER_SECONDS)?;
        let server_summary = SummaryVec::new(&names::SERVER_SUMMARY)?;
        registry.register(Box::new(server_summary.clone()))?;
        let client_seconds = histogram(registry, &names::CLIENT_SECONDS)?;
        let client_summary = SummaryVec::new(&names::CLIENT_SUMMARY)?;
        registry.register(Box::new(client_summary.clone()))?;

        let deployment = [deployment.name.clone(), deployment.predictor.clone(), deployment.predictor_version.clone()];
        let [name, predictor, version] = deployment.each_ref().map(String::as_str);
        let server = [name, predictor, version, "predictions", "post", "200"];
        let _shown_as_zero = (server_seconds.with_label_values(&server), server_summary.with(&server));
        Ok(Self { client_seconds, client_summary, deployment })
    }

    pub(super) fn client(&self, labels: &NodeLabels<'_>) -> ClientMetrics {
        let (image, version) = split_image(labels.image);
        let [name, predictor, predictor_version] = self.deployment.each_ref().map(String::as_str);
        let all = [name, predictor, predictor_version, labels.service, labels.node, image, version, labels.method];
        let client = ClientMetrics {
            seconds: self.client_seconds.clone(),
            summary: self.client_summary.clone(),
            labels: all.map(str::to_owned),
            by_code: Mutex::default(),
        };
        client.bound(if labels.method == UNARY { "OK" } else { "200" });
        client
    }
}

fn histogram(registry: &Registry, metric: &names::Metric) -> prometheus::Result<HistogramVec> {
    let opts = HistogramOpts::new(metric.name, metric.help).buckets(names::SELDON_BUCKETS.to_vec());
    let family = HistogramVec::new(opts, metric.labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// What Seldon counts of the calls to one node.
pub(super) struct ClientMetrics {
    seconds: HistogramVec,
    summary: SummaryVec,
    /// All labels but the last, `code`.
    labels: [String; 8],
    /// Few codes are seen in practice; the first is that of success.
    by_code: Mutex<Vec<(String, Histogram, Arc<Summary>)>>,
}

impl ClientMetrics {
    pub(super) fn observe(&self, code: &str, took: Duration) {
        let (seconds, summary) = self.bound(code);
        seconds.observe(took.as_secs_f64());
        summary.observe(took);
    }

    fn bound(&self, code: &str) -> (Histogram, Arc<Summary>) {
        let mut by_code = self.by_code.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, seconds, summary)) = by_code.iter().find(|(known, ..)| *known == code) {
            return (seconds.clone(), Arc::clone(summary));
        }
        let mut values: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        values.push(code);
        let seconds = self.seconds.with_label_values(&values);
        let summary = self.summary.with(&values);
        by_code.push((code.to_owned(), seconds.clone(), Arc::clone(&summary)));
        (seconds, summary)
    }
}

/// Name and version of an image: split at the last colon after the last slash, so that a registry's port stays.
fn split_image(image: &str) -> (&str, &str) {
    let name_at = image.rfind('/').map_or(0, |slash| slash + 1);
    match image[name_at..].rfind(':') {
        Some(colon) => (&image[..name_at + colon], &image[name_at + colon + 1..]),
        None => (image, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::split_image;

    #[test]
    fn an_image_is_split_at_the_last_colon_after_the_last_slash() {
        assert_eq!(split_image("seldonio/mnist:1.2"), ("seldonio/mnist", "1.2"));
        assert_eq!(split_image("host:5000/mnist"), ("host:5000/mnist", ""));
        assert_eq!(split_image("host:5000/mnist:3"), ("host:5000/mnist", "3"));
        assert_eq!(split_image("mnist:3"), ("mnist", "3"));
        assert_eq!(split_image(""), ("", ""));
    }
}
