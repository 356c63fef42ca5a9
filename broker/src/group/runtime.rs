//! The coordinator of this broker: a running shard for each partition of `__consumer_offsets`
//! that it leads, and the way from a group id to its shard.
//!
//! What the rules decide is in [`GroupShard`]; here is only who is asked, and what an answer waits
//! for. Nothing here looks at topics or partitions: the API layer checks them first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use futures_util::future::join_all;
use parking_lot::RwLock;
use tracing::warn;

use super::commits::{CommitRequest, PartitionResult};
use super::effects::{GroupEffects, GroupReply, JoinRefusal, JoinRequest, Joined};
use super::effects::{SyncRequest, Synced};
use super::error::GroupError;
use super::listing::{DescribedGroup, ListedGroup};
use super::offsets::CommittedOffset;
use super::partitioner::partition_of;
use super::session::Leaver;
use super::shard::GroupShard;
use crate::config::GroupConfig;
use crate::controller::CONSUMER_OFFSETS;
use crate::coordinator::{CoordinatorError, CoordinatorLog, Now, ShardRuntime, Wait};

/// A partition of `__consumer_offsets` that this broker leads.
#[derive(Debug)]
pub struct LedPartition {
    /// Which one.
    pub index: i32,
    /// Of which topic: deleted and created anew, it is another.
    pub topic_id: Uuid,
    /// Since when: under another epoch somebody else may have written in between.
    pub leader_epoch: i32,
    /// Its log.
    pub log: Arc<dyn CoordinatorLog>,
}

/// Offsets of one topic that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopic {
    /// Its name.
    pub name: String,
    /// Its id, or zero for whichever topic has the name.
    pub id: Uuid,
    /// The partitions.
    pub partitions: Vec<i32>,
}

/// Committed offsets of one topic; none where nothing is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Its name.
    pub name: String,
    /// Per partition, in the order asked for.
    pub partitions: Vec<(i32, Option<CommittedOffset>)>,
}

type GroupRuntime = ShardRuntime<GroupShard>;

#[derive(Debug)]
struct Led {
    topic_id: Uuid,
    leader_epoch: i32,
    runtime: Arc<GroupRuntime>,
}

#[derive(Debug, Default)]
struct Routes {
    /// Partitions of the topic; 0 while it does not exist.
    partition_count: i32,
    led: BTreeMap<i32, Led>,
}

/// The group coordinator of this broker.
#[derive(Debug)]
pub struct Groups {
    config: Arc<GroupConfig>,
    seams: Seams,
    routes: RwLock<Routes>,
}

impl Groups {
    /// A coordinator that leads nothing yet.
    pub fn new(config: Arc<GroupConfig>, seams: Seams) -> Self {
        Self { config, seams, routes: RwLock::default() }
    }

    /// Takes over the partitions that this broker leads now, and lets go of all others.
    pub fn reconcile(&self, partition_count: i32, led: Vec<LedPartition>) {
        let mut routes = self.routes.write();
        routes.partition_count = partition_count;
        let mut before = std::mem::take(&mut routes.led);
        for partition in led {
            let is_same = |running: &Led| {
                running.topic_id == partition.topic_id
                    && (running.leader_epoch == partition.leader_epoch
                        || is_planted(Bug::OldCoordinatorsAppend))
            };
            let running = match before.remove(&partition.index) {
                Some(running) if is_same(&running) => running,
                Some(outdated) => {
                    outdated.runtime.close();
                    self.start(&partition)
                }
                None => self.start(&partition),
            };
            routes.led.insert(partition.index, running);
        }
        if is_planted(Bug::OldCoordinatorsAppend) {
            routes.led.append(&mut before);
        }
        for lost in before.into_values() {
            lost.runtime.close();
        }
    }

    fn start(&self, partition: &LedPartition) -> Led {
        let config = Arc::clone(&self.config);
        let timeout_ms = u64::try_from(config.offsets_commit_timeout_ms).unwrap_or(0);
        let runtime = ShardRuntime::start(
            format!("{CONSUMER_OFFSETS}-{}", partition.index),
            Arc::clone(&partition.log),
            self.seams.clone(),
            Duration::from_millis(timeout_ms),
            move || GroupShard::new(Arc::clone(&config)),
        );
        Led { topic_id: partition.topic_id, leader_epoch: partition.leader_epoch, runtime }
    }

