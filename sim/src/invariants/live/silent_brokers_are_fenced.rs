//! M4: a broker that is down is taken out of service, if one leader of the quorum decides things all the
//! while.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Live;
use crate::view::View;

/// How long that may take: a session, and some for a leader that stood still meanwhile.
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// Between two decisions; if it is longer, the quorum may not be able to decide, and the time does not count.
const DECISIONS_APART_MAX: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
pub(super) struct State {
    /// The version of the metadata, the term, and when it was first seen.
    last: Option<(i64, i32, Duration)>,
    /// For how long starts of brokers have been down and in service, by id and epoch.
    silent: BTreeMap<(i32, i64), Duration>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        let Some(image) = view.newest_image() else { return Ok(()) };
        let term = view.brokers.iter().map(|broker| broker.term).max().unwrap_or_default();
        let (version, last_term, last_at) = *self.last.get_or_insert((-1, term, view.at));
        let is_silent =
            |id: i32, epoch: &i64| view.broker(id).is_none() && is_in_service(view, id, *epoch);
        self.silent.retain(|(id, epoch), _| is_silent(*id, epoch));
        if (version, last_term) == (image.version(), term) {
            return Ok(());
        }
        self.last = Some((image.version(), term, view.at));
        let apart = view.at.saturating_sub(last_at);
        let counted = if apart <= DECISIONS_APART_MAX { apart } else { Duration::ZERO };
        if term != last_term {
            self.silent.clear();
        }
        for broker in image.brokers().filter(|broker| is_silent(broker.id, &broker.epoch)) {
            let known = self.silent.entry((broker.id, broker.epoch));
            let time = *known.and_modify(|time| *time += counted).or_default();
            if time > NOTICED_WITHIN {
                return Err(format!("broker {} is down and in service", broker.id));
            }
        }
        Ok(())
    }
}

/// Whether that start of a broker is in service.
fn is_in_service(view: &View, id: i32, epoch: i64) -> bool {
    let broker = view.newest_image().and_then(|image| image.broker(id));
    broker.is_some_and(|broker| broker.epoch == epoch && !broker.fenced)
}
