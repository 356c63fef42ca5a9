//! What is written to `__consumer_offsets`: the keys and values that Kafka writes, in the versions
//! that Kafka 4.4 writes, so that its tools and other readers of that topic understand them.
//!
//! A key begins with the kind of record: 0 and 1 for an offset, 2 for a group.

use std::collections::BTreeMap;

use bytes::Bytes;
use flumen_protocol::messages::group_records::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue,
};
use flumen_protocol::{DecodeError, FrameWriter, Message, Reader};

use super::classic::Group;
use super::offsets::CommittedOffset;
use crate::coordinator::{CoordinatorRecord, ReplayError};

const KIND_LEGACY_OFFSET: i16 = 0;
const KIND_OFFSET: i16 = 1;
const KIND_GROUP: i16 = 2;

/// The only version of the keys.
const KEY_VERSION: i16 = 0;
const GROUP_VALUE_VERSION: i16 = 3;
/// The version that can say when an offset expires, for clients that ask for a retention time.
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const OFFSET_VALUE_VERSION: i16 = 3;
const OFFSET_VALUE_VERSION_WITH_TOPIC_ID: i16 = 4;

/// A record as the shard understands it. No value: the thing is gone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum GroupRecord {
    Offset {
        group_id: String,
        topic: String,
        partition: i32,
        value: Option<CommittedOffset>,
    },
    Group {
        group_id: String,
        value: Option<GroupMetadataValue>,
    },
    /// A kind that classic groups do not have, such as those of the newer group types.
    Other {
        kind: i16,
    },
}

impl GroupRecord {
    pub(super) fn parse(offset: i64, record: &CoordinatorRecord) -> Result<Self, ReplayError> {
        Self::decode(record).map_err(|source| ReplayError { offset, source })
    }

    fn decode(record: &CoordinatorRecord) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record.key.clone());
        let kind = reader.read_i16()?;
        let value = record.value.clone();
        match kind {
            KIND_LEGACY_OFFSET | KIND_OFFSET => {
                let key = OffsetCommitKey::decode(&mut reader, KEY_VERSION)?;
                let value = value.map(OffsetCommitValue::from_versioned_bytes).transpose()?;
                Ok(Self::Offset {
                    group_id: key.group,
                    topic: key.topic,
                    partition: key.partition,
                    value: value.map(|(_, value)| committed_offset(value)),
                })
            }
            KIND_GROUP => {
                let key = GroupMetadataKey::decode(&mut reader, KEY_VERSION)?;
                let value = value.map(GroupMetadataValue::from_versioned_bytes).transpose()?;
                Ok(Self::Group { group_id: key.group, value: value.map(|(_, value)| value) })
            }
            kind => Ok(Self::Other { kind }),
        }
    }
}

fn committed_offset(value: OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: Some(value.expire_timestamp).filter(|&at_ms| at_ms >= 0),
        topic_id: value.topic_id,
    }
}

/// The record of a committed offset.
pub(super) fn offset(
    group_id: &str,
    topic: &str,
    partition: i32,
    committed: &CommittedOffset,
) -> CoordinatorRecord {
    let version = if committed.expire_timestamp_ms.is_some() {
        OFFSET_VALUE_VERSION_WITH_EXPIRY
    } else if committed.topic_id.is_zero() {
        OFFSET_VALUE_VERSION
    } else {
        OFFSET_VALUE_VERSION_WITH_TOPIC_ID
    };
    let value = OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.clone(),
        commit_timestamp: committed.commit_timestamp_ms,
        expire_timestamp: committed.expire_timestamp_ms.unwrap_or(-1),
        topic_id: committed.topic_id,
    };
    CoordinatorRecord {
        key: offset_key(group_id, topic, partition),
        value: Some(value_bytes(&value, version)),
    }
}

/// The record that takes a committed offset back.
pub(super) fn offset_tombstone(group_id: &str, topic: &str, partition: i32) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group_id, topic, partition), value: None }
}

/// The record of a group with its members and these assignments.
pub(super) fn group_metadata(
    group: &Group,
    assignments: &BTreeMap<String, Bytes>,
) -> CoordinatorRecord {
    let protocol = group.protocol_name.as_deref().unwrap_or_default();
    let members = group.members.values().map(|member| MemberMetadata {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.metadata(protocol),
        assignment: assignments.get(&member.id).cloned().unwrap_or_default(),
    });
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        generation: group.generation,
        protocol: group.protocol_name.clone(),
        leader: group.leader.clone(),
        current_state_timestamp: group.state_since_ms.unwrap_or(-1),
        members: members.collect(),
    };
    CoordinatorRecord {
        key: group_key(&group.id),
        value: Some(value_bytes(&value, GROUP_VALUE_VERSION)),
    }
}

/// The record that takes a group back.
pub(super) fn group_tombstone(group_id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group_id), value: None }
}

fn offset_key(group_id: &str, topic: &str, partition: i32) -> Bytes {
    let key = OffsetCommitKey { group: group_id.to_owned(), topic: topic.to_owned(), partition };
    key_bytes(KIND_OFFSET, &key)
}

