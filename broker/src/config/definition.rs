//! What a setting is: its name, type, default, allowed values, scope and text.
//!
//! Every area of the configuration lists its settings as [`Definition`]s. That one table drives the
//! configuration file, environment variables, `--set`, the answers to DescribeConfigs and
//! AlterConfigs, and `docs/settings.md`. Nothing else knows the name of a setting as a rule.

use super::validator::Valid;

/// The type of a value, as DescribeConfigs reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// A 32-bit integer.
    Int,
    /// A 16-bit integer.
    Short,
    /// A 64-bit integer.
    Long,
    /// A floating-point number.
    Double,
    /// Items separated by commas.
    List,
}

impl Kind {
    /// The number Kafka gives this type in DescribeConfigs (KIP-569).
    #[must_use]
    pub fn wire_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }

    /// The name used in messages and in the documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Int => "int",
            Self::Short => "short",
            Self::Long => "long",
            Self::Double => "double",
            Self::List => "list",
        }
    }
}

/// What a setting belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A broker: configuration file, environment, `--set`, and AlterConfigs where it is dynamic.
    Broker,
    /// A topic: set when it is created and by AlterConfigs.
    Topic,
    /// A group: set by AlterConfigs.
    Group,
    /// A subscription to client metrics (KIP-714).
    ClientMetrics,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// At the next start.
    Restart,
    /// At once, by AlterConfigs.
    AtOnce,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Kafka's property name where Kafka has one.
    pub name: &'static str,
    /// The type of the value.
    pub kind: Kind,
    /// The default, `None` when the setting is unset unless given.
    pub default: Option<&'static str>,
    /// The values allowed.
    pub valid: Valid,
    /// What it belongs to.
    pub scope: Scope,
    /// When a change takes effect.
    pub change: Change,
    /// For topic and group settings: the broker setting that supplies the default.
    pub broker_default: Option<&'static str>,
    /// Whether Flumen acts on it. Settings that Kafka tools send and Flumen does not act on yet are
    /// validated, stored and described all the same.
    pub acted_on: bool,
    /// What it does.
    pub text: &'static str,
}

impl Definition {
    const fn new(
        scope: Scope,
        change: Change,
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        text: &'static str,
    ) -> Self {
        let (valid, broker_default) = (Valid::Any, None);
        Self { name, kind, default, valid, scope, change, broker_default, acted_on: true, text }
    }

    pub(in crate::config) const fn broker(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        text: &'static str,
    ) -> Self {
        Self::new(Scope::Broker, Change::Restart, name, kind, Some(default), text)
    }

    /// A broker setting that is unset unless given.
    pub(in crate::config) const fn unset(
        name: &'static str,
        kind: Kind,
        text: &'static str,
    ) -> Self {
        Self::new(Scope::Broker, Change::Restart, name, kind, None, text)
    }

    pub(in crate::config) const fn topic(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        text: &'static str,
    ) -> Self {
        Self::new(Scope::Topic, Change::AtOnce, name, kind, Some(default), text)
    }

    pub(in crate::config) const fn group(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        text: &'static str,
    ) -> Self {
        Self::new(Scope::Group, Change::AtOnce, name, kind, Some(default), text)
    }

    pub(in crate::config) const fn client_metrics(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        text: &'static str,
    ) -> Self {
        Self::new(Scope::ClientMetrics, Change::AtOnce, name, kind, Some(default), text)
    }

    pub(in crate::config) const fn valid(mut self, valid: Valid) -> Self {
        self.valid = valid;
        self
    }

    /// The setting can be changed while the broker runs.
    pub(in crate::config) const fn dynamic(mut self) -> Self {
        self.change = Change::AtOnce;
        self
    }

    /// The broker setting that supplies the default of this one.
    pub(in crate::config) const fn defaults_to(mut self, broker: &'static str) -> Self {
        self.broker_default = Some(broker);
        self
    }

    /// The setting is kept and described, and has no effect yet.
    pub(in crate::config) const fn no_effect_yet(mut self) -> Self {
        self.acted_on = false;
        self
    }

    /// Checks one value and returns it in its normal form (trimmed; booleans in lower case).
    ///
    /// # Errors
    /// [`InvalidValue`] names the setting, the value and what is allowed.
    pub fn check(&self, value: &str) -> Result<String, InvalidValue> {
        let value = value.trim();
        let refuse =
            |allowed: String| InvalidValue { name: self.name, value: value.to_owned(), allowed };
        let normal = match self.kind {
            Kind::Boolean => match value.to_ascii_lowercase().as_str() {
                "true" => "true".to_owned(),
                "false" => "false".to_owned(),
                _ => return Err(refuse("must be true or false".to_owned())),
            },
            Kind::Int => number::<i32>(value).ok_or_else(|| refuse(must_be("a 32-bit integer")))?,
            Kind::Short => {
                number::<i16>(value).ok_or_else(|| refuse(must_be("a 16-bit integer")))?
            }
            Kind::Long => {
                number::<i64>(value).ok_or_else(|| refuse(must_be("a 64-bit integer")))?
            }
            Kind::Double => match value.parse::<f64>() {
                Ok(number) if number.is_finite() => value.to_owned(),
                _ => return Err(refuse(must_be("a number"))),
            },
            Kind::String => value.to_owned(),
            Kind::List => items(value).collect::<Vec<_>>().join(","),
        };
        match self.valid.refusal(&normal) {
            Some(allowed) => Err(refuse(allowed)),
            None => Ok(normal),
        }
    }

    /// The environment variable that sets it: `FLUMEN_`, then the name in capitals.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("FLUMEN_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

/// The items of a list value.
pub(super) fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn must_be(what: &str) -> String {
    format!("must be {what}")
}

fn number<T: std::str::FromStr + ToString>(value: &str) -> Option<String> {
    value.parse::<T>().ok().map(|number| number.to_string())
}

/// A value that its setting does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {allowed}")]
pub struct InvalidValue {
    /// The setting.
    pub name: &'static str,
    /// The value as given.
    pub value: String,
    /// What is allowed instead.
    pub allowed: String,
}
