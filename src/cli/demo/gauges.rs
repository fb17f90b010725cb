//! Reads from the service's metrics what the view shows.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::view::{EndpointState, Gauges};
use crate::events::names;

/// Restarts of actors are counted by the supervision crate, under this name.
const RESTARTS: &str = "millrace_actor_restarts_total";

pub(super) fn read(registry: &Registry) -> Gauges {
    let families = registry.gather();
    let find = |name: &str| families.iter().find(|family| family.name() == name);
    let sum = |name: &str| find(name).map_or(0.0, sum) as u64;
    let waiting = |node: &str| {
        let family = find(names::ENDPOINT_WAITING.name)?;
        family
            .get_metric()
            .iter()
            .find(|metric| self::node(metric) == node)
            .map(|metric| metric.get_gauge().get_value())
    };
    let endpoint = |metric: &Metric| EndpointState {
        node: node(metric).to_owned(),
        up: metric.get_gauge().get_value() > 0.0,
        waiting: waiting(node(metric)).unwrap_or(0.0) as u64,
    };
    Gauges {
        assigned: sum(names::ASSIGNED_PARTITIONS.name),
        in_flight: sum(names::IN_FLIGHT_RECORDS.name),
        in_flight_limit: sum(names::IN_FLIGHT_RECORDS_LIMIT.name),
        restarts: sum(RESTARTS),
        redispatched: sum(names::REDISPATCHED.name),
        endpoints: find(names::ENDPOINT_UP.name)
            .map(|family| family.get_metric().iter().map(endpoint).collect())
            .unwrap_or_default(),
    }
}

fn node(metric: &Metric) -> &str {
    metric.get_label().iter().find(|label| label.name() == "node").map_or("", |label| label.value())
}

fn sum(family: &MetricFamily) -> f64 {
    let value = |metric: &Metric| match family.get_field_type() {
        MetricType::COUNTER => metric.get_counter().get_value(),
        _ => metric.get_gauge().get_value(),
    };
    family.get_metric().iter().map(value).sum()
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts};

    use super::*;

    #[test]
    fn gauges_are_read_by_name_and_label() {
        let registry = Registry::new();
        let restarts = IntCounterVec::new(Opts::new(RESTARTS, "h"), &["actor", "reason"]).unwrap();
        let up = IntGaugeVec::new(Opts::new(names::ENDPOINT_UP.name, "h"), &["node"]).unwrap();
        let waiting = IntGaugeVec::new(Opts::new(names::ENDPOINT_WAITING.name, "h"), &["node"]).unwrap();
        let in_flight = IntGauge::new(names::IN_FLIGHT_RECORDS.name, "h").unwrap();
        registry.register(Box::new(restarts.clone())).unwrap();
        registry.register(Box::new(up.clone())).unwrap();
        registry.register(Box::new(waiting.clone())).unwrap();
        registry.register(Box::new(in_flight.clone())).unwrap();
        restarts.with_label_values(&["router/0", "panic"]).inc_by(2);
        restarts.with_label_values(&["producer/0", "panic"]).inc();
        up.with_label_values(&["scale"]).set(1);
        up.with_label_values(&["score"]).set(0);
        waiting.with_label_values(&["score"]).set(7);
        in_flight.set(3);

        let gauges = read(&registry);
        let state = |node: &str, up, waiting| EndpointState { node: node.into(), up, waiting };
        assert_eq!((gauges.restarts, gauges.in_flight), (3, 3));
        assert_eq!(gauges.endpoints, [state("scale", true, 0), state("score", false, 7)]);
    }
}
