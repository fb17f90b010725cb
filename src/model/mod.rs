//! One call to one endpoint: transport, errors, retries, health. Never names the graph.
