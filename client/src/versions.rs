//! Which version of each API a broker serves, and which of them to use.

use std::collections::BTreeMap;
use std::sync::Arc;

use flumen_protocol::messages::api_versions::ApiVersionsResponse;
use flumen_protocol::schema::Versions;
use flumen_protocol::{Message, Request};

use crate::connection::ConnectionError;

/// What one broker serves, as it said when the connection was made.
#[derive(Debug, Clone, Default)]
pub struct ApiVersions {
    served: BTreeMap<i16, Versions>,
}

impl From<&ApiVersionsResponse> for ApiVersions {
    fn from(response: &ApiVersionsResponse) -> Self {
        let served = response.api_keys.iter();
        let served =
            served.map(|api| (api.api_key, Versions::new(api.min_version, api.max_version)));
        Self { served: served.collect() }
    }
}

impl ApiVersions {
    /// The versions the broker serves of an API.
    #[must_use]
    pub fn served(&self, api_key: i16) -> Option<Versions> {
        self.served.get(&api_key).copied()
    }

    /// The highest version both sides know, not above `version_max`.
    pub(crate) fn pick<R: Request>(
        &self,
        address: &Arc<str>,
        version_max: Option<i16>,
    ) -> Result<i16, ConnectionError> {
        let known = <R as Message>::SCHEMA.versions;
        let client_max = version_max.map_or(known.max, |limit| limit.min(known.max));
        self.served(R::API_KEY.key())
            .map(|served| (served.min.max(known.min), served.max.min(client_max)))
            .filter(|(min, max)| min <= max)
            .map(|(_, max)| max)
            .ok_or_else(|| ConnectionError::UnsupportedVersion {
                address: Arc::clone(address),
                api: R::API_KEY,
                client_min: known.min,
                client_max,
            })
    }
}

#[cfg(test)]
mod tests {
    use flumen_protocol::messages::metadata::MetadataRequest;

    use super::*;

    fn check(min: i16, max: i16, limit: Option<i16>, expected: Option<i16>) {
        let served = BTreeMap::from([(3, Versions::new(min, max))]);
        let picked = ApiVersions { served }.pick::<MetadataRequest>(&"broker:9092".into(), limit);
        assert_eq!(picked.ok(), expected, "broker serves {min} to {max}, limit {limit:?}");
    }

    #[test]
    fn the_highest_common_version_is_used() {
        check(0, 5, None, Some(5));
        check(0, 99, None, Some(13));
        check(0, 99, Some(9), Some(9));
        check(4, 9, Some(3), None);
        check(20, 30, None, None);
    }

    #[test]
    fn an_api_that_is_not_served_has_no_version() {
        let picked = ApiVersions::default().pick::<MetadataRequest>(&"broker:9092".into(), None);
        assert!(matches!(picked, Err(ConnectionError::UnsupportedVersion { .. })));
    }
}
