//! The configuration: a file, the environment, arguments, and the settings of topics.
//!
//! It is accepted or refused with words. What is accepted resolves into types without a panic, and
//! is accepted again as it was understood.

use std::collections::BTreeMap;
use std::path::Path;

use flumen_broker::config::{BrokerConfig, ConfigSources, Definition, Layer, Scope, definitions};

use crate::bounds::within;
use crate::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    within((4 << 20) + 256 * data.len(), || match input.below(3) {
        0 => check_file(input),
        1 => check_arguments(input),
        _ => check_topic(input),
    });
}

/// The input that means this very file.
pub fn seed(file: &str) -> Vec<u8> {
    [&[0], file.as_bytes()].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A file as it comes, with environment and arguments behind it, separated by zero bytes.
fn check_file(input: Input<'_>) {
    let mut parts = input.rest().split(|byte| *byte == 0).map(text);
    let file = parts.next().unwrap_or_default();
    let mut sources = ConfigSources::new().file_text(Path::new("broker.toml"), &file);
    for pair in parts {
        sources = match pair.split_once('=') {
            Some((name, value)) if name.starts_with("FLUMEN_") => {
                sources.environment([(name.to_owned(), value.to_owned())])
            }
            _ => sources.argument_pair(&pair),
        };
    }
    check(sources);
}

/// Settings that exist, with values that the input chooses.
fn check_arguments(mut input: Input<'_>) {
    let known: Vec<&Definition> = definitions(Scope::Broker).collect();
    let mut sources = ConfigSources::new();
    while !input.is_empty() {
        let definition = *input.choose(&known);
        sources = sources.argument(definition.name, &value(definition, &mut input));
    }
    check(sources);
}

fn value(definition: &Definition, input: &mut Input<'_>) -> String {
    match input.below(4) {
        0 => text(input.block()),
        1 => input.edgy_i64().to_string(),
        2 => {
            const PARTS: [&str; 16] = [
                "PLAINTEXT",
                "://",
                ":",
                "9092",
                "0",
                "-1",
                "[::1]",
                "localhost",
                ",",
                "@",
                "true",
                "none",
                "1@a:1",
                ".",
                "e9",
                "/data",
            ];
            (0..input.below(6)).map(|_| *input.choose(&PARTS)).collect()
        }
        _ => definition.default.unwrap_or_default().to_owned(),
    }
}

fn check(sources: ConfigSources) {
    for warning in sources.warnings() {
        assert!(!warning.to_string().is_empty());
    }
    match sources.build() {
        Ok(config) => check_again(&config),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What was understood, given once more, is understood the same.
fn check_again(config: &BrokerConfig) {
    let mut sources = ConfigSources::new();
    for definition in definitions(Scope::Broker) {
        if let Some(value) = config.settings.in_layer(definition, Layer::Fixed) {
            sources = sources.argument(definition.name, value);
        }
    }
    let again = sources.build();
    assert_eq!(again.as_ref().ok(), Some(config), "{:?}", again.as_ref().err());
    drop(config.topic(&BTreeMap::new()));
}

/// Overrides of a topic, and settings changed at run time, as a newer or older version left them.
fn check_topic(mut input: Input<'_>) {
    let mut overrides = BTreeMap::new();
    let mut dynamic = BTreeMap::new();
    for (scope, given) in [(Scope::Topic, &mut overrides), (Scope::Broker, &mut dynamic)] {
        let known: Vec<&Definition> = definitions(scope).collect();
        for _ in 0..input.below(6) {
            let definition = *input.choose(&known);
            let value = value(definition, &mut input);
            // Only what passes its check is ever stored, by whatever version.
            if let Ok(value) = definition.check(&value) {
                given.insert(definition.name.to_owned(), value);
            }
        }
    }
    let mut config = BrokerConfig::default();
    config.settings = config.settings.with_dynamic(&dynamic, &BTreeMap::new());
    let topic = config.topic(&overrides);
    assert_eq!(config.topic(&overrides), topic);
}
