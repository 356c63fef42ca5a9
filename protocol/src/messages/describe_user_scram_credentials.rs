//! DescribeUserScramCredentials (key 50), v0: which users have SCRAM credentials, and of which kind
//! (KIP-554).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeUserScramCredentials,
    response = DescribeUserScramCredentialsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct DescribeUserScramCredentialsRequest {
    #[wire(nullable = "0+")]
    pub users: Option<Vec<UserName>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct UserName {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct DescribeUserScramCredentialsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub results: Vec<DescribeUserScramCredentialsResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeUserScramCredentialsResult {
    pub user: String,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub credential_infos: Vec<CredentialInfo>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CredentialInfo {
    pub mechanism: i8,
    pub iterations: i32,
}
