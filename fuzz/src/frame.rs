//! A frame as a broker takes it apart: the header, then the body that the header announces.

use bytes::Bytes;
use flumen_protocol::header::{RequestHeader, ResponseHeader};
use flumen_protocol::{ApiKey, FrameWriter, Reader};

use crate::bounds::{decoded_bytes_max, within};
use crate::dispatch::Kind;
use crate::messages::check_body;

pub fn run(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let mut reader = Reader::new(frame.clone());
    let memory_max = decoded_bytes_max(frame.len());
    let Ok(header) = within(memory_max, || RequestHeader::decode(&mut reader)) else { return };
    check_header(&header);

    let body = frame.slice(reader.position()..);
    check_response_header(&header, body.clone());
    let known = ApiKey::from_key(header.api_key);
    if let Some(api) = known.filter(|api| api.versions().contains(&header.api_version)) {
        check_body(Kind::Request(api), header.api_version, body);
    }
}

fn check_header(header: &RequestHeader) {
    let mut writer = FrameWriter::new();
    header.encode(&mut writer).expect("what was read can be written");
    let bytes = writer.into_bytes().expect("it is small");
    assert_eq!(RequestHeader::decode(&mut Reader::new(bytes)).as_ref(), Ok(header));
}

/// The same bytes, had a client got them.
fn check_response_header(request: &RequestHeader, body: Bytes) {
    let mut reader = Reader::new(body);
    let header = ResponseHeader::decode(&mut reader, request.api_key, request.api_version);
    if header.is_ok() {
        assert!(reader.position() >= 4, "the correlation id was read");
    }
}
