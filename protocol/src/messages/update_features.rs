//! UpdateFeatures (key 57), v0–v2: raises or lowers the finalized level of cluster features
//! (KIP-584).
//! v1 kinds of downgrade, and a dry run (KIP-778) · v2 one error for all features (KIP-1022).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = UpdateFeatures,
    response = UpdateFeaturesResponse,
    versions = "0-2",
    flexible = "0+",
)]
pub struct UpdateFeaturesRequest {
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
    pub feature_updates: Vec<FeatureUpdateKey>,
    #[wire(versions = "1+")]
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FeatureUpdateKey {
    pub feature: String,
    /// Below 1 removes the feature's finalized level.
    pub max_version_level: i16,
    #[wire(versions = "0")]
    pub allow_downgrade: bool,
    /// 1 upgrade only, 2 downgrade without loss, 3 downgrade with loss.
    #[wire(versions = "1+", default = 1)]
    pub upgrade_type: i8,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "0+")]
pub struct UpdateFeaturesResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    #[wire(versions = "0-1", ignorable)]
    pub results: Vec<UpdatableFeatureResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct UpdatableFeatureResult {
    pub feature: String,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
