//! Any message by its API or name: decodes it, and encodes again what was understood.

use bytes::Bytes;
use flumen_protocol::messages::{self, consumer_protocol, group_records};
use flumen_protocol::schema::Message as MessageSchema;
use flumen_protocol::{ApiKey, DecodeError, Message};

/// One of the two messages of an API, or data with a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request(ApiKey),
    Response(ApiKey),
    Data(&'static str),
}

impl Kind {
    /// Requests and responses of every API.
    pub(crate) fn of_all_apis() -> impl Iterator<Item = Self> {
        ApiKey::ALL.iter().flat_map(|api| [Self::Request(*api), Self::Response(*api)])
    }

    /// Everything.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::of_all_apis().chain(Self::of_data())
    }

    /// What travels inside other messages and records.
    pub(crate) fn of_data() -> impl Iterator<Item = Self> {
        DATA.into_iter().map(Self::Data)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.schema().name() == name)
    }
}

/// Decodes a message that must fill the bytes, and encodes it again in the same version.
fn reencode<T: Message>(bytes: Bytes, version: i16) -> Result<Bytes, DecodeError> {
    T::from_bytes(bytes, version).map(|message| encode(&message, version))
}

fn encode(message: &impl Message, version: i16) -> Bytes {
    message.to_bytes(version).expect("what was decoded has an encoding")
}

macro_rules! dispatch {
    (
        apis { $($module:ident: $api:ident, $request:ident, $response:ident;)* }
        data { $($data_module:ident: $data:ident;)* }
    ) => {
        const DATA: [&str; [$(stringify!($data)),*].len()] = [$(stringify!($data)),*];

        impl Kind {
            pub(crate) fn schema(self) -> &'static MessageSchema {
                match self {
                    Self::Request(api) => messages::request_schema(api),
                    Self::Response(api) => messages::response_schema(api),
                    $(Self::Data(stringify!($data)) => <$data_module::$data as Message>::SCHEMA,)*
                    Self::Data(name) => panic!("no data message {name}"),
                }
            }

            pub(crate) fn reencode(self, bytes: Bytes, version: i16) -> Result<Bytes, DecodeError> {
                match self {
                    $(
                        Self::Request(ApiKey::$api) => {
                            reencode::<messages::$module::$request>(bytes, version)
                        }
                        Self::Response(ApiKey::$api) => {
                            reencode::<messages::$module::$response>(bytes, version)
                        }
                    )*
                    $(Self::Data(stringify!($data)) => {
                        reencode::<$data_module::$data>(bytes, version)
                    })*
                    Self::Data(name) => panic!("no data message {name}"),
                }
            }

            /// Encodes the message that nobody filled.
            pub(crate) fn default_bytes(self, version: i16) -> Bytes {
                match self {
                    $(
                        Self::Request(ApiKey::$api) => {
                            encode(&messages::$module::$request::default(), version)
                        }
                        Self::Response(ApiKey::$api) => {
                            encode(&messages::$module::$response::default(), version)
                        }
                    )*
                    $(Self::Data(stringify!($data)) => {
                        encode(&$data_module::$data::default(), version)
                    })*
                    Self::Data(name) => panic!("no data message {name}"),
                }
            }

            /// Decodes a message and forgets it.
            pub(crate) fn decode(self, bytes: Bytes, version: i16) -> Result<(), DecodeError> {
                match self {
                    $(
                        Self::Request(ApiKey::$api) => {
                            messages::$module::$request::from_bytes(bytes, version).map(drop)
                        }
                        Self::Response(ApiKey::$api) => {
                            messages::$module::$response::from_bytes(bytes, version).map(drop)
                        }
                    )*
                    $(Self::Data(stringify!($data)) => {
                        $data_module::$data::from_bytes(bytes, version).map(drop)
                    })*
                    Self::Data(name) => panic!("no data message {name}"),
                }
            }
        }
    };
}

