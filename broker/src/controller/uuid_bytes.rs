//! How ids are stored and sent: as 16 bytes. For `#[serde(with = "…")]`.

use flumen_protocol::Uuid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A single id.
pub(super) mod one {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Uuid};

    pub(in super::super) fn serialize<S: Serializer>(
        id: &Uuid,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.as_bytes().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Uuid, D::Error> {
        <[u8; 16]>::deserialize(from).map(Uuid::from_bytes)
    }
}

/// Several ids.
pub(super) mod list {
    use super::{Deserialize, Deserializer, Serializer, Uuid};

    pub(in super::super) fn serialize<S: Serializer>(
        ids: &[Uuid],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(Uuid::as_bytes))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Uuid>, D::Error> {
        let ids = Vec::<[u8; 16]>::deserialize(from)?;
        Ok(ids.into_iter().map(Uuid::from_bytes).collect())
    }
}
