//! Kafka's wire protocol and record batches: framing, messages, error codes, compression.
//!
//! The crate turns bytes into typed messages and back, as of Apache Kafka 4.4. It does no I/O, keeps
//! no state and knows no clock. Where things are:
//!
//! * [`messages`]: one file per API with its request and response, as plain structs whose versions
//!   stand in attributes. [`Message`] is what they can all do.
//! * [`Reader`] and [`FrameWriter`]: the bounded decoder, and the encoder that collects a [`Frame`] of
//!   segments so that record data is never copied.
//! * [`records`]: what the record data inside a message means: batches, records, compression.
//! * [`header`]: the request and response headers in front of every message.
//! * [`schema`]: what the attributes said, as constants, for tests and documentation.
//!
//! **Invariant**: decoding never panics, and never keeps more memory alive than 64 bytes per byte of
//! input plus a small constant, whatever the bytes say.

// The derive macro names this crate by its outside name, also from within.
extern crate self as flumen_protocol;

pub mod api_key;
pub mod error_code;
pub mod frame;
pub mod header;
pub mod message;
pub mod messages;
pub mod primitives;
pub mod reader;
pub mod record_data;
pub mod records;
pub mod schema;
pub mod uuid;
pub mod writer;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use frame::{FileRange, FileSource, Frame, Segment};
pub use message::{Message, Request};
pub use reader::{DecodeError, Reader};
pub use record_data::Records;
pub use uuid::Uuid;
pub use writer::{EncodeError, FrameWriter};
