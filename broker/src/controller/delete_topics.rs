//! Decides on requests to delete topics, by name or by id.
//!
//! A topic goes with its partitions and settings in one record; what becomes of its files is the
//! business of the brokers that hold them.

use std::collections::BTreeMap;

use flumen_protocol::Uuid;

use super::assignment::count_by;
use super::decision::Decision;
use super::image::MetadataImage;
use super::records::RemoveTopicRecord;

/// A topic to delete, by name or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReference {
    /// The name, if it is named.
    pub name: Option<String>,
    /// The id, zero if it is named.
    pub id: Uuid,
}

/// Why a topic is not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    /// No topic has this name.
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    /// No topic has this id.
    #[error("This server does not host this topic ID.")]
    UnknownId,
    /// Both a name and an id.
    #[error("You may not specify both topic name and topic id.")]
    NameAndId,
    /// Neither a name nor an id.
    #[error("Neither topic name nor id were specified.")]
    Neither,
    /// The request names it twice.
    #[error("Duplicate topic name.")]
    NameTwice,
    /// The request names its id twice.
    #[error("Duplicate topic id.")]
    IdTwice,
    /// The request names it by name and by id.
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfId,
}

/// Decides on a request to delete topics: each answer has the name and id, as far as known.
pub(super) fn delete_topics(
    image: &MetadataImage,
    topics: &[TopicReference],
) -> Decision<Vec<(TopicReference, Result<(), DeleteTopicError>)>> {
    let mut decision = Decision::answer(Vec::new());
    let by_name = |topic: &TopicReference| topic.name.is_some() && topic.id.is_zero();
    let names = count_by(topics.iter().filter(|t| by_name(t)).filter_map(|t| t.name.as_deref()));
    let mut ids: BTreeMap<Uuid, usize> = BTreeMap::new();
    for topic in topics.iter().filter(|topic| topic.name.is_none() && !topic.id.is_zero()) {
        *ids.entry(topic.id).or_default() += 1;
    }
    let mut answered: Vec<TopicReference> = Vec::new();
    for topic in topics {
        let found = match (&topic.name, topic.id.is_zero()) {
            (Some(_), false) => Err(DeleteTopicError::NameAndId),
            (None, true) => Err(DeleteTopicError::Neither),
            (Some(name), true) if names[name.as_str()] > 1 => Err(DeleteTopicError::NameTwice),
            (Some(name), true) => match image.topic(name) {
                Some(found) if ids.contains_key(&found.id) => Err(DeleteTopicError::NameOfId),
                Some(found) => Ok(found),
                None => Err(DeleteTopicError::UnknownName),
            },
            (None, false) if ids[&topic.id] > 1 => Err(DeleteTopicError::IdTwice),
            (None, false) => match image.topic_by_id(topic.id) {
                Some(found) if names.contains_key(&*found.name) => Err(DeleteTopicError::NameOfId),
                Some(found) => Ok(found),
                None => Err(DeleteTopicError::UnknownId),
            },
        };
        let mut answer = topic.clone();
        if found == Err(DeleteTopicError::NameOfId) {
            // One answer for the pair, under both its names.
            let id = if topic.id.is_zero() {
                image.topic(topic.name.as_deref().unwrap_or_default()).map(|t| t.id)
            } else {
                Some(topic.id)
            };
            let found = id.and_then(|id| image.topic_by_id(id));
            answer.name = found.map(|found| found.name.to_string());
            answer.id = id.unwrap_or_default();
        }
        if let Ok(found) = found {
            decision.records.push(RemoveTopicRecord { topic_id: found.id }.into());
            answer = TopicReference { name: Some(found.name.to_string()), id: found.id };
        }
        if !answered.contains(&answer) || found == Err(DeleteTopicError::Neither) {
            answered.push(answer.clone());
            decision.answer.push((answer, found.map(|_| ())));
        }
    }
    decision
}
