//! The annotations that the executor reads: time for a call, and the size of messages.

use super::Deployed;
use crate::config::fault::{Faults, Origin};
use crate::config::layers::{annotated_timeout, path};
use crate::config::resolve::LARGEST_MESSAGE;
use crate::config::settings::Transport;
use crate::config::value::Value;

/// Takes an annotation, if it is one of these.
pub(super) fn take(name: &str, value: &str, origin: Origin, deployed: &mut Deployed, faults: &mut Faults) {
    match name {
        "seldon.io/rest-timeout" => timeout(Transport::Rest, value, origin, deployed, faults),
        "seldon.io/grpc-timeout" => timeout(Transport::Grpc, value, origin, deployed, faults),
        "seldon.io/grpc-max-message-size" => size(value, origin, deployed, faults),
        _ => {}
    }
}

fn timeout(transport: Transport, value: &str, origin: Origin, deployed: &mut Deployed, faults: &mut Faults) {
    match number(value) {
        Some(milliseconds) => {
            let value = Value::Text(format!("{milliseconds}ms"));
            deployed.values.push((annotated_timeout(transport), value, origin));
        }
        None => {
            faults.add(origin, format!("{value:?} is no whole number"), "give milliseconds, such as \"30000\"");
        }
    }
}

/// There, it bounds what the executor takes over gRPC; here, all that goes to a model and comes from it.
fn size(value: &str, origin: Origin, deployed: &mut Deployed, faults: &mut Faults) {
    let Some(bytes) = number(value).filter(|bytes| *bytes > 0) else {
        faults.add(origin, format!("{value:?} is no size"), "give bytes, such as \"104857600\"");
        return;
    };
    if bytes > LARGEST_MESSAGE {
        deployed
            .notices
            .push(format!("{origin}: {bytes} bytes are more than the largest message here, {LARGEST_MESSAGE}"));
    }
    for key in ["limits.request_bytes", "limits.reply_bytes"] {
        let value = Value::Text(bytes.min(LARGEST_MESSAGE).to_string());
        deployed.values.push((path(key), value, origin.clone()));
    }
}

/// A whole number, which may have come with quotes of its own.
fn number(value: &str) -> Option<u64> {
    value.trim().trim_matches(['"', '\'']).trim().parse().ok()
}
