//! L2, R15: a record that a consumer has read stays where it is, for ever and unchanged.

use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    for ((partition, offset), values) in &history.observed {
        let log = history.logs.get(partition).map_or(&[][..], Vec::as_slice);
        let stored = log.iter().find(|(at, _)| at == offset).map(|(_, value)| *value);
        if values.len() != 1 || values.first().copied() != stored {
            return Err(format!(
                "offset {offset} of partition {partition} was read as {values:?} and holds \
                 {stored:?}"
            ));
        }
    }
    Ok(())
}
