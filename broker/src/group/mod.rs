//! The group coordinator: classic consumer groups and the offsets that groups commit.
//!
//! [`GroupShard`] holds the rules for the groups of one partition of `__consumer_offsets`, as a
//! synchronous state machine; [`Groups`] runs a shard for each such partition that this broker
//! leads, and finds the one for a group.
//!
//! | file | what it owns |
//! |---|---|
//! | `shard` | the groups of a partition; events to groups, timers, replay |
//! | `classic`, `member` | a group and its members; votes; what is stored of it |
//! | `join`, `rebalance`, `sync`, `session` | the life of a group |
//! | `offsets`, `commits` | committed offsets; commit, delete, expiry |
//! | `listing`, `lag` | what people and monitoring see |
//! | `records` | the format in the log |
//! | `timers` | deadlines that are cheap to move |
//! | `runtime` | the shards of this broker; the only file here that waits |
//!
//! **Invariants:** a commit by a member counts only in the group's current generation; an offset
//! once answered survives; two members of a generation never hold one assignment unless the leader
//! gave it to both. **Absent on purpose:** assignment of partitions, which classic groups leave to
//! their leader, so that the broker never needs to know how.

mod classic;
mod commits;
mod effects;
mod error;
mod join;
mod lag;
mod listing;
mod member;
mod offsets;
mod partitioner;
mod rebalance;
mod records;
mod runtime;
mod session;
mod shard;
mod sync;
mod timers;

#[cfg(test)]
mod tests;

pub use classic::GroupState;
pub use commits::{CommitPartition, CommitRequest, CommitTopic, PartitionResult};
pub use effects::{
    GroupCommitted, GroupEffects, GroupReply, JoinRefusal, JoinRequest, Joined, JoinedMember,
    SyncRequest, Synced,
};
pub use error::GroupError;
pub use lag::{GroupLag, LagSource};
pub use listing::{DescribedGroup, DescribedMember, GROUP_TYPE, ListedGroup};
pub use member::Protocol;
pub use offsets::CommittedOffset;
pub use partitioner::partition_of;
pub use runtime::{FetchTopic, FetchedTopic, Groups, LedPartition};
pub use session::Leaver;
pub use shard::GroupShard;
