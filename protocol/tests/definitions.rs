//! Checks the definitions against each other: the table of APIs, and the density of array elements.

use flumen_protocol::schema::{Field, Struct, Type, Versions};
use flumen_protocol::{ApiKey, header, messages};

#[test]
fn the_table_of_apis_agrees_with_the_messages() {
    for api in ApiKey::ALL {
        let (request, response) = (messages::request_schema(*api), messages::response_schema(*api));
        let versions = Versions::new(*api.versions().start(), *api.versions().end());
        assert_eq!((request.versions, response.versions), (versions, versions), "{api}");
        for version in api.versions() {
            let flexible = request.flexible.contains(version);
            assert_eq!(flexible, response.flexible.contains(version), "{api} {version}");
            assert_eq!(api.is_flexible(version), flexible, "{api} {version}");
            let header = header::request_header_version(api.key(), version);
            assert_eq!(header, if flexible { 2 } else { 1 }, "{api} {version}");
        }
    }
}

/// An array's memory is reserved once its elements can fit in the bytes that are left, at their
/// smallest. This is what bounds memory: an element that is large in memory and small on the wire
/// would let a short frame reserve a lot.
#[test]
fn no_array_element_takes_more_than_64_bytes_of_memory_per_byte_on_the_wire() {
    for api in ApiKey::ALL {
        for schema in [messages::request_schema(*api), messages::response_schema(*api)] {
            for version in schema.versions.min..=schema.versions.max {
                let flexible = schema.flexible.contains(version);
                check_density(schema.root, version, flexible, schema.name());
            }
        }
    }
}

fn check_density(parent: &Struct, version: i16, flexible: bool, path: &str) {
    for field in parent.fields.iter().filter(|field| field.versions.contains(version)) {
        let path = format!("{path}.{}", field.name);
        match field.kind {
            Type::Array(Type::Struct(element)) => {
                let size = min_size(element, version, flexible);
                assert!(size > 0, "{path} v{version}: an element can be empty");
                let memory = element.memory;
                assert!(
                    memory <= 64 * size,
                    "{path} v{version}: {memory} bytes in memory, {size} on the wire"
                );
                check_density(element, version, flexible, &path);
            }
            Type::Struct(part) => check_density(part, version, flexible, &path),
            _ => {}
        }
    }
}

fn min_size(part: &Struct, version: i16, flexible: bool) -> usize {
    let plain = |field: &&Field| field.tag.is_none() && field.versions.contains(version);
    let sizes = part.fields.iter().filter(plain).map(|field| match field.kind {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String | Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
        Type::Struct(_) if !field.nullable.is_empty() => 1,
        Type::Struct(part) => min_size(part, version, flexible),
    });
    sizes.sum::<usize>() + usize::from(flexible)
}
