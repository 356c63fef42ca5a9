//! M1: whoever votes on metadata has the disk that the log names, or its vote is withheld.

use crate::view::{BrokerView, View};

pub(super) fn ailment(view: &View) -> Option<String> {
    let leads = |broker: &&BrokerView| broker.controller == Some(broker.node_id);
    let Some(leader) = view.brokers.iter().filter(leads).max_by_key(|broker| broker.term) else {
        return Some("nobody decides".to_owned());
    };
    leader.voters.iter().find_map(|(id, directory)| {
        let broker = view.broker(*id)?;
        let own = broker.directory;
        (*directory != Some(own)).then(|| format!("{id} votes with {directory:?} and has {own}"))
    })
}
