//! What is done here without a server: which types, children and parameters go with it.

use super::parameters::Parameter;
use super::words::BuiltIn;
use crate::config::fault::{Faults, nearest};
use crate::config::seldon::at::At;
use crate::config::settings::{Implementation, Method, NodeKind, Split};

/// The node that asks for it.
pub(super) struct Asked<'a> {
    /// Where it was given.
    pub(super) at: &'a At<'a>,
    /// Its name.
    pub(super) name: &'a str,
    /// Its type, if it has one.
    pub(super) stated: Option<NodeKind>,
    /// Its methods.
    pub(super) methods: &'a [Method],
    /// How many children it has.
    pub(super) children: usize,
}

impl Asked<'_> {
    fn fault(&self, key: &str, problem: String, remedy: impl Into<String>, faults: &mut Faults) {
        let source = self.at.get(key).map_or_else(|| self.at.source(), |at| at.source());
        faults.add(source, format!("node {:?}: {problem}", self.name), remedy);
    }
}

/// Makes it. Where something is wrong, what is returned is of no use.
pub(super) fn make(
    builtin: BuiltIn,
    asked: &Asked<'_>,
    parameters: &[Parameter],
    notices: &mut Vec<String>,
    faults: &mut Faults,
) -> Implementation {
    fits(builtin, asked, faults);
    match builtin {
        BuiltIn::RandomAbtest => Implementation::RandomAbtest(split(asked, parameters, notices, faults)),
        BuiltIn::SimpleModel => Implementation::SimpleModel,
        BuiltIn::SimpleRouter => Implementation::SimpleRouter,
        BuiltIn::AverageCombiner => Implementation::AverageCombiner,
        BuiltIn::Shadow => Implementation::Shadow,
    }
}

fn fits(builtin: BuiltIn, asked: &Asked<'_>, faults: &mut Faults) {
    let (name, kind) = (builtin.name(), builtin.kind());
    if let Some(stated) = asked.stated.filter(|stated| ![NodeKind::Unknown, kind].contains(stated)) {
        let right = if kind == NodeKind::Unknown { String::new() } else { format!(", or give {}", kind.name()) };
        let problem = format!("implementation {name} does not go with type {}", stated.name());
        asked.fault("type", problem, format!("leave the type out{right}"), faults);
    }
    // The others would be asked of a server, beside what is done here.
    let clashing: &[Method] = match builtin {
        BuiltIn::SimpleModel => &[Method::TransformInput],
        BuiltIn::Shadow => &[Method::Route, Method::Aggregate],
        BuiltIn::RandomAbtest | BuiltIn::SimpleRouter | BuiltIn::AverageCombiner => &[],
    };
    for method in asked.methods.iter().filter(|method| clashing.contains(method)) {
        let problem = format!("implementation {name} does not go with method {}", method.name());
        asked.fault("methods", problem, "leave the method out", faults);
    }
    let (least, why) = match builtin {
        BuiltIn::SimpleModel => (0, ""),
        BuiltIn::RandomAbtest | BuiltIn::SimpleRouter => (1, "a child to choose"),
        BuiltIn::AverageCombiner => (1, "a child whose answer it takes"),
        BuiltIn::Shadow => (2, "a child that answers and one that gets a copy"),
    };
    if asked.children < least {
        let problem = format!("{name} needs {why}, and has {}", count(asked.children));
        asked.fault("children", problem, format!("give it at least {}", count(least)), faults);
    }
}

fn count(children: usize) -> String {
    match children {
        0 => "no children".into(),
        1 => "1 child".into(),
        n => format!("{n} children"),
    }
}

fn split(asked: &Asked<'_>, parameters: &[Parameter], notices: &mut Vec<String>, faults: &mut Faults) -> Split {
    const KNOWN: [&str; 3] = ["ratioA", "weights", "seed"];
    for (index, parameter) in parameters.iter().enumerate() {
        let (name, source) = (parameter.name.as_str(), &parameter.source);
        let known = KNOWN.contains(&name);
        match nearest(name, KNOWN) {
            _ if known && parameters[..index].iter().any(|before| before.name == name) => {
                faults.add(source, format!("parameter {name:?} is given twice"), "give it once");
            }
            _ if known => {}
            // A split by chance where another was meant would not be noticed.
            Some(near) => {
                faults.add(source, format!("RANDOM_ABTEST has no parameter {name:?}"), format!("did you mean {near}?"));
            }
            None => notices.push(format!("{source}: RANDOM_ABTEST has no parameter {name:?}; it is ignored")),
        }
    }
    let find = |name: &str| parameters.iter().find(|parameter| parameter.name == name);
    let weights = match (find("ratioA"), find("weights")) {
        (Some(ratio), Some(_)) => {
            faults.add(&ratio.source, "`ratioA` and `weights` say the same", "give one of them");
            Vec::new()
        }
        (Some(ratio), None) => ratio_a(asked, ratio, faults),
        (None, Some(weights)) => weighted(asked, weights, faults),
        (None, None) => vec![1.0; asked.children],
    };
    let seed = find("seed").and_then(|seed| {
        let value = seed.value.trim().parse::<u64>();
        if value.is_err() {
            let problem = format!("seed {:?} cannot be used", seed.value);
            faults.add(&seed.source, problem, "a whole number from 0 to 18446744073709551615");
        }
        value.ok()
    });
    Split { weights, seed }
}

/// The first child's share, of two.
fn ratio_a(asked: &Asked<'_>, ratio: &Parameter, faults: &mut Faults) -> Vec<f64> {
    if asked.children != 2 {
        let problem =
            format!("`ratioA` divides between two children, and node {:?} has {}", asked.name, asked.children);
        faults.add(&ratio.source, problem, "give `weights` instead, such as \"3,1,1\"");
        return Vec::new();
    }
    match ratio.value.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => vec![share, 1.0 - share],
        _ => {
            faults.add(&ratio.source, format!("ratioA {:?} is no share", ratio.value), "a number from 0 to 1");
            Vec::new()
        }
    }
}

/// A weight for each child.
fn weighted(asked: &Asked<'_>, weights: &Parameter, faults: &mut Faults) -> Vec<f64> {
    let read: Result<Vec<f64>, _> = weights.value.split(',').map(|text| text.trim().parse::<f64>()).collect();
    let problem = match &read {
        Err(_) => "is no list of numbers".to_owned(),
        Ok(read) if read.iter().any(|weight| !weight.is_finite() || *weight < 0.0) => "has a weight below 0".to_owned(),
        Ok(read) if read.len() != asked.children => {
            format!("has {} weights for {}", read.len(), count(asked.children))
        }
        Ok(read) if !read.iter().sum::<f64>().is_finite() => "has weights that are too large".to_owned(),
        Ok(read) if read.iter().all(|weight| *weight == 0.0) => "is 0 for all children".to_owned(),
        Ok(_) => return read.unwrap_or_default(),
    };
    let remedy = "a number from 0 for each child, not all 0, such as \"3,1,1\"";
    faults.add(&weights.source, format!("node {:?}: weights {:?} {problem}", asked.name, weights.value), remedy);
    Vec::new()
}
