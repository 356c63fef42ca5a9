//! Applies committed entries to the image and publishes it.
//!
//! The image is in memory only; what a restart needs is the newest snapshot and the log after it.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::watch;

use super::disk::Disk;
use super::snapshot;
use super::types::{
    Applied, LogId, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig, invalid,
};
use crate::controller::image::MetadataImage;

/// The newest committed image, for everybody.
#[derive(Debug)]
pub(in crate::controller) struct Published {
    image: ArcSwap<MetadataImage>,
    version: watch::Sender<i64>,
}

impl Published {
    pub(super) fn new() -> Self {
        Self { image: ArcSwap::default(), version: watch::Sender::new(-1) }
    }

    pub(in crate::controller) fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    pub(in crate::controller) fn watch(&self) -> watch::Receiver<i64> {
        self.version.subscribe()
    }

    fn publish(&self, image: &MetadataImage) {
        self.image.store(Arc::new(image.clone()));
        self.version.send_replace(image.version());
    }
}

/// What the entries applied so far add up to.
pub(super) struct StateMachine {
    image: MetadataImage,
    applied: Option<LogId>,
    membership: StoredMembership,
    published: Arc<Published>,
    disk: Arc<Disk>,
}

impl StateMachine {
    pub(super) fn new(published: Arc<Published>, disk: Arc<Disk>) -> Self {
        let (image, applied) = (MetadataImage::default(), None);
        Self { image, applied, membership: StoredMembership::default(), published, disk }
    }

    /// Applies a proposal. One that does not fit is a mistake of whoever decided it, and it is committed:
    /// refusing it would stop every broker at every start, so it is passed over, which all do alike.
    fn replay(&mut self, index: u64, proposal: &Proposal) -> Applied {
        match self.image.replay_entry(&proposal.0) {
            Ok(()) => Applied::Whole,
            Err(error) => {
                tracing::error!(index, %error, "an entry of the metadata log is passed over");
                Applied::PassedOver
            }
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut responders = Vec::new();
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let mut applied = Applied::Whole;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(proposal) => {
                    applied = self.replay(entry.log_id.index, &proposal);
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            self.image.advance_to(i64::try_from(entry.log_id.index).map_err(invalid)?);
            self.applied = Some(entry.log_id);
            responders.extend(responder.map(|responder| (responder, applied)));
        }
        // Whoever is answered must find what was answered in the image.
        self.published.publish(&self.image);
        for (responder, applied) in responders {
            responder.send(applied);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let meta =
            SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        SnapshotBuilder { meta, image: self.image.clone(), disk: Arc::clone(&self.disk) }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let (meta, image) = snapshot::decode(&snapshot)?;
        let disk = Arc::clone(&self.disk);
        let saved = meta.clone();
        self.disk
            .run(move || {
                let (vfs, dir) = (&**disk.vfs(), disk.dir());
                // At a start the snapshot installed is the one that is there.
                if snapshot::load(vfs, dir)?.as_ref() == Some(&snapshot) {
                    return Ok(());
                }
                snapshot::save(vfs, dir, &saved, &snapshot)
            })
            .await?;
        self.image = image;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership;
        self.published.publish(&self.image);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Some(bytes) = snapshot::load(&**self.disk.vfs(), self.disk.dir())? else {
            return Ok(None);
        };
        let (meta, _) = snapshot::decode(&bytes)?;
        Ok(Some(Snapshot { meta, snapshot: bytes }))
    }
}

/// Writes out the image as it was when the builder was made.
pub(super) struct SnapshotBuilder {
    meta: SnapshotMeta,
    image: MetadataImage,
    disk: Arc<Disk>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let bytes = snapshot::encode(&self.meta, &self.image)?;
        let disk = Arc::clone(&self.disk);
        let (meta, content) = (self.meta.clone(), bytes.clone());
        self.disk.run(move || snapshot::save(&**disk.vfs(), disk.dir(), &meta, &content)).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}
