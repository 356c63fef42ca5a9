//! `#[derive(Message)]` and `#[derive(Structure)]`: Kafka messages as plain structs with attributes.
//!
//! `Message` goes on a whole message, `Structure` on each part of one. Both give `Default` (the
//! protocol's defaults) and the code that reads and writes the fields of a version:
//!
//! ```text
//! #[derive(Debug, Clone, PartialEq, Message)]
//! #[message(request, api = Heartbeat, response = HeartbeatResponse, versions = "0-4", flexible = "4+")]
//! pub struct HeartbeatRequest {
//!     pub group_id: String,
//!     #[wire(versions = "3+", nullable = "3+", default = null)]
//!     pub group_instance_id: Option<String>,
//! }
//! ```
//!
//! On a message: its kind (`request`, `response` or `data`), `api`, `response`, `versions`, `flexible`.
//! On a field, all optional: `versions` (every version if left out), `nullable` (never), `default` (the
//! type's own), `tag` (then it travels in the tagged section), `ignorable` (its value may be dropped
//! when encoding for a version that lacks it). The type on the wire follows from the Rust type.

mod attributes;
mod decode;
mod defaults;
mod encode;
mod expand;
mod versions;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::attributes::Role;

/// Makes a struct a request, a response or other data with versions of its own.
#[proc_macro_derive(Message, attributes(message, wire))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input, Role::Message).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct a part of a message; it takes version and encoding from there.
#[proc_macro_derive(Structure, attributes(wire))]
pub fn derive_structure(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input, Role::Structure).unwrap_or_else(syn::Error::into_compile_error).into()
}
