//! ApiVersions (key 18), v0–v5. Lists what this broker serves; most clients ask it first.
//! v3 the client names its software (KIP-511) · v5 the client may name the cluster and the node it
//! means to reach (KIP-1242).
//! Differs from Kafka: no features are listed while none is switched by a feature level.

use flumen_protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::{Call, Context, SERVED};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    match check(ctx, call, &request) {
        ErrorCode::None => {
            ApiVersionsResponse { api_keys: SERVED.iter().map(row).collect(), ..Default::default() }
        }
        error => ApiVersionsResponse { error_code: error.code(), ..Default::default() },
    }
}

/// The answer to a version that is not served, always sent as version 0 (KIP-511): the client
/// finds the range of ApiVersions in it and asks again.
pub(super) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![row(&ApiKey::ApiVersions)],
        ..Default::default()
    }
}

fn row(api: &ApiKey) -> ApiVersion {
    let versions = api.advertised_versions();
    ApiVersion { api_key: api.key(), min_version: *versions.start(), max_version: *versions.end() }
}

fn check(ctx: &Context, call: &Call, request: &ApiVersionsRequest) -> ErrorCode {
    let named = [&request.client_software_name, &request.client_software_version];
    if call.version >= 3 && !named.into_iter().all(|name| is_software_name(name)) {
        return ErrorCode::InvalidRequest;
    }
    let Some(cluster_id) = &request.cluster_id else {
        // Naming a node without its cluster names nothing.
        return if request.node_id < 0 { ErrorCode::None } else { ErrorCode::InvalidRequest };
    };
    let is_meant = cluster_id == ctx.controller.image().cluster_id()
        && (request.node_id < 0 || request.node_id == ctx.config.node_id);
    if is_meant { ErrorCode::None } else { ErrorCode::RebootstrapRequired }
}

/// Letters, digits, hyphens and dots, with a letter or digit at both ends: what may go into a metric.
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_the_pattern_of_the_protocol() {
        for good in ["a", "librdkafka", "apache-kafka-java", "1.2.3"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "é"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }

    #[test]
    fn an_unsupported_version_names_one_key() {
        let answer = unsupported();
        assert_eq!(answer.error_code, 35);
        assert_eq!(answer.api_keys, [ApiVersion { api_key: 18, min_version: 0, max_version: 5 }]);
    }
}
