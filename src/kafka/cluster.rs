//! Whether all brokers that are given are of one cluster: a transaction cannot span two.
//!
//! Blocks on the brokers: for a thread that may wait.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const ANSWER: Duration = Duration::from_secs(5);

/// Asks every address of `bootstrap.servers` for its cluster. An address that does not answer says nothing.
pub fn is_one(config: &ClientConfig) -> Result<(), String> {
    let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let addresses: Vec<&str> = brokers.split(',').filter(|address| !address.is_empty()).collect();
    // One address leads to one cluster.
    if addresses.len() < 2 {
        return Ok(());
    }
    let ids = addresses.into_iter().filter_map(|address| Some((address.to_owned(), id(config, address)?)));
    same(&ids.collect::<Vec<_>>())
}

fn id(config: &ClientConfig, address: &str) -> Option<String> {
    let mut config = config.clone();
    config.set("bootstrap.servers", address);
    let client: BaseConsumer = config.create().ok()?;
    client.client().fetch_cluster_id(ANSWER)
}

fn same(ids: &[(String, String)]) -> Result<(), String> {
    let Some((first, cluster)) = ids.first() else { return Ok(()) };
    match ids.iter().find(|(_, other)| other != cluster) {
        None => Ok(()),
        Some((address, other)) => Err(format!(
            "kafka.brokers names two clusters, {cluster} at {first} and {other} at {address}, and a transaction is of one: \
             give the brokers of one cluster, or set delivery: at_least_once"
        )),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn two_clusters_are_told_apart_and_one_is_one() {
        let (one, two) = (MockCluster::new(3).unwrap(), MockCluster::new(1).unwrap());
        let asked = |brokers: String| is_one(ClientConfig::new().set("bootstrap.servers", brokers));
        assert_eq!(asked(one.bootstrap_servers()), Ok(()));
        assert_eq!(asked(format!("{},127.0.0.1:1", two.bootstrap_servers())), Ok(()));
        let named = |address: &str, id: &str| (address.to_owned(), id.to_owned());
        assert_eq!(same(&[named("a:1", "x"), named("b:1", "x")]), Ok(()));
        let told = same(&[named("a:1", "x"), named("b:1", "y")]).unwrap_err();
        assert!(told.contains("x at a:1") && told.contains("y at b:1") && told.contains("at_least_once"), "{told}");
    }
}