    /// Stops all shards: the broker shuts down.
    pub fn close(&self) {
        self.reconcile(0, Vec::new());
    }

    /// The partition that a group lives in; none while the topic does not exist.
    pub fn partition_of(&self, group_id: &str) -> Option<i32> {
        let partition_count = self.routes.read().partition_count;
        (partition_count > 0).then(|| partition_of(group_id, partition_count))
    }

    fn shard(&self, group_id: &str) -> Result<Arc<GroupRuntime>, CoordinatorError> {
        let index = self.partition_of(group_id).ok_or(CoordinatorError::NotCoordinator)?;
        let routes = self.routes.read();
        let led = routes.led.get(&index).ok_or(CoordinatorError::NotCoordinator)?;
        Ok(Arc::clone(&led.runtime))
    }

    fn shards(&self) -> Vec<Arc<GroupRuntime>> {
        self.routes.read().led.values().map(|led| Arc::clone(&led.runtime)).collect()
    }

    /// Joins a group, as soon as the others have too.
    pub async fn join(&self, mut request: JoinRequest) -> Result<Joined, JoinRefusal> {
        let member_id = request.member_id.clone();
        request.fresh_id = uuid_text(self.seams.rng.next_bytes16());
        let reply = match self.shard(&request.group_id) {
            Ok(shard) => {
                shard
                    .ask(|shard, now, ticket, effects| shard.join(now, ticket, request, effects))
                    .await
            }
            Err(error) => Err(error),
        };
        match reply {
            Ok(GroupReply::Join(result)) => result,
            Ok(GroupReply::Sync(_)) => unreachable!("a join's ticket is answered by a join"),
            Err(error) => Err(JoinRefusal { error: error.into(), member_id }),
        }
    }

