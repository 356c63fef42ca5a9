//! What consumers tell each other through a classic group: the bytes inside JoinGroup and SyncGroup
//! that the broker passes on unread.
//!
//! Both begin with two bytes of version. A reader that meets a newer version reads the fields it
//! knows and leaves the rest.

use bytes::Bytes;

use crate::message::{Message, Structure};
use crate::reader::{DecodeError, Reader};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0-3", flexible = "none")]
pub struct ConsumerProtocolSubscription {
    pub topics: Vec<String>,
    #[wire(nullable = "0+", default = null)]
    pub user_data: Option<Bytes>,
    #[wire(versions = "1+", ignorable)]
    pub owned_partitions: Vec<TopicPartition>,
    #[wire(versions = "2+", default = -1, ignorable)]
    pub generation_id: i32,
    #[wire(versions = "3+", nullable = "3+", default = null, ignorable)]
    pub rack_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(data, versions = "0-3", flexible = "none")]
pub struct ConsumerProtocolAssignment {
    pub assigned_partitions: Vec<TopicPartition>,
    #[wire(nullable = "0+", default = null)]
    pub user_data: Option<Bytes>,
}

impl ConsumerProtocolSubscription {
    /// Reads a version and what this crate knows of the subscription that follows.
    pub fn from_member_metadata(bytes: Bytes) -> Result<Self, DecodeError> {
        decode_known_fields(bytes)
    }

    /// Reads the topics of a subscription, whatever follows.
    ///
    /// Some clients name a version and leave out the fields that came with it. Kafka's coordinator
    /// reads every subscription as one of version 0, and so it does not notice.
    pub fn topics_in_member_metadata(bytes: Bytes) -> Result<Vec<String>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let name = <Self as Message>::SCHEMA.name();
        reader.read_i16().map_err(|error| error.in_message(name))?;
        Self::decode(&mut reader, 0).map(|subscription| subscription.topics)
    }
}

impl ConsumerProtocolAssignment {
    /// Reads a version and what this crate knows of the assignment that follows.
    pub fn from_member_assignment(bytes: Bytes) -> Result<Self, DecodeError> {
        decode_known_fields(bytes)
    }
}

/// Newer versions only append fields, so the newest known one reads them all.
fn decode_known_fields<T: Message>(bytes: Bytes) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let schema = <T as Message>::SCHEMA;
    let version = reader.read_i16().map_err(|error| error.in_message(schema.name()))?;
    T::decode(&mut reader, version.min(schema.versions.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_where_the_version_promises_more_than_there_is() {
        // Version 1, the topic "t", no user data, and no owned partitions either.
        let bytes = Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff");
        assert!(ConsumerProtocolSubscription::from_member_metadata(bytes.clone()).is_err());
        assert_eq!(
            ConsumerProtocolSubscription::topics_in_member_metadata(bytes),
            Ok(vec!["t".to_owned()])
        );
    }

    #[test]
    fn a_newer_version_is_read_as_far_as_it_is_known() {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["a".to_owned()],
            generation_id: 4,
            ..Default::default()
        };
        let mut bytes = subscription.to_versioned_bytes(3).unwrap().to_vec();
        bytes[1] = 9;
        bytes.extend([1, 2, 3]);
        let read = ConsumerProtocolSubscription::from_member_metadata(bytes.into());
        assert_eq!(read, Ok(subscription));
        assert!(
            ConsumerProtocolAssignment::from_member_assignment(vec![0xff, 0xff].into()).is_err()
        );
    }
}
