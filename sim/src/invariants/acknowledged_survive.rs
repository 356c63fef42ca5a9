//! R4, L4: a record that was acknowledged is in the log, at the offset that was acknowledged, and a
//! record that was refused is not.

use crate::history::{History, Written};

pub(super) fn check(history: &History) -> Result<(), String> {
    for ((partition, value), written) in &history.written {
        let log = history.logs.get(partition).map_or(&[][..], Vec::as_slice);
        let found = log.iter().find(|(_, stored)| stored == value).map(|(offset, _)| *offset);
        match (written, found) {
            (Written::Acknowledged(_), None) => {
                return Err(format!("value {value} of partition {partition} is lost"));
            }
            (Written::Acknowledged(Some(offset)), Some(found)) if found != *offset => {
                return Err(format!(
                    "value {value} of partition {partition} was acknowledged at {offset} and \
                     lies at {found}"
                ));
            }
            (Written::Refused, Some(found)) => {
                return Err(format!(
                    "value {value} of partition {partition} was refused and lies at {found}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
