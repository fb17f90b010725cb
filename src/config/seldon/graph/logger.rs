//! Where a node's payloads are to be logged.

use super::words::choose;
use crate::config::fault::Faults;
use crate::config::seldon::at::At;
use crate::config::settings::{Logger, LoggerMode};
use crate::config::value::Value;

const MODES: [(&str, LoggerMode); 3] =
    [("all", LoggerMode::All), ("request", LoggerMode::Request), ("response", LoggerMode::Response)];

/// Reads a node's `logger`.
pub(super) fn read(node: &At<'_>, faults: &mut Faults) -> Option<Logger> {
    let at = node.get("logger")?;
    if !matches!(at.spot().value, Value::Map(_)) {
        faults.add(at.source(), "is no logger", "give a map with `mode` and `url`");
        return None;
    }
    let mode = at.get("mode").map_or(Some(LoggerMode::All), |at| choose(&at, "mode", &MODES, "", faults));
    let url = at.text("url");
    if let Some(url) = url.as_ref().filter(|url| !is_http(url)) {
        faults.add(at.origin("url"), format!("{url:?} is no address over HTTP"), "http://HOST[:PORT][/PATH], or https");
    }
    Some(Logger { mode: mode?, url })
}

fn is_http(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let port = host.rsplit_once(':').is_none_or(|(_, port)| port.ends_with(']') || port.parse::<u16>().is_ok());
    http && port && !host.is_empty() && !host.starts_with(':') && !url.contains(|c: char| c.is_whitespace())
}
