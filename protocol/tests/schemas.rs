//! Walks Kafka's own message schemas and fails where a definition of this crate says something else.
//!
//! The schemas stand beside the checkout (`../shared/kafka-schemas`, or where `FLUMEN_KAFKA_SCHEMAS`
//! says). Compared are the presence of every API, and of every field its order, type, versions,
//! versions with null, default, tag and whether it is ignorable. Version ranges are compared as far
//! as they matter: inside those of the message and of every enclosing field.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flumen_protocol::ApiKey;
use flumen_protocol::message::Message;
use flumen_protocol::messages::{self, consumer_protocol, group_records};
use flumen_protocol::schema::{Field, Message as MessageSchema, Struct, Type, Versions};
use serde_json::Value;

#[test]
fn requests_and_responses_are_those_of_kafka() {
    let Some(folder) = schema_folder() else { return };
    let mut walk = Walk::default();
    for api in ApiKey::ALL {
        walk.message(&folder, messages::request_schema(*api), &format!("{api}Request"));
        walk.message(&folder, messages::response_schema(*api), &format!("{api}Response"));
    }
    walk.finish();
}

#[test]
fn data_messages_are_those_of_kafka() {
    let Some(folder) = schema_folder() else { return };
    let mut walk = Walk::default();
    for schema in [
        <consumer_protocol::ConsumerProtocolSubscription as Message>::SCHEMA,
        <consumer_protocol::ConsumerProtocolAssignment as Message>::SCHEMA,
        <group_records::OffsetCommitKey as Message>::SCHEMA,
        <group_records::OffsetCommitValue as Message>::SCHEMA,
        <group_records::LegacyOffsetCommitKey as Message>::SCHEMA,
        <group_records::LegacyOffsetCommitValue as Message>::SCHEMA,
        <group_records::GroupMetadataKey as Message>::SCHEMA,
        <group_records::GroupMetadataValue as Message>::SCHEMA,
    ] {
        walk.message(&folder, schema, schema.name());
    }
    walk.finish();
}

/// Every API that a client or an admin tool can call has a definition; the others are named here.
#[test]
fn no_api_is_missing() {
    const BETWEEN_BROKERS_AND_CONTROLLERS: [i16; 16] =
        [52, 53, 54, 56, 59, 62, 63, 67, 70, 73, 82, 83, 84, 85, 86, 87];
    let Some(folder) = schema_folder() else { return };
    let mut missing = Vec::new();
    for entry in fs::read_dir(folder.join("clients")).unwrap() {
        let schema = read_schema(&entry.unwrap().path());
        if schema["type"] != "request" || schema["validVersions"] == "none" {
            continue;
        }
        let key = i16::try_from(schema["apiKey"].as_i64().unwrap()).unwrap();
        let is_defined = ApiKey::from_key(key).is_some();
        if is_defined == BETWEEN_BROKERS_AND_CONTROLLERS.contains(&key) {
            missing.push((key, schema["name"].to_string()));
        }
    }
    assert_eq!(missing, []);
}

/// The folder of the schemas; a missing one is a failure where everything must be there.
#[expect(clippy::disallowed_methods, reason = "a test has no settings but its environment")]
#[expect(clippy::print_stdout, reason = "a skipped test should say so")]
fn schema_folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/kafka-schemas");
    let folder = std::env::var("FLUMEN_KAFKA_SCHEMAS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "no schemas in {}", folder.display());
    println!("skipped: no schemas in {}", folder.display());
    None
}

/// Reads JSON with comments, which JSON does not have.
fn read_schema(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let uncommented: Vec<&str> = text.lines().map(without_comment).collect();
    serde_json::from_str(&uncommented.join("\n"))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Cuts a `//` comment, unless the slashes stand inside a text.
fn without_comment(line: &str) -> &str {
    let bytes = line.as_bytes();
    let mut in_text = false;
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => in_text = !in_text,
            b'/' if !in_text && bytes.get(position + 1) == Some(&b'/') => return &line[..position],
            _ => {}
        }
    }
    line
}

/// Collects the differences, so that one run shows them all.
#[derive(Default)]
struct Walk {
    differences: Vec<String>,
    fields: usize,
}

impl Walk {
    fn finish(self) {
        assert!(self.differences.is_empty(), "{}", self.differences.join("\n"));
        assert!(self.fields > 0, "nothing was compared");
    }

    fn expect(&mut self, path: &str, what: &str, ours: &str, kafkas: &str) {
        if ours != kafkas {
            self.differences.push(format!("{path}: {what} is {ours}, Kafka has {kafkas}"));
        }
    }

    fn message(&mut self, folder: &Path, ours: &MessageSchema, name: &str) {
        let path = ["clients", "group-coordinator"]
            .iter()
            .map(|part| folder.join(part).join(format!("{name}.json")))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("no schema {name}"));
        let kafkas = read_schema(&path);
        let valid = parse_versions(text(&kafkas, "validVersions"));
        let flexible = within(parse_versions(text(&kafkas, "flexibleVersions")), valid);
        self.expect(name, "name", ours.name(), text(&kafkas, "name"));
        self.expect(name, "versions", &show(ours.versions), &show(valid));
        self.expect(name, "flexible", &show(within(ours.flexible, valid)), &show(flexible));
        let common = kafkas["commonStructs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|part| (text(part, "name"), &part["fields"]))
            .collect();
        self.fields(name, ours.root, &kafkas["fields"], &common, valid);
    }

