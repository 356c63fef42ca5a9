//! What a message looks like on the wire, as constants that the derive macro fills in.
//!
//! Nothing here takes part in encoding or decoding: tests compare it with Kafka's own schemas, and
//! generic test encoders walk it.

/// A closed range of versions; empty when `min > max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    /// No version at all, written `none` in a schema.
    pub const NONE: Self = Self { min: 0, max: -1 };

    /// A range with both ends; an open end is `i16::MAX`.
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Says whether the version lies in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Says whether no version lies in the range.
    pub const fn is_empty(self) -> bool {
        self.min > self.max
    }
}

/// A whole message: a request, a response, or data that travels inside a record or a bytes field.
#[derive(Debug)]
pub struct Message {
    /// The versions that can be encoded and decoded.
    pub versions: Versions,
    /// The versions with compact lengths and tagged fields.
    pub flexible: Versions,
    pub root: &'static Struct,
}

impl Message {
    /// The name of the message, as Kafka calls it.
    pub const fn name(&self) -> &'static str {
        self.root.name
    }
}

/// A group of fields: a message, or a part of one.
#[derive(Debug)]
pub struct Struct {
    pub name: &'static str,
    /// What one value takes in memory, not counting what it points to.
    pub memory: usize,
    /// In wire order; tagged fields may stand anywhere among them.
    pub fields: &'static [Field],
}

/// One field and what its attributes say.
#[derive(Debug)]
pub struct Field {
    /// The Rust name: Kafka's name in snake case.
    pub name: &'static str,
    pub kind: Type,
    pub versions: Versions,
    /// The versions in which null is allowed.
    pub nullable: Versions,
    /// The tag of a field that travels in the tagged section, in all of its versions.
    pub tag: Option<u32>,
    /// The literal after `default =`, or nothing when the type's own default holds.
    pub default: Option<&'static str>,
    /// Whether a value that the version cannot carry is dropped in silence when encoding.
    pub ignorable: bool,
}

/// The type of a field on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Array(&'static Self),
    Struct(&'static Struct),
}
