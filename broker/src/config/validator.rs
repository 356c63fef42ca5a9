//! Which values a setting allows, beyond what its type says.
//!
//! Each rule can say in words what it allows: the same words stand in error messages and in the
//! documentation. Rules that tie several settings together are checked where the typed
//! configuration is built.

use super::definition::items;
use super::listener::{Endpoint, NamedListener};

/// A rule for the value of one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Valid {
    /// Whatever the type allows.
    Any,
    /// A number not below this.
    AtLeast(i64),
    /// A number from this to that, both included.
    Between(i64, i64),
    /// Minus one, or a number from this to that.
    MinusOneOr(i64, i64),
    /// A number from 0 to 1.
    Fraction,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words; it may be empty.
    EachOf(&'static [&'static str]),
    /// At least one item.
    NotEmpty,
    /// Exactly one item: a directory.
    OneDirectory,
    /// Listeners, as `NAME://host:port` or `host:port`.
    Listeners,
    /// One `host:port`, or nothing.
    AddressOrNothing,
    /// `id@host:port`, separated by commas.
    Voters,
    /// `NAME:PROTOCOL`, separated by commas.
    ProtocolMap,
    /// `partition:broker`, separated by commas, or `*`.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO-8601 duration.
    OffsetReset,
}

impl Valid {
    /// Why `value`, which has the right type, is refused; `None` when it is allowed.
    pub(super) fn refusal(self, value: &str) -> Option<String> {
        (!self.allows(value)).then(|| format!("must be {}", self.words()))
    }

    fn allows(self, value: &str) -> bool {
        let number = value.parse::<i64>();
        match self {
            Self::Any => true,
            Self::AtLeast(low) => number.is_ok_and(|n| n >= low),
            Self::Between(low, high) => number.is_ok_and(|n| (low..=high).contains(&n)),
            Self::MinusOneOr(low, high) => {
                number.is_ok_and(|n| n == -1 || (low..=high).contains(&n))
            }
            Self::Fraction => value.parse::<f64>().is_ok_and(|n| (0.0..=1.0).contains(&n)),
            Self::OneOf(words) => words.contains(&value),
            Self::EachOf(words) => {
                let mut seen = Vec::new();
                items(value).all(|item| {
                    let fresh = !seen.contains(&item);
                    seen.push(item);
                    fresh && words.contains(&item)
                })
            }
            Self::NotEmpty => items(value).next().is_some(),
            Self::OneDirectory => items(value).count() == 1,
            Self::Listeners => {
                items(value).next().is_some()
                    && items(value).all(|item| NamedListener::parse(item).is_some())
            }
            Self::AddressOrNothing => value.is_empty() || Endpoint::parse(value).is_some(),
            Self::Voters => items(value).all(|voter| {
                voter.split_once('@').is_some_and(|(id, address)| {
                    id.parse::<i32>().is_ok_and(|id| id >= 0) && Endpoint::parse(address).is_some()
                })
            }),
            Self::ProtocolMap => items(value).all(|item| {
                item.split_once(':').is_some_and(|(name, protocol)| {
                    !name.is_empty() && PROTOCOLS.contains(&protocol)
                })
            }),
            Self::ThrottledReplicas => {
                value == "*"
                    || items(value).all(|item| {
                        item.split_once(':').is_some_and(|(partition, broker)| {
                            partition.parse::<i32>().is_ok() && broker.parse::<i32>().is_ok()
                        })
                    })
            }
            Self::OffsetReset => {
                value == "latest"
                    || value == "earliest"
                    || value.strip_prefix("by_duration:").is_some_and(is_duration)
            }
        }
    }

    /// What is allowed, to follow "must be".
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Any => String::new(),
            Self::AtLeast(low) => format!("at least {low}"),
            Self::Between(low, high) => format!("from {low} to {high}"),
            Self::MinusOneOr(low, high) => format!("-1 or from {low} to {high}"),
            Self::Fraction => "from 0 to 1".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::EachOf(words) => format!("a list of {}, each once", words.join(", ")),
            Self::NotEmpty => "a list of at least one item".to_owned(),
            Self::OneDirectory => "one directory".to_owned(),
            Self::Listeners => {
                "NAME://host:port or host:port, several separated by commas".to_owned()
            }
            Self::AddressOrNothing => "host:port, or empty to switch it off".to_owned(),
            Self::Voters => "id@host:port, several separated by commas".to_owned(),
            Self::ProtocolMap => {
                format!("NAME:PROTOCOL pairs, PROTOCOL one of {}", PROTOCOLS.join(", "))
            }
            Self::ThrottledReplicas => {
                "partition:broker pairs separated by commas, or *".to_owned()
            }
            Self::OffsetReset => "latest, earliest or by_duration:PnDTnHnMn.nS".to_owned(),
        }
    }
}

const PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// Whether `text` is an ISO-8601 duration of days and smaller units, not negative.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let parts = |text: &str, units: &str| {
        let mut units = units.chars();
        let mut number = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() || c == '.' {
                number.push(c);
            } else if number.parse::<f64>().is_ok() && units.any(|unit| unit == c) {
                number.clear();
            } else {
                return false;
            }
        }
        number.is_empty()
    };
    match time {
        Some(time) => !time.is_empty() && parts(days, "D") && parts(time, "HMS"),
        None => !days.is_empty() && parts(days, "D"),
    }
}
