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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::create_topics::{CreatableTopicResult, CreateTopicsResponse};
    use crate::messages::fetch::{FetchRequest, FetchTopic};
    use crate::messages::join_group::JoinGroupRequest;
    use crate::messages::metadata::{MetadataRequest, MetadataRequestTopic};

    #[test]
    fn a_decode_error_says_where_and_what() {
        let topic = |topic: &str| FetchTopic { topic: topic.to_owned(), ..Default::default() };
        let topics = vec![topic("first"), topic("second")];
        let request = FetchRequest { topics, ..Default::default() };
        let mut bytes = request.to_bytes(4).unwrap().to_vec();
        let position = bytes.len() - 5;
        bytes[position] = 0xff;
        let error = FetchRequest::from_bytes(bytes.into(), 4).unwrap_err();
        let text = "FetchRequest.topics[1].topic: text is not UTF-8 after byte 5 (byte 34)";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_version_out_of_range_is_refused_both_ways() {
        let error = FetchRequest::from_bytes(Bytes::new(), 19).unwrap_err();
        let kind = DecodeErrorKind::UnsupportedVersion { version: 19, min: 4, max: 18 };
        assert_eq!(error.kind(), kind);
        let error = FetchRequest::default().to_bytes(3).unwrap_err();
        let expected = EncodeError::UnsupportedVersion {
            message: "FetchRequest",
            version: 3,
            min: 4,
            max: 18,
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_value_the_version_cannot_carry_is_refused_unless_it_is_ignorable() {
        let request =
            JoinGroupRequest { group_instance_id: Some("i".to_owned()), ..Default::default() };
        let (message, field) = ("JoinGroupRequest", "group_instance_id");
        let refused = EncodeError::UnsupportedField { message, field, version: 4 };
        assert_eq!(request.to_bytes(4), Err(refused));

        // The reason is for people to read only.
        let request = JoinGroupRequest { reason: Some("r".to_owned()), ..Default::default() };
        assert_eq!(request.to_bytes(7), JoinGroupRequest::default().to_bytes(7));
    }

    #[test]
    fn null_is_refused_where_the_version_has_none() {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let (message, field) = ("MetadataRequest", "topics");
        let refused = EncodeError::UnexpectedNull { message, field, version: 0 };
        assert_eq!(request.to_bytes(0), Err(refused));
        assert!(request.to_bytes(1).is_ok());

        let error = MetadataRequest::from_bytes(vec![0xff; 4].into(), 0).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::UnexpectedNull);
    }

    #[test]
    fn absent_fields_have_the_defaults_of_the_protocol() {
        let topic = MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
        let read = MetadataRequest::from_bytes(request.to_bytes(1).unwrap(), 1).unwrap();
        assert!(read.allow_auto_topic_creation, "a version 1 client wants topics to be created");
        assert_eq!(read, request);

        // A text that may be null, but is not so by default.
        assert_eq!(CreatableTopicResult::default().error_message.as_deref(), Some(""));
    }

    #[test]
    fn tagged_fields_are_written_only_when_they_say_something() {
        let response = |topic_config_error_code| {
            let topic = CreatableTopicResult { topic_config_error_code, ..Default::default() };
            CreateTopicsResponse { topics: vec![topic], ..Default::default() }
        };
        let (without, with) = (response(0).to_bytes(5).unwrap(), response(29).to_bytes(5).unwrap());
        assert_eq!(with.len(), without.len() + 4, "tag, size and two bytes of value");
        assert_eq!(CreateTopicsResponse::from_bytes(with, 5), Ok(response(29)));
    }
}
