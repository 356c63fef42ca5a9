//! The smallest size a value can have on the wire: what the decoder counts on, worked out anew.

use flumen_protocol::schema::{Field, Struct, Type};

pub(crate) fn size(kind: &Type, version: i16, flexible: bool) -> usize {
    match kind {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String | Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
        Type::Struct(part) => size_of_struct(part, version, flexible),
    }
}

pub(crate) fn size_of_struct(part: &Struct, version: i16, flexible: bool) -> usize {
    let plain = |field: &&Field| field.tag.is_none() && field.versions.contains(version);
    let sizes = part.fields.iter().filter(plain).map(|field| match field.kind {
        Type::Struct(_) if !field.nullable.is_empty() => 1,
        ref kind => size(kind, version, flexible),
    });
    sizes.sum::<usize>() + usize::from(flexible)
}
