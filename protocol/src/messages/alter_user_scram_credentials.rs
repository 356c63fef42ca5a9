//! AlterUserScramCredentials (key 51), v0: sets and removes SCRAM credentials (KIP-554).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AlterUserScramCredentials,
    response = AlterUserScramCredentialsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct AlterUserScramCredentialsRequest {
    pub deletions: Vec<ScramCredentialDeletion>,
    pub upsertions: Vec<ScramCredentialUpsertion>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ScramCredentialDeletion {
    pub name: String,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ScramCredentialUpsertion {
    pub name: String,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
    pub iterations: i32,
    pub salt: Bytes,
    pub salted_password: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct AlterUserScramCredentialsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AlterUserScramCredentialsResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterUserScramCredentialsResult {
    pub user: String,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
