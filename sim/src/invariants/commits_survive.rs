//! G2: the offset a group finds is none older than the last commit that was acknowledged.

use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    let acknowledged = history.commits_acknowledged.last().copied();
    match (acknowledged, history.committed) {
        (Some(acknowledged), Some(found)) if found < acknowledged => {
            Err(format!("{acknowledged} was acknowledged, {found} is found"))
        }
        (Some(acknowledged), None) => {
            Err(format!("{acknowledged} was acknowledged, none is found"))
        }
        (_, Some(found)) if found > history.commit_tried_max => {
            Err(format!("{found} is found, {} was the last tried", history.commit_tried_max))
        }
        _ => Ok(()),
    }
}
