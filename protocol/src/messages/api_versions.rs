//! ApiVersions (key 18), v0–v5: which APIs and versions the broker serves, and the cluster's
//! features; the first request on nearly every connection.
//! v1 throttle time · v3 client software name and version, flexible encoding, features (KIP-511,
//! KIP-584) · v4 features with minimum version 0 may be listed · v5 the client may name the cluster
//! and node it means to reach (KIP-1242).
//!
//! Whatever the version, the response comes with header version 0. A version the broker does not
//! have is answered with error 35 in a version 0 body, so that the client can try again.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ApiVersions,
    response = ApiVersionsResponse,
    versions = "0-5",
    flexible = "3+",
)]
pub struct ApiVersionsRequest {
    #[wire(versions = "3+", ignorable)]
    pub client_software_name: String,
    #[wire(versions = "3+", ignorable)]
    pub client_software_version: String,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub cluster_id: Option<String>,
    /// -1 for whichever node it is.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub node_id: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "3+")]
pub struct ApiVersionsResponse {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    #[wire(versions = "3+", tag = 0, ignorable)]
    pub supported_features: Vec<SupportedFeatureKey>,
    /// -1 if it is not known.
    #[wire(versions = "3+", default = -1, tag = 1, ignorable)]
    pub finalized_features_epoch: i64,
    #[wire(versions = "3+", tag = 2, ignorable)]
    pub finalized_features: Vec<FinalizedFeatureKey>,
    #[wire(versions = "3+", tag = 3, ignorable)]
    pub zk_migration_ready: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct SupportedFeatureKey {
    #[wire(versions = "3+")]
    pub name: String,
    #[wire(versions = "3+")]
    pub min_version: i16,
    #[wire(versions = "3+")]
    pub max_version: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FinalizedFeatureKey {
    #[wire(versions = "3+")]
    pub name: String,
    #[wire(versions = "3+")]
    pub max_version_level: i16,
    #[wire(versions = "3+")]
    pub min_version_level: i16,
}
