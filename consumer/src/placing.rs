//! Finding out where to begin: at the committed offset, or where the reset policy says.

use std::collections::BTreeMap;

use flumen_client::admin::OffsetSpec;
use flumen_client::{Error as ClientError, TopicPartition};

use crate::config::OffsetReset;
use crate::error::Error;
use crate::record::Position;
use crate::shared::Shared;
use crate::subscription::Unplaced;

/// Where each partition begins, or why that could not be found out.
pub(crate) type Places = Vec<(Unplaced, Result<Position, Error>)>;

impl Shared {
    /// Looks for the beginnings of partitions.
    pub(crate) async fn find_places(&self, unplaced: Vec<Unplaced>) -> Places {
        let candidates = unplaced.iter().filter(|unplaced| !unplaced.is_out_of_range);
        let candidates: Vec<TopicPartition> =
            candidates.map(|unplaced| unplaced.partition.clone()).collect();
        let committed = if self.config.group_id.is_some() && !candidates.is_empty() {
            self.fetch_committed(&candidates).await
        } else {
            Ok(BTreeMap::new())
        };
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) => {
                let failed = unplaced.into_iter().map(|unplaced| (unplaced, Err(error.clone())));
                return failed.collect();
            }
        };
        let mut places = Vec::new();
        let mut to_reset = Vec::new();
        for unplaced in unplaced {
            let found = committed.get(&unplaced.partition).filter(|_| !unplaced.is_out_of_range);
            match found {
                Some(found) => {
                    let leader_epoch = found.leader_epoch;
                    places.push((unplaced, Ok(Position { offset: found.offset, leader_epoch })));
                }
                None => to_reset.push(unplaced),
            }
        }
        places.extend(self.reset_places(to_reset).await);
        places
    }

    async fn reset_places(&self, unplaced: Vec<Unplaced>) -> Places {
        let spec = match self.config.auto_offset_reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::ByDuration(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                let now = self.client.seams().clock.wall_ms();
                OffsetSpec::Timestamp(now.saturating_sub(age).max(0))
            }
            OffsetReset::None => {
                let no_offset = |unplaced: Unplaced| {
                    let partition = unplaced.partition.clone();
                    (unplaced, Err(Error::NoOffset { partition }))
                };
                return unplaced.into_iter().map(no_offset).collect();
            }
        };
        let partitions = unplaced.iter().map(|unplaced| (unplaced.partition.clone(), spec));
        let mut found = self.offsets_at(partitions.collect()).await;
        let places = unplaced.into_iter().map(|unplaced| {
            let place = found.remove(&unplaced.partition).unwrap_or(Err(Error::Closed));
            (unplaced, place)
        });
        places.collect()
    }

    /// Looks up places in partitions; behind the last record where none matches.
    pub(crate) async fn offsets_at(
        &self,
        places: BTreeMap<TopicPartition, OffsetSpec>,
    ) -> BTreeMap<TopicPartition, Result<Position, Error>> {
        let admin = self.client.admin();
        let isolation = self.config.isolation;
        let listed = admin.list_offsets(places, isolation).await;
        let mut found = BTreeMap::new();
        let mut at_end = BTreeMap::new();
        for (partition, listed) in listed {
            match listed {
                Ok(listed) => match listed.offset {
                    Some(offset) => {
                        drop(found.insert(partition, Ok(Position::at(offset))));
                    }
                    None => drop(at_end.insert(partition, OffsetSpec::Latest)),
                },
                Err(error) => drop(found.insert(partition, Err(error.into()))),
            }
        }
        if !at_end.is_empty() {
            for (partition, listed) in admin.list_offsets(at_end, isolation).await {
                let place = listed.and_then(|listed| {
                    let about = partition.to_string();
                    let api = flumen_protocol::ApiKey::ListOffsets;
                    listed.offset.ok_or(ClientError::Incomplete { api, about })
                });
                found.insert(partition, place.map(Position::at).map_err(Into::into));
            }
        }
        found
    }
}
