//! The controller: what the cluster consists of, and who decides changes to it.
//!
//! [`records`] is what the metadata log holds and [`image`] what it adds up to.

mod image;
pub mod records;

pub use image::{
    BrokerImage, CONSUMER_OFFSETS, Configs, MetadataImage, PartitionImage, ReplayError, TopicImage,
    is_internal_topic,
};
pub use records::{BrokerEndpoint, ConfigResource, MetadataRecord};
