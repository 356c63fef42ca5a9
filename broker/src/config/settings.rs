//! The values that were given, by name, over the defaults of the table.
//!
//! Everything in here has passed its definition's check, so reading a value as its type cannot
//! fail. The typed configuration of each area is built from this, and DescribeConfigs shows it.

use std::collections::BTreeMap;

use super::definition::{Definition, items};
use super::table;

/// Broker settings: what was given where, and the defaults below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    fixed: BTreeMap<&'static str, String>,
    cluster: BTreeMap<&'static str, String>,
    own: BTreeMap<&'static str, String>,
}

/// Where the value of a broker setting comes from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// AlterConfigs for this broker.
    OwnDynamic,
    /// AlterConfigs for all brokers.
    ClusterDynamic,
    /// The file, the environment or an argument.
    Fixed,
    /// The definition.
    Default,
}

impl Settings {
    /// Keeps `value`, already checked, as given at the start.
    pub(super) fn fix(&mut self, definition: &'static Definition, value: String) {
        self.fixed.insert(definition.name, value);
    }

    /// These settings with those that AlterConfigs set over them.
    ///
    /// Names that this version does not know, and values it refuses, are left out: they were
    /// accepted by another version, and a setting must not keep a broker from starting.
    #[must_use]
    pub fn with_dynamic(
        &self,
        cluster: &BTreeMap<String, String>,
        own: &BTreeMap<String, String>,
    ) -> Self {
        let known = |given: &BTreeMap<String, String>| {
            given
                .iter()
                .filter_map(|(name, value)| {
                    let definition = table::broker(name)?;
                    Some((definition.name, definition.check(value).ok()?))
                })
                .collect()
        };
        Self { fixed: self.fixed.clone(), cluster: known(cluster), own: known(own) }
    }

    /// The value of `definition` in one layer.
    #[must_use]
    pub fn in_layer(&self, definition: &Definition, layer: Layer) -> Option<&str> {
        let given = match layer {
            Layer::OwnDynamic => &self.own,
            Layer::ClusterDynamic => &self.cluster,
            Layer::Fixed => &self.fixed,
            Layer::Default => return definition.default,
        };
        given.get(definition.name).map(String::as_str)
    }

    /// The strongest value of a setting, `None` when it is unset.
    ///
    /// # Panics
    /// When the table has no broker setting of this name: only names from the table are asked for.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        let definition = table::known_broker(name);
        [Layer::OwnDynamic, Layer::ClusterDynamic, Layer::Fixed, Layer::Default]
            .into_iter()
            .find_map(|layer| self.in_layer(definition, layer))
    }

    /// The value of the file, the environment or an argument.
    pub(super) fn fixed_value(&self, name: &str) -> Option<&str> {
        self.in_layer(table::known_broker(name), Layer::Fixed)
    }

    /// Puts `value`, already checked, in the place of what was given at the start.
    pub(super) fn replace_fixed(&mut self, name: &str, value: Option<String>) {
        let name = table::known_broker(name).name;
        match value {
            Some(value) => self.fixed.insert(name, value),
            None => self.fixed.remove(name),
        };
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.optional(name).expect("the setting has a default")
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.optional(name).map(|list| items(list).map(str::to_owned).collect()).unwrap_or_default()
    }

    /// Any number; the caller chooses the width, which the type of the setting bounds.
    pub(super) fn number<T>(&self, name: &str) -> T
    where
        T: std::str::FromStr,
    {
        self.optional_number(name).expect("the setting has a default")
    }

    pub(super) fn optional_number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.optional(name).map(parsed)
    }
}

/// A number from a value that passed the check of its definition.
pub(super) fn parsed<T: std::str::FromStr>(value: &str) -> T {
    value.parse().ok().expect("the value passed the check of its definition")
}
