//! Collects settings from the file, the environment and the arguments, the later over the earlier.
//!
//! A wrong value stops the start wherever it stands. An unknown name stops it in an argument, and is
//! a warning in a file or in the environment: a file written for a newer Flumen must not keep an
//! older one from starting. `--check-config` treats both as errors.

use std::path::Path;

use super::definition::Definition;
use super::error::{ConfigError, Origin, Problem};
use super::settings::Settings;
use super::{BrokerConfig, table};

/// Environment variables with our prefix that are not settings of the broker.
const NOT_SETTINGS: &[&str] = &["FLUMEN_BOOTSTRAP", "FLUMEN_LOG"];

/// Settings on their way to a [`BrokerConfig`]. Later calls win over earlier ones.
#[derive(Debug, Default)]
pub struct ConfigSources {
    settings: Settings,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl ConfigSources {
    /// Nothing but the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a TOML file. Dots in a name may be written as tables or inside quotes.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file_text(path, &text),
            Err(source) => {
                self.problems.push(Problem::Unreadable { path: path.to_owned(), source });
                self
            }
        }
    }

    /// Takes the text of a TOML file that was read from `path`.
    #[must_use]
    pub fn file_text(mut self, path: &Path, text: &str) -> Self {
        match text.parse::<toml::Table>() {
            Ok(table) => self.table(path, "", &table),
            Err(source) => {
                let source = Box::new(source);
                self.problems.push(Problem::NotToml { path: path.to_owned(), source });
            }
        }
        self
    }

    fn table(&mut self, path: &Path, prefix: &str, table: &toml::Table) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            if let toml::Value::Table(inner) = value {
                self.table(path, &format!("{name}."), inner);
            } else if let Some(text) = value_text(value) {
                self.set(&name, &text, Origin::File(path.to_owned()));
            } else {
                self.problems.push(Problem::WrongKind { path: path.to_owned(), name });
            }
        }
    }

    /// Takes the variables that start with `FLUMEN_`.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (variable, value) in variables {
            if !variable.starts_with("FLUMEN_") || NOT_SETTINGS.contains(&variable.as_str()) {
                continue;
            }
            match table::definitions(super::Scope::Broker)
                .find(|definition| definition.environment_name() == variable)
            {
                Some(definition) => self.keep(definition, &value),
                None => self.warnings.push(Problem::Unknown {
                    name: variable,
                    origin: Origin::Environment,
                    nearest: None,
                }),
            }
        }
        self
    }

    /// Takes one setting from an argument or from the program that embeds the broker.
    #[must_use]
    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.set(name, value, Origin::Argument);
        self
    }

    /// Takes one `--set name=value`.
    #[must_use]
    pub fn argument_pair(mut self, pair: &str) -> Self {
        match pair.split_once('=') {
            Some((name, value)) => self.set(name.trim(), value, Origin::Argument),
            None => self.problems.push(Problem::NotAPair { text: pair.to_owned() }),
        }
        self
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) {
        if let Some(definition) = table::broker(name) {
            return self.keep(definition, value);
        }
        let refused = matches!(origin, Origin::Argument);
        let unknown =
            Problem::Unknown { name: name.to_owned(), origin, nearest: table::nearest(name) };
        if refused { self.problems.push(unknown) } else { self.warnings.push(unknown) }
    }

    fn keep(&mut self, definition: &'static Definition, value: &str) {
        match definition.check(value) {
            Ok(value) => self.settings.fix(definition, value),
            Err(problem) => self.problems.push(problem.into()),
        }
    }

    /// What was not understood and does not stop the start.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Checks the settings against each other and gives the typed configuration.
    ///
    /// # Errors
    /// Every wrong value and every unknown argument, all at once.
    pub fn build(self) -> Result<BrokerConfig, ConfigError> {
        if self.problems.is_empty() {
            BrokerConfig::resolve(self.settings)
        } else {
            Err(ConfigError { problems: self.problems })
        }
    }

    /// As [`build`](Self::build), with warnings as errors: for `--check-config`.
    ///
    /// # Errors
    /// Whatever is wrong or unknown.
    pub fn check(mut self) -> Result<BrokerConfig, ConfigError> {
        self.problems.append(&mut self.warnings);
        self.build()
    }
}

fn value_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(list) => {
            let items: Option<Vec<_>> = list.iter().map(value_text).collect();
            Some(items?.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
