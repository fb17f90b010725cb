//! What is wrong with a configuration: every fault with its source and what would be right.

use std::fmt;

/// How strong a source is; a stronger one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// `config/default.yaml`.
    Default,
    /// The `-c` file.
    File,
    /// The SeldonDeployment and its `svcOrchSpec.env`.
    Deployment,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// How strong the source is.
    pub rank: Rank,
    /// The source as a person would name it: `flag --http_port`, `config.yaml:3: kafka.brokers`.
    pub text: String,
}

impl Origin {
    /// A source.
    pub fn new(rank: Rank, text: impl Into<String>) -> Self {
        Self { rank, text: text.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was given; for what is missing, the key.
    pub source: String,
    /// What is wrong. Never holds a secret.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// All that is wrong. Not empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub fn add(&mut self, source: impl fmt::Display, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = Fault { source: source.to_string(), problem: problem.into(), remedy: remedy.into() };
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The nearest of some names, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-', '.'], "");
    let wanted = plain(given);
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &plain(name)), name))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// "did you mean X?", or the names there are.
pub(super) fn suggest<'a>(given: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(given, names.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_lists_all() {
        assert_eq!(suggest("inputTopic", ["input_topic", "output_topic"]), "did you mean `input_topic`?");
        assert_eq!(suggest("brokrs", ["brokers", "start"]), "did you mean `brokers`?");
        assert_eq!(suggest("zzz", ["brokers", "start"]), "known here: brokers, start");
    }

    #[test]
    fn a_fault_is_reported_once() {
        let mut faults = Faults::default();
        faults.add("a", "b", "c");
        faults.add("a", "b", "c");
        assert_eq!(faults.to_string(), "a: b; c");
    }
}
