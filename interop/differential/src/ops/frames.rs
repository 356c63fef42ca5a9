//! Frames that no client should send: cut, stretched, with tags nobody knows, of APIs nobody serves.
//!
//! What is compared is whether the broker answers or closes the connection. The requests ask for
//! nothing (no topics, no groups), so that whatever is understood of them changes nothing.

use anyhow::Result;
use bytes::Bytes;
use flumen_protocol::header::RequestHeader;
use flumen_protocol::messages::alter_configs::AlterConfigsRequest;
use flumen_protocol::messages::alter_replica_log_dirs::AlterReplicaLogDirsRequest;
use flumen_protocol::messages::api_versions::ApiVersionsRequest;
use flumen_protocol::messages::create_partitions::CreatePartitionsRequest;
use flumen_protocol::messages::create_topics::CreateTopicsRequest;
use flumen_protocol::messages::delete_groups::DeleteGroupsRequest;
use flumen_protocol::messages::delete_records::DeleteRecordsRequest;
use flumen_protocol::messages::delete_topics::DeleteTopicsRequest;
use flumen_protocol::messages::describe_cluster::DescribeClusterRequest;
use flumen_protocol::messages::describe_configs::DescribeConfigsRequest;
use flumen_protocol::messages::describe_groups::DescribeGroupsRequest;
use flumen_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use flumen_protocol::messages::describe_producers::DescribeProducersRequest;
use flumen_protocol::messages::describe_quorum::DescribeQuorumRequest;
use flumen_protocol::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use flumen_protocol::messages::elect_leaders::ElectLeadersRequest;
use flumen_protocol::messages::fetch::FetchRequest;
use flumen_protocol::messages::find_coordinator::FindCoordinatorRequest;
use flumen_protocol::messages::heartbeat::HeartbeatRequest;
use flumen_protocol::messages::incremental_alter_configs::IncrementalAlterConfigsRequest;
use flumen_protocol::messages::init_producer_id::InitProducerIdRequest;
use flumen_protocol::messages::join_group::JoinGroupRequest;
use flumen_protocol::messages::leave_group::LeaveGroupRequest;
use flumen_protocol::messages::list_config_resources::ListConfigResourcesRequest;
use flumen_protocol::messages::list_groups::ListGroupsRequest;
use flumen_protocol::messages::list_offsets::ListOffsetsRequest;
use flumen_protocol::messages::metadata::MetadataRequest;
use flumen_protocol::messages::offset_commit::OffsetCommitRequest;
use flumen_protocol::messages::offset_delete::OffsetDeleteRequest;
use flumen_protocol::messages::offset_fetch::OffsetFetchRequest;
use flumen_protocol::messages::offset_for_leader_epoch::OffsetForLeaderEpochRequest;
use flumen_protocol::messages::produce::ProduceRequest;
use flumen_protocol::messages::sync_group::SyncGroupRequest;
use flumen_protocol::{ApiKey, EncodeError, FrameWriter, Message, Request};

use super::version_of;
use crate::pair::Pair;
use crate::random::Random;

/// Writes the body of a request in a version.
type Body = fn(&mut FrameWriter, i16) -> Result<(), EncodeError>;

fn nothing<R: Request + Default>(
    writer: &mut FrameWriter,
    version: i16,
) -> Result<(), EncodeError> {
    R::default().encode(writer, version)
}

/// As [`nothing`], but answered.
fn nothing_produced(writer: &mut FrameWriter, version: i16) -> Result<(), EncodeError> {
    ProduceRequest { acks: -1, ..Default::default() }.encode(writer, version)
}

const BODIES: &[(ApiKey, Body)] = &[
    (ApiKey::Produce, nothing_produced),
    (ApiKey::Fetch, nothing::<FetchRequest>),
    (ApiKey::ListOffsets, nothing::<ListOffsetsRequest>),
    (ApiKey::Metadata, nothing::<MetadataRequest>),
    (ApiKey::OffsetCommit, nothing::<OffsetCommitRequest>),
    (ApiKey::OffsetFetch, nothing::<OffsetFetchRequest>),
    (ApiKey::FindCoordinator, nothing::<FindCoordinatorRequest>),
    (ApiKey::JoinGroup, nothing::<JoinGroupRequest>),
    (ApiKey::Heartbeat, nothing::<HeartbeatRequest>),
    (ApiKey::LeaveGroup, nothing::<LeaveGroupRequest>),
    (ApiKey::SyncGroup, nothing::<SyncGroupRequest>),
    (ApiKey::DescribeGroups, nothing::<DescribeGroupsRequest>),
    (ApiKey::ListGroups, nothing::<ListGroupsRequest>),
    (ApiKey::ApiVersions, nothing::<ApiVersionsRequest>),
    (ApiKey::CreateTopics, nothing::<CreateTopicsRequest>),
    (ApiKey::DeleteTopics, nothing::<DeleteTopicsRequest>),
    (ApiKey::DeleteRecords, nothing::<DeleteRecordsRequest>),
    (ApiKey::InitProducerId, nothing::<InitProducerIdRequest>),
    (ApiKey::OffsetForLeaderEpoch, nothing::<OffsetForLeaderEpochRequest>),
    (ApiKey::DescribeConfigs, nothing::<DescribeConfigsRequest>),
    (ApiKey::AlterConfigs, nothing::<AlterConfigsRequest>),
    (ApiKey::AlterReplicaLogDirs, nothing::<AlterReplicaLogDirsRequest>),
    (ApiKey::DescribeLogDirs, nothing::<DescribeLogDirsRequest>),
    (ApiKey::CreatePartitions, nothing::<CreatePartitionsRequest>),
    (ApiKey::DeleteGroups, nothing::<DeleteGroupsRequest>),
    (ApiKey::ElectLeaders, nothing::<ElectLeadersRequest>),
    (ApiKey::IncrementalAlterConfigs, nothing::<IncrementalAlterConfigsRequest>),
    (ApiKey::OffsetDelete, nothing::<OffsetDeleteRequest>),
    (ApiKey::DescribeQuorum, nothing::<DescribeQuorumRequest>),
    (ApiKey::DescribeCluster, nothing::<DescribeClusterRequest>),
    (ApiKey::DescribeProducers, nothing::<DescribeProducersRequest>),
    (ApiKey::ListConfigResources, nothing::<ListConfigResourcesRequest>),
    (ApiKey::DescribeTopicPartitions, nothing::<DescribeTopicPartitionsRequest>),
];

