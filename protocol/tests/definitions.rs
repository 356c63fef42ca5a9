//! Checks the definitions against each other: the table of APIs, and the density of array elements.

use flumen_protocol::schema::{Struct, Type, Versions};
use flumen_protocol::{ApiKey, header, messages};

#[path = "wire/smallest.rs"]
mod smallest;

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
                let size = smallest::size_of_struct(element, version, flexible);
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