fn group_key(group_id: &str) -> Bytes {
    key_bytes(KIND_GROUP, &GroupMetadataKey { group: group_id.to_owned() })
}

fn key_bytes(kind: i16, key: &impl Message) -> Bytes {
    let mut writer = FrameWriter::with_capacity(64);
    writer.put_i16(kind);
    key.encode(&mut writer, KEY_VERSION).expect("its texts came in by the same wire format");
    writer.into_bytes().expect("a key holds no record data")
}

fn value_bytes(value: &impl Message, version: i16) -> Bytes {
    value.to_versioned_bytes(version).expect("its texts came in by the same wire format")
}

/// The most tombstones that one turn writes, so that a tick stays short.
const TOMBSTONES_MAX: usize = 1_000;
/// Their size in one batch, well below what a log takes by default.
const TOMBSTONE_BYTES_MAX: usize = 512 * 1024;

/// Takes as many tombstones as one batch should hold, and one in any case; says how many.
pub(super) fn fill_batch(
    tombstones: &mut impl Iterator<Item = CoordinatorRecord>,
    records: &mut Vec<CoordinatorRecord>,
) -> usize {
    let mut size = 0;
    let mut count = 0;
    while count < TOMBSTONES_MAX
        && size < TOMBSTONE_BYTES_MAX
        && let Some(tombstone) = tombstones.next()
    {
        size += tombstone.key.len();
        count += 1;
        records.push(tombstone);
    }
    count
}

#[cfg(test)]
mod tests {
    use flumen_protocol::Uuid;

    use super::*;

    fn committed(expire_timestamp_ms: Option<i64>, topic_id: Uuid) -> CommittedOffset {
        CommittedOffset {
            offset: 10,
            leader_epoch: 0,
            metadata: String::new(),
            commit_timestamp_ms: 0x01a2_03bf_edda,
            expire_timestamp_ms,
            topic_id,
        }
    }

    /// Bytes as Kafka 4.4 wrote them for the same commit.
    #[test]
    fn an_offset_is_written_as_kafka_writes_it() {
        let topic_id = Uuid::from_bytes(*b"\x1f\x10B\xfc\x89YE\xb0\x84\"<I\x90\"\x0c\x15");
        let record = offset("gg1", "gt1", 0, &committed(None, topic_id));
        assert_eq!(&record.key[..], b"\x00\x01\x00\x03gg1\x00\x03gt1\x00\x00\x00\x00");
        assert_eq!(
            &record.value.unwrap()[..],
            b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\n\x00\x00\x00\x00\x01\x00\x00\x01\xa2\x03\xbf\
              \xed\xda\x01\x00\x10\x1f\x10B\xfc\x89YE\xb0\x84\"<I\x90\"\x0c\x15"
        );
    }

    /// Bytes as Kafka 4.4 wrote them when the last member left.
    #[test]
    fn an_empty_group_is_written_as_kafka_writes_it() {
        let mut group = Group::new("gg1".to_owned(), 0);
        group.protocol_type = Some("consumer".to_owned());
        group.generation = 2;
        group.state_since_ms = Some(0x01a2_03bf_ede0);
        let record = group_metadata(&group, &BTreeMap::new());
        assert_eq!(&record.key[..], b"\x00\x02\x00\x03gg1");
        assert_eq!(
            &record.value.unwrap()[..],
            b"\x00\x03\x00\x08consumer\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x01\xa2\x03\xbf\
              \xed\xe0\x00\x00\x00\x00"
        );
    }

    #[test]
    fn every_form_of_an_offset_survives_the_log() {
        for (expiry, topic_id) in
            [(None, Uuid::ZERO), (Some(77), Uuid::ZERO), (None, Uuid::from_bytes([7; 16]))]
        {
            // The form with an expiry has no room for a leader epoch.
            let leader_epoch = if expiry.is_some() { -1 } else { 4 };
            let value = CommittedOffset { leader_epoch, ..committed(expiry, topic_id) };
            let parsed = GroupRecord::parse(0, &offset("g", "t", 3, &value));
            let expected = GroupRecord::Offset {
                group_id: "g".to_owned(),
                topic: "t".to_owned(),
                partition: 3,
                value: Some(value),
            };
            assert_eq!(parsed, Ok(expected));
        }
    }

    #[test]
    fn a_kind_of_another_group_type_is_told_apart_and_garbage_is_refused() {
        let record = |key: &'static [u8], value: &'static [u8]| CoordinatorRecord {
            key: Bytes::from_static(key),
            value: Some(Bytes::from_static(value)),
        };
        let other = GroupRecord::parse(0, &record(b"\x00\x03\x00\x01g", b"\x00\x00"));
        assert_eq!(other, Ok(GroupRecord::Other { kind: 3 }));
        for (key, value) in [
            (&b"\x00"[..], &b"\x00\x03"[..]),
            (b"\x00\x02\x00\x09g", b"\x00\x03"),
            (b"\x00\x02\x00\x01g", b"\x00\x63"),
        ] {
            assert_eq!(GroupRecord::parse(5, &record(key, value)).unwrap_err().offset, 5);
        }
    }
}