/// What is put in a request's last byte, which says that there are no tagged fields, in its place.
const UNKNOWN_TAG: &[u8] = b"\x01\x63\x03abc";
const TAG_TWICE: &[u8] = b"\x02\x63\x01a\x63\x01b";
const TAGS_FALLING: &[u8] = b"\x02\x64\x01a\x63\x01b";
const TAG_TOO_LONG: &[u8] = b"\x01\x63\x7fabc";
const TAGS_MISSING: &[u8] = b"\x05";
const TAGS_TOO_MANY: &[u8] = b"\xff\xff\xff\xff\x0f";

pub(super) fn mangled_request(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let (api, body) = random.choose(BODIES);
    let version = version_of(api, random);
    let mut writer = FrameWriter::new();
    body(&mut writer, version)?;
    let mut bytes = writer.into_bytes()?.to_vec();
    let header = header(api.key(), version);
    let last = bytes.len().saturating_sub(1);
    let what = match random.choose(&[0, 1, 1, 2, 3, 4, 4, 4]) {
        0 => "as it is",
        1 if !bytes.is_empty() => {
            let position = usize::try_from(random.next()).unwrap_or(0) % bytes.len();
            bytes.truncate(position);
            "cut"
        }
        2 => {
            bytes.extend_from_slice(random.choose(&[&b"\0"[..], b"\0\0\0\0", b"more"]));
            "stretched"
        }
        3 if !bytes.is_empty() => {
            let position = usize::try_from(random.next()).unwrap_or(0) % bytes.len();
            bytes[position] = random.choose(&[0xff, 0x7f, 0x80]);
            "with another byte"
        }
        _ if api.is_flexible(version) => {
            let (tags, what) = random.choose(&[
                (UNKNOWN_TAG, "with an unknown tag"),
                (TAG_TWICE, "with a tag twice"),
                (TAGS_FALLING, "with tags that fall"),
                (TAG_TOO_LONG, "with a tag that is too long"),
                (TAGS_MISSING, "with tags that are not there"),
                (TAGS_TOO_MANY, "with more tags than fit"),
            ]);
            bytes.splice(last.., tags.iter().copied());
            what
        }
        _ => "as it is",
    };
    ask(pair, what, version, &[header, bytes].concat())
}

/// Headers of requests that are not served or no headers at all.
pub(super) fn mangled_header(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let of_kafka = version_of(ApiKey::Metadata, random);
    let (what, bytes) = match random.choose(&[0, 1, 2, 3, 4, 5, 6, 7]) {
        // Keys that no broker serves to clients.
        0 => ("unknown api", header(random.choose(&[999, -1, 4, 5, 6, 7, 31, i16::MAX]), 0)),
        1 => ("unknown version", header(3, random.choose(&[99, -1, 14, i16::MAX, i16::MIN]))),
        2 => ("unknown version of ApiVersions", header(18, random.choose(&[99, 6, -1, 500]))),
        3 => ("no longer served version", header(random.choose(&[0, 1, 19]), 0)),
        4 => {
            let mut bytes = header(3, of_kafka);
            bytes.truncate(random.choose(&[0, 1, 2, 4, 7, 8, 9, 12]));
            ("cut header", bytes)
        }
        5 => ("client id too long", b"\0\x03\0\x01\0\0\0\x01\x7f\xffabc".to_vec()),
        6 => ("negative client id", b"\0\x03\0\x01\0\0\0\x01\xff\xfeabc\0\0\0\0".to_vec()),
        // Null is a client id, and then comes a request for no topics.
        _ => ("no client id", b"\0\x03\0\x01\0\0\0\x01\xff\xff\0\0\0\0".to_vec()),
    };
    ask(pair, what, 0, &bytes)
}

/// Sizes in front of frames that no frame can have.
pub(super) fn mangled_size(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let size: i32 = random.choose(&[-1, i32::MIN, i32::MAX, 1_000_000_000]);
    let frame = [&size.to_be_bytes()[..], &header(18, 0)].concat();
    pair.ask_bytes("frame of an impossible size", 0, &frame, seen)
}

fn header(api_key: i16, api_version: i16) -> Vec<u8> {
    let header = RequestHeader {
        api_key,
        api_version,
        correlation_id: 7,
        client_id: Some("differential".to_owned()),
    };
    let mut writer = FrameWriter::new();
    header.encode(&mut writer).expect("a short client id fits");
    writer.into_bytes().expect("all of it is in memory").to_vec()
}

fn ask(pair: &mut Pair, what: &'static str, version: i16, bytes: &[u8]) -> Result<()> {
    let size = u32::try_from(bytes.len())?;
    let frame = [&size.to_be_bytes()[..], bytes].concat();
    pair.ask_bytes(what, version, &frame, seen)
}

/// Whether there is an answer, and to which request.
fn seen(answer: Option<Bytes>) -> String {
    match answer {
        Some(bytes) => format!("answered {:?}", bytes.get(..4)),
        None => "closed".to_owned(),
    }
}
