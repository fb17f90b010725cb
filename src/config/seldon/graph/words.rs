//! The words of a graph, as Seldon spells them: types, methods, implementations. Case does not count.

use crate::config::fault::{Faults, nearest};
use crate::config::seldon::at::At;
use crate::config::settings::{Method, NodeKind, Protocol};

/// Who does a node's work.
#[derive(Clone, Copy)]
pub(super) enum Worker {
    /// A server of the user's own.
    Server,
    /// A server that Seldon brings.
    Prepackaged(&'static Prepackaged),
    /// The service itself.
    BuiltIn(BuiltIn),
}

/// Work that is done here, without a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BuiltIn {
    RandomAbtest,
    SimpleModel,
    SimpleRouter,
    AverageCombiner,
    Shadow,
}

impl BuiltIn {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RandomAbtest => "RANDOM_ABTEST",
            Self::SimpleModel => "SIMPLE_MODEL",
            Self::SimpleRouter => "SIMPLE_ROUTER",
            Self::AverageCombiner => "AVERAGE_COMBINER",
            Self::Shadow => "SHADOW",
        }
    }

    /// The type that goes with it.
    pub(super) fn kind(self) -> NodeKind {
        match self {
            Self::RandomAbtest | Self::SimpleRouter => NodeKind::Router,
            Self::SimpleModel => NodeKind::Model,
            Self::AverageCombiner => NodeKind::Combiner,
            Self::Shadow => NodeKind::Unknown,
        }
    }
}

/// A model server that Seldon's operator starts by its name.
#[derive(Debug)]
pub(in crate::config) struct Prepackaged {
    /// Its name.
    pub(in crate::config) name: &'static str,
    /// What it speaks.
    pub(in crate::config) protocols: &'static [Protocol],
}

const SELDON_OR_V2: &[Protocol] = &[Protocol::Seldon, Protocol::V2];
const V2: &[Protocol] = &[Protocol::V2];

static PREPACKAGED: [Prepackaged; 7] = [
    Prepackaged { name: "SKLEARN_SERVER", protocols: SELDON_OR_V2 },
    Prepackaged { name: "XGBOOST_SERVER", protocols: SELDON_OR_V2 },
    Prepackaged { name: "MLFLOW_SERVER", protocols: SELDON_OR_V2 },
    Prepackaged { name: "TENSORFLOW_SERVER", protocols: &[Protocol::Seldon, Protocol::Tensorflow] },
    Prepackaged { name: "TRITON_SERVER", protocols: V2 },
    Prepackaged { name: "HUGGINGFACE_SERVER", protocols: V2 },
    Prepackaged { name: "TEMPO_SERVER", protocols: V2 },
];

/// The prepackaged server of this name.
pub(in crate::config::seldon) fn prepackaged(name: &str) -> Option<&'static Prepackaged> {
    PREPACKAGED.iter().find(|server| server.name.eq_ignore_ascii_case(name))
}

fn workers() -> Vec<(&'static str, Worker)> {
    let builtin =
        [BuiltIn::RandomAbtest, BuiltIn::SimpleModel, BuiltIn::SimpleRouter, BuiltIn::AverageCombiner, BuiltIn::Shadow];
    let builtin = builtin.map(|builtin| (builtin.name(), Worker::BuiltIn(builtin)));
    let servers = PREPACKAGED.iter().map(|server| (server.name, Worker::Prepackaged(server)));
    builtin.into_iter().chain(servers).chain([("UNKNOWN_IMPLEMENTATION", Worker::Server)]).collect()
}

/// Reads an implementation.
pub(super) fn worker(at: &At<'_>, faults: &mut Faults) -> Option<Worker> {
    choose(at, "implementation", &workers(), "; a server of your own has a type and no implementation", faults)
}

/// Reads a type.
pub(super) fn kind(at: &At<'_>, faults: &mut Faults) -> Option<NodeKind> {
    choose(at, "type", &NodeKind::ALL.map(|kind| (kind.name(), kind)), "", faults)
}

/// Reads a method.
pub(super) fn method(at: &At<'_>, faults: &mut Faults) -> Option<Method> {
    choose(at, "method", &Method::ALL.map(|method| (method.name(), method)), "", faults)
}

/// One of some words, in any case. What else there is follows in the remedy.
pub(super) fn choose<T: Copy>(
    at: &At<'_>,
    what: &str,
    known: &[(&'static str, T)],
    besides: &str,
    faults: &mut Faults,
) -> Option<T> {
    let Some(text) = at.scalar() else {
        faults.add(at.source(), format!("is no {what}"), "give one word");
        return None;
    };
    if let Some((_, value)) = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())) {
        return Some(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let near = nearest(&text, names.iter().copied()).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let remedy = format!("{near}known are {}{besides}", names.join(", "));
    faults.add(at.source(), format!("{what} {text:?} is not known"), remedy);
    None
}
