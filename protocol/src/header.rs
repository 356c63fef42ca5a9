//! The headers in front of every request and response.
//!
//! A request header is version 1, or 2 with a tagged section when the request is flexible; the client
//! id keeps its two-byte length in both, so that a broker can read the header of any ApiVersions
//! request. Version 0 went with ControlledShutdown. A response header is version 0, or 1 with a tagged
//! section, except that ApiVersions always answers with 0: its reader does not know the version yet.

use crate::api_key::ApiKey;
use crate::reader::{DecodeError, Reader};
use crate::writer::{EncodeError, FrameWriter};

/// What stands in front of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// Kept as a number: the key may be one that nobody here knows.
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
}

/// The header version of a request; of an unknown key only what all headers share is read.
pub fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    let is_flexible = ApiKey::from_key(api_key).is_some_and(|api| api.is_flexible(api_version));
    if is_flexible { 2 } else { 1 }
}

/// The header version of a response.
pub fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    match ApiKey::from_key(api_key) {
        Some(ApiKey::ApiVersions) => 0,
        Some(api) => i16::from(api.is_flexible(api_version)),
        None => 0,
    }
}

impl RequestHeader {
    /// Reads the header; the tagged section, if the version has one, is skipped.
    pub fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        const NAME: &str = "RequestHeader";
        let in_header = |error: DecodeError| error.in_message(NAME);
        let api_key = reader.read_i16().map_err(in_header)?;
        let api_version = reader.read_i16().map_err(in_header)?;
        let correlation_id = reader.read_i32().map_err(in_header)?;
        let client_id = match reader.read_text_length(false).map_err(in_header)? {
            Some(size) => Some(reader.read_text(size).map_err(in_header)?),
            None => None,
        };
        if request_header_version(api_key, api_version) >= 2 {
            reader.skip_tagged_fields().map_err(in_header)?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header.
    pub fn encode(&self, writer: &mut FrameWriter) -> Result<(), EncodeError> {
        writer.put_i16(self.api_key);
        writer.put_i16(self.api_version);
        writer.put_i32(self.correlation_id);
        writer.put_text(self.client_id.as_deref(), false)?;
        if request_header_version(self.api_key, self.api_version) >= 2 {
            writer.put_unsigned_varint(0);
        }
        Ok(())
    }
}

/// What stands in front of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The number that the request carried.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header of the response to a request of that key and version.
    pub fn decode(
        reader: &mut Reader,
        api_key: i16,
        api_version: i16,
    ) -> Result<Self, DecodeError> {
        let in_header = |error: DecodeError| error.in_message("ResponseHeader");
        let correlation_id = reader.read_i32().map_err(in_header)?;
        if response_header_version(api_key, api_version) >= 1 {
            reader.skip_tagged_fields().map_err(in_header)?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes the header of the response to a request of that key and version.
    pub fn encode(self, writer: &mut FrameWriter, api_key: i16, api_version: i16) {
        writer.put_i32(self.correlation_id);
        if response_header_version(api_key, api_version) >= 1 {
            writer.put_unsigned_varint(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(api: ApiKey, version: i16, request: i16, response: i16) {
        assert_eq!(request_header_version(api.key(), version), request, "{api:?} {version}");
        assert_eq!(response_header_version(api.key(), version), response, "{api:?} {version}");
    }

    #[test]
    fn versions_follow_the_flexible_ones() {
        check(ApiKey::Produce, 8, 1, 0);
        check(ApiKey::Produce, 9, 2, 1);
        check(ApiKey::SaslHandshake, 1, 1, 0);
        check(ApiKey::ApiVersions, 2, 1, 0);
        check(ApiKey::ApiVersions, 3, 2, 0);
        check(ApiKey::ApiVersions, 99, 2, 0);
    }

    #[test]
    fn the_client_id_keeps_its_long_length_in_flexible_headers() {
        let client_id = Some("c".to_owned());
        let header = RequestHeader { api_key: 18, api_version: 3, correlation_id: 7, client_id };
        let mut writer = FrameWriter::new();
        header.encode(&mut writer).unwrap();
        let expected = [0, 18, 0, 3, 0, 0, 0, 7, 0, 1, b'c', 0];
        assert_eq!(writer.into_bytes().unwrap()[..], expected);
    }

    #[test]
    fn response_headers_round_trip() {
        for (api, version, size) in [(ApiKey::Fetch, 12, 5), (ApiKey::ApiVersions, 5, 4)] {
            let header = ResponseHeader { correlation_id: -3 };
            let mut writer = FrameWriter::new();
            header.encode(&mut writer, api.key(), version);
            assert_eq!(writer.size(), size);
            let mut reader = Reader::new(writer.into_bytes().unwrap());
            assert_eq!(ResponseHeader::decode(&mut reader, api.key(), version), Ok(header));
            reader.finish().unwrap();
        }
    }

    #[test]
    fn request_headers_round_trip() {
        for (api_version, client_id) in [(8, None), (9, Some("client".to_owned()))] {
            let api_key = ApiKey::Produce.key();
            let header = RequestHeader { api_key, api_version, correlation_id: 7, client_id };
            let mut writer = FrameWriter::new();
            header.encode(&mut writer).unwrap();
            let mut reader = Reader::new(writer.into_bytes().unwrap());
            assert_eq!(RequestHeader::decode(&mut reader), Ok(header));
            reader.finish().unwrap();
        }
    }

    #[test]
    fn a_tagged_field_count_without_fields_is_refused() {
        let mut bytes = vec![0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff];
        bytes.extend([0xff, 0xff, 0xff, 0x7f]);
        bytes.resize(1 << 16, 0);
        let error = RequestHeader::decode(&mut Reader::new(bytes.into())).unwrap_err();
        assert!(error.to_string().starts_with("RequestHeader: 268435455 tagged fields"), "{error}");
    }
}
