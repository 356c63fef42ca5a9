//! The messages: one file per API with its request and response, and those that travel inside others.
//!
//! Each struct has the name that Kafka's schema gives it, and each field Kafka's name in snake case;
//! where two messages have a part of the same name, the module tells them apart. A field without
//! `versions` is in all of them. Defaults are the protocol's, so a text that may be null but has no
//! default of its own starts as empty text, not as null.

pub mod api_versions;
pub mod consumer_protocol;
pub mod create_topics;
pub mod delete_topics;
pub mod fetch;
pub mod find_coordinator;
pub mod group_records;
pub mod heartbeat;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_fetch;
pub mod produce;
pub mod sync_group;
