//! A place in a Kubernetes object: a value together with the path to it, for messages.

use crate::config::fault::{Faults, Origin, Rank};
use crate::config::value::Spot;

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct At<'a> {
    label: &'a str,
    lined: bool,
    path: String,
    key: String,
    spot: &'a Spot,
}

impl<'a> At<'a> {
    /// The root of an object in a file.
    pub(super) fn file(label: &'a str, spot: &'a Spot) -> Self {
        Self { label, lined: true, path: String::new(), key: String::new(), spot }
    }

    /// The root of an object whose lines say nothing.
    pub(super) fn unlined(label: &'a str, spot: &'a Spot) -> Self {
        Self { label, lined: false, path: String::new(), key: String::new(), spot }
    }

    /// The place as a person would name it.
    pub(super) fn source(&self) -> String {
        let line = if self.lined { format!(":{}", self.spot.line) } else { String::new() };
        let path = if self.path.is_empty() { String::new() } else { format!(": {}", self.path) };
        format!("{}{line}{path}", self.label)
    }

    /// The place as the origin of a value.
    pub(super) fn own_origin(&self) -> Origin {
        Origin::new(Rank::Deployment, self.source())
    }

    /// The place of a key as the origin of its value.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.get(key).map_or_else(|| self.own_origin(), |at| at.own_origin())
    }

    /// The key it stands under.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    fn child(&self, key: &str, spot: &'a Spot) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, key: key.to_owned(), spot, ..self.clone() }
    }

    /// The value of a key, unless null.
    pub(super) fn get(&self, key: &str) -> Option<At<'a>> {
        self.spot.get(key).map(|spot| self.child(key, spot))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str, faults: &mut Faults) -> Option<At<'a>> {
        let found = self.get(key);
        if found.is_none() {
            faults.add(self.source(), format!("`{key}` is missing"), "");
        }
        found
    }

    /// The text of a key that must be there.
    pub(super) fn required_text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        let text = self.required(key, faults)?.scalar().filter(|text| !text.is_empty());
        if text.is_none() {
            faults.add(self.source(), format!("`{key}` is no text"), "");
        }
        text
    }

    /// The value of a key as text, if it is a scalar and not empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.scalar().filter(|text| !text.is_empty())
    }

    /// The value itself as text, if it is a scalar.
    pub(super) fn scalar(&self) -> Option<String> {
        self.spot.text()
    }

    /// The value itself.
    pub(super) fn spot(&self) -> &'a Spot {
        self.spot
    }

    /// Items of a list.
    pub(super) fn items(&self) -> Vec<At<'a>> {
        let items = self.spot.items().iter().enumerate();
        items.map(|(index, spot)| Self { path: format!("{}[{index}]", self.path), spot, ..self.clone() }).collect()
    }

    /// Values of a map.
    pub(super) fn entries(&self) -> Vec<At<'a>> {
        self.spot.entries().iter().map(|(key, spot)| self.child(key, spot)).collect()
    }
}
