//! What every message can do. The derive macro implements these traits; nobody else needs to.

use std::fmt::Debug;

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::reader::{DecodeError, DecodeErrorKind, Reader};
use crate::schema;
use crate::writer::{EncodeError, FrameWriter};

pub use flumen_protocol_derive::{Message, Structure};

/// A group of fields, as the body of a message or as a part of one.
///
/// Whether a version is flexible is settled by the message and handed down.
pub trait Structure: Debug + Clone + PartialEq + Default {
    const SCHEMA: &'static schema::Struct;

    /// Reads the fields that the version has; the others get their defaults.
    fn read(reader: &mut Reader, version: i16, flexible: bool) -> Result<Self, DecodeError>;

    /// Writes the fields that the version has, and fails if another one carries a value that matters.
    fn write(
        &self,
        writer: &mut FrameWriter,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError>;

    /// The smallest number of bytes this can take in a version.
    fn min_size(version: i16, flexible: bool) -> usize;
}

/// A request, a response, or data that travels inside a record or a bytes field.
pub trait Message: Structure {
    const SCHEMA: &'static schema::Message;

    /// Reads the message and leaves the reader behind it.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let schema = <Self as Message>::SCHEMA;
        let schema::Versions { min, max } = schema.versions;
        if !schema.versions.contains(version) {
            let kind = DecodeErrorKind::UnsupportedVersion { version, min, max };
            return Err(reader.error(kind).in_message(schema.name()));
        }
        Self::read(reader, version, schema.flexible.contains(version))
            .map_err(|error| error.in_message(schema.name()))
    }

    /// Writes the message.
    fn encode(&self, writer: &mut FrameWriter, version: i16) -> Result<(), EncodeError> {
        let schema = <Self as Message>::SCHEMA;
        let schema::Versions { min, max } = schema.versions;
        if !schema.versions.contains(version) {
            let message = schema.name();
            return Err(EncodeError::UnsupportedVersion { message, version, min, max });
        }
        self.write(writer, version, schema.flexible.contains(version))
    }

    /// Reads a message that must fill the bytes exactly.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = Self::decode(&mut reader, version)?;
        let name = <Self as Message>::SCHEMA.name();
        reader.finish().map_err(|error| error.in_message(name))?;
        Ok(message)
    }

    /// Writes the message as one run of bytes, without a length prefix.
    fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = FrameWriter::new();
        self.encode(&mut writer, version)?;
        writer.into_bytes()
    }

    /// Writes two bytes of version and then the message, as record keys and values have it.
    fn to_versioned_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = FrameWriter::new();
        writer.put_i16(version);
        self.encode(&mut writer, version)?;
        writer.into_bytes()
    }

    /// Reads two bytes of version and then a message that must fill the rest exactly.
    fn from_versioned_bytes(bytes: Bytes) -> Result<(i16, Self), DecodeError> {
        let mut reader = Reader::new(bytes);
        let name = <Self as Message>::SCHEMA.name();
        let version = reader.read_i16().map_err(|error| error.in_message(name))?;
        let message = Self::decode(&mut reader, version)?;
        reader.finish().map_err(|error| error.in_message(name))?;
        Ok((version, message))
    }
}

/// A message that asks for a response.
pub trait Request: Message {
    const API_KEY: ApiKey;
    type Response: Message;
}