    /// Brings the leader's assignment, or fetches a member's.
    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        let shard = self.shard(&request.group_id)?;
        let reply = shard
            .ask(|shard, now, ticket, effects| shard.sync(now, ticket, request, effects))
            .await?;
        match reply {
            GroupReply::Sync(result) => result,
            GroupReply::Join(_) => unreachable!("a sync's ticket is answered by a sync"),
        }
    }

    /// Extends a member's session.
    pub async fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.submit(group_id, Wait::OwnRecords, |shard, now, effects| {
            shard.heartbeat(now, group_id, member_id, instance_id, generation, effects)
        })
        .await
    }

    /// Takes members out of a group; one result each.
    pub async fn leave(
        &self,
        group_id: &str,
        leavers: &[Leaver],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.submit(group_id, Wait::OwnRecords, |shard, now, effects| {
            shard.leave(now, group_id, leavers, effects)
        })
        .await
    }

    /// Commits offsets; per topic one result per partition.
    pub async fn commit(
        &self,
        request: CommitRequest,
    ) -> Result<Vec<Vec<PartitionResult>>, GroupError> {
        let group_id = request.group_id.clone();
        let committed = self.submit(&group_id, Wait::OwnRecords, |shard, now, effects| {
            shard.commit(now, request, effects)
        });
        committed.await.map_err(|error| match error {
            GroupError::Coordinator(CoordinatorError::TooLarge) => GroupError::CommitTooLarge,
            error => error,
        })
    }

    /// Committed offsets of these topics.
    pub async fn fetch(
        &self,
        group_id: &str,
        topics: Vec<FetchTopic>,
    ) -> Result<Vec<FetchedTopic>, GroupError> {
        self.submit(group_id, Wait::AllRecords, |shard, _, _| {
            let fetched = topics.into_iter().map(|topic| {
                let committed = |partition: i32| {
                    shard.committed(group_id, &topic.name, topic.id, partition).cloned()
                };
                let partitions =
                    topic.partitions.iter().map(|&index| (index, committed(index))).collect();
                FetchedTopic { partitions, name: topic.name }
            });
            Ok(fetched.collect())
        })
        .await
    }

    /// Everything a group has committed.
    pub async fn fetch_all(&self, group_id: &str) -> Result<Vec<FetchedTopic>, GroupError> {
        self.submit(group_id, Wait::AllRecords, |shard, _, _| {
            let topics = shard.all_committed(group_id).into_iter().flatten();
            let fetched = topics.map(|(name, partitions)| {
                let partitions =
                    partitions.iter().map(|(&index, found)| (index, Some(found.clone()))).collect();
                FetchedTopic { name: name.clone(), partitions }
            });
            Ok(fetched.collect())
        })
        .await
    }

    /// Deletes offsets of topics that the group does not read; per topic one result per partition.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        topics: &[(String, Vec<i32>)],
    ) -> Result<Vec<Vec<PartitionResult>>, GroupError> {
        self.submit(group_id, Wait::OwnRecords, |shard, _, effects| {
            shard.delete_offsets(group_id, topics, effects)
        })
        .await
    }

    /// Deletes a group without members.
    pub async fn delete(&self, group_id: &str) -> Result<(), GroupError> {
        let mut is_any_left = true;
        while is_any_left {
            let round = self.submit(group_id, Wait::OwnRecords, |shard, _, effects| {
                shard.delete_group(group_id, effects)
            });
            is_any_left = round.await?;
        }
        Ok(())
    }

    /// A group with its members.
    pub async fn describe(&self, group_id: &str) -> Result<DescribedGroup, GroupError> {
        self.submit(group_id, Wait::AllRecords, |shard, _, _| {
            let missing = || GroupError::GroupNotFound { group_id: group_id.to_owned() };
            shard.describe(group_id).ok_or_else(missing)
        })
        .await
    }

    /// All groups that this broker coordinates. Fails while any of its shards is loading: a list
    /// with holes would look like groups that are gone.
    pub async fn list(&self) -> Result<Vec<ListedGroup>, GroupError> {
        let mut groups = Vec::new();
        for shard in self.shards() {
            match shard.submit(Wait::AllRecords, |shard, _, _| shard.list()).await {
                Ok(mut listed) => groups.append(&mut listed),
                // It went to another broker, which lists it.
                Err(CoordinatorError::NotCoordinator) => {}
                Err(error) => return Err(error.into()),
            }
        }
        groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// Forgets all offsets of a topic that was deleted.
    pub async fn on_topic_deleted(&self, topic: &str, topic_id: Uuid) {
        // All at once: a shard that cannot write keeps none of the others waiting.
        let forgetting = self.shards().into_iter().map(|shard| async move {
            let mut is_any_left = true;
            while is_any_left {
                let round = shard.submit(Wait::OwnRecords, |shard, _, effects| {
                    shard.on_topic_deleted(topic, topic_id, effects)
                });
                is_any_left = round.await.unwrap_or_else(|error| {
                    warn!(topic, error = %error, "could not forget offsets of a deleted topic");
                    false
                });
            }
        });
        join_all(forgetting).await;
    }

    /// Shows every shard that is loaded to `look`.
    pub(super) fn inspect(&self, mut look: impl FnMut(&GroupShard)) {
        for shard in self.shards() {
            // Shards that are loading have nothing to show yet.
            shard.inspect(&mut look).ok();
        }
    }

    async fn submit<R>(
        &self,
        group_id: &str,
        wait: Wait,
        rules: impl FnOnce(&mut GroupShard, Now, &mut GroupEffects) -> Result<R, GroupError>,
    ) -> Result<R, GroupError> {
        let shard = self.shard(group_id)?;
        let result = shard.submit(wait, rules).await?;
        if result.is_err() {
            // A coordinator that was cut off, and is none any more, ends sessions that go on with
            // the next one. What it appended is not committed, so its clients are sent on instead.
            shard.submit(Wait::AllRecords, |_, _, _| ()).await?;
        }
        result
    }
}

/// Sixteen random bytes in the usual form of a random UUID.
fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_ids_end_in_a_random_uuid() {
        assert_eq!(uuid_text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_text([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