    fn fields(
        &mut self,
        path: &str,
        ours: &Struct,
        kafkas: &Value,
        common: &BTreeMap<&str, &Value>,
        enclosing: Versions,
    ) {
        let kafkas = kafkas.as_array().unwrap();
        let ours_names: Vec<&str> = ours.fields.iter().map(|field| field.name).collect();
        let kafkas_names: Vec<String> =
            kafkas.iter().map(|field| snake_case(text(field, "name"))).collect();
        self.expect(path, "list of fields", &ours_names.join(", "), &kafkas_names.join(", "));
        for (ours, kafkas) in ours.fields.iter().zip(kafkas) {
            self.field(&format!("{path}.{}", ours.name), ours, kafkas, common, enclosing);
        }
    }

    fn field(
        &mut self,
        path: &str,
        ours: &Field,
        kafkas: &Value,
        common: &BTreeMap<&str, &Value>,
        enclosing: Versions,
    ) {
        self.fields += 1;
        let range = |key: &str| kafkas[key].as_str().map_or(Versions::NONE, parse_versions);
        let versions = within(range("versions"), enclosing);
        self.expect(path, "versions", &show(within(ours.versions, enclosing)), &show(versions));
        let nullable = within(range("nullableVersions"), versions);
        self.expect(path, "nullable", &show(within(ours.nullable, versions)), &show(nullable));
        let tag = kafkas["tag"].as_u64();
        self.expect(path, "tag", &format!("{:?}", ours.tag.map(u64::from)), &format!("{tag:?}"));
        if tag.is_some() {
            let tagged = within(range("taggedVersions"), enclosing);
            self.expect(path, "tagged versions", &show(versions), &show(tagged));
        }
        let ignorable = kafkas["ignorable"] == true || kafkas["ignorable"] == "true";
        self.expect(path, "ignorable", &ours.ignorable.to_string(), &ignorable.to_string());
        let ours_default = normal_default(&type_name(&ours.kind), ours.default.unwrap_or_default());
        self.expect(path, "default", &ours_default, &default_of(kafkas));
        let kind = text(kafkas, "type");
        self.expect(path, "type", &type_name(&ours.kind), plain_type(kind));
        if let Type::Array(Type::Struct(part)) | Type::Struct(part) = &ours.kind {
            let own = &kafkas["fields"];
            let fields = if own.is_array() { own } else { common[kind.trim_start_matches("[]")] };
            self.fields(path, part, fields, common, versions);
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn parse_versions(text: &str) -> Versions {
    let number = |text: &str| text.parse::<i16>().unwrap();
    if text == "none" {
        Versions::NONE
    } else if let Some(min) = text.strip_suffix('+') {
        Versions::new(number(min), i16::MAX)
    } else if let Some((min, max)) = text.split_once('-') {
        Versions::new(number(min), number(max))
    } else {
        Versions::new(number(text), number(text))
    }
}

fn within(versions: Versions, enclosing: Versions) -> Versions {
    Versions::new(versions.min.max(enclosing.min), versions.max.min(enclosing.max))
}

fn show(versions: Versions) -> String {
    match versions {
        none if none.is_empty() => "none".to_owned(),
        Versions { min, max: i16::MAX } => format!("{min}+"),
        Versions { min, max } => format!("{min}-{max}"),
    }
}

/// `IsrNodes` → `isr_nodes`, `KRaftVersion` → `k_raft_version`.
fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (position, character) in characters.iter().enumerate() {
        let starts_word = position > 0
            && character.is_uppercase()
            && (!characters[position - 1].is_uppercase()
                || characters.get(position + 1).is_some_and(|next| next.is_lowercase()));
        if starts_word {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// The type as schemas write it, with every struct alike: its fields are compared, not its name.
fn type_name(kind: &Type) -> String {
    match kind {
        Type::Array(element) => format!("[]{}", type_name(element)),
        Type::Struct(_) => "struct".to_owned(),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

fn plain_type(kind: &str) -> &str {
    let is_struct = |kind: &str| kind.starts_with(char::is_uppercase);
    match kind.strip_prefix("[]") {
        Some(element) if is_struct(element) => "[]struct",
        None if is_struct(kind) => "struct",
        _ => kind,
    }
}

fn default_of(field: &Value) -> String {
    let kind = plain_type(text(field, "type"));
    match &field["default"] {
        // Record data is null when it is absent, though no schema says so.
        Value::Null if kind == "records" => "null".to_owned(),
        Value::Null => normal_default(kind, ""),
        Value::String(literal) => normal_default(kind, literal),
        other => normal_default(kind, &other.to_string()),
    }
}

/// One spelling for each value: schemas write numbers as texts, in decimal or hexadecimal.
fn normal_default(kind: &str, literal: &str) -> String {
    let digits = literal.replace('_', "");
    match kind {
        _ if literal == "null" => "null".to_owned(),
        "bool" => (literal == "true").to_string(),
        "int8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "float64" => {
            let number = match digits.strip_prefix("0x") {
                Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok(),
                None if digits.is_empty() => Some(0),
                None => digits.parse().ok(),
            };
            number.map_or(digits, |number| number.to_string())
        }
        _ => literal.to_owned(),
    }
}