dispatch! {
    apis {
        produce: Produce, ProduceRequest, ProduceResponse;
        fetch: Fetch, FetchRequest, FetchResponse;
        list_offsets: ListOffsets, ListOffsetsRequest, ListOffsetsResponse;
        metadata: Metadata, MetadataRequest, MetadataResponse;
        offset_commit: OffsetCommit, OffsetCommitRequest, OffsetCommitResponse;
        offset_fetch: OffsetFetch, OffsetFetchRequest, OffsetFetchResponse;
        find_coordinator: FindCoordinator, FindCoordinatorRequest, FindCoordinatorResponse;
        join_group: JoinGroup, JoinGroupRequest, JoinGroupResponse;
        heartbeat: Heartbeat, HeartbeatRequest, HeartbeatResponse;
        leave_group: LeaveGroup, LeaveGroupRequest, LeaveGroupResponse;
        sync_group: SyncGroup, SyncGroupRequest, SyncGroupResponse;
        describe_groups: DescribeGroups, DescribeGroupsRequest, DescribeGroupsResponse;
        list_groups: ListGroups, ListGroupsRequest, ListGroupsResponse;
        sasl_handshake: SaslHandshake, SaslHandshakeRequest, SaslHandshakeResponse;
        api_versions: ApiVersions, ApiVersionsRequest, ApiVersionsResponse;
        create_topics: CreateTopics, CreateTopicsRequest, CreateTopicsResponse;
        delete_topics: DeleteTopics, DeleteTopicsRequest, DeleteTopicsResponse;
        delete_records: DeleteRecords, DeleteRecordsRequest, DeleteRecordsResponse;
        init_producer_id: InitProducerId, InitProducerIdRequest, InitProducerIdResponse;
        offset_for_leader_epoch: OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
        add_partitions_to_txn: AddPartitionsToTxn, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
        add_offsets_to_txn: AddOffsetsToTxn, AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
        end_txn: EndTxn, EndTxnRequest, EndTxnResponse;
        write_txn_markers: WriteTxnMarkers, WriteTxnMarkersRequest, WriteTxnMarkersResponse;
        txn_offset_commit: TxnOffsetCommit, TxnOffsetCommitRequest, TxnOffsetCommitResponse;
        describe_acls: DescribeAcls, DescribeAclsRequest, DescribeAclsResponse;
        create_acls: CreateAcls, CreateAclsRequest, CreateAclsResponse;
        delete_acls: DeleteAcls, DeleteAclsRequest, DeleteAclsResponse;
        describe_configs: DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResponse;
        alter_configs: AlterConfigs, AlterConfigsRequest, AlterConfigsResponse;
        alter_replica_log_dirs: AlterReplicaLogDirs, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse;
        describe_log_dirs: DescribeLogDirs, DescribeLogDirsRequest, DescribeLogDirsResponse;
        sasl_authenticate: SaslAuthenticate, SaslAuthenticateRequest, SaslAuthenticateResponse;
        create_partitions: CreatePartitions, CreatePartitionsRequest, CreatePartitionsResponse;
        create_delegation_token: CreateDelegationToken, CreateDelegationTokenRequest, CreateDelegationTokenResponse;
        renew_delegation_token: RenewDelegationToken, RenewDelegationTokenRequest, RenewDelegationTokenResponse;
        expire_delegation_token: ExpireDelegationToken, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse;
        describe_delegation_token: DescribeDelegationToken, DescribeDelegationTokenRequest, DescribeDelegationTokenResponse;
        delete_groups: DeleteGroups, DeleteGroupsRequest, DeleteGroupsResponse;
        elect_leaders: ElectLeaders, ElectLeadersRequest, ElectLeadersResponse;
        incremental_alter_configs: IncrementalAlterConfigs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
        alter_partition_reassignments: AlterPartitionReassignments, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
        list_partition_reassignments: ListPartitionReassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
        offset_delete: OffsetDelete, OffsetDeleteRequest, OffsetDeleteResponse;
        describe_client_quotas: DescribeClientQuotas, DescribeClientQuotasRequest, DescribeClientQuotasResponse;
        alter_client_quotas: AlterClientQuotas, AlterClientQuotasRequest, AlterClientQuotasResponse;
        describe_user_scram_credentials: DescribeUserScramCredentials, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
        alter_user_scram_credentials: AlterUserScramCredentials, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
        describe_quorum: DescribeQuorum, DescribeQuorumRequest, DescribeQuorumResponse;
        envelope: Envelope, EnvelopeRequest, EnvelopeResponse;
        update_features: UpdateFeatures, UpdateFeaturesRequest, UpdateFeaturesResponse;
        describe_cluster: DescribeCluster, DescribeClusterRequest, DescribeClusterResponse;
        describe_producers: DescribeProducers, DescribeProducersRequest, DescribeProducersResponse;
        unregister_broker: UnregisterBroker, UnregisterBrokerRequest, UnregisterBrokerResponse;
        describe_transactions: DescribeTransactions, DescribeTransactionsRequest, DescribeTransactionsResponse;
        list_transactions: ListTransactions, ListTransactionsRequest, ListTransactionsResponse;
        consumer_group_heartbeat: ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
        consumer_group_describe: ConsumerGroupDescribe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
        get_telemetry_subscriptions: GetTelemetrySubscriptions, GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse;
        push_telemetry: PushTelemetry, PushTelemetryRequest, PushTelemetryResponse;
        list_config_resources: ListConfigResources, ListConfigResourcesRequest, ListConfigResourcesResponse;
        describe_topic_partitions: DescribeTopicPartitions, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
        share_group_heartbeat: ShareGroupHeartbeat, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse;
        share_group_describe: ShareGroupDescribe, ShareGroupDescribeRequest, ShareGroupDescribeResponse;
        share_fetch: ShareFetch, ShareFetchRequest, ShareFetchResponse;
        share_acknowledge: ShareAcknowledge, ShareAcknowledgeRequest, ShareAcknowledgeResponse;
        add_raft_voter: AddRaftVoter, AddRaftVoterRequest, AddRaftVoterResponse;
        remove_raft_voter: RemoveRaftVoter, RemoveRaftVoterRequest, RemoveRaftVoterResponse;
        streams_group_heartbeat: StreamsGroupHeartbeat, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse;
        streams_group_describe: StreamsGroupDescribe, StreamsGroupDescribeRequest, StreamsGroupDescribeResponse;
        describe_share_group_offsets: DescribeShareGroupOffsets, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse;
        alter_share_group_offsets: AlterShareGroupOffsets, AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse;
        delete_share_group_offsets: DeleteShareGroupOffsets, DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse;
        streams_group_topology_description_update: StreamsGroupTopologyDescriptionUpdate, StreamsGroupTopologyDescriptionUpdateRequest, StreamsGroupTopologyDescriptionUpdateResponse;
        unregister_controller: UnregisterController, UnregisterControllerRequest, UnregisterControllerResponse;
    }
    data {
        consumer_protocol: ConsumerProtocolSubscription;
        consumer_protocol: ConsumerProtocolAssignment;
        group_records: OffsetCommitKey;
        group_records: OffsetCommitValue;
        group_records: LegacyOffsetCommitKey;
        group_records: LegacyOffsetCommitValue;
        group_records: GroupMetadataKey;
        group_records: GroupMetadataValue;
    }
}
