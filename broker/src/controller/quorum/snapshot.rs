//! Snapshots of the metadata: an image written out as records.
//!
//! A snapshot is a file `<offset>-<term>.checkpoint` in the directory of the log, where the offset
//! is that of the first entry it does not hold. Its content is one record batch, for the checksum,
//! with a MessagePack body as value. Of several, the newest counts; older ones are removed once a
//! newer one is durable.

use std::io;
use std::path::Path;

use bytes::Bytes;
use flumen_protocol::records::{BatchBuilder, BatchOptions, RecordBatch};
use flumen_storage::vfs::Vfs;
use serde::{Deserialize, Serialize};

use super::durable_file;
use super::types::{
    Members, Membership, SnapshotMeta, StoredMembership, invalid, log_id, term_and_index,
};
use crate::controller::image::MetadataImage;
use crate::controller::records::MetadataRecord;

const SUFFIX: &str = ".checkpoint";

#[derive(Serialize, Deserialize)]
struct Body {
    last: Option<(u64, u64)>,
    members_at: Option<(u64, u64)>,
    members: Members,
    records: Vec<MetadataRecord>,
}

/// Writes an image out.
pub(super) fn encode(meta: &SnapshotMeta, image: &MetadataImage) -> io::Result<Bytes> {
    let body = Body {
        last: meta.last_log_id.as_ref().map(term_and_index),
        members_at: meta.last_membership.log_id().as_ref().map(term_and_index),
        members: meta.last_membership.membership().into(),
        records: image.to_records(),
    };
    let value = rmp_serde::to_vec(&body).map_err(io::Error::other)?;
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(0, None, Some(&value), &[]);
    Ok(batch.build())
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &Bytes) -> io::Result<(SnapshotMeta, MetadataImage)> {
    let batch = RecordBatch::parse(bytes.clone()).map_err(invalid)?;
    batch.verify_crc().map_err(invalid)?;
    let mut records = batch.records(usize::MAX).map_err(invalid)?;
    let record = records.next().ok_or_else(|| invalid("the snapshot is empty"))?;
    let value = record.map_err(invalid)?.value.unwrap_or_default();
    let body: Body = rmp_serde::from_slice(&value).map_err(invalid)?;
    let mut image = MetadataImage::default();
    for record in &body.records {
        image.replay(record).map_err(invalid)?;
    }
    if let Some((_, index)) = body.last {
        image.advance_to(i64::try_from(index).map_err(invalid)?);
    }
    let membership = Membership::try_from(body.members)?;
    let meta = SnapshotMeta {
        last_log_id: body.last.map(log_id),
        last_membership: StoredMembership::new(body.members_at.map(log_id), membership),
    };
    Ok((meta, image))
}

/// Makes a snapshot durable and removes those before it.
pub(super) fn save(
    vfs: &dyn Vfs,
    dir: &Path,
    meta: &SnapshotMeta,
    bytes: &Bytes,
) -> io::Result<()> {
    let (term, end) = match &meta.last_log_id {
        Some(last) => (last.leader_id.term, last.index + 1),
        None => (0, 0),
    };
    let name = format!("{end:020}-{term:010}{SUFFIX}");
    durable_file::replace(vfs, &dir.join(&name), bytes)?;
    for older in names(vfs, dir)?.into_iter().filter(|other| *other < name) {
        vfs.remove_file(&dir.join(older))?;
    }
    Ok(())
}

/// The newest snapshot, if there is one.
pub(super) fn load(vfs: &dyn Vfs, dir: &Path) -> io::Result<Option<Bytes>> {
    match names(vfs, dir)?.pop() {
        Some(newest) => Ok(durable_file::read(vfs, &dir.join(newest))?.map(Bytes::from)),
        None => Ok(None),
    }
}

/// The names of all snapshots, oldest first.
fn names(vfs: &dyn Vfs, dir: &Path) -> io::Result<Vec<String>> {
    let entries = vfs.list(dir)?.into_iter().map(|entry| entry.name);
    Ok(entries.filter(|name| name.ends_with(SUFFIX)).collect())
}
