//! What is decoded from the disk, for fuzz targets: everybody else has a whole quorum around it.

use std::io;

use bytes::Bytes;

use super::snapshot;
use super::types::StoredEntry;
use crate::controller::image::MetadataImage;

/// Reads an entry of the metadata log.
///
/// # Errors
/// The bytes are no entry.
pub fn decode_entry(index: u64, bytes: &[u8]) -> io::Result<()> {
    StoredEntry::decode(index, bytes).map(drop)
}

/// Reads a snapshot.
///
/// # Errors
/// The bytes are no snapshot.
pub fn decode_snapshot(bytes: &Bytes) -> io::Result<MetadataImage> {
    snapshot::decode(bytes).map(|(_, image)| image)
}
