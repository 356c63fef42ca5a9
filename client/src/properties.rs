//! Java's `.properties` format, in which Kafka's clients are configured.
//!
//! Understands comments (`#`, `!`), `=`, `:` or blanks between key and value, continued lines and
//! escapes. Which properties exist is for the configurations to say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::error::ConfigError;

/// Settings by name, as a file or a program gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, String>,
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self { values: pairs.map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

impl Properties {
    /// Reads the text of a `.properties` file; of a key that occurs twice the last value counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut whole = line.to_owned();
            while ends_in_continuation(&whole) {
                whole.pop();
                let Some(next) = lines.next() else { break };
                whole.push_str(next.trim_start());
            }
            let (key, value) = split(&whole);
            values.insert(key, value);
        }
        Self { values }
    }

    /// Reads a `.properties` file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source: source.into() })?;
        Ok(Self::parse(&text))
    }

    /// Sets a value, replacing what was there.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// The value of a setting.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Puts the value of a setting into `field`, if there is one; `allowed` is for the error.
    pub fn apply<T: FromStr>(
        &self,
        name: &'static str,
        field: &mut T,
        allowed: &'static str,
    ) -> Result<(), ConfigError> {
        if let Some(value) = self.value(name) {
            *field = value.trim().parse().map_err(|_unparsed| invalid(name, value, allowed))?;
        }
        Ok(())
    }

    /// Puts a setting in milliseconds into `field`, if there is one.
    pub fn apply_ms(&self, name: &'static str, field: &mut Duration) -> Result<(), ConfigError> {
        let mut ms = None;
        if let Some(value) = self.value(name) {
            let parsed: Result<u64, _> = value.trim().parse();
            let parsed = parsed.map_err(|_unparsed| invalid(name, value, "milliseconds from 0"))?;
            ms = Some(parsed);
        }
        if let Some(ms) = ms {
            *field = Duration::from_millis(ms);
        }
        Ok(())
    }
}

/// The error for a setting that cannot have this value.
#[must_use]
pub fn invalid(name: &'static str, value: &str, allowed: &'static str) -> ConfigError {
    ConfigError::Value { name, value: value.to_owned(), allowed }
}

fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Cuts a whole line at the first separator that is not escaped.
fn split(line: &str) -> (String, String) {
    let mut is_escaped = false;
    let end = line.find(|letter: char| {
        let is_separator =
            !is_escaped && (letter == '=' || letter == ':' || letter.is_whitespace());
        is_escaped = letter == '\\' && !is_escaped;
        is_separator
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    (unescape(key), unescape(value))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                plain.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Properties = expected.iter().copied().collect();
        assert_eq!(Properties::parse(text), expected, "{text:?}");
    }

    #[test]
    fn the_format_is_javas() {
        check("acks=all\nlinger.ms = 5\n", &[("acks", "all"), ("linger.ms", "5")]);
        check("# a\n! b\n\n  key : value", &[("key", "value")]);
        check("key value with blanks ", &[("key", "value with blanks ")]);
        check("list=a,\\\n   b,\\\n   c", &[("list", "a,b,c")]);
        check("a\\=b=c\\u0041\\t", &[("a=b", "cA\t")]);
        check("empty=\nalone", &[("empty", ""), ("alone", "")]);
        check("a=1\na=2", &[("a", "2")]);
        check("path=C\\:\\\\x\\\\", &[("path", "C:\\x\\")]);
    }

    #[test]
    fn a_wrong_value_names_setting_value_and_remedy() {
        let properties: Properties = [("retries", "many")].into_iter().collect();
        let error = properties.apply("retries", &mut 0i32, "a whole number").unwrap_err();
        assert_eq!(error.to_string(), "retries = \"many\": allowed is a whole number");
    }
}
